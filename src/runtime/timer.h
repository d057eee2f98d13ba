/*
 * Timers of one worker: a pairing heap of deadlines behind a single uv_timer_t,
 * so that a million sleeping fibers cost a million small nodes and no handle.
 * When the loop was kept from turning, what has come in meanwhile goes first:
 * an answer that is there is not told as a timeout.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct loop;
struct timer;

/** Called when the time has come; the timer is stopped and may be started. */
typedef void (*timer_f)(struct timer *t);

/** One deadline. All zero is a stopped timer. Stop it before freeing it. */
struct timer {
	struct timer *child;   /* first of the later ones below this */
	struct timer *sibling; /* next below the same parent */
	struct timer *prev; /* previous sibling, or parent of a first child */
	uint64_t due_ns;    /* on uv_hrtime()'s clock; 0: stopped */
	timer_f fn;
};

/** All timers of a loop. */
struct timers {
	struct timer *root; /* the earliest */
	uint64_t armed_ns; /* what the handle is set for; UINT64_MAX: nothing */
	uint64_t firing_ns; /* inside the handle's callback: its time; else 0 */
	uint64_t tick_ms;   /* on uv_now()'s clock: when that is to be called */
	bool polled;        /* it came too late, and has let the loop poll */
	uv_timer_t handle;
};

int timers_create(struct timers *ts, struct loop *loop);

/** Close the handle: the memory is reusable when the loop has closed it. */
void timers_close(struct timers *ts);

/** Start, or start again, for @a due_ns of uv_hrtime()'s clock. Cannot fail. */
void timer_start(struct timers *ts, struct timer *t, uint64_t due_ns,
		 timer_f fn);

/** Stop; a stopped timer is left alone. */
void timer_stop(struct timers *ts, struct timer *t);

static inline bool timer_active(const struct timer *t)
{
	return t->due_ns != 0;
}
