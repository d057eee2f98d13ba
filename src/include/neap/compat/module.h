/*
 * Source compatibility with C modules that were written for Tarantool: with
 * -I<prefix>/include/neap/compat in front, a source that uses only the names
 * below is compiled unchanged and runs in neap.
 *
 * Names, types and values are those of Tarantool's public module.h. What needs
 * its database or its Lua helpers (tuples, spaces, transactions, luaT_*) is not
 * here; fibers made in C, conditions and coio are not here yet. A source that
 * uses one of those does not compile: see absent.h. New modules use <neap/module.h>.
 *
 * Everything is linked under a name of neap's own, so that a function here never
 * meets one of the same name inside the server.
 */
#ifndef NEAP_COMPAT_MODULE_H
#define NEAP_COMPAT_MODULE_H

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Links a declaration to the server's function for it. */
#define NEAP_COMPAT(name) __asm__("neap_compat_" #name)
/** Lets the compiler check a format and its arguments. */
#define NEAP_COMPAT_PRINTF(text, first) \
	__attribute__((__format__(__printf__, text, first)))

/* ---- functions called from Lua ---- */

/** A call; as neap_call_t. */
typedef struct box_function_ctx box_function_ctx_t;

/**
 * Add a result to the call: the bytes from @a mp to @a mp_end, one MessagePack
 * value, are copied. Returns 0, or -1 with the last error set.
 */
int box_return_mp(box_function_ctx_t *ctx, const char *mp, const char *mp_end)
	NEAP_COMPAT(box_return_mp);

/* ---- errors ---- */

/** Codes of errors, those that functions of modules set and compare. */
enum box_error_code {
	ER_UNKNOWN = 0,
	ER_ILLEGAL_PARAMS = 1,
	ER_MEMORY_ISSUE = 2,
	ER_UNSUPPORTED = 5,
	ER_INJECTION = 8,
	ER_INVALID_MSGPACK = 20,
	ER_PROC_RET = 21,
	ER_FIELD_TYPE = 23,
	ER_PROC_LUA = 32,
	ER_NO_SUCH_PROC = 33,
	ER_ACCESS_DENIED = 42,
	ER_NO_SUCH_FUNCTION = 51,
	ER_CFG = 59,
	ER_IDENTIFIER = 70,
	ER_NO_CONNECTION = 77,
	ER_TIMEOUT = 78,
	ER_LOAD_FUNCTION = 99,
	ER_FUNCTION_LANGUAGE = 100,
	ER_PROC_C = 102,
	ER_PROTOCOL = 104,
	ER_SYSTEM = 115,
	ER_LOADING = 116,
	ER_LOAD_MODULE = 138,
	ER_NO_SUCH_MODULE = 165
};

/** An error. It is the call's, and gone when another takes its place. */
typedef struct error box_error_t;

/** "ClientError", "OutOfMemory", ... */
const char *box_error_type(const box_error_t *error)
	NEAP_COMPAT(box_error_type);

/** Its code, one of enum box_error_code or any other number. */
uint32_t box_error_code(const box_error_t *error) NEAP_COMPAT(box_error_code);

/** Its text. */
const char *box_error_message(const box_error_t *error)
	NEAP_COMPAT(box_error_message);

/** The last error of this call, or NULL: none, at its begin. */
box_error_t *box_error_last(void) NEAP_COMPAT(box_error_last);

/** Forget the last error. */
void box_error_clear(void) NEAP_COMPAT(box_error_clear);

/** Set the last error. Returns -1. */
int box_error_set(const char *file, unsigned line, uint32_t code,
		  const char *format, ...) NEAP_COMPAT(box_error_set)
	NEAP_COMPAT_PRINTF(4, 5);

