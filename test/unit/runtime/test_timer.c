/*
 * Timers against a reference that looks at every timer: the earliest is at the
 * root, each fires once, in order and never early; and what callbacks may do.
 *
 * test: timeout 60
 */
#include "unit.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/loop.h"
#include "runtime/timer.h"

static struct loop loop;
static struct timers timers;

static int set_up(void **state)
{
	(void)state;
	assert_int_equal(loop_create(&loop), 0);
	assert_int_equal(timers_create(&timers, &loop), 0);
	return 0;
}

static void no_stuck_handle(const char *kind, const char *detail, void *arg)
{
	(void)arg;
	fail_msg("stuck: %s, %s", kind, detail);
}

static int tear_down(void **state)
{
	(void)state;
	timers_close(&timers);
	timers_close(&timers); /* twice is harmless */
	assert_int_equal(loop_destroy(&loop, no_stuck_handle, NULL), 0);
	return 0;
}

struct item {
	struct timer timer;
	uint64_t due;
	int fired;
};

static struct item *item_of(struct timer *t)
{
	return (struct item *)t;
}

static uint64_t last_due;
static int fired;

static void on_fire(struct timer *t)
{
	struct item *item = item_of(t);

	assert_false(timer_active(t));
	assert_true(uv_hrtime() >= item->due);
	assert_true(item->due >= last_due);
	last_due = item->due;
	item->fired++;
	item->due = 0;
	fired++;
}

static void never(struct timer *t)
{
	(void)t;
	fail_msg("a stopped timer fired");
}

/* How many timers the heap holds; asserts its order and its links. */
static int check_heap(const struct timer *t)
{
	const struct timer *prev = t;
	int n = 1;

	for (const struct timer *c = t->child; c != NULL; c = c->sibling) {
		assert_true(c->due_ns >= t->due_ns);
		assert_ptr_equal(c->prev, prev);
		n += check_heap(c);
		prev = c;
	}
	return n;
}

static void root_is_the_earliest(void **state)
{
	enum { COUNT = 60 };
	static struct item items[COUNT];
	uint64_t far = uv_hrtime() + 3600000000000ull;

	(void)state;
	srand(11);
	for (int n = 0; n < 30000; n++) {
		struct item *item = &items[rand() % COUNT];
		uint64_t first = UINT64_MAX;
		int active = 0;

		if (rand() % 3 == 0) {
			timer_stop(&timers, &item->timer);
			item->due = 0;
		} else {
			item->due = far + rand() % 500;
			timer_start(&timers, &item->timer, item->due, never);
		}
		for (int i = 0; i < COUNT; i++) {
			assert_int_equal(timer_active(&items[i].timer),
					 items[i].due != 0);
			active += items[i].due != 0;
			if (items[i].due != 0 && items[i].due < first)
				first = items[i].due;
		}
		if (active == 0) {
			assert_null(timers.root);
			continue;
		}
		assert_int_equal(timers.root->due_ns, first);
		assert_int_equal(check_heap(timers.root), active);
		assert_true(timers.armed_ns <= first);
	}
	for (int i = 0; i < COUNT; i++)
		timer_stop(&timers, &items[i].timer);
	assert_null(timers.root);
	loop_run(&loop, UV_RUN_DEFAULT); /* nothing is left to wait for */
}

static void hundred_thousand(void **state)
{
	enum { COUNT = 100000 };
	struct item *items = calloc(COUNT, sizeof *items);
	uint64_t now = uv_hrtime();
	int active = 0;

	(void)state;
	srand(12);
	for (int n = 0; n < 4 * COUNT; n++) {
		struct item *item = &items[rand() % COUNT];

		if (rand() % 4 == 0) {
			timer_stop(&timers, &item->timer);
			item->due = 0;
		} else {
			/* Some in the past, some together. */
			item->due = now + (uint64_t)(rand() % 800) * 1000000;
			if (rand() % 8 == 0)
				item->due = now - rand() % 1000;
			timer_start(&timers, &item->timer, item->due, on_fire);
		}
	}
	for (int i = 0; i < COUNT; i++)
		active += items[i].due != 0;
	last_due = 0;
	fired = 0;
	assert_int_equal(loop_run(&loop, UV_RUN_DEFAULT), 0);
	assert_int_equal(fired, active);
	for (int i = 0; i < COUNT; i++)
		assert_true(items[i].due == 0 && items[i].fired <= 1);
	free(items);
}

static void in_the_past_and_at_zero(void **state)
{
	static const uint64_t dues[] = { 0, 1, 1000 };
	struct item items[3] = { 0 };

	(void)state;
	last_due = 0;
	fired = 0;
	for (int i = 0; i < 3; i++) {
		items[i].due = dues[i];
		timer_start(&timers, &items[i].timer, dues[i], on_fire);
		assert_true(timer_active(&items[i].timer));
	}
	loop_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(fired, 3);
}

/* Further away than any clock: must not wrap into the past. */
static void far_future(void **state)
{
	struct item far = { 0 }, near = { 0 };

	(void)state;
	last_due = 0;
	fired = 0;
	timer_start(&timers, &far.timer, UINT64_MAX, never);
	loop_run(&loop, UV_RUN_NOWAIT);
	near.due = uv_hrtime() + 1000000;
	timer_start(&timers, &near.timer, near.due, on_fire);
	while (fired == 0)
		loop_run(&loop, UV_RUN_ONCE);
	timer_stop(&timers, &far.timer);
	timer_stop(&timers, &far.timer);
}

