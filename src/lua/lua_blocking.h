/*
 * Functions of Lua whose work may block: files, pipes, children. Inside a fiber
 * the work waits for its descriptor, or is done on a thread of the pool, and
 * only the fiber waits; where none can wait it is done on the spot.
 *
 *	l_stat: check arguments, make the operation, lua_blocking_do(L, op)
 *	  step()  what can be done without blocking, on the loop's thread
 *	  run()   all of the rest, blocking, on any thread
 *	  push()  the results, inside the fiber
 *
 * Such a C function gives true and its results, or a status; its Lua half is
 *
 *	function M.stat(path)
 *	    return settle(c.stat(path)) -- throws when there is a status
 *	end
 *
 * A fiber that is cancelled goes its way at once. What has begun on a thread is
 * done to its end and then destroyed, results and all.
 */
#pragma once

#include <lua.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/list.h"
#include "runtime/fd_watch.h"
#include "runtime/pool.h"

struct fiber;
struct loop;
struct lua_blocking;
struct lua_vm;

/** What becomes of an operation that nobody waits for any more. */
enum lua_blocking_rest {
	LUA_BLOCKING_DROP,   /* it ends as soon as it can */
	LUA_BLOCKING_FINISH, /* it is done; the process ends after it: output */
	LUA_BLOCKING_REAP,   /* it is done, if the process goes on so long */
};

enum { LUA_BLOCKING_POOL = 1 << 20 };

/** A kind of operation; all functions but step, interrupt are wanted. */
struct lua_blocking_kind {
	const char *name; /* for the log */
	/** As much as goes without blocking. Returns 0: all is done; POLLIN or
	 * POLLOUT: op->fd must be ready first; LUA_BLOCKING_POOL. NULL: always
	 * the pool. */
	int (*step)(struct lua_blocking *op);
	/** All that is left. */
	void (*run)(struct lua_blocking *op);
	/** Push the results; how many. In a protected call. Throws: may. */
	int (*push)(lua_State *L, struct lua_blocking *op);
	/** Free it, and what it has that nobody has taken. On any thread. */
	void (*destroy)(struct lua_blocking *op);
	/** A thread has it and nobody waits for it any more: run() shall come to
	 * its end soon. Such a kind is for threads of the pool alone, the caller
	 * has seen to it that the fiber can wait. */
	void (*interrupt)(struct lua_blocking *op);
	enum lua_blocking_rest rest;
};

/** Operations on one thing, which are done one after the other. */
struct lua_lane {
	struct list queue;            /* those that wait for their turn */
	struct lua_blocking *current; /* NULL: none is at work */
	unsigned refs; /* of its owner and of each operation; atomic */
	void (*destroy)(struct lua_lane *lane); /* on any thread */
};

/** One operation, at the start of a larger one in memory of its own; kind, lane
 * and fd are its owner's to set, the rest is zero. */
struct lua_blocking {
	const struct lua_blocking_kind *kind;
	struct lua_lane *lane; /* NULL: none; a reference is held */
	int fd;                /* that step() waits for */
	/* The machinery's. */
	struct pool_job job;
	struct fd_watch watch;
	struct list link; /* in its lane's queue */
	struct list all;  /* of this thread */
	struct loop *loop;
	struct fiber *fiber; /* that waits; NULL: nobody */
	enum {
		OP_NEW,
		OP_QUEUED,
		OP_WATCHING,
		OP_AWAY, /* in the pool */
		OP_ENDED,
	} state;
	bool in_pool;  /* run() is on a thread: it need not do all */
	bool again;    /* run() was not all: step() goes on */
	bool held;     /* a fiber has it as its guest */
	bool orphaned; /* the loop has ended under it */
	atomic_bool has_run;
};

/** A lane with one reference. */
void lua_lane_create(struct lua_lane *lane,
		     void (*destroy)(struct lua_lane *lane));
struct lua_lane *lua_lane_ref(struct lua_lane *lane);
void lua_lane_unref(struct lua_lane *lane);

/** Does anybody work on it, or wait to? */
static inline bool lua_lane_is_busy(const struct lua_lane *lane)
{
	return lane->current != NULL;
}

/**
 * `return lua_blocking_do(L, op)`: do @a op (taken over) and give its results.
 * Yields: maybe. Throws: no.
 */
int lua_blocking_do(lua_State *L, struct lua_blocking *op);

/** failed(status), for Lua halves: throw it. */
int lua_blocking_failed(lua_State *L);

/** Have it done with nobody waiting for it, the results unseen. Takes it over.
 * Throws: no. */
void lua_blocking_leave(struct loop *loop, struct lua_blocking *op);

/** Whether output of this thread is under way that nobody waits for. */
bool lua_blocking_has_output(void);

/** The end of this thread's state: what has not begun never will. */
void lua_blocking_end(void);
