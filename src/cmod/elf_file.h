/*
 * What the parts of the ELF check share: the file, its segments, and the
 * tables found so far. Each part checks one kind of table, in the order of
 * the fields of struct elf_file, and fills in what the later ones need.
 */
#pragma once

#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cmod/elf_check.h"

enum {
	ELF_PAGE = 4096,
	ELF_SEGMENTS_MAX = 64,
	ELF_TLS_MAX = 1 << 24,     /* size of a library's TLS block */
	ELF_TAGS = DT_RELRENT + 1, /* dynamic tags kept by their number */
};

/** A table in the file. */
struct elf_table {
	const char *data;
	uint64_t count;
};

struct elf_file {
	const char *data;
	size_t size;
	char *reason; /* where elf__bad() writes */
	size_t reason_size;
	struct elf_facts facts;

	/* elf_check.c */
	const Elf64_Ehdr *header;
	const Elf64_Phdr *segments;
	unsigned segment_count;

	/* elf_segments.c */
	const Elf64_Phdr *loads[ELF_SEGMENTS_MAX]; /* those of PT_LOAD */
	unsigned load_count;
	uint64_t end; /* first address behind the last segment */
	const Elf64_Phdr *dynamic;
	const Elf64_Phdr *tls; /* NULL: no thread-local data */
	uint64_t tls_size;
	uint64_t relro_start; /* made read-only after relocation */
	uint64_t relro_end;   /* 0: nothing */

	/* elf_sections.c; all zero in a file without sections */
	const Elf64_Shdr *sections;
	unsigned section_count;
	uint64_t section_symbols; /* entries of the .dynsym section */

	/* elf_dynamic.c */
	const Elf64_Dyn *tags;
	uint64_t tag_count; /* without the DT_NULL at the end */
	uint64_t value[ELF_TAGS];
	bool has[ELF_TAGS];
	uint64_t gnu_hash; /* addresses and counts; 0: not there */
	uint64_t versym;
	uint64_t verneed, verneed_count;
	uint64_t verdef, verdef_count;
	uint64_t relative_count;
	const char *strings;
	uint64_t strings_size;
	struct elf_table rela;   /* of Elf64_Rela */
	struct elf_table jmprel; /* of Elf64_Rela */

	/* elf_symbols.c */
	const Elf64_Sym *symbols;
	uint64_t symbol_count;

	/* elf_versions.c */
	const uint16_t *indexes; /* of each symbol's version; NULL: none */
};

/** Note what is wrong. Returns UV_EINVAL. */
int elf__bad(struct elf_file *f, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/**
 * The bytes of the file that will be mapped at [address, address + size), if
 * one segment that has all of @a flags (PF_*) holds them; else NULL.
 */
const void *elf__at(const struct elf_file *f, uint64_t address, uint64_t size,
		    unsigned flags);

/** The same for memory: zero-filled parts of segments count too. */
bool elf__in_memory(const struct elf_file *f, uint64_t address, uint64_t size,
		    unsigned flags);

/** True when @a p is the byte at that offset of the file; NULL is none. */
static inline bool elf__is_offset(const struct elf_file *f, const void *p,
				  uint64_t offset)
{
	return p != NULL && (uint64_t)((const char *)p - f->data) == offset;
}

/** True when code of this library can begin at @a address. */
static inline bool elf__is_code(const struct elf_file *f, uint64_t address)
{
	return elf__at(f, address, 1, PF_X) != NULL;
}

/** Zero, or rounded up to a multiple of a power of two. */
static inline uint64_t elf__round_up(uint64_t n, uint64_t unit)
{
	return (n + unit - 1) & ~(unit - 1);
}

/** Does an entry of the dynamic table hold a name with $ORIGIN in it? */
bool elf__has_origin(const Elf64_Dyn *d, const char *strings);

/** Each returns 0 or what elf__bad() does, the last one also UV_ENOMEM. In
 * this order. */
int elf__check_segments(struct elf_file *f);
int elf__check_sections(struct elf_file *f);
int elf__check_dynamic(struct elf_file *f);
int elf__check_symbols(struct elf_file *f);
int elf__check_versions(struct elf_file *f);
int elf__check_names(struct elf_file *f);
int elf__check_relocations(struct elf_file *f);
