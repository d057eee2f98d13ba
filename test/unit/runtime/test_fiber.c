/*
 * The scheduler with fibers that are C functions: states, races for the end of
 * a wait, joins, nesting, fairness.
 *
 * test: timeout 60
 */
#include "fake_fiber.h"

#include <stdlib.h>

static struct list parked; /* what the fibers wait in */
static char trace[256];

static void note(char c)
{
	size_t n = strlen(trace);

	assert_true(n + 1 < sizeof trace);
	trace[n] = c;
	trace[n + 1] = '\0';
}

static void run_all(void)
{
	while (!list_empty(&fake_sched.ready))
		sched_run_ready(&fake_sched);
}

/* Waits once, then ends. */
static void wait_body(struct fake *f)
{
	if (f->step == 1)
		fiber_park(&f->base, fake_undo, f, UINT64_MAX);
	else
		fiber_finish(&f->base, false);
}

static void end_body(struct fake *f)
{
	note((char)f->tag);
	fiber_finish(&f->base, false);
}

static void states(void **state)
{
	struct fake f;

	(void)state;
	fake_init(&f, wait_body);
	assert_int_equal(f.base.state, FIBER_NEW);
	assert_int_equal(fake_sched.count, 1);
	assert_false(fiber_wakeup(&f.base, 0));
	assert_false(fiber_interrupt(&f.base, UV_ETIMEDOUT));
	fiber_start(&f.base);
	assert_int_equal(f.base.state, FIBER_WAITING);
	assert_int_equal(fake_sched.waiting, 1);
	assert_null(fake_sched.current);
	assert_true(fiber_wakeup(&f.base, 17));
	assert_int_equal(fake_sched.waiting, 0);
	assert_int_equal(f.base.state, FIBER_READY);
	assert_int_equal(f.step, 1); /* not run from the waker's stack */
	assert_false(fiber_wakeup(&f.base, 18));
	run_all();
	assert_int_equal(f.last_status, 17);
	assert_int_equal(f.undone, 0); /* the waker owned the wait */
	assert_true(fiber_is_dead(&f.base));
	assert_false(fiber_wakeup(&f.base, 0));
	assert_false(fiber_interrupt(&f.base, 0));
	fiber_cancel(&f.base);
	assert_true(fiber_is_dead(&f.base));
	assert_int_equal(f.base.switches, 2);
}

static void ids_and_find(void **state)
{
	struct fake f[50];
	uint64_t last = 0;

	(void)state;
	for (int i = 0; i < 50; i++) {
		fake_init(&f[i], end_body);
		f[i].tag = 'x';
		assert_true(f[i].base.id > last);
		last = f[i].base.id;
	}
	for (int i = 0; i < 50; i += 2)
		fiber_finish(&f[i].base, false); /* given up: never ran */
	for (int i = 0; i < 50; i++)
		assert_ptr_equal(fiber_find(&fake_sched, f[i].base.id),
				 i % 2 == 0 ? NULL : &f[i].base);
	assert_null(fiber_find(&fake_sched, 0));
	assert_null(fiber_find(&fake_sched, UINT64_MAX));
	assert_int_equal(fake_sched.count, 25);
	trace[0] = '\0';
	for (int i = 1; i < 50; i += 2)
		fiber_start(&f[i].base);
	assert_int_equal(strlen(trace), 25);
	fake_init(&f[0], end_body);
	assert_true(f[0].base.id > last); /* used again: a new id */
	fiber_finish(&f[0].base, true);
	assert_true(f[0].base.flags & FIBER_FAILED);
}

static void yield_body(struct fake *f)
{
	note((char)f->tag);
	assert_int_equal(f->last_status, 0);
	if (f->step == 3)
		fiber_finish(&f->base, false);
	else
		fiber_yield_begin(&f->base);
}

static void ready_queue_is_first_come_first_served(void **state)
{
	struct fake f[3];

	(void)state;
	trace[0] = '\0';
	for (int i = 0; i < 3; i++) {
		fake_init(&f[i], yield_body);
		f[i].tag = 'a' + i;
		fiber_start_later(&f[i].base);
		assert_int_equal(f[i].base.state, FIBER_READY);
	}
	assert_string_equal(trace, "");
	loop_run(&fake_loop, UV_RUN_DEFAULT);
	assert_string_equal(trace, "abcabcabc");
}

