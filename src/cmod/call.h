/*
 * Calls of C functions. A call object has a C stack and buffers for arguments
 * and results, and is used again: one that does not wait allocates nothing.
 *
 *	call_get() -> arguments into c->few or c->in -> call_run()
 *	   true:  the results are in c->out, or c->error -> call_put()
 *	   false: the function waits. Its host resumes it: call_resume(), which
 *	          returns as call_run() does
 *
 * All of it belongs to one thread. A call that waits is held by its host, and
 * holds its function.
 */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "cmod/cmod.h"
#include "cmod/cpu.h"
#include "cmod/stack.h"

struct cfiber;
struct error;

enum call_flags {
	CALL_WAITED = 1 << 0,    /* was put aside at least once; holds func */
	CALL_NO_WAIT = 1 << 1,   /* cannot wait where it is: waiting fails */
	CALL_REFUSED = 1 << 2,   /* was told that its fiber is cancelled */
	CALL_FIBER = 1 << 3,     /* the body of a fiber made in C */
	CALL_DEAF = 1 << 4,      /* a cancel is not to end its waits */
	CALL_OFFLOADED = 1 << 5, /* part of a struct offload: waits block */
};

enum {
	CALL_FEW_SIZE = 496,
	CALL_KEEP = 64 * 1024, /* of a buffer, between calls */
};

struct neap_call {
	struct cstack stack;
	struct buf out;   /* results, each behind its size */
	uint32_t results; /* how many */
	unsigned flags;
	struct cmod_func *func;  /* what is called; held once it waits */
	struct error *error;     /* set by the function, or NULL */
	int status;              /* why the last wait ended: 0 or UV_E* */
	void *host;              /* the host's own: who called */
	void *host_wait;         /* the host's own: what it waits for */
	struct cfiber *fiber;    /* CALL_FIBER: whose body it is */
	struct neap_call *next;  /* in the pool */
	struct buf in;           /* arguments: one msgpack array, ... */
	char few[CALL_FEW_SIZE]; /* ... or here, when they are few */
};

/** Size of a result, in c->out before its bytes. */
typedef uint32_t call_size_t;

/* (Where these lie of a thread is known when the program is linked: without that
 * word each use would first put it into a register.) */

/** The call that runs on this thread, or NULL. */
extern __thread struct neap_call *call_current
	__attribute__((tls_model("local-exec")));

/** One idle call of this thread, at hand; and how many others are in a pool. */
extern __thread struct neap_call *call_spare
	__attribute__((tls_model("local-exec")));
extern __thread unsigned call_idle;

/** Make the buffers ready of one that is all zero. */
void call_init(struct neap_call *c);

/** The slow half of call_get(): from the pool, or a new one. */
struct neap_call *call_new(void);

/** A call whose stack has @a stack_size bytes; it is not kept in the pool. */
struct neap_call *call_new_sized(size_t stack_size);

/** An idle call, its buffers empty. NULL with diag set: out of memory. */
static inline struct neap_call *call_get(void)
{
	struct neap_call *c = call_spare;

	if (__builtin_expect(c == NULL, 0))
		return call_new();
	call_spare = NULL;
	return c;
}

/** Give it back: results and error go. */
void call_put(struct neap_call *c);

/** The same, in short for a call of call_get() that left nothing behind: its
 * arguments were few, it has not waited, nor failed. */
static inline void call_put_spare(struct neap_call *c)
{
	if (__builtin_expect(c->error != NULL || c->flags != 0 ||
				     c->out.capacity > CALL_KEEP ||
				     call_spare != NULL,
			     0)) {
		call_put(c);
		return;
	}
	c->out.size = 0;
	c->results = 0;
	call_spare = c;
}

/**
 * Call the function of @a use with the arguments in args..args_end, which are
 * the call's. @a host is kept in the call. Returns true when the function has
 * ended, false when it waits; then the call holds the function.
 */
static inline bool call_run(struct neap_call *c, const struct cmod_use *use,
			    const char *args, const char *args_end, void *host)
{
	bool ended;

	c->func = use->func;
	c->host = host;
	call_current = c;
	cpu_set_inside(&use->cpu);
	ended = cstack_call(&c->stack, use->code, c, args, args_end);
	cpu_set_inside(NULL);
	/* No call is made inside another: functions cannot call Lua. */
	call_current = NULL;
	return ended;
}

/** As call_run(), for the call that use->cpu.due is the number of, already
 * counted: its CPU time is measured. */
bool call_run_measured(struct neap_call *c, struct cmod_use *use,
		       const char *args, const char *args_end, void *host);

/** The wait of @a c ended with @a status. Returns as call_run(). */
bool call_resume(struct neap_call *c, int status);

/** True when the function has ended well. */
static inline bool call_succeeded(const struct neap_call *c)
{
	return c->stack.result == 0;
}

/** Take the error of a call that failed; never NULL. */
struct error *call_take_error(struct neap_call *c);

/** Give up a call that waits: its function never goes on. */
void call_abandon(struct neap_call *c);

/** Free the idle calls of this thread. */
void call_empty_pool(void);

/**
 * For functions of a module that run outside a call (init): forget the error
 * set outside before; later take what was set, or an `unknown error`.
 */
void call_outside_begin(void);
struct error *call_outside_error(void);

/** As call_outside_error(), but NULL when nothing was set. */
struct error *call_take_outside_error(void);

/**
 * Set the error of the running call, or of this thread outside a call; takes
 * over the reference. Returns -1.
 */
int call_set_error(struct error *e);

/** The same with an error of the module's own making, of that place. */
void call_set_errorv(const char *file, unsigned line, uint32_t code,
		     const char *format, va_list ap);

/** What call_set_error() has set, borrowed, or NULL. */
struct error *call_last_error(void);

/** Put the running call aside, its host having begun a wait. Returns the
 * status it is resumed with. */
int call_wait(struct neap_call *c);
