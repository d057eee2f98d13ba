/*
 * Waking a fiber from another thread: the one way across.
 *
 *	the fiber's thread                  any thread
 *	wake_begin(w, self), fiber_park()
 *	    the loop runs on       <- port  <-  wake_post(w, status)
 *	fiber_wakeup(self, status)
 *
 * A wake belongs to an object of many threads (a channel between workers) that
 * finds it under its own lock, posts it at most once, and does so with that
 * lock held; so one that its fiber has taken back under the same lock is never
 * posted afterwards. Posts to a loop that has not looked yet share one
 * uv_async_send().
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <uv.h>

#include "base/list.h"

struct fiber;
struct loop;
struct wake_port;

/** One fiber's wait for other threads. All zero is one that is not begun. */
struct wake {
	struct list link; /* in the port's queue; under the port's lock */
	struct wake_port *port;
	struct fiber *fiber;
	int status;
	bool begun;
};

/** Where a loop is told. Part of struct loop; all zero is one never used. */
struct wake_port {
	uv_async_t async;
	pthread_mutex_t lock;
	struct list due;
	unsigned waiting; /* begun and not ended: they keep the loop alive */
	bool open;
};

/**
 * See that @a loop can be told. Returns 0, or UV_E* when there is no
 * descriptor or memory for that. On the loop's thread, before wake_begin().
 */
int wake_port_open(struct wake_port *port, struct loop *loop);

/** The end of a loop, in which no fiber waits any more. Closes a handle. */
void wake_port_close(struct wake_port *port);

/** @a self, which runs here, is about to wait. */
void wake_begin(struct wake *w, struct fiber *self);

/** Wake the fiber with @a status. On any thread, with the lock held under
 * which @a w was found. Lock order: the object's, then the port's. */
void wake_post(struct wake *w, int status);

/** The fiber does not wait any more (its undo function): nobody will find @a w,
 * and a post that is on its way is dropped. Ended already is fine. */
void wake_end(struct wake *w);
