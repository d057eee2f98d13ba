/*
 * Calling a registered function in the state it belongs to, from any other. It
 * runs in a fiber of that state, on that state's thread; arguments go there as
 * msgpack, and so do the results, or a copy of the error, come back. Nobody but
 * the thread of a state ever sees its lua_State.
 *
 *	caller's thread                        the state's
 *	state_call_new, arguments
 *	state_call_start          -> mail ->   a fiber: object, arguments, f()
 *	.. on_end                 <- mail <-   results, or the error
 *	state_call_free
 *
 * In a state of the same thread it is the same without the mail.
 */
#pragma once

#include <lua.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "app/handlers.h"
#include "base/buf.h"
#include "base/list.h"
#include "lua/lua_limits.h"
#include "runtime/mailbox.h"

/** Whose limits a function has. */
extern const enum lua_limit_group handler_limit_groups[HANDLER_KIND_COUNT];

struct error;
struct lua_fiber;
struct request;
struct worker;

enum {
	STATE_CALL_DEPTH_MAX = 64,         /* calls inside calls */
	STATE_CALL_BYTES_MAX = 64 << 20,   /* of arguments, or of results */
	STATE_CALLS_WAITING_MAX = 1 << 18, /* to be taken by a state */
};

struct state_call {
	/* Set by state_call_new(). */
	atomic_uint refs;
	struct request *request;
	const struct handler *handler;
	struct worker *from, *to;
	unsigned depth; /* of calls inside each other */

	/* The caller's: set before the start. */
	void (*on_end)(struct state_call *c, void *arg);
	void *on_end_arg;

	/* With the caller before the start and after the end, with the callee
	 * in between. */
	struct buf data;     /* one msgpack array: arguments, then results */
	struct error *error; /* NULL: it went well */

	/* The caller's. */
	bool started, ended, cancelled;

	/* The callee's. */
	struct list link;        /* what its state serves */
	struct lua_fiber *fiber; /* NULL: not yet, or it has ended */

	struct mail mail;   /* there and back */
	struct mail cancel; /* there */
};

/**
 * A call of @a h for @a r by @a from, whose thread this is. Returns NULL with
 * diag set: OutOfMemory, ClientError (the request is over, too deep).
 */
struct state_call *state_call_new(struct request *r, const struct handler *h,
				  struct worker *from);

/**
 * Begin. Then on_end is told once, on this thread, maybe before this returns,
 * unless it is cancelled first or the thread's state closes. Returns 0, or -1
 * with diag set: the state is closing, or has too many calls waiting.
 */
int state_call_start(struct state_call *c);

/** Nobody waits any more: on_end is not told, and what runs is cancelled. Runs
 * no Lua. Ended, or cancelled already, is fine. */
void state_call_cancel(struct state_call *c);

/** Cancel and forget it. NULL is fine. */
void state_call_free(struct state_call *c);

/**
 * How deep inside each other the call would be of @a h would be that the running fiber of
 * @a w begins, into this state or another. Returns 0 with diag set when that is too
 * deep: ClientError.
 */
unsigned state_call_depth(struct worker *w, const struct handler *h);

/** @a f is about to be abandoned: a call that it serves, if any, fails. */
void state_call_abandon(struct lua_fiber *f);

/** The state of @a w is about to be closed, its fibers have ended: what it has
 * not answered fails. */
void state_calls_end(struct worker *w);

/** finish(...) of the Lua half: the results of the running fiber's call. */
int l_state_call_finish(lua_State *L);
