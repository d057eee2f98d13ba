/* Conditions: first come, first served; ends from outside; no lost signals. */
#include "fake_fiber.h"

#include <stdlib.h>

#include "runtime/cond.h"

static struct cond cond;
static char trace[64];

static void run_all(void)
{
	while (!list_empty(&fake_sched.ready))
		sched_run_ready(&fake_sched);
}

static void note(char c)
{
	size_t n = strlen(trace);

	assert_true(n + 1 < sizeof trace);
	trace[n] = c;
	trace[n + 1] = '\0';
}

static void body(struct fake *f)
{
	if (f->step == 1) {
		cond_wait_begin(&cond, &f->base,
				f->tag == 't' ? 0 : UINT64_MAX);
	} else {
		note((char)f->tag);
		fiber_finish(&f->base, false);
	}
}

static void start(struct fake *f, const char *tags)
{
	trace[0] = '\0';
	cond_create(&cond);
	for (; *tags != '\0'; f++, tags++) {
		fake_init(f, body);
		f->tag = *tags;
		fiber_start(&f->base);
	}
}

static void signals_in_order(void **state)
{
	struct fake f[4];

	(void)state;
	start(f, "abcd");
	cond_signal(&cond);
	cond_signal(&cond); /* the first is ready, not gone: the next's turn */
	run_all();
	assert_string_equal(trace, "ab");
	cond_broadcast(&cond);
	assert_true(list_empty(&cond.waiters));
	run_all();
	assert_string_equal(trace, "abcd");
	for (int i = 0; i < 4; i++)
		assert_int_equal(f[i].last_status, 0);
	cond_signal(&cond);
	cond_broadcast(&cond);
	cond_destroy(&cond);
}

/* A signal that meets one who has been cancelled goes to the next. */
static void signal_is_not_lost(void **state)
{
	struct fake f[3];

	(void)state;
	start(f, "abc");
	fiber_cancel(&f[0].base);
	cond_signal(&cond);
	run_all();
	assert_string_equal(trace, "ab");
	assert_int_equal(f[0].last_status, UV_ECANCELED);
	assert_int_equal(f[1].last_status, 0);
	assert_true(fiber_interrupt(&f[2].base, 0)); /* a bare wakeup */
	assert_true(list_empty(&cond.waiters));
	run_all();
	cond_destroy(&cond);
}

static void timeouts(void **state)
{
	struct fake f[3];

	(void)state;
	start(f, "atb");
	loop_run(&fake_loop, UV_RUN_DEFAULT);
	assert_string_equal(trace, "t");
	assert_int_equal(f[1].last_status, UV_ETIMEDOUT);
	cond_broadcast(&cond);
	run_all();
	assert_string_equal(trace, "tab");
	cond_destroy(&cond);
}

static void again_body(struct fake *f)
{
	if (f->step <= 5)
		cond_wait_begin(&cond, &f->base, UINT64_MAX);
	else
		fiber_finish(&f->base, false);
}

/* A broadcast wakes those who wait now, not those who come back. */
static void waiting_again_after_a_broadcast(void **state)
{
	struct fake f[10];

	(void)state;
	cond_create(&cond);
	for (int i = 0; i < 10; i++) {
		fake_init(&f[i], again_body);
		fiber_start(&f[i].base);
	}
	for (int round = 2; round <= 6; round++) {
		cond_broadcast(&cond);
		run_all();
		for (int i = 0; i < 10; i++)
			assert_int_equal(f[i].step, round);
	}
	cond_destroy(&cond);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scheduled(signals_in_order),
		scheduled(signal_is_not_lost),
		scheduled(timeouts),
		scheduled(waiting_again_after_a_broadcast),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
