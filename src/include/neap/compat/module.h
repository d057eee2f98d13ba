/*
 * Source compatibility with C modules that were written for Tarantool: with
 * -I<prefix>/include/neap/compat in front, a source that uses only the names
 * below is compiled unchanged and runs in neap.
 *
 * Names, types and values are those of Tarantool's public module.h. What needs
 * its database or its Lua helpers (tuples, spaces, transactions, luaT_*) is not
 * here. A source that uses one of those does not compile: see absent.h. New
 * modules use <neap/module.h>.
 *
 * All functions but the clocks and the log belong to the call or the fiber that
 * runs: use them on its thread and its stack.
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

#include "codes.h"

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

/** box_error_set() with the place where it stands: a code, a format and what
 * it wants. */
#define box_error_raise(code, ...) \
	box_error_set(__FILE__, __LINE__, code, __VA_ARGS__)

/* ---- fibers ---- */

/** A fiber: a thread of the server's own, one of many on a thread of the
 * system. */
struct fiber;

/** What a fiber made in C runs. It gets the arguments of fiber_start(). */
typedef int (*fiber_func)(va_list ap);

/** What fibers are made with. */
struct fiber_attr;

/** Attributes for fiber_new_ex(), as fiber_new() has them. NULL with the last
 * error set: out of memory. */
struct fiber_attr *fiber_attr_new(void) NEAP_COMPAT(fiber_attr_new);

/** Free @a attr, which may be NULL. Fibers made with it live on. */
void fiber_attr_delete(struct fiber_attr *attr) NEAP_COMPAT(fiber_attr_delete);

/**
 * Stacks of @a stack_size bytes, from 16 KiB to 64 MiB; fewer than 64 KiB are
 * made 64 KiB. Returns 0, or -1 with the last error set.
 */
int fiber_attr_setstacksize(struct fiber_attr *attr, size_t stack_size)
	NEAP_COMPAT(fiber_attr_setstacksize);

/** The size of stacks in bytes; with NULL that of fiber_new(): 256 KiB. */
size_t fiber_attr_getstacksize(struct fiber_attr *attr)
	NEAP_COMPAT(fiber_attr_getstacksize);

/**
 * Make a fiber that will run @a f; fiber_start() starts it. Lua sees it by its
 * name (255 bytes are kept) and number, and may cancel, wake and join it. The
 * library stays loaded while it lives. When @a f returns other than 0 and
 * nobody joins the fiber, its last error is logged, unless it was cancelled.
 * NULL with the last error set: out of memory, or not inside a call or a fiber
 * (an init function of a module, another thread).
 */
struct fiber *fiber_new(const char *name, fiber_func f) NEAP_COMPAT(fiber_new);

/** The same with attributes; @a attr may be NULL. */
struct fiber *fiber_new_ex(const char *name, const struct fiber_attr *attr,
			   fiber_func f) NEAP_COMPAT(fiber_new_ex);

/**
 * Start @a f, once, with the arguments behind it. It runs at once, until it
 * first waits or ends, and must have read its arguments by then: they lie on
 * the caller's stack. A fiber that is not joinable is gone when it has ended.
 */
void fiber_start(struct fiber *f, ...) NEAP_COMPAT(fiber_start);

/** Keep @a f after its end until it is joined (@a yes), or do not: the rule. */
void fiber_set_joinable(struct fiber *f, bool yes)
	NEAP_COMPAT(fiber_set_joinable);

/**
 * Wait until @a f, which is joinable and was made in C, has ended, and free it.
 * A cancel does not end the wait. Returns what its function has returned; other
 * than 0 with its last error as the caller's. -1 with the last error set also
 * when it cannot be joined: not joinable, joined by another, itself.
 */
int fiber_join(struct fiber *f) NEAP_COMPAT(fiber_join);

/** The same for at most @a timeout seconds. -1 with an error TimedOut: @a f
 * runs on, and can be joined again. */
int fiber_join_timeout(struct fiber *f, double timeout)
	NEAP_COMPAT(fiber_join_timeout);

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

/** Whether a cancel ends the waits of the running call or fiber: so it is
 * until @a yes is false. Returns what it was. */
bool fiber_set_cancellable(bool yes) NEAP_COMPAT(fiber_set_cancellable);

/** The running fiber was asked to end, or its deadline is over. */
bool fiber_is_cancelled(void) NEAP_COMPAT(fiber_is_cancelled);

/** Seconds since 1970. */
double fiber_time(void) NEAP_COMPAT(clock_realtime);

/** Microseconds since 1970. */
uint64_t fiber_time64(void) NEAP_COMPAT(fiber_time64);

