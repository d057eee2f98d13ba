/* CPU time of functions, estimated. See cpu.h. */
#include "cmod/cpu.h"

#include <time.h>

/*
 * Two readings cost a microsecond or so. Those are spent on each call that
 * takes SHARE_NS, and on a hundredth of the calls that take a hundredth.
 */
#define SHARE_NS 45000
#define CALL_NS  44 /* of a call around its function */
#define FIRST    64 /* calls that are all timed */

uint64_t cpu_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* What lies between two readings when nothing does: the least of some. */
static uint64_t reading_ns(void)
{
	static uint64_t known;
	uint64_t least = __atomic_load_n(&known, __ATOMIC_RELAXED);

	if (least != 0)
		return least;
	least = UINT64_MAX;
	for (int i = 0; i < 32; i++) {
		uint64_t begin = cpu_now_ns(), ns = cpu_now_ns() - begin;

		if (ns < least)
			least = ns;
	}
	if (least == 0)
		least = 1;
	__atomic_store_n(&known, least, __ATOMIC_RELAXED);
	return least;
}

uint64_t cpu_since_ns(uint64_t begin_ns)
{
	uint64_t ns = cpu_now_ns() - begin_ns, reading = reading_ns();

	return ns > reading ? ns - reading : 0;
}

void cpu_estimate_create(struct cpu_estimate *e)
{
	*e = (struct cpu_estimate){ .due = 1 };
}

static uint32_t next_random(void)
{
	static __thread uint32_t x = 2463534242u;

	x ^= x << 13;
	x ^= x >> 17;
	return x ^= x << 5;
}

static void set(uint64_t *to, uint64_t value)
{
	__atomic_store_n(to, value, __ATOMIC_RELAXED);
}

void cpu_estimate_add(struct cpu_estimate *e, uint64_t call, uint64_t ns)
{
	uint64_t add = ns * (call - e->timed), limit = e->ns + ns, gap;

	/*
	 * One long call among many short ones would count for a thousand, of
	 * which no other was long. The first that are found have more calls
	 * timed from then on instead: none makes the sum more than double.
	 */
	if (add > limit)
		add = limit;
	set(&e->ns, e->ns + add);
	set(&e->timed, call);
	gap = SHARE_NS / (e->ns / call + CALL_NS);
	/* What is long once in a hundred calls is to be found early. */
	if (gap > call / FIRST)
		gap = call / FIRST;
	/* Between 1 and twice as many, the gap itself on the average. */
	set(&e->due, call + 1 + (gap == 0 ? 0 : next_random() % (2 * gap)));
}

uint64_t cpu_estimate_total(const struct cpu_estimate *e, uint64_t calls)
{
	uint64_t timed = __atomic_load_n(&e->timed, __ATOMIC_RELAXED);
	uint64_t ns = __atomic_load_n(&e->ns, __ATOMIC_RELAXED);

	if (timed == 0)
		return 0;
	return (uint64_t)((double)ns / (double)timed * (double)calls);
}
