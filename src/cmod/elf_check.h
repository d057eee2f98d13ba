/*
 * A check of what the dynamic loader follows in a shared library, made before
 * the loader sees it: the loader trusts its input and dies of a damaged one.
 *
 * Every table must lie inside the file and inside its segment, every index
 * inside its table, every address of code in executable memory. Damage inside
 * code or data cannot be seen from here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/** What the check learned by the way. */
struct elf_facts {
	bool origin;         /* looks for dependencies by $ORIGIN */
	bool never_closes;   /* marked NODELETE, or has unique symbols */
	bool abi_block;      /* defines neap_module_info */
	bool thread_objects; /* of C++, to be destroyed when a thread ends */
	bool cxx;            /* has code of C++ that exceptions may pass */
};

/**
 * Check the @a size bytes of a file at @a data (aligned as malloc does).
 * Returns 0, UV_EINVAL with the field at fault and what is wrong in @a reason,
 * or UV_ENOMEM.
 */
int elf_check(const void *data, size_t size, struct elf_facts *ret_facts,
	      char *reason, size_t reason_size);

/**
 * Have a library that the check has passed look for its dependencies by
 * $ORIGIN in @a folder. *data is of mem_alloc() and may move. Returns 0,
 * UV_EINVAL (the folder's name has ':' or '$', which lists of folders do not
 * take), UV_ENAMETOOLONG (64 KiB of names) or UV_ENOMEM; the library is spoiled
 * then.
 */
int elf_set_origin(char **data, size_t *size, const char *folder);
