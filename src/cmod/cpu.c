/* CPU time of functions. See cpu.h. */
#include "cmod/cpu.h"

#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "cmod/cpu_watch.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

/* The two clocks are read some tens of nanoseconds apart: after this time they
 * tell what a tick is to some ten-thousandths. */
enum { SETTLED_NS = 200000 };

enum {
	CALM = 64, /* short calls on end that make a function hot */
	STEP = 32, /* one of so many of its calls is measured */
	/* Part of the window: two or three times STEP of the longest calls, and
	 * what lies between, are still less than a window. */
	SHORT = 128,
};

struct cpu_clock cpu_clock;
__thread struct cpu_thread cpu_thread;

/* Two clocks at one moment; at the beginning. */
struct moment {
	uint64_t ticks;
	uint64_t ns;
};
static struct moment start;
static pthread_once_t once = PTHREAD_ONCE_INIT;

uint64_t cpu_slow_ticks(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

/* Both clocks at one moment: the closest of a few tries. */
static struct moment read_both(void)
{
	struct moment best = { 0 };
	uint64_t least = UINT64_MAX;

	for (int i = 0; i < 4; i++) {
		uint64_t before = cpu_ticks(), ns = clock_ns(CLOCK_MONOTONIC);
		uint64_t apart = cpu_ticks() - before;

		if (apart < least) {
			least = apart;
			best.ticks = before + apart / 2;
			best.ns = ns;
		}
	}
	return best;
}

/* Whether the kernel keeps its own time by the counter; when it has found that
 * processors disagree, it does not. Where it says nothing: yes. */
static bool kernel_agrees(void)
{
	static const char path[] = "/sys/devices/system/clocksource/"
				   "clocksource0/current_clocksource";
	static const char *const good[] = { "tsc", "kvm-clock",
					    "hyperv_clocksource_tsc_page" };
	char name[32];
	FILE *f = fopen(path, "re");
	bool agrees = false;

	if (f == NULL)
		return true;
	if (fscanf(f, "%31s", name) != 1)
		agrees = true;
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
		agrees = agrees || strcmp(name, good[i]) == 0;
	fclose(f);
	return agrees;
}

/* The counter must run at one speed in all states of the processor, which the
 * processor tells (invariant TSC), and be the same on all of them. */
static bool has_ticks(void)
{
#if defined(__x86_64__)
	unsigned a, b, c, d;

	return __get_cpuid(0x80000007, &a, &b, &c, &d) != 0 &&
	       (d & 1u << 8) != 0 && kernel_agrees();
#else
	return false;
#endif
}

static void init(void)
{
	uint64_t least = UINT64_MAX;

	cpu_clock.ticks = has_ticks();
	for (int i = 0; i < 32; i++) {
		uint64_t begin = cpu_ticks(), ticks = cpu_ticks() - begin;

		if (ticks < least)
			least = ticks;
	}
	cpu_clock.reading = least;
	start = read_both();
}

void cpu_init(void)
{
	pthread_once(&once, init);
}

/*
 * Nanoseconds of a tick. Until enough time has passed to tell it, there is no
 * window either, and all slices are measured by the CPU clock; only the sums
 * of the first moment are then told by a rough figure.
 */
static double tick_ns(void)
{
	static double known;
	double rough = 1;
	struct moment now;

	__atomic_load(&known, &rough, __ATOMIC_RELAXED);
	if (rough != 0)
		return rough;
	now = read_both();
	rough = now.ticks > start.ticks && now.ns > start.ns
			? (double)(now.ns - start.ns) /
				  (double)(now.ticks - start.ticks)
			: 1;
	if (now.ns - start.ns >= SETTLED_NS) {
		__atomic_store(&known, &rough, __ATOMIC_RELAXED);
		__atomic_store_n(&cpu_clock.window,
				 (uint64_t)(CPU_WINDOW_NS / rough),
				 __ATOMIC_RELAXED);
	}
	return rough;
}

uint64_t cpu_ns(uint64_t ticks)
{
	return ticks == 0 ? 0 : (uint64_t)((double)ticks * tick_ns());
}

uint64_t cpu_ticks_of_ns(uint64_t ns)
{
	return (uint64_t)((double)ns / tick_ns());
}

uint64_t cpu_begin_marked(void)
{
	if (cpu_clock_window() == 0)
		tick_ns();
	cpu_thread.mark_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	/* What the clock itself has cost is not the slice's. */
	return cpu_thread.mark = cpu_ticks();
}

uint64_t cpu_end_marked(uint64_t begin, uint64_t end)
{
	double scale = tick_ns(), took, wall;
	uint64_t now = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	int64_t before = (int64_t)(begin - cpu_thread.mark);

	took = (double)(int64_t)(now - cpu_thread.mark_ns) -
	       (before > 0 ? (double)before * scale : 0);
	wall = (double)(end - begin) * scale;
	cpu_thread.mark_ns = now;
	cpu_thread.mark = cpu_ticks();
	if (took > wall)
		took = wall;
	return took > 0 ? (uint64_t)(took / scale) : 0;
}

static uint32_t next_random(void)
{
	static __thread uint32_t x = 2463534242u;

	x ^= x << 13;
	x ^= x >> 17;
	return x ^= x << 5;
}

void cpu_use_create(struct cpu_use *u)
{
	*u = (struct cpu_use){ .due = 1 };
}

/*
 * Between two measured calls of a hot function there was more time than those
 * calls take. Seen inside and never outside of it, one of them took all; seen
 * both, what lies between the looks; not seen inside, nothing.
 */
static uint64_t unexpected(const struct cpu_use *u, uint64_t begin)
{
	uint64_t ticks = cpu_end_marked(u->last, begin), run;
	struct cpu_sight sight = cpu_watch_sight();

	if (sight.seen != u || sight.seen_last < u->last)
		return 0;
	if (sight.outside < u->last)
		return ticks;
	run = sight.seen_last - sight.seen_first +
	      cpu_ticks_of_ns(CPU_WATCH_NS);
	return run < ticks ? run : ticks;
}

/* Whether the next calls need not be measured. */
static bool is_hot(struct cpu_use *u, bool calm)
{
	u->calm = calm ? u->calm + (u->calm < CALM) : 0;
	return u->calm == CALM && cpu_watch();
}

uint64_t cpu_use_begin(struct cpu_use *u, uint64_t call)
{
	uint64_t now = cpu_ticks(), window = cpu_clock_window();

	/* Before the CPU clock is asked for what is to come. */
	if (now - u->last > window && call - u->timed > 1) {
		cpu_add(&u->ticks, unexpected(u, now));
		now = cpu_ticks();
	}
	return now - cpu_thread.mark > window ? cpu_begin_marked() : now;
}

void cpu_use_end(struct cpu_use *u, uint64_t call, uint64_t begin)
{
	uint64_t end = cpu_ticks(), window = cpu_clock_window();
	uint64_t ticks = end - begin, stands = call - u->timed;
	uint64_t gap_max = stands > 1 ? window : window / SHORT;
	bool calm = ticks <= window / SHORT && begin - u->last <= gap_max;

	u->last = end;
	if (ticks > window) {
		/* Of such there are no others, or they were seen. */
		ticks = cpu_end_marked(begin, end);
		u->last = cpu_thread.mark;
		stands = 1;
	} else {
		ticks -= ticks > cpu_clock.reading ? cpu_clock.reading : ticks;
	}
	cpu_add(&u->ticks, ticks * stands);
	u->timed = call;
	u->due = call + 1;
	if (is_hot(u, calm))
		u->due += STEP / 2 + next_random() % STEP;
}
