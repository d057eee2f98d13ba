/*
 * Error objects: one kind for the whole server, and the place where a failing
 * call leaves its own.
 *
 * A function that fails returns -1 or NULL and has called diag_set(); its
 * caller takes the error with diag_take() at once, before anything else can
 * fail on this thread. There is one diag a thread: no fiber switch happens
 * between the two.
 */
#pragma once

#include <stdarg.h>
#include <stdint.h>

/** Codes of error types; those with a peer's name keep the peer's number. */
enum {
	ER_UNKNOWN = 0,
	ER_ILLEGAL_PARAMS = 1,
	ER_MEMORY_ISSUE = 2,
	ER_PROC_LUA = 32,
	ER_NO_SUCH_PROC = 33,
	ER_NO_SUCH_FUNCTION = 51,
	ER_TIMEOUT = 78,
	ER_PROC_C = 102,
	ER_SYSTEM = 115,
	ER_LOAD_MODULE = 138,
	ER_NO_SUCH_MODULE = 165,
};

/** The class of an error; compared by address. */
struct error_type {
	const char *name; /* what `err.type` is in Lua */
	uint32_t code;    /* the code unless one is given */
};

extern const struct error_type IllegalParams; /* wrong usage */
extern const struct error_type SystemError;   /* carries errno */
extern const struct error_type ClientError;   /* the world refused */
extern const struct error_type OutOfMemory;
extern const struct error_type LuaError; /* a Lua value that was thrown */
extern const struct error_type FiberIsCancelled;
extern const struct error_type TimedOut;
extern const struct error_type LimitExceeded;
extern const struct error_type MessagesMissed; /* error_missed() makes it */
extern const struct error_type FiberSliceIsExceeded;

/** One error. Immutable after it was made but for its references. */
struct error {
	const struct error_type *type;
	unsigned refs;
	uint32_t code;
	int saved_errno;      /* SystemError: the errno; else 0 */
	uint64_t missed_from; /* MessagesMissed: the first and ... */
	uint64_t missed_to;   /* ... the last of them; else 0 */
	unsigned line;        /* the place that made it; 0: unknown */
	char *file;           /* part of this allocation */
	struct error *cause;
	char message[];
};

/**
 * Make an error with one reference. Never NULL: without memory it is a static
 * OutOfMemory error whose references do not count.
 */
struct error *error_new(const struct error_type *type, uint32_t code,
			const char *file, unsigned line, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));
struct error *error_newv(const struct error_type *type, uint32_t code,
			 const char *file, unsigned line, const char *fmt,
			 va_list ap);

/** A MessagesMissed: numbers @a from to @a to of the broadcast @a name. */
struct error *error_missed(const char *name, uint64_t from, uint64_t to);

struct error *error_ref(struct error *e);
void error_unref(struct error *e); /* NULL is fine */

/** Give @a e a cause; takes over the reference on @a cause. */
void error_set_cause(struct error *e, struct error *cause);

/** A SystemError for an errno or a negative UV_E* code. */
struct error *error_system(int err, const char *file, unsigned line,
			   const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/** Make @a e this thread's error; takes over the reference. */
void diag_set_error(struct error *e);

/** This thread's error, which stays there; or NULL. */
struct error *diag_last(void);

/**
 * Take this thread's error with its reference. When there is none (a bug of
 * the callee, asserted in debug builds) an error that says so.
 */
struct error *diag_take(void);

void diag_clear(void);

#define diag_set(type, ...)                                                \
	diag_set_error(error_new(&(type), (type).code, __FILE__, __LINE__, \
				 __VA_ARGS__))
#define diag_set_code(type, code, ...) \
	diag_set_error(                \
		error_new(&(type), code, __FILE__, __LINE__, __VA_ARGS__))
/** @a err is an errno or a negative UV_E* code; its text is appended. */
#define diag_set_system(err, ...) \
	diag_set_error(error_system(err, __FILE__, __LINE__, __VA_ARGS__))
#define diag_set_oom(size, what)                                     \
	diag_set(OutOfMemory, "not enough memory: %zu bytes for %s", \
		 (size_t)(size), what)
