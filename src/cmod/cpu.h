/*
 * CPU time of functions, by slices: from where a function is entered until it
 * ends or waits.
 *
 * The thread's CPU clock is a system call, worth a dozen short calls; a reading
 * of the processor's counter of ticks (of time) is ten nanoseconds. So ticks
 * are what is summed up, and a slice of a moment, CPU_WINDOW_NS, is just as
 * long as it took. A longer one may have slept, or have been put aside for
 * somebody else: then the CPU clock is asked what of it was CPU time. What that
 * clock said where the slice began is not known, but what it said a moment ago
 * at most, and the thread has been on a processor since, or else that moment is
 * the error.
 *
 * Two readings are still half of what the shortest call costs. A function that
 * is called over and over, short and with next to nothing between, is *hot*:
 * one of some tens of its calls, at random, is measured and stands for those
 * since the one before. When there was more time between the two than such
 * calls take, one of them was long, or Lua had something else to do. Which of
 * both, the watcher knows: a thread that looks every CPU_WATCH_NS what the
 * others are at. It rests while nothing is hot.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

enum {
	CPU_WINDOW_NS = 50000,
	CPU_WATCH_NS = 1000000,
};

/** Of this machine. */
struct cpu_clock {
	bool ticks;       /* the counter is the same and steady everywhere */
	uint64_t window;  /* CPU_WINDOW_NS in ticks; 0: not known yet */
	uint64_t reading; /* ticks that two readings are apart at least */
};
extern struct cpu_clock cpu_clock;

/** What is known of a thread. */
struct cpu_thread {
	uint64_t mark;      /* ticks when its CPU clock was asked, ... */
	uint64_t mark_ns;   /* ... and what that said */
	const void *inside; /* the user of the slice that runs; atomic */
	/* Of the watcher, under its lock; times in ticks. */
	const void *seen;    /* the user last seen inside, ... */
	uint64_t seen_first; /* ... look after look from here ... */
	uint64_t seen_last;  /* ... to here */
	uint64_t outside;    /* last seen outside of slices */
	bool watched;
	struct list link; /* in the watched ones */
};
extern __thread struct cpu_thread cpu_thread;

/** The CPU time of one user's calls. */
struct cpu_use {
	uint64_t due;   /* number of the next call to be measured, from 1 */
	uint64_t timed; /* calls that ticks stands for */
	uint64_t ticks; /* the sum; any thread may read it */
	uint64_t last;  /* ticks when the last measured one ended */
	unsigned calm;  /* measured one after the other, all short */
};

/** Before the first call. Again is harmless. */
void cpu_init(void);

/** This thread makes no more calls: the watcher forgets it. */
void cpu_end_thread(void);

/** Where there is no counter to rely on. */
uint64_t cpu_slow_ticks(void);

static inline uint64_t cpu_ticks(void)
{
#if defined(__x86_64__)
	if (__builtin_expect(cpu_clock.ticks, 1))
		return __rdtsc();
#endif
	return cpu_slow_ticks();
}

/** The window; it becomes known a moment after cpu_init(). */
static inline uint64_t cpu_clock_window(void)
{
	return __atomic_load_n(&cpu_clock.window, __ATOMIC_RELAXED);
}

/** The slow halves of cpu_begin() and cpu_end(). */
uint64_t cpu_begin_marked(void);
uint64_t cpu_end_marked(uint64_t begin, uint64_t end);

/** A slice begins on this thread. */
static inline uint64_t cpu_begin(void)
{
	uint64_t now = cpu_ticks();

	if (__builtin_expect(now - cpu_thread.mark > cpu_clock_window(), 0))
		return cpu_begin_marked();
	return now;
}

/** It ends. Returns its CPU time in ticks, without that of measuring. */
static inline uint64_t cpu_end(uint64_t begin)
{
	uint64_t end = cpu_ticks(), ticks = end - begin;

	if (__builtin_expect(ticks > cpu_clock_window(), 0))
		return cpu_end_marked(begin, end);
	return ticks > cpu_clock.reading ? ticks - cpu_clock.reading : 0;
}

/** What so many ticks are in nanoseconds, and back. By any thread. */
uint64_t cpu_ns(uint64_t ticks);
uint64_t cpu_ticks_of_ns(uint64_t ns);

/** Add to a sum that one thread writes and any may read. */
static inline void cpu_add(uint64_t *sum, uint64_t ticks)
{
	__atomic_store_n(sum, *sum + ticks, __ATOMIC_RELAXED);
}

void cpu_use_create(struct cpu_use *u);

/** A slice of this user begins or (NULL) ends: for the watcher. */
static inline void cpu_set_inside(const void *use)
{
	__atomic_store_n(&cpu_thread.inside, use, __ATOMIC_RELAXED);
}

/** Call number @a call, the one that is due, begins: cpu_begin(). It ends. */
uint64_t cpu_use_begin(struct cpu_use *u, uint64_t call);
void cpu_use_end(struct cpu_use *u, uint64_t call, uint64_t begin);