/* Two of the three ends of a wait, in each order: the first one wins. */
enum end { WAKEUP, CANCEL, TIMEOUT, BARE, ENDS };

static int end_wait(struct fake *f, enum end how)
{
	switch (how) {
	case WAKEUP:
		return fiber_wakeup(&f->base, 5) ? 5 : -1;
	case CANCEL:
		if (f->base.state != FIBER_WAITING) {
			fiber_cancel(&f->base);
			return -1;
		}
		fiber_cancel(&f->base);
		return f->base.state == FIBER_READY ? UV_ECANCELED : -1;
	case TIMEOUT:
		return fiber_interrupt(&f->base, UV_ETIMEDOUT) ? UV_ETIMEDOUT
							       : -1;
	default:
		return fiber_interrupt(&f->base, 0) ? 0 : -1;
	}
}

static void first_end_wins(void **state)
{
	(void)state;
	for (int a = 0; a < BARE; a++) {
		for (int b = 0; b < ENDS; b++) {
			struct fake f;
			int first;

			fake_init(&f, wait_body);
			fiber_start(&f.base);
			first = end_wait(&f, a);
			assert_true(first != -1);
			assert_int_equal(end_wait(&f, b), -1);
			assert_int_equal(f.undone, a != WAKEUP);
			run_all();
			assert_int_equal(f.last_status, first);
			assert_int_equal(f.undone, a != WAKEUP);
			assert_int_equal(!!(f.base.flags & FIBER_CANCELLED),
					 a == CANCEL || b == CANCEL);
		}
	}
}

static void wakeable_body(struct fake *f)
{
	if (f->step == 1) {
		fiber_park(&f->base, fake_undo, f, UINT64_MAX);
		f->base.flags |= FIBER_WAKEABLE;
	} else if (f->step == 2) { /* the flag is of one wait alone */
		fiber_park(&f->base, fake_undo, f, UINT64_MAX);
	} else {
		fiber_finish(&f->base, false);
	}
}

static void bare_wakeup_needs_a_wait_that_allows_it(void **state)
{
	struct fake f;

	(void)state;
	fake_init(&f, wakeable_body);
	fiber_start(&f.base);
	assert_true(fiber_interrupt(&f.base, 0));
	assert_int_equal(f.undone, 1);
	run_all();
	assert_int_equal(f.last_status, 0);
	assert_false(fiber_interrupt(&f.base, 0));
	assert_int_equal(f.undone, 1);
	assert_int_equal(f.base.state, FIBER_WAITING);
	assert_true(fiber_wakeup(&f.base, 0));
	run_all();
}

static void firm_body(struct fake *f)
{
	if (f->step == 1) {
		fiber_park(&f->base, fake_undo, f, UINT64_MAX);
		f->base.flags |= FIBER_UNCANCELLABLE;
	} else if (f->step == 2) {
		assert_int_equal(f->last_status, 3);
		fiber_park(&f->base, fake_undo, f, UINT64_MAX);
	} else {
		fiber_finish(&f->base, false);
	}
}

static void cancel_of_a_wait_that_must_not_end(void **state)
{
	struct fake f;

	(void)state;
	fake_init(&f, firm_body);
	fiber_start(&f.base);
	fiber_cancel(&f.base);
	assert_int_equal(f.base.state, FIBER_WAITING);
	assert_true(f.base.flags & FIBER_CANCELLED);
	assert_int_equal(f.undone, 0);
	fiber_wakeup(&f.base, 3);
	run_all();
	assert_int_equal(f.base.state, FIBER_WAITING);
	fiber_cancel(&f.base); /* the next wait is an ordinary one */
	run_all();
	assert_int_equal(f.last_status, UV_ECANCELED);
	assert_true(fiber_is_dead(&f.base));
}

static void cancel_body(struct fake *f)
{
	if (f->step == 1) {
		fiber_yield_begin(&f->base);
	} else if (f->step == 2) {
		assert_int_equal(f->last_status, UV_ECANCELED);
		/* Woken with a value, then cancelled: the value counts. */
		fiber_park(&f->base, NULL, NULL, UINT64_MAX);
	} else {
		assert_int_equal(f->last_status, 9);
		fiber_finish(&f->base, false);
	}
}

