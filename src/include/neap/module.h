/*
 * What a C module of neap sees of it: the one public header.
 *
 * A module is a shared library. Each function that Lua shall call has the type
 * neap_func_t and is exported by the library:
 *
 *	#include <neap/module.h>
 *
 *	int hello(neap_call_t *call, const char *args, const char *args_end)
 *	{
 *		static const char hi[] = "\xa2hi"; // a string of two bytes
 *
 *		(void)args, (void)args_end;
 *		return neap_return_mp(call, hi, hi + 3);
 *	}
 *
 * From Lua: require('cmod').load('hello'):load('hello')() gives true, 'hi'.
 *
 * Every function below belongs to the call that runs: use them on the thread
 * and the stack that your function was called on, until it returns.
 *
 * This header is C99 and C++.
 */
#ifndef NEAP_MODULE_H
#define NEAP_MODULE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** The version of everything in this header; see NEAP_MODULE. */
#define NEAP_ABI_VERSION 1

/** Makes a symbol visible when the library hides its symbols by default. */
#define NEAP_EXPORT __attribute__((__visibility__("default")))

/* Has the compiler check a format. */
#define NEAP_PRINTF(text, first) \
	__attribute__((__format__(__printf__, text, first)))

/** A call of a function from Lua. */
typedef struct neap_call neap_call_t;

/**
 * A function that Lua can call. The bytes from @a args to @a args_end are one
 * MessagePack array, the arguments of the call with trailing nils kept; they
 * are valid until the function returns, also when it waits.
 * Return 0 for success; anything else fails the call, which then gives the
 * error that neap_error_set() has set, or else `unknown error`.
 */
typedef int (*neap_func_t)(neap_call_t *call, const char *args,
			   const char *args_end);

/**
 * Add a result to @a call: the bytes from @a begin to @a end, one MessagePack
 * value. They are copied at once. Called again it adds another result; a call
 * without results gives a lone `true`. A failed call has no results.
 * Returns 0, or -1 with the error set: out of memory, or too large, as all
 * results of a call together may have 1 GiB. The bytes are looked at when the
 * call ends: what is no MessagePack fails the call.
 */
NEAP_EXPORT int neap_return_mp(neap_call_t *call, const char *begin,
			       const char *end);

/** Codes of errors for neap_error_set(). Any other number will do as well. */
enum {
	NEAP_ER_UNKNOWN = 0,
	NEAP_ER_ILLEGAL_PARAMS = 1,
	NEAP_ER_MEMORY_ISSUE = 2,
	NEAP_ER_TIMEOUT = 78,
	NEAP_ER_PROC_C = 102, /* a C function has failed */
	NEAP_ER_SYSTEM = 115
};

/**
 * Set the error of the call that runs: what Lua gets as `err`, with its code
 * and the place given here. It replaces the one set before.
 * Returns -1, so that `return neap_error_set(...)` ends a function.
 */
NEAP_EXPORT int neap_error_set(const char *file, unsigned line, uint32_t code,
			       const char *format, ...) NEAP_PRINTF(4, 5);

/** `return NEAP_ERR("no such key: %s", key);` */
#define NEAP_ERR(...) \
	neap_error_set(__FILE__, __LINE__, NEAP_ER_PROC_C, __VA_ARGS__)

/**
 * Put the call aside for @a seconds; others run meanwhile. Zero or less, or
 * NaN, is neap_fiber_yield().
 * Returns 0, or -1 with the error set: the fiber was cancelled or its deadline is
 * over, or the call cannot wait where it was made (outside a fiber, in a callback
 * of sort).
 */
NEAP_EXPORT int neap_fiber_sleep(double seconds);

/** Let others run, then go on. As neap_fiber_sleep(). */
NEAP_EXPORT int neap_fiber_yield(void);

/** What neap_wait_fd() waits for and returns. */
enum { NEAP_READ = 1, NEAP_WRITE = 2 };

