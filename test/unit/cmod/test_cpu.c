/*
 * The estimate of CPU time, fed with calls whose cost is known: no clock is
 * asked but in the last test.
 */
#include "unit.h"

#include "cmod/cpu.h"

struct sums {
	uint64_t real;
	uint64_t told;
	unsigned timed;
};

/* @a calls calls; cost(i) of the i-th, from 0. */
static struct sums run(uint64_t calls, uint64_t (*cost)(uint64_t i))
{
	struct sums s = { 0 };
	struct cpu_estimate e;

	cpu_estimate_create(&e);
	assert_int_equal(cpu_estimate_total(&e, 0), 0);
	for (uint64_t i = 0; i < calls; i++) {
		s.real += cost(i);
		if (i + 1 == e.due) {
			s.timed++;
			cpu_estimate_add(&e, i + 1, cost(i));
		}
		assert_true(e.due > i + 1);
	}
	s.told = cpu_estimate_total(&e, calls);
	return s;
}

static void check_within(const struct sums *s, unsigned percent)
{
	uint64_t off = s->told > s->real ? s->told - s->real
					 : s->real - s->told;

	if (off * 100 > s->real * percent)
		fail_msg("told %llu of %llu", (unsigned long long)s->told,
			 (unsigned long long)s->real);
}

static uint64_t short_cost(uint64_t i)
{
	(void)i;
	return 100;
}

static uint64_t long_cost(uint64_t i)
{
	(void)i;
	return 1000000;
}

/* One in fifty is a thousand times slower than the others. */
static uint64_t seldom_slow(uint64_t i)
{
	return i % 50 == 17 ? 50000 : 50;
}

/* Every second one. A fixed step would see only the one kind or the other. */
static uint64_t in_turn(uint64_t i)
{
	return i % 2 == 0 ? 10 : 1000;
}

static uint64_t slow_at_first(uint64_t i)
{
	return i == 0 ? 5000000 : 80;
}

/* A second, once, in calls that take nothing. */
static uint64_t once(uint64_t i)
{
	return i == 50000 ? 1000000000 : 20;
}

static uint64_t free_of_charge(uint64_t i)
{
	(void)i;
	return 0;
}

static void test_equal_calls(void **state)
{
	struct sums s = run(1000000, short_cost);

	(void)state;
	check_within(&s, 1);
	assert_in_range(s.timed, 1000, 10000);
	/* The first ones, and long ones, are all timed. */
	s = run(60, short_cost);
	assert_int_equal(s.timed, 60);
	s = run(1000, long_cost);
	assert_int_equal(s.timed, 1000);
	assert_int_equal(s.told, s.real);
	s = run(1000000, free_of_charge);
	assert_int_equal(s.told, 0);
}

static void test_unequal_calls(void **state)
{
	struct sums s = run(200000, seldom_slow);

	(void)state;
	check_within(&s, 35);
	s = run(1000000, in_turn);
	check_within(&s, 10);
	s = run(1000000, slow_at_first);
	check_within(&s, 10);
}

/* Whether that call was among those timed or not: it is told once at most. */
static void test_no_wild_guess(void **state)
{
	struct sums s = run(1000000, once);

	(void)state;
	assert_true(s.told <= s.real + s.real / 10);
}

static void test_clock(void **state)
{
	volatile unsigned x = 1;
	uint64_t begin = cpu_now_ns(), half, all;

	(void)state;
	for (int i = 0; i < 1000000; i++)
		x = x * 7 + 1;
	half = cpu_since_ns(begin);
	for (int i = 0; i < 1000000; i++)
		x = x * 7 + 1;
	all = cpu_since_ns(begin);
	assert_true(half > 0 && all > half);
	assert_true(cpu_since_ns(cpu_now_ns()) < 1000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_equal_calls),
		cmocka_unit_test(test_unequal_calls),
		cmocka_unit_test(test_no_wild_guess),
		cmocka_unit_test(test_clock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