static void cancel_before_and_after_a_run(void **state)
{
	struct fake f;

	(void)state;
	/* One that was not started yet runs; it is told at its first wait. */
	fake_init(&f, wait_body);
	fiber_cancel(&f.base);
	assert_int_equal(f.base.state, FIBER_NEW);
	fiber_start_later(&f.base);
	fiber_cancel(&f.base);
	run_all();
	assert_int_equal(f.last_status, 0);
	fiber_cancel(&f.base);
	run_all();
	assert_true(fiber_is_dead(&f.base));

	fake_init(&f, cancel_body);
	fiber_start(&f.base);
	fiber_cancel(&f.base);
	run_all();
	assert_int_equal(f.step, 2);
	fiber_wakeup(&f.base, 9);
	fiber_cancel(&f.base);
	run_all();
	assert_int_equal(f.step, 3);
	assert_true(fiber_is_dead(&f.base));
}

static void timeout_body(struct fake *f)
{
	static const uint64_t timeouts[] = { 0, 1, 999999, 3000000 };

	if (f->step > 1) {
		assert_int_equal(f->last_status, UV_ETIMEDOUT);
		assert_int_equal(f->undone, f->step - 1);
	}
	if (f->step <= 4) {
		fiber_park(&f->base, fake_undo, f, timeouts[f->step - 1]);
		list_add_tail(&parked, &f->base.link);
	} else {
		fiber_finish(&f->base, false);
	}
}

static void timeouts(void **state)
{
	struct fake f[20];

	(void)state;
	list_init(&parked);
	for (int i = 0; i < 20; i++) {
		fake_init(&f[i], timeout_body);
		fiber_start(&f[i].base);
	}
	loop_run(&fake_loop, UV_RUN_DEFAULT);
	for (int i = 0; i < 20; i++)
		assert_true(fiber_is_dead(&f[i].base));
	assert_true(list_empty(&parked));
}

static void long_body(struct fake *f)
{
	if (f->step == 1)
		fiber_park(&f->base, fake_undo, f, UINT64_MAX - 1);
	else
		fiber_finish(&f->base, false);
}

/* "For ever" and a nanosecond less than that are both far away. */
static void longest_timeout_does_not_wrap(void **state)
{
	struct fake f;

	(void)state;
	fake_init(&f, long_body);
	fiber_start(&f.base);
	for (int i = 0; i < 5; i++) {
		loop_run(&fake_loop, UV_RUN_NOWAIT);
		uv_sleep(1);
	}
	assert_int_equal(f.base.state, FIBER_WAITING);
	fiber_wakeup(&f.base, 0);
	run_all();
	assert_int_equal(f.last_status, 0);
}

static void unpark_body(struct fake *f)
{
	if (f->step == 1) {
		fiber_park(&f->base, fake_undo, f, 0);
		list_add_tail(&parked, &f->base.link);
		fiber_unpark(&f->base);
		assert_int_equal(f->base.state, FIBER_RUNNING);
		assert_int_equal(f->undone, 1);
		assert_true(list_empty(&parked));
		assert_int_equal(fake_sched.waiting, 0);
		assert_false(timer_active(&f->base.timer));
		fiber_yield_begin(&f->base);
		fiber_unpark(&f->base);
		assert_int_equal(f->base.state, FIBER_RUNNING);
		assert_int_equal(f->undone, 1);
		assert_true(list_empty(&fake_sched.ready));
		fiber_park(&f->base, fake_undo, f, UINT64_MAX);
	} else {
		fiber_finish(&f->base, false);
	}
}

static void taking_back_a_wait(void **state)
{
	struct fake f;

	(void)state;
	list_init(&parked);
	fake_init(&f, unpark_body);
	fiber_start(&f.base);
	assert_int_equal(f.base.state, FIBER_WAITING);
	fiber_cancel(&f.base); /* it did not yield: this ends the wait */
	assert_int_equal(f.undone, 2);
	run_all();
	assert_int_equal(f.last_status, UV_ECANCELED);
}

static void join_body(struct fake *f)
{
	if (f->step == 1) {
		fiber_join_begin(&f->base, f->arg,
				 f->tag == 't' ? 0 : UINT64_MAX);
	} else {
		note((char)f->tag);
		fiber_finish(&f->base, false);
	}
}