/* Sub-millisecond deadlines: libuv's clock is coarser and lags behind. */
static void never_early(void **state)
{
	struct item item = { 0 };

	(void)state;
	for (int i = 0; i < 100; i++) {
		last_due = 0;
		item.due = uv_hrtime() + (uint64_t)(i * 37 % 3000) * 1000;
		timer_start(&timers, &item.timer, item.due, on_fire);
		loop_run(&loop, UV_RUN_DEFAULT);
	}
	assert_int_equal(item.fired, 100);
}

static struct item victims[3];
static int hits;

static void stops_the_others(struct timer *t)
{
	(void)t;
	hits++;
	timer_stop(&timers, &victims[0].timer); /* due now as well */
	timer_stop(&timers, &victims[1].timer); /* due later */
	timer_stop(&timers, t);                 /* itself: stopped already */
	timer_start(&timers, &victims[2].timer, uv_hrtime(), on_fire);
}

static void stops_inside_a_callback(void **state)
{
	struct item first = { 0 };
	uint64_t now = uv_hrtime();

	(void)state;
	memset(victims, 0, sizeof victims);
	hits = fired = 0;
	last_due = 0;
	timer_start(&timers, &first.timer, now, stops_the_others);
	timer_start(&timers, &victims[0].timer, now + 1, never);
	timer_start(&timers, &victims[1].timer, now + 5000000, never);
	loop_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(hits, 1);
	assert_int_equal(fired, 1);
}

static void restarts_itself(struct timer *t)
{
	if (++hits < 50)
		timer_start(&timers, t, uv_hrtime() + 100000, restarts_itself);
}

static void restarts_inside_its_callback(void **state)
{
	struct timer t = { 0 };

	(void)state;
	hits = 0;
	timer_start(&timers, &t, uv_hrtime(), restarts_itself);
	loop_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(hits, 50);
	assert_false(timer_active(&t));
}

static int rounds;

static void on_check(uv_check_t *check)
{
	if (++rounds == 20)
		uv_check_stop(check);
}

/* Always due again at once: the loop must turn all the same. */
static void restarts_in_the_past(struct timer *t)
{
	if (rounds < 20 && ++hits < 1000000)
		timer_start(&timers, t, 1, restarts_in_the_past);
}

static void overdue_timer_does_not_starve_the_loop(void **state)
{
	struct timer t = { 0 };
	uv_check_t check;

	(void)state;
	hits = rounds = 0;
	uv_check_init(&loop.uv, &check);
	uv_check_start(&check, on_check);
	timer_start(&timers, &t, 1, restarts_in_the_past);
	loop_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(rounds, 20);
	assert_true(hits < 1000000);
	uv_close((uv_handle_t *)&check, NULL);
	loop_run(&loop, UV_RUN_DEFAULT);
}

/* A stopped timer's handle must not keep the loop up for its time. */
static void stopping_the_last_lets_the_loop_end(void **state)
{
	struct timer t[3] = { { 0 } };
	uint64_t far = uv_hrtime() + 3600000000000ull;

	(void)state;
	for (int i = 0; i < 3; i++)
		timer_start(&timers, &t[i], far + i, never);
	for (int i = 0; i < 3; i++)
		timer_stop(&timers, &t[i]);
	loop_run(&loop, UV_RUN_DEFAULT);
}

static char order[16];
static int answer_fd;

static void on_answer(uv_poll_t *poll, int status, int events)
{
	(void)status, (void)events;
	strcat(order, "answer ");
	uv_poll_stop(poll);
}

static void on_patience(struct timer *t)
{
	(void)t;
	strcat(order, "end");
}

/* As a fiber that computes: behind the poll. */
static void on_busy(uv_check_t *check)
{
	uint64_t end = uv_hrtime() + 60000000;

	uv_check_stop(check);
	assert_int_equal(write(answer_fd, "x", 1), 1);
	while (uv_hrtime() < end)
		;
}

/* What came while the loop could not turn is told before the timeout. */
static void what_came_in_time_goes_first(void **state)
{
	struct timer patience = { 0 };
	uint64_t now = uv_hrtime();
	uv_check_t busy;
	uv_poll_t poll;
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	answer_fd = fds[1];
	order[0] = '\0';
	uv_poll_init(&loop.uv, &poll, fds[0]);
	uv_poll_start(&poll, UV_READABLE, on_answer);
	uv_check_init(&loop.uv, &busy);
	uv_check_start(&busy, on_busy);
	timer_start(&timers, &patience, now + 30000000, on_patience);
	loop_run(&loop, UV_RUN_NOWAIT);
	loop_run(&loop, UV_RUN_DEFAULT);
	assert_string_equal(order, "answer end");
	uv_close((uv_handle_t *)&poll, NULL);
	uv_close((uv_handle_t *)&busy, NULL);
	loop_run(&loop, UV_RUN_DEFAULT);
	close(fds[0]);
	close(fds[1]);
}

#define timed(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		timed(root_is_the_earliest),
		timed(hundred_thousand),
		timed(in_the_past_and_at_zero),
		timed(far_future),
		timed(never_early),
		timed(stops_inside_a_callback),
		timed(restarts_inside_its_callback),
		timed(overdue_timer_does_not_starve_the_loop),
		timed(what_came_in_time_goes_first),
		timed(stopping_the_last_lets_the_loop_end),
	};
	struct loop first;
	int fds, rc;

	/* libuv opens a pipe of its own with the first loop. */
	if (loop_create(&first) != 0 || loop_destroy(&first, NULL, NULL) != 0)
		return 1;
	fds = unit_open_fds();
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	return rc != 0 || unit_open_fds() != fds;
}
