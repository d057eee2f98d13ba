/*
 * Modules: C libraries that are loaded, replaced and unloaded while the
 * process runs, and their functions. One cache for the whole process; all of
 * this may be called by any thread.
 *
 * A `struct cmod` is one *instance* of a library: the file as it was when it
 * was loaded. When the file has changed, the next load makes a new instance
 * and the old one becomes an orphan, which lives on until nobody holds it. It
 * is held by those who loaded it, by its functions and by calls that wait.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "cmod/cpu.h"
#include "cmod/identity.h"

struct cmod;
struct cmod_func;
struct exceptions;
struct neap_call;

enum { CMOD_NAME_MAX = 256 }; /* length of a function's name */

/** As `neap_func_t` of the public header. */
typedef int (*cmod_func_f)(struct neap_call *call, const char *args,
			   const char *args_end);

/**
 * Load the module @a path: a real path, or a name that is looked for in the
 * working directory, the rocks trees and the templates of @a cpath (a
 * package.cpath; may be NULL). Errors: IllegalParams (empty), SystemError (a
 * file that cannot be opened, read or stat'ed), ClientError (no such module,
 * not a loadable library), OutOfMemory.
 * Returns a reference, or NULL with diag set. Yields: no. Blocks: reads files.
 */
struct cmod *cmod_load(const char *path, const char *cpath);

/**
 * The quick half of cmod_load(): one stat, or less. A reference when @a path, of
 * @a size bytes, was loaded before, is where it was and has not changed; else
 * NULL, diag left alone.
 */
struct cmod *cmod_load_cached(const char *path, size_t size);

/** The bytes of an instance, for another process. Strings live as long as what
 * they are asked of. */
struct cmod_sealed {
	const char *path; /* as given by the first who loaded it */
	const char *file;
	int fd; /* sealed memory file; -1: this system has none */
};

/** Of an instance. */
struct cmod_sealed cmod_sealed(const struct cmod *m);

/**
 * Load, in another process, what the sealed file @a fd holds; takes it over.
 * Errors: ClientError, OutOfMemory. Returns a reference, or NULL with diag set.
 */
struct cmod *cmod_load_sealed(const char *path, const char *file, int fd);

/** A library that was found, copied and checked, but not loaded. */
struct cmod_candidate;

/**
 * The first half of cmod_load(), with its errors. Returns a reference when the
 * library is loaded already and has not changed; else NULL, and either *ret is
 * set or the diag.
 */
struct cmod *cmod_look(const char *path, const char *cpath,
		       struct cmod_candidate **ret);

/** The bytes of a candidate. */
struct cmod_sealed cmod_candidate_sealed(const struct cmod_candidate *c);

/** The state of its file. Lives as long as it does. */
const struct identity *cmod_candidate_identity(const struct cmod_candidate *c);

/** The second half: load it, unless somebody was quicker. Once. Returns a
 * reference, or NULL with diag set. */
struct cmod *cmod_load_candidate(struct cmod_candidate *c);

/** NULL is fine. */
void cmod_candidate_delete(struct cmod_candidate *c);

/** Give a reference back; the last one closes the library. NULL is fine. */
void cmod_unref(struct cmod *m);

/** True while the cache would give this very instance out again. */
bool cmod_is_cached(const struct cmod *m);

/** The resolved file it was loaded from. Lives as long as the instance. */
const char *cmod_file(const struct cmod *m);

/** The state of the file that it was loaded from. Lives as long. */
const struct identity *cmod_identity(const struct cmod *m);

/** A hash of its bytes. */
uint64_t cmod_hash(const struct cmod *m);

/**
 * What the newest instance of the resolved @a file was loaded from: its state
 * and the hash of its bytes. False: none is in the cache.
 */
bool cmod_peek(const char *file, struct identity *ret_id, uint64_t *ret_hash);

enum cmod_change {
	CMOD_LOADED,
	CMOD_REPLACED, /* an instance of a newer file has taken its place */
	CMOD_UNLOADED, /* nobody holds the instance any more */
};

/** Have @a fn told of each instance of a @a file, on the thread that causes it; no lock is
 * held. NULL: nobody. */
typedef void (*cmod_watch_f)(enum cmod_change change, const char *file);
void cmod_set_watch(cmod_watch_f fn);

/** Instances alive in this process, orphans included. */
unsigned cmod_live_count(void);

/**
 * One user's hold on a function: a place for its calls to be counted without
 * a lock. All of it is the user's thread's own, but for what cmod_list() reads.
 */
struct cmod_use {
	struct cmod_func *func; /* NULL: none */
	cmod_func_f code;       /* its code */
	uint64_t calls;
	struct cpu_use cpu; /* of calls until they end or wait */
	uint64_t errors;    /* calls that failed */
	struct list link;   /* in the function's uses */
};

/**
 * Find the function @a name of @a m and hold it. Errors: IllegalParams (empty,
 * too long, holds a NUL), ClientError (no such function, not a function),
 * OutOfMemory. Returns 0, or -1 with diag set and @a use left empty.
 */
int cmod_use_create(struct cmod_use *use, struct cmod *m, const char *name,
		    size_t name_size);

/** Let go of it; its counts go to the function. Empty is fine. */
void cmod_use_destroy(struct cmod_use *use);

/** Destroy @a to and move @a from there, which is empty afterwards. */
void cmod_use_move(struct cmod_use *to, struct cmod_use *from);

/** Another reference on a function the caller holds, and back. */
struct cmod_func *cmod_func_ref(struct cmod_func *f);
void cmod_func_unref(struct cmod_func *f);

/** A call that outlived its user's hold has failed. */
void cmod_func_count_error(struct cmod_func *f);

/** A call of it took so many ticks of CPU time (see cpu.h) that its use does
 * not know: after it had waited, on another thread, in another process. */
void cmod_func_count_cpu(struct cmod_func *f, uint64_t ticks);

/** Its code, symbol, module. Live as long as the function. */
cmod_func_f cmod_func_code(const struct cmod_func *f);
const char *cmod_func_symbol(const struct cmod_func *f);
struct cmod *cmod_func_module(const struct cmod_func *f);

/** Where its module keeps the exceptions of C++, or NULL. */
struct exceptions *(*cmod_func_exceptions(const struct cmod_func *f))(void);

/** What cmod_list() tells of one instance. Strings live during the call. */
struct cmod_info {
	uint64_t serial;  /* of the instance: 1 is this process's first */
	const char *path; /* as given by the first who loaded it */
	const char *file;
	bool cached;
	bool never_closes; /* the loader will not unmap it */
	bool unloaded;     /* nobody holds it: never_closes */
	struct identity id;
	uint64_t since_ns; /* loaded at, since 1970 */
	unsigned refs;
	unsigned functions;
	uint64_t calls;
	uint64_t errors;
	uint64_t cpu_ns;     /* of its functions */
	const char *version; /* of its ABI block, or NULL */
	const struct cmod *module;
};

/** And of a function that somebody holds. */
struct cmod_func_info {
	const char *symbol;
	unsigned refs;
	uint64_t calls;
	uint64_t errors;
	uint64_t cpu_ns;
};

/** Called under the cache's lock: must not call any function of this file. */
typedef void (*cmod_list_f)(const struct cmod_info *info, void *arg);

/** Tell @a fn of every instance, oldest first. */
void cmod_list(cmod_list_f fn, void *arg);

typedef void (*cmod_func_list_f)(const struct cmod_func_info *info, void *arg);

/** For a cmod_list_f: tell @a fn of the functions of the instance. */
void cmod_list_functions(const struct cmod_info *info, cmod_func_list_f fn,
			 void *arg);