static void joins(void **state)
{
	struct fake target, j[5];

	(void)state;
	trace[0] = '\0';
	fake_init(&target, wait_body);
	fiber_start(&target.base);
	for (int i = 0; i < 5; i++) {
		fake_init(&j[i], join_body);
		j[i].arg = &target.base;
		j[i].tag = "1t2c3"[i];
		fiber_start(&j[i].base);
	}
	fiber_cancel(&j[3].base);
	assert_false(fiber_interrupt(&j[0].base, 0)); /* no bare wakeup */
	while (j[1].step < 2)                         /* the timeout */
		loop_run(&fake_loop, UV_RUN_ONCE);
	assert_int_equal(j[1].last_status, UV_ETIMEDOUT);
	assert_int_equal(j[3].last_status, UV_ECANCELED);
	assert_string_equal(trace, "ct");
	fiber_wakeup(&target.base, 0);
	run_all();
	assert_string_equal(trace, "ct123");
	for (int i = 0; i < 5; i += 2)
		assert_int_equal(j[i].last_status, 0);
	assert_true(list_empty(&target.base.joiners));
}

enum { NEST = 100 };

static struct fake nest[NEST];
static unsigned deepest;

static void nest_body(struct fake *f)
{
	int i = (int)(f - nest);

	if (f->step == 1) {
		if (fake_sched.depth > deepest)
			deepest = fake_sched.depth;
		if (i + 1 < NEST) {
			fake_init(&nest[i + 1], nest_body);
			fiber_start(&nest[i + 1].base);
			assert_true(nest[i + 1].base.state == FIBER_READY ||
				    nest[i + 1].base.state == FIBER_WAITING);
		}
		assert_ptr_equal(fake_sched.current, &f->base);
		assert_int_equal(f->base.state, FIBER_RUNNING);
		fiber_park(&f->base, NULL, NULL, UINT64_MAX);
	} else {
		fiber_finish(&f->base, false);
	}
}

/* Starting inside starting has a limit, beyond which it is put off. */
static void nested_starts(void **state)
{
	(void)state;
	deepest = 0;
	fake_init(&nest[0], nest_body);
	fiber_start(&nest[0].base);
	assert_int_equal(nest[0].base.state, FIBER_WAITING);
	run_all();
	assert_int_equal(fake_sched.waiting, NEST);
	assert_true(deepest > 1 && deepest <= 64);
	for (int i = 0; i < NEST; i++)
		fiber_wakeup(&nest[i].base, 0);
	run_all();
}

static void hog_body(struct fake *f)
{
	if (*(int *)f->arg)
		fiber_finish(&f->base, false);
	else
		fiber_yield_begin(&f->base);
}

static void sleep_body(struct fake *f)
{
	if (f->step == 1) {
		fiber_park(&f->base, NULL, NULL, 2000000);
	} else {
		*(int *)f->arg = 1;
		fiber_finish(&f->base, false);
	}
}

static void on_timer(uv_timer_t *t)
{
	*(int *)t->data = 1;
	uv_close((uv_handle_t *)t, NULL);
}

/* Fibers that yield without end do not keep I/O from its turn. */
static void yielding_fibers_do_not_starve_the_loop(void **state)
{
	struct fake hogs[40], sleeper;
	uv_timer_t t;
	int done;

	(void)state;
	for (int count = 1; count <= 40; count += 13) {
		for (int io = 0; io < 2; io++) {
			done = 0;
			for (int i = 0; i < count; i++) {
				fake_init(&hogs[i], hog_body);
				hogs[i].arg = &done;
				fiber_start_later(&hogs[i].base);
			}
			if (io) {
				uv_timer_init(&fake_loop.uv, &t);
				t.data = &done;
				uv_timer_start(&t, on_timer, 2, 0);
			} else {
				fake_init(&sleeper, sleep_body);
				sleeper.arg = &done;
				fiber_start(&sleeper.base);
			}
			loop_run(&fake_loop, UV_RUN_DEFAULT);
			assert_int_equal(done, 1);
		}
	}
}

