/*
 * Time slices. A turn is one resume of the scheduler with all that runs inside
 * it. When a turn has lasted longer than the slice, the layer above is asked, in
 * a signal handler on the worker's own thread, to make the running fiber give
 * way at the next place where that is safe. The same tick charges CPU time to
 * the running fiber and finds those that are over their limits.
 *
 * A resume costs nothing but a look at one flag: the tick goes on while the
 * worker is busy, and stops itself when it finds it idle twice.
 */
#pragma once

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "runtime/ticker_watch.h"

struct sched;

enum { TICKER_SLICE_MIN_NS = 100000 };

/**
 * In signal context, on the worker's thread: ask what runs to stop soon. Only
 * what is safe in a signal handler. False: not at this instruction, ask again.
 */
typedef bool (*ticker_ask_f)(void *arg, const void *ucontext);

/**
 * In signal context: each tick of a busy worker. Since the one before the thread has computed
 * for @a cpu_ns; for @a blocked_ns what runs has kept the worker and waited by itself. (A
 * machine that is too busy does not count.)
 */
typedef void (*ticker_sample_f)(void *arg, const void *ucontext,
				uint64_t cpu_ns, uint64_t blocked_ns);

/* A thread is not started in a signal handler; nor twice, by a tick in between. */
enum ticker_watch_wish {
	TICKER_WATCH_NOT_WANTED,
	TICKER_WATCH_WANTED,
	TICKER_WATCH_TRIED,
};

struct ticker {
	struct sched *sched;
	ticker_ask_f ask;
	void *arg;
	ticker_sample_f sample; /* NULL: nobody wants to know */
	uint64_t seen;          /* when the last tick was */
	long waits; /* of the thread, in the kernel, at the last sample */
	timer_t timer;
	struct ticker_watch watch; /* started when it is of use */
	uint64_t slice_ns;
	uint64_t turn;  /* the turn the last tick saw, or that began with
			   ticker_begin() */
	uint64_t begun; /* when that was; what a tick saw is at most one period
			   older */
	uint64_t since; /* since when others may have waited: begun, or the last
			   tick that found nobody */
	uint64_t cpu;   /* the thread's CPU time at the last tick */
	uint64_t cpu_since; /* the same when since was taken */
	uint64_t cpu_begun; /* and when begun was */
	uint64_t backoff;   /* how soon to ask again */
	uint64_t ticks;     /* so far */
	uint64_t asked;     /* of them: the layer above, to end a turn */
	unsigned idle;      /* ticks that found nothing running, in a row */
	uint64_t period; /* between ticks, as the timer is set; 0: one tick */
	unsigned quiet;  /* slices for which nobody has waited */
	bool exact;      /* begun is exact */
	bool insistent;  /* asks though nobody waits: the layer above knows why;
			   set after ticker_create() */
	volatile sig_atomic_t watch_wish; /* enum ticker_watch_wish */
	volatile sig_atomic_t busy;       /* a tick that comes now is none */
	volatile sig_atomic_t ticking;
};

/**
 * Slices of @a slice_ns for the scheduler of this thread. Returns 0 or UV_E*.
 * Not with the thread sanitizer, which delivers signals late: UV_ENOTSUP.
 */
int ticker_create(struct ticker *t, struct sched *s, uint64_t slice_ns,
		  ticker_ask_f ask, void *arg);

/** On the thread that created it. */
void ticker_destroy(struct ticker *t);

/** From the next tick on. At least TICKER_SLICE_MIN_NS. */
void ticker_set_slice(struct ticker *t, uint64_t slice_ns);

/** Have each tick told to @a sample, with the argument of ask; they are no further apart
 * than slices then. NULL: no more. */
void ticker_set_sample(struct ticker *t, ticker_sample_f sample);

/** Set the timer going. */
void ticker_run(struct ticker *t);

/** A turn begins; the scheduler has counted it already. */
static inline void ticker_turn(struct ticker *t)
{
	if (__builtin_expect(t != NULL && !t->ticking, 0))
		ticker_run(t);
}

/** The turn that begins is of a fiber that had its slice before: that it lasts
 * is likely, and its beginning is worth a look at the clock. */
void ticker_begin(struct ticker *t);

/** Something has changed of what a tick looks at, and sched.far is set: a fiber
 * begins, waits or ends, one is ready, a limit is another. The running fiber is
 * charged, and the next tick comes soon. */
void ticker_near(struct ticker *t);

/** For how long others may have waited for the turn that runs now, as ticks
 * have seen it. */
uint64_t ticker_turn_ns(const struct ticker *t);

/** How much CPU time it has taken in that: a busy machine does not count. */
uint64_t ticker_turn_cpu_ns(const struct ticker *t);

/** And since it began, whoever waits. */
uint64_t ticker_turn_age_cpu_ns(const struct ticker *t);
