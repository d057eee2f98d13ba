/* What must finish before the end. */
#include "unit.h"

#include <uv.h>

#include "runtime/drain.h"

struct work {
	struct drainable d;
	uint64_t told; /* the deadline it was told; 0: not told */
	unsigned starts;
	bool done_at_once;
	struct work *other; /* taken out when this one is told */
};

static void on_start(struct drainable *d, uint64_t deadline_ms)
{
	struct work *w = (struct work *)d;

	w->told = deadline_ms;
	w->starts++;
	if (w->other != NULL)
		drain_remove(&w->other->d);
	if (w->done_at_once)
		drain_remove(d);
}

static void work_init(struct work *w)
{
	*w = (struct work){ .d = { .name = "work", .start = on_start } };
}

static void test_empty(void **state)
{
	struct drain drain;

	(void)state;
	drain_create(&drain);
	assert_true(drain_is_empty(&drain));
	drain_start(&drain, 5);
	assert_true(drain_is_empty(&drain));
}

static void test_in_turn(void **state)
{
	struct drain drain;
	struct work w[3];

	(void)state;
	drain_create(&drain);
	for (int i = 0; i < 3; i++) {
		work_init(&w[i]);
		assert_int_equal(drain_add(&drain, &w[i].d), 0);
	}
	w[1].done_at_once = true;
	drain_start(&drain, 7);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(w[i].told, 7);
		assert_int_equal(w[i].starts, 1);
	}
	assert_false(drain_is_empty(&drain));
	drain_remove(&w[0].d);
	drain_remove(&w[0].d); /* twice is harmless */
	assert_false(drain_is_empty(&drain));
	drain_remove(&w[2].d);
	assert_true(drain_is_empty(&drain));
}

static void test_all_at_once(void **state)
{
	struct drain drain;
	struct work w[2];

	(void)state;
	drain_create(&drain);
	for (int i = 0; i < 2; i++) {
		work_init(&w[i]);
		w[i].done_at_once = true;
		drain_add(&drain, &w[i].d);
	}
	drain_start(&drain, 1);
	assert_true(drain_is_empty(&drain));
}

/* One that is told takes out others: told already, or not yet. */
static void test_takes_out_others(void **state)
{
	struct drain drain;
	struct work w[3];

	(void)state;
	drain_create(&drain);
	for (int i = 0; i < 3; i++) {
		work_init(&w[i]);
		drain_add(&drain, &w[i].d);
	}
	w[1].other = &w[2];
	drain_start(&drain, 1);
	assert_int_equal(w[2].starts, 0);
	drain_remove(&w[1].d);
	assert_false(drain_is_empty(&drain));
	drain_remove(&w[0].d);
	assert_true(drain_is_empty(&drain));
}

static void test_too_late(void **state)
{
	struct drain drain;
	struct work w;

	(void)state;
	drain_create(&drain);
	work_init(&w);
	drain_remove(&w.d); /* one that never was in */
	drain_start(&drain, 1);
	assert_int_equal(drain_add(&drain, &w.d), UV_ECANCELED);
	assert_null(w.d.drain);
	drain_remove(&w.d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_in_turn),
		cmocka_unit_test(test_all_at_once),
		cmocka_unit_test(test_takes_out_others),
		cmocka_unit_test(test_too_late),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