/* The loop ends when only fibers that nobody will wake are left. */
static void waiting_fibers_do_not_keep_the_loop(void **state)
{
	struct fake f;

	(void)state;
	fake_init(&f, wait_body);
	fiber_start(&f.base);
	assert_int_equal(fake_sched.waiting, 1);
	loop_run(&fake_loop, UV_RUN_DEFAULT);
	fiber_wakeup(&f.base, 0);
	loop_run(&fake_loop, UV_RUN_DEFAULT);
	assert_true(fiber_is_dead(&f.base));
	assert_int_equal(fake_sched.waiting, 0);
}

/* Random events against what each fiber remembers of itself. */
enum { CROWD = 40 };

static struct fake crowd[CROWD];
static int expected[CROWD]; /* status of the next resume; 1: none is due */
static int undo_due[CROWD];

static void crowd_body(struct fake *f)
{
	int i = (int)(f - crowd);

	if (f->step > 1) {
		assert_int_not_equal(expected[i], 1);
		assert_int_equal(f->last_status, expected[i]);
	}
	assert_int_equal(f->undone, undo_due[i]);
	expected[i] = 1;
	switch (rand() % 6) {
	case 0:
		expected[i] = 0;
		fiber_yield_begin(&f->base);
		break;
	case 1:
		fiber_finish(&f->base, false);
		break;
	default:
		fiber_park(&f->base, fake_undo, f, UINT64_MAX);
		if (rand() % 2)
			f->base.flags |= FIBER_WAKEABLE;
		list_add_tail(&parked, &f->base.link);
	}
}

static void poke(struct fake *f)
{
	int i = (int)(f - crowd), how = rand() % 4;
	bool waits = f->base.state == FIBER_WAITING, ended;

	switch (how) {
	case 0:
		ended = fiber_wakeup(&f->base, 0);
		assert_int_equal(ended, waits);
		if (ended)
			expected[i] = 0;
		return;
	case 1:
		ended = fiber_interrupt(&f->base, UV_ETIMEDOUT);
		assert_int_equal(ended, waits);
		if (ended)
			expected[i] = UV_ETIMEDOUT;
		break;
	case 2:
		ended = fiber_interrupt(&f->base, 0);
		if (ended)
			expected[i] = 0;
		break;
	default:
		if (f->base.state == FIBER_READY &&
		    (f->base.flags & FIBER_YIELDED))
			expected[i] = UV_ECANCELED;
		fiber_cancel(&f->base);
		ended = waits;
		if (ended)
			expected[i] = UV_ECANCELED;
	}
	undo_due[i] += ended;
}

static void random_events(void **state)
{
	unsigned waiting, live;

	(void)state;
	list_init(&parked);
	srand(5);
	for (int i = 0; i < CROWD; i++)
		crowd[i].base.state = FIBER_DEAD;
	for (int n = 0; n < 200000; n++) {
		struct fake *f = &crowd[rand() % CROWD];
		int i = (int)(f - crowd);

		if (fiber_is_dead(&f->base)) {
			fake_init(f, crowd_body);
			undo_due[i] = 0;
			if (rand() % 2)
				fiber_start(&f->base);
			else
				fiber_start_later(&f->base);
		} else {
			poke(f);
		}
		if (n % 7 == 0)
			sched_run_ready(&fake_sched);
		waiting = live = 0;
		list_foreach(link, &parked)
			waiting++;
		assert_int_equal(waiting, fake_sched.waiting);
		list_foreach(link, &fake_sched.all)
			live++;
		assert_int_equal(live, fake_sched.count);
	}
	while (fake_sched.count > 0) {
		for (int i = 0; i < CROWD; i++)
			poke(&crowd[i]);
		sched_run_ready(&fake_sched);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scheduled(states),
		scheduled(ids_and_find),
		scheduled(ready_queue_is_first_come_first_served),
		scheduled(first_end_wins),
		scheduled(bare_wakeup_needs_a_wait_that_allows_it),
		scheduled(cancel_of_a_wait_that_must_not_end),
		scheduled(cancel_before_and_after_a_run),
		scheduled(timeouts),
		scheduled(longest_timeout_does_not_wrap),
		scheduled(taking_back_a_wait),
		scheduled(joins),
		scheduled(nested_starts),
		scheduled(yielding_fibers_do_not_starve_the_loop),
		scheduled(waiting_fibers_do_not_keep_the_loop),
		scheduled(random_events),
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