/** Seconds of a clock that is never set. */
double fiber_clock(void) NEAP_COMPAT(clock_monotonic);

/** Microseconds of a clock that is never set. */
uint64_t fiber_clock64(void) NEAP_COMPAT(fiber_clock64);

/* ---- conditions ---- */

/** What fibers wait for until others signal it. All on one thread. */
struct fiber_cond;

/** A new condition. NULL with the last error set: out of memory. */
struct fiber_cond *fiber_cond_new(void) NEAP_COMPAT(fiber_cond_new);

/** Free @a cond, which may be NULL. Who waits for it is woken. */
void fiber_cond_delete(struct fiber_cond *cond) NEAP_COMPAT(fiber_cond_delete);

/** Wake the one that has waited longest, if any. */
void fiber_cond_signal(struct fiber_cond *cond) NEAP_COMPAT(fiber_cond_signal);

/** Wake all who wait. */
void fiber_cond_broadcast(struct fiber_cond *cond)
	NEAP_COMPAT(fiber_cond_broadcast);

/**
 * Wait for a signal, at most @a timeout seconds. Returns 0 when it came, and
 * also when the fiber was woken or cancelled: look at what you wait for. -1 with
 * an error TimedOut when the time is over, or when it cannot wait here.
 */
int fiber_cond_wait_timeout(struct fiber_cond *cond, double timeout)
	NEAP_COMPAT(fiber_cond_wait_timeout);

/** The same without an end. */
int fiber_cond_wait(struct fiber_cond *cond) NEAP_COMPAT(fiber_cond_wait);

/* ---- descriptors, threads, addresses ---- */

/** Events of descriptors. */
enum { COIO_READ = 0x1, COIO_WRITE = 0x2 };

/**
 * Put the call aside until @a fd is ready for one of @a event, at most
 * @a timeout seconds. Returns the events it is ready for; 0 when the time is
 * over, the fiber was cancelled or it cannot be waited for (the last error
 * tells).
 */
int coio_wait(int fd, int event, double timeout) NEAP_COMPAT(coio_wait);

/** Close @a fd and end the waits for it by coio_wait() on this thread, which
 * give 0. Returns as close(2). */
int coio_close(int fd) NEAP_COMPAT(coio_close);

/**
 * Run @a func on a thread, with the arguments behind it, and wait for it: for
 * what blocks. The threads are those of offloaded calls (settings
 * offload.threads, offload.queue). A cancel does not end the wait. On that
 * thread only functions of the system and box_error_set() may be used. Returns
 * what it has returned, with its errno and its last error; -1 with ENOMEM and
 * the last error set when it was not run.
 */
ssize_t coio_call(ssize_t (*func)(va_list ap), ...) NEAP_COMPAT(coio_call);

/** See netdb.h. */
struct addrinfo;

/**
 * getaddrinfo(3) that lets others run, for at most @a timeout seconds. Returns
 * 0 with *res for freeaddrinfo(3), or -1 with the last error set.
 */
int coio_getaddrinfo(const char *host, const char *port,
		     const struct addrinfo *hints, struct addrinfo **res,
		     double timeout) NEAP_COMPAT(coio_getaddrinfo);

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

/** A line of @a level with the place given and the text of an error; then a
 * format and what it wants. */
#define say_file_line(level, file, line, error, ...)              \
	__extension__({                                           \
		if (say_log_level_is_enabled(level))              \
			neap_compat_say(level, file, line, error, \
					__VA_ARGS__);             \
	})
/** A line of @a level with the text of an error, which may be NULL. */
#define say(level, error, ...) \
	say_file_line(level, __FILE__, __LINE__, error, __VA_ARGS__)
/** `say_error("%d left", n);` */
#define say_error(...) say(S_ERROR, NULL, __VA_ARGS__)
/** `say_crit("%d left", n);` */
#define say_crit(...) say(S_CRIT, NULL, __VA_ARGS__)
/** `say_warn("%d left", n);` */
#define say_warn(...) say(S_WARN, NULL, __VA_ARGS__)
/** `say_info("%d left", n);` */
#define say_info(...) say(S_INFO, NULL, __VA_ARGS__)
/** `say_verbose("%d left", n);` */
#define say_verbose(...) say(S_VERBOSE, NULL, __VA_ARGS__)
/** `say_debug("%d left", n);` */
#define say_debug(...) say(S_DEBUG, NULL, __VA_ARGS__)
/** A line with the text of errno behind it. */
#define say_syserror(...) say(S_SYSERROR, strerror(errno), __VA_ARGS__)

#ifdef __cplusplus
}
#endif

#include "absent.h"

#endif
