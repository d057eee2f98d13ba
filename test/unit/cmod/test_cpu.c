/*
 * The CPU time of slices, beside the thread's own CPU clock. Bounds are wide:
 * they tell a slice that was lost, or a pause that was counted, from one that
 * was told, whatever else the machine does.
 */
#include "unit.h"

#include <time.h>

#include "cmod/cpu.h"

#define MS 1000000u

static uint64_t clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* A hiccup of the machine may count as CPU time; then it is in this as well. */
static uint64_t since(uint64_t clock)
{
	return clock_ns() - clock;
}

static void burn(uint64_t ns)
{
	uint64_t end = clock_ns() + ns;

	while (clock_ns() < end)
		;
}

static void rest(uint64_t ns)
{
	struct timespec t = { .tv_nsec = (long)ns };

	nanosleep(&t, NULL);
}

static void spin(uint64_t n)
{
	volatile unsigned x = 1;

	while (n-- > 0)
		x = x * 7 + 1;
}

/* One user's calls, as call_run() and call_run_measured() make them. */
struct user {
	struct cpu_use use;
	uint64_t calls;
	unsigned measured;
	uint64_t made_ms; /* what hot_user() has taken */
};

static void call(struct user *u, void (*function)(uint64_t), uint64_t arg)
{
	bool due = ++u->calls == u->use.due;
	uint64_t begin = due ? cpu_use_begin(&u->use, u->calls) : 0;

	cpu_set_inside(&u->use);
	if (function != NULL)
		function(arg);
	cpu_set_inside(NULL);
	if (due) {
		cpu_use_end(&u->use, u->calls, begin);
		u->measured++;
	}
	assert_true(u->use.due > u->calls);
}

static void call_often(struct user *u, unsigned n)
{
	while (n-- > 0)
		call(u, NULL, 0);
}

/* A user whose function is hot. */
static struct user hot_user(void)
{
	struct user u = { .calls = 0 };
	uint64_t clock = clock_ns();

	cpu_init();
	cpu_use_create(&u.use);
	call_often(&u, 100000);
	u.made_ms = since(clock) / MS;
	return u;
}

static uint64_t told_ms(const struct user *u)
{
	return cpu_ns(u->use.ticks) / MS;
}

static void test_slices(void **state)
{
	uint64_t begin, clock;

	(void)state;
	cpu_init();
	clock = clock_ns();
	begin = cpu_begin();
	burn(20 * MS);
	assert_in_range(cpu_ns(cpu_end(begin)), 19 * MS, since(clock) + 2 * MS);
	clock = clock_ns();
	begin = cpu_begin();
	rest(20 * MS);
	assert_in_range(cpu_ns(cpu_end(begin)), 0, since(clock) + 2 * MS);
	clock = clock_ns();
	begin = cpu_begin();
	rest(20 * MS);
	burn(5 * MS);
	assert_in_range(cpu_ns(cpu_end(begin)), 4 * MS, since(clock) + 2 * MS);
	assert_in_range(cpu_ns(cpu_ticks_of_ns(1000 * MS)), 999 * MS,
			1001 * MS);
	assert_int_equal(cpu_ns(0), 0);
}

/* A new user's calls are all measured, and so are long ones for ever. */
static void test_measured(void **state)
{
	struct user u = { .calls = 0 };
	uint64_t clock = clock_ns();

	(void)state;
	cpu_init();
	cpu_use_create(&u.use);
	call(&u, burn, 200 * MS);
	assert_in_range(told_ms(&u), 190, since(clock) / MS + 10);
	for (int i = 0; i < 200; i++)
		call(&u, burn, MS / 10);
	assert_int_equal(u.measured, u.calls);
	assert_in_range(told_ms(&u), 205, since(clock) / MS + 20);
	call(&u, rest, 200 * MS);
	assert_in_range(told_ms(&u), 205, since(clock) / MS + 25);
}

/* The shortest are measured now and then, and told in full. */
static void test_hot(void **state)
{
	struct user u = hot_user();
	uint64_t begin, all, before = told_ms(&u);

	(void)state;
	assert_in_range(before, 0, u.made_ms + 20);
	assert_true(u.measured < u.calls / 10);
	begin = clock_ns();
	/* Its own share of the loop is most of it. */
	for (int i = 0; i < 1000000; i++)
		call(&u, spin, 50);
	all = (clock_ns() - begin) / MS;
	assert_in_range(told_ms(&u) - before, all / 2, all * 3 / 2);
}

/* A long call is told wherever it stands among short ones: 40 of them, as only
 * one of tens of calls is measured. */
static void test_long_among_short(void **state)
{
	struct user u = hot_user();
	uint64_t before;

	(void)state;
	call(&u, burn, 200 * MS);
	call_often(&u, 10000);
	assert_in_range(told_ms(&u), 180, 400);
	before = told_ms(&u);
	for (unsigned i = 0; i < 40; i++) {
		call(&u, burn, 10 * MS);
		call_often(&u, 10000 + i);
	}
	assert_in_range(told_ms(&u) - before, 350, 500);
}

/* What lies between calls is not theirs, work or rest. */
static void test_pauses(void **state)
{
	struct user u = hot_user();

	(void)state;
	for (unsigned i = 0; i < 40; i++) {
		burn(10 * MS);
		call_often(&u, 10000 + i);
	}
	assert_in_range(told_ms(&u), 0, 80);
	call(&u, rest, 200 * MS);
	call_often(&u, 10000);
	assert_in_range(told_ms(&u), 0, 85);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_slices),
		cmocka_unit_test(test_measured),
		cmocka_unit_test(test_hot),
		cmocka_unit_test(test_long_among_short),
		cmocka_unit_test(test_pauses),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	cpu_end_thread();
	return failed;
}
