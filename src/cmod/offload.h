/*
 * A call that runs on a thread of its own, away from the loop. It is made and
 * deleted by its owner's thread; in between offload_run() may be called by any
 * one thread. There the function has that thread's stack, and a wait blocks
 * the thread, no other fiber being there that could run.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "cmod/call.h"

struct offload {
	struct neap_call call; /* arguments and results; no C stack */
	atomic_bool cancelled; /* the owner has lost interest */
	atomic_int wake_fd;    /* ends its waits; -1: it has not waited */
	bool refused;          /* it was told, on its thread */
};

/** A call of @a func, which is held. Arguments go into o->call.in. NULL with
 * diag set: out of memory. */
struct offload *offload_new(struct cmod_func *func);

/** It does not run. May close a library. */
void offload_delete(struct offload *o);

/** Call the function; then the results are in o->call as after call_run(). */
void offload_run(struct offload *o);

/** By its owner, while it may run: waits of the function end, as those of a
 * fiber that was cancelled. */
void offload_cancel(struct offload *o);

/** The offloaded call that runs on this thread, or NULL. */
struct offload *offload_current(void);

/* The waits, called there. Each returns 0 or more, or -1 with diag set. A deaf
 * one does not mind that the call was cancelled. */
int offload_sleep(struct offload *o, uint64_t ns, bool deaf);
int offload_yield(struct offload *o, bool deaf);
int offload_wait_fd(struct offload *o, int fd, int events, uint64_t timeout_ns,
		    bool deaf);
/** Does nothing; fails as the others do. */
int offload_check(struct offload *o, bool deaf);
