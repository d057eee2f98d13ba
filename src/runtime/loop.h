/*
 * The event loop of one worker: owns the uv_loop_t, refuses re-entry, and at
 * its end demands that every handle was closed.
 */
#pragma once

#include <stdbool.h>
#include <uv.h>

#include "runtime/drain.h"
#include "runtime/fd_watch.h"
#include "runtime/io_watch.h"
#include "runtime/pool.h"
#include "runtime/wake.h"

struct loop {
	uv_loop_t uv;
	bool running;                /* inside loop_run() */
	struct drain drain;          /* what must finish before the end */
	struct pool_port port;       /* its work on other threads */
	struct wake_port wakes;      /* its fibers that other threads wake */
	struct epoll_set fd_watches; /* descriptors that are not its own */
	struct epoll_set io_watches; /* and those that are */
};

/** Returns 0 or a negative UV_E*. The memory is the caller's. */
int loop_create(struct loop *loop);

/**
 * Run until nothing is alive or loop_stop(). Returns 0, or UV_EBUSY when
 * called from inside itself.
 */
int loop_run(struct loop *loop, uv_run_mode mode);

/** Make loop_run() return after the current round. */
void loop_stop(struct loop *loop);

/**
 * Is there something for the loop to do, while it does not run? *ret_timer_in: if
 * not, in how many nanoseconds the next timer is due, or UINT64_MAX. May be called
 * in a signal handler of the thread.
 */
bool loop_is_wanted(const struct loop *loop, uint64_t *ret_timer_in);

/** Told of each handle that was still open at the end: kind and detail. */
typedef void (*loop_stuck_f)(const char *kind, const char *detail, void *arg);

/**
 * Let pending close callbacks run, then close what is still open, telling
 * @a on_stuck of each (NULL: nobody). A handle found here is its owner's bug:
 * its memory is not freed. Returns the number of handles that were open, or
 * UV_EBUSY when called from inside loop_run() or when a request does not end
 * within two seconds.
 */
int loop_destroy(struct loop *loop, loop_stuck_f on_stuck, void *arg);