/**
 * Put the call aside until the descriptor @a fd (a socket, pipe or the like)
 * is ready for one of @a events, at most @a timeout seconds; less than zero is
 * for ever. One waits for a descriptor at a time, and it must stay open.
 * The descriptor is non-blocking from then on, for all processes that share it.
 * Returns the events that it is ready for, 0 when the time was over, or -1
 * with the error set.
 */
NEAP_EXPORT int neap_wait_fd(int fd, int events, double timeout);

/** A fiber made in C: work of a module's own that goes on beside the calls. */
typedef struct neap_fiber neap_fiber_t;

/**
 * Start a fiber that runs @a fn(arg). It runs at once, until it first waits or
 * ends; it may wait as a call may. Lua sees it by @a name (255 bytes are kept)
 * and number, and may cancel and wake it; at the end of the server it is
 * cancelled. The library stays loaded while it lives.
 * With @a fiber other than NULL *fiber is set before it runs, and it must be
 * joined. With NULL it is on its own: when @a fn returns other than 0, its error
 * is logged, unless it was cancelled.
 * Returns 0, or -1 with the error set: out of memory, or not inside a call or a
 * fiber (init and fini of a module, another thread).
 */
NEAP_EXPORT int neap_fiber_start(const char *name, int (*fn)(void *arg),
				 void *arg, neap_fiber_t **fiber);

/**
 * Wait until @a fiber has ended, at most @a timeout seconds (less than zero is
 * for ever), and free it; it must not be used again. A cancel of the caller
 * does not end the wait. Returns 0, or -1 with the error set: that of the fiber
 * when its function has returned other than 0, or TimedOut, and then it runs on
 * and can be joined again. *result, unless NULL, is what the function returned;
 * it is set only when the fiber has ended.
 */
NEAP_EXPORT int neap_fiber_join(neap_fiber_t *fiber, double timeout,
				int *result);

/** Ask @a fiber, which was not joined yet, to end: its wait and the next ones
 * fail. */
NEAP_EXPORT void neap_fiber_cancel(neap_fiber_t *fiber);

/** 1 when the running fiber was asked to end or its deadline is over, else 0. */
NEAP_EXPORT int neap_fiber_is_cancelled(void);

/** What NEAP_MODULE puts into a library. */
struct neap_module {
	uint32_t magic;       /* NEAP_MODULE_MAGIC */
	uint32_t size;        /* of this struct, as the module knew it */
	uint32_t abi_version; /* NEAP_ABI_VERSION, as the module knew it */
	uint32_t reserved;    /* 0 */
	const char *name;
	const char *version;
	int (*init)(void);  /* may be NULL */
	void (*fini)(void); /* may be NULL */
};

/* The first field. */
#define NEAP_MODULE_MAGIC 0x7061656eu /* "neap" */

/**
 * Say what a library is: its name, its version, and functions to be called
 * after it was loaded and before it is closed (either may be NULL).
 *
 *	NEAP_MODULE("geo", "1.2.0", geo_init, NULL);
 *
 * The library is then refused when it was built for another version of this
 * header, rather than crash later. A non-zero result of init refuses it too;
 * neap_error_set() in it tells why. Neither of the two may wait. A library
 * without this is loaded just the same, unchecked.
 */
#ifdef __cplusplus
#define NEAP_MODULE(name, version, init, fini)                        \
	extern "C" {                                                  \
	extern NEAP_EXPORT const struct neap_module neap_module_info; \
	const struct neap_module neap_module_info =                   \
		NEAP_MODULE_VALUES(name, version, init, fini);        \
	}                                                             \
	struct neap_module
#else
#define NEAP_MODULE(name, version, init, fini)                        \
	extern NEAP_EXPORT const struct neap_module neap_module_info; \
	const struct neap_module neap_module_info =                   \
		NEAP_MODULE_VALUES(name, version, init, fini)
#endif

/* All fields. */
#define NEAP_MODULE_VALUES(name, version, init, fini)                    \
	{                                                                \
		NEAP_MODULE_MAGIC, (uint32_t)sizeof(struct neap_module), \
			NEAP_ABI_VERSION, 0, name, version, init, fini   \
	}

#ifdef __cplusplus
}
#endif

#endif
