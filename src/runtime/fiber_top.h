/*
 * Who uses the processor: the time of each fiber, by a clock that is read at
 * each switch while this is on, and its share of the rounds of the loop.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct fiber;
struct sched;

/** Of one fiber. */
struct fiber_top {
	uint64_t ns;    /* in this round */
	uint64_t total; /* ns, while it was on */
	float instant;  /* share of the last round, in percent */
	float average;  /* moving, over the rounds; below 0: none yet */
};

/** Of a scheduler. */
struct sched_top {
	bool on;
	uint64_t since;        /* the clock at the last switch */
	uint64_t round_ns;     /* of all fibers in this round */
	struct fiber *charged; /* who the time since then is charged to */
};

/** From now on, from zero. */
void fiber_top_start(struct sched *s);
void fiber_top_stop(struct sched *s);

/** What runs changes: the time until now is the one's that ran, from now on it is
 * @a f's (NULL: nobody's). */
void fiber_top_switch(struct sched *s, struct fiber *f);

/** A round of the loop is over. Looks at each fiber. */
void fiber_top_round(struct sched *s);