/** box_error_set() with the place where it stands. */
#define box_error_raise(code, format, ...) \
	box_error_set(__FILE__, __LINE__, code, format, ##__VA_ARGS__)

/* ---- fibers ---- */

/** A fiber: a thread of the server's own, one of many on a thread of the
 * system. */
struct fiber;

/** The fiber that runs this call; NULL outside one. */
struct fiber *fiber_self(void) NEAP_COMPAT(fiber_self);

/** Put the call aside for @a s seconds, or until its fiber is woken or
 * cancelled. */
void fiber_sleep(double s) NEAP_COMPAT(fiber_sleep);

/** Put the call aside until its fiber is woken or cancelled. */
void fiber_yield(void) NEAP_COMPAT(fiber_yield);

/** Let the others run, then go on. */
void fiber_reschedule(void) NEAP_COMPAT(fiber_reschedule);

/** Wake a fiber of this thread that sleeps; others are left alone. @a f must
 * be alive. */
void fiber_wakeup(struct fiber *f) NEAP_COMPAT(fiber_wakeup);

/** Ask a fiber of this thread to end: it wakes, and fiber_is_cancelled() is
 * true in it. @a f must be alive. */
void fiber_cancel(struct fiber *f) NEAP_COMPAT(fiber_cancel);

/** The running fiber was asked to end. */
bool fiber_is_cancelled(void) NEAP_COMPAT(fiber_is_cancelled);

/** Seconds since 1970. */
double fiber_time(void) NEAP_COMPAT(clock_realtime);

/** Microseconds since 1970. */
uint64_t fiber_time64(void) NEAP_COMPAT(fiber_time64);

/** Seconds of a clock that is never set. */
double fiber_clock(void) NEAP_COMPAT(clock_monotonic);

/** Microseconds of a clock that is never set. */
uint64_t fiber_clock64(void) NEAP_COMPAT(fiber_clock64);

/* ---- waiting for descriptors ---- */

/** Events of descriptors. */
enum { COIO_READ = 0x1, COIO_WRITE = 0x2 };

/**
 * Put the call aside until @a fd is ready for one of @a event, at most
 * @a timeout seconds. Returns the events it is ready for; 0 when the time is
 * over, the fiber was cancelled or it cannot be waited for (the last error
 * tells).
 */
int coio_wait(int fd, int event, double timeout) NEAP_COMPAT(coio_wait);

/* ---- clocks ---- */

/** Seconds since 1970, by the system's clock. */
double clock_realtime(void) NEAP_COMPAT(clock_realtime);
/** Seconds of a clock that is never set. */
double clock_monotonic(void) NEAP_COMPAT(clock_monotonic);
/** Seconds of processor time of this process. */
double clock_process(void) NEAP_COMPAT(clock_process);
/** Seconds of processor time of this thread. */
double clock_thread(void) NEAP_COMPAT(clock_thread);
/** Nanoseconds since 1970, by the system's clock. */
uint64_t clock_realtime64(void) NEAP_COMPAT(clock_realtime64);
/** Nanoseconds of a clock that is never set. */
uint64_t clock_monotonic64(void) NEAP_COMPAT(clock_monotonic64);
/** Nanoseconds of processor time of this process. */
uint64_t clock_process64(void) NEAP_COMPAT(clock_process64);
/** Nanoseconds of processor time of this thread. */
uint64_t clock_thread64(void) NEAP_COMPAT(clock_thread64);

/* ---- the log ---- */

/** How grave a line of the log is. */
enum say_level {
	S_FATAL,
	S_SYSERROR,
	S_ERROR,
	S_CRIT,
	S_WARN,
	S_INFO,
	S_VERBOSE,
	S_DEBUG
};

/** True when lines of @a level are written. */
bool say_log_level_is_enabled(int level) NEAP_COMPAT(say_log_level_is_enabled);

/** Write a line; @a error may be NULL. The macros below do. */
void neap_compat_say(int level, const char *file, int line, const char *error,
		     const char *format, ...) NEAP_COMPAT_PRINTF(5, 6);

/** A line of @a level with the place given and the text of an error. */
#define say_file_line(level, file, line, error, format, ...)              \
	__extension__({                                                   \
		if (say_log_level_is_enabled(level))                      \
			neap_compat_say(level, file, line, error, format, \
					##__VA_ARGS__);                   \
	})
/** A line of @a level with the text of an error, which may be NULL. */
#define say(level, error, format, ...) \
	say_file_line(level, __FILE__, __LINE__, error, format, ##__VA_ARGS__)
/** `say_error("%d left", n);` */
#define say_error(format, ...) say(S_ERROR, NULL, format, ##__VA_ARGS__)
/** `say_crit("%d left", n);` */
#define say_crit(format, ...) say(S_CRIT, NULL, format, ##__VA_ARGS__)
/** `say_warn("%d left", n);` */
#define say_warn(format, ...) say(S_WARN, NULL, format, ##__VA_ARGS__)
/** `say_info("%d left", n);` */
#define say_info(format, ...) say(S_INFO, NULL, format, ##__VA_ARGS__)
/** `say_verbose("%d left", n);` */
#define say_verbose(format, ...) say(S_VERBOSE, NULL, format, ##__VA_ARGS__)
/** `say_debug("%d left", n);` */
#define say_debug(format, ...) say(S_DEBUG, NULL, format, ##__VA_ARGS__)
/** A line with the text of errno behind it. */
#define say_syserror(format, ...) \
	say(S_SYSERROR, strerror(errno), format, ##__VA_ARGS__)

#ifdef __cplusplus
}
#endif

#include "absent.h"

#endif
