/*
 * CPU time of functions, estimated: reading the thread's CPU clock costs
 * several times a short call, so only some calls are timed.
 *
 * A timed call stands for those since the one before. How many those are goes
 * by the mean so far: long calls are all timed, the shortest one in a
 * thousand, so that timing takes about a fiftieth of the time of all calls,
 * whatever they do. The number varies at random around that, or else a pattern
 * in the calls could hide from it.
 */
#pragma once

#include <stdint.h>

/** One user's estimate. As the counts beside it: written by one thread. */
struct cpu_estimate {
	uint64_t due; /* number of the next call to be timed; they begin at 1 */
	uint64_t timed; /* calls that ns stands for */
	uint64_t ns;
};

/** CPU time of this thread, in nanoseconds. */
uint64_t cpu_now_ns(void);

/** From @a begin_ns of cpu_now_ns() until now, the reading itself left out. */
uint64_t cpu_since_ns(uint64_t begin_ns);

void cpu_estimate_create(struct cpu_estimate *e);

/** Call number @a call, the one that was due, took @a ns. */
void cpu_estimate_add(struct cpu_estimate *e, uint64_t call, uint64_t ns);

/** What all of @a calls calls took. By any thread. */
uint64_t cpu_estimate_total(const struct cpu_estimate *e, uint64_t calls);
