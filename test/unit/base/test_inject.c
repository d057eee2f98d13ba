/* Failures on demand: countdowns, several names, several threads. */
#include "unit.h"

#include <pthread.h>

#include "base/inject.h"

static void nothing_armed(void **state)
{
	(void)state;
	inject_reset();
	assert_false(inject("malloc"));
	assert_int_equal(inject_asked("malloc"), 0);
}

#ifdef NEAP_INJECT

static void counts_down(void **state)
{
	(void)state;
	inject_reset();
	assert_int_equal(inject_arm("a", 3, 2), 0);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(inject("a"), i == 3 || i == 4);
		assert_false(inject("b"));
	}
	assert_int_equal(inject_asked("a"), 10);
	assert_int_equal(inject_asked("b"), 0);
	inject_reset();
	assert_false(inject("a"));
	assert_int_equal(inject_asked("a"), 0);
}

static void fails_for_ever(void **state)
{
	(void)state;
	inject_reset();
	assert_int_equal(inject_arm("a", 1, -1), 0);
	assert_false(inject("a"));
	for (int i = 0; i < 1000; i++)
		assert_true(inject("a"));
	inject_reset();
	assert_int_equal(inject_arm("a", 0, 0), 0);
	assert_false(inject("a"));
	inject_reset();
}

static void table_and_names_have_an_end(void **state)
{
	char name[64];
	int armed = 0;

	(void)state;
	inject_reset();
	memset(name, 'n', sizeof name - 1);
	name[sizeof name - 1] = '\0';
	assert_int_equal(inject_arm(name, 0, 1), -1);
	while (inject_arm("full", 0, 1) == 0)
		assert_true(++armed < 1000);
	assert_true(armed > 0);
	inject_reset();
	assert_int_equal(inject_arm("full", 0, 1), 0);
	inject_reset();
}

static void allocations_fail(void **state)
{
	void *p = malloc(10);

	(void)state;
	inject_reset();
	assert_int_equal(inject_arm("malloc", 0, 4), 0);
	assert_null(mem_alloc(1));
	assert_null(mem_zalloc(1));
	assert_null(mem_realloc(p, 20));
	assert_null(mem_strdup("x"));
	mem_free(p);
	p = mem_strdup("x");
	assert_string_equal(p, "x");
	mem_free(p);
	mem_free(NULL);
	inject_reset();
}

enum { THREADS = 4, ASKS = 20000, FAILS = 1234 };

static void *ask(void *arg)
{
	long *seen = arg;

	for (int i = 0; i < ASKS; i++)
		*seen += inject("t");
	return NULL;
}

/* Each failure is dealt out once, whoever asks. */
static void threads_share_a_countdown(void **state)
{
	pthread_t thread[THREADS];
	long seen[THREADS] = { 0 }, total = 0;

	(void)state;
	inject_reset();
	assert_int_equal(inject_arm("t", 100, FAILS), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_create(&thread[i], NULL, ask, &seen[i]);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(thread[i], NULL);
		total += seen[i];
	}
	assert_int_equal(total, FAILS);
	assert_int_equal(inject_asked("t"), (long)THREADS * ASKS);
	inject_reset();
}

#else

static void cannot_be_armed(void **state)
{
	(void)state;
	assert_int_equal(inject_arm("a", 0, 1), -1);
	assert_false(inject("a"));
}

#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_armed),
#ifdef NEAP_INJECT
		cmocka_unit_test(counts_down),
		cmocka_unit_test(fails_for_ever),
		cmocka_unit_test(table_and_names_have_an_end),
		cmocka_unit_test(allocations_fail),
		cmocka_unit_test(threads_share_a_countdown),
#else
		cmocka_unit_test(cannot_be_armed),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
