/*
 * Lua states of the pool's threads, for functions that are run away from the
 * loop: fiber.offload().
 *
 * Such a state is a whole one with a scheduler of its own, so that limits,
 * tracebacks and error objects are those of every state, and the function runs as
 * a fiber: what ends it, when nobody waits for it any more, is the tick of its
 * thread. But its loop never turns and nothing in it may wait
 * (vm->offloaded). Each thread has one, made when it is first wanted and closed
 * with the thread: there are never more than threads, and what is thread-local
 * (the timer of the tick, the stack's bounds, the scheduler) is right.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "runtime/fiber.h"

struct error;

enum {
	SCRATCH_BYTES_MAX = 64 << 20, /* of arguments, or of results */
};

/** One run. The caller's, who does not touch it meanwhile, but for cancelled. */
struct lua_scratch_run {
	const char *code; /* bytecode of a function without upvalues */
	size_t code_size;
	const char *path; /* package.path and package.cpath there */
	const char *cpath;
	struct buf in; /* its arguments, by lua_pack() */
	size_t memory; /* limit of the state; 0: none */
	bool jit;      /* compile there */
	bool limited;  /* `limits` hold for it */
	struct fiber_limits limits;
	uint64_t total_ns; /* CPU time of its fiber so far, and afterwards */
	const char *name;  /* of its fiber */
	atomic_bool cancelled; /* by any thread: it ends soon */
	/* Afterwards: */
	bool ok;
	struct buf out;      /* results, or the error value, by lua_pack() */
	struct error *error; /* not NULL: it is the error */
	struct buf report;   /* of an error: its text, and the traceback */
};

/**
 * Run it in the state of this thread, which is one of the pool's. A state that is
 * short of memory afterwards, or was left in the middle, is thrown away. Errors
 * are in @a run. Yields: no. Throws: no.
 */
void lua_scratch_run(struct lua_scratch_run *run);

/** Free what @a run has. */
void lua_scratch_run_destroy(struct lua_scratch_run *run);
