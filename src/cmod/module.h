/* An instance, as the files of the cache know it. */
#pragma once

#include <stdatomic.h>

#include "base/inject.h"

/* A table that cannot grow leaves the element out: its hh.tbl is NULL. */
#define HASH_NONFATAL_OOM      1
#define uthash_malloc(size)    mem_alloc(size)
#define uthash_free(ptr, size) mem_free(ptr)
#include <uthash.h>

#include "cmod/cmod.h"
#include "cmod/exceptions.h"
#include "cmod/image.h"

struct neap_module;

struct cmod {
	UT_hash_handle hh;   /* in the cache, by file; only when cached */
	struct list all;     /* every instance alive, by age; or those kept */
	struct list aliases; /* paths that led here and still do */
	unsigned alias_count;
	atomic_uint refs; /* from 0 and to 0 with the lock held */
	bool cached;
	bool unsettled;       /* the file's time may hide a later change */
	uint64_t verified_ns; /* when its contents were last compared */
	uint64_t since_ns;    /* loaded at, since 1970 */
	uint64_t serial;      /* 1, 2, ..: those of this process */
	struct image image;
	void *dl;
	struct link_map *map;           /* what the loader knows of it */
	const struct neap_module *info; /* its ABI block, or NULL */
	exceptions_f exceptions;        /* NULL: it is not of C++ */
	struct cmod_func *funcs;        /* by symbol */
	uint64_t calls;                 /* of functions that are gone */
	uint64_t errors;
	uint64_t cpu; /* ticks: see cpu.h */
	char *path;   /* as given by the first who loaded it */
	char file[];
};

struct cmod_func {
	UT_hash_handle hh;   /* in its module, by symbol */
	struct cmod *module; /* held */
	unsigned refs;
	cmod_func_f code;
	struct list uses; /* struct cmod_use */
	uint64_t calls;   /* of uses that ended */
	uint64_t errors;
	uint64_t cpu; /* ticks of those, and of what they do not know */
	char symbol[];
};

/** The lock of the cache, instances' last references and functions. */
void cmod__lock(void);
void cmod__unlock(void);

/** With the lock held: every instance alive, by age. */
extern struct list cmod__all;

/** With the lock held: what is left of instances that nobody holds, but which
 * the system's loader keeps mapped for good. For cmod_list(). */
extern struct list cmod__kept;

/** With the lock held, or a reference: one more. */
static inline void cmod__hold(struct cmod *m)
{
	atomic_fetch_add(&m->refs, 1);
}

/**
 * Open @a img, a copy of @a file, which the user knows as @a path. Takes over
 * the image in any case. One reference, in no list. Returns NULL with diag set.
 */
struct cmod *cmod__open(const char *path, const char *file, struct image *img);

/** Close an instance that nobody holds. Without the lock. */
void cmod__close(struct cmod *m);

/** The same with one that was in the cache, and whoever watches is told. */
void cmod__unload(struct cmod *m);

/** With the lock held: drop a reference; true when it was the last, and the
 * instance is to be unloaded without the lock. */
bool cmod__drop(struct cmod *m);

/**
 * Check the ABI block of an open library and run its init function. A library
 * without one is fine. Returns 0, or -1 with diag set.
 */
int cmod__check_abi(struct cmod *m);
