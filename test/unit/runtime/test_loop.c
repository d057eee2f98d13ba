/*
 * The loop: no re-entry, an end that names what was left open, requests in
 * flight when it comes.
 *
 * test: timeout 60
 */
#include "unit.h"

#include <stdlib.h>
#include <unistd.h>

#include "leak.h"
#include "runtime/loop.h"

static char told[512];

static void tell(const char *kind, const char *detail, void *arg)
{
	size_t n = strlen(told);

	assert_ptr_equal(arg, told);
	snprintf(told + n, sizeof told - n, "%s (%s); ", kind, detail);
}

static int destroy(struct loop *loop)
{
	told[0] = '\0';
	return loop_destroy(loop, tell, told);
}

static void empty(void **state)
{
	struct loop loop;

	(void)state;
	assert_int_equal(loop_create(&loop), 0);
	assert_int_equal(loop_run(&loop, UV_RUN_DEFAULT), 0);
	assert_int_equal(loop_run(&loop, UV_RUN_ONCE), 0);
	assert_int_equal(destroy(&loop), 0);
	assert_string_equal(told, "");
}

static int calls;

static void reenter(uv_timer_t *t)
{
	struct loop *loop = t->data;

	calls++;
	assert_int_equal(loop_run(loop, UV_RUN_DEFAULT), UV_EBUSY);
	assert_int_equal(loop_run(loop, UV_RUN_NOWAIT), UV_EBUSY);
	assert_int_equal(loop_destroy(loop, NULL, NULL), UV_EBUSY);
	uv_close((uv_handle_t *)t, NULL);
}

static void reentry_is_refused(void **state)
{
	struct loop loop;
	uv_timer_t t;

	(void)state;
	calls = 0;
	assert_int_equal(loop_create(&loop), 0);
	uv_timer_init(&loop.uv, &t);
	t.data = &loop;
	uv_timer_start(&t, reenter, 0, 0);
	assert_int_equal(loop_run(&loop, UV_RUN_DEFAULT), 0);
	assert_int_equal(calls, 1);
	assert_int_equal(loop_run(&loop, UV_RUN_DEFAULT), 0);
	assert_int_equal(destroy(&loop), 0);
}

static void stop(uv_idle_t *idle)
{
	if (++calls == 3)
		loop_stop(idle->data);
}

static void stops(void **state)
{
	struct loop loop;
	uv_idle_t idle;

	(void)state;
	calls = 0;
	assert_int_equal(loop_create(&loop), 0);
	uv_idle_init(&loop.uv, &idle);
	idle.data = &loop;
	uv_idle_start(&idle, stop);
	assert_int_equal(loop_run(&loop, UV_RUN_DEFAULT), 0);
	assert_int_equal(calls, 3);
	uv_close((uv_handle_t *)&idle, NULL);
	assert_int_equal(destroy(&loop), 0);
}

static void stuck_handles_are_named(void **state)
{
	static uv_timer_t active, inactive;
	static uv_pipe_t pipe;
	static uv_async_t async;
	int fds[2], before;
	struct loop loop;
	char want[64];

	(void)state;
	before = unit_open_fds();
	assert_int_equal(loop_create(&loop), 0);
	uv_timer_init(&loop.uv, &active);
	uv_timer_start(&active, reenter, 100000, 0);
	uv_timer_init(&loop.uv, &inactive);
	uv_async_init(&loop.uv, &async, NULL);
	assert_int_equal(pipe2(fds, 0), 0);
	uv_pipe_init(&loop.uv, &pipe, 0);
	uv_pipe_open(&pipe, fds[0]);
	assert_int_equal(destroy(&loop), 4);
	assert_non_null(strstr(told, "timer (active); "));
	assert_non_null(strstr(told, "timer (inactive); "));
	assert_non_null(strstr(told, "async ("));
	snprintf(want, sizeof want, "pipe (descriptor %d); ", fds[0]);
	assert_non_null(strstr(told, want));
	close(fds[1]);
	assert_int_equal(unit_open_fds(), before);
}

static void nobody_to_tell(void **state)
{
	static uv_timer_t t;
	struct loop loop;

	(void)state;
	assert_int_equal(loop_create(&loop), 0);
	uv_timer_init(&loop.uv, &t);
	assert_int_equal(loop_destroy(&loop, NULL, NULL), 1);
}

enum { CHAIN = 20 };

static uv_idle_t chain[CHAIN];

static void close_next(uv_handle_t *h)
{
	uv_idle_t *next = (uv_idle_t *)h + 1;

	calls++;
	if (next < chain + CHAIN)
		uv_close((uv_handle_t *)next, close_next);
}

/* Handles that close others when they are closed are nobody's bug. */
static void long_chain_of_closes_is_not_stuck(void **state)
{
	struct loop loop;

	(void)state;
	calls = 0;
	assert_int_equal(loop_create(&loop), 0);
	for (int i = 0; i < CHAIN; i++)
		uv_idle_init(&loop.uv, &chain[i]);
	uv_close((uv_handle_t *)&chain[0], close_next);
	assert_int_equal(destroy(&loop), 0);
	assert_string_equal(told, "");
	assert_int_equal(calls, CHAIN);
}

static int work_ms;

static void work(uv_work_t *req)
{
	(void)req;
	uv_sleep(work_ms);
}

static void after_work(uv_work_t *req, int status)
{
	assert_int_equal(status, 0);
	calls++;
	free(req);
}

static void requests_in_flight_are_waited_for(void **state)
{
	struct loop loop;

	(void)state;
	calls = 0;
	work_ms = 50;
	assert_int_equal(loop_create(&loop), 0);
	for (int i = 0; i < 6; i++)
		uv_queue_work(&loop.uv, malloc(sizeof(uv_work_t)), work,
			      after_work);
	assert_int_equal(destroy(&loop), 0);
	assert_int_equal(calls, 6);
}

/* One that does not end in time: said so, and the memory is still in use. */
static void endless_request_is_reported(void **state)
{
	static struct loop loop;

	(void)state;
	calls = 0;
	work_ms = 2600;
	assert_int_equal(loop_create(&loop), 0);
	uv_queue_work(&loop.uv, malloc(sizeof(uv_work_t)), work, after_work);
	assert_int_equal(destroy(&loop), UV_EBUSY);
	assert_int_equal(calls, 0);
	assert_int_equal(loop_run(&loop, UV_RUN_DEFAULT), 0);
	assert_int_equal(calls, 1);
	assert_int_equal(destroy(&loop), 0);
}

static void rounds(int n)
{
	struct loop loop;
	uv_timer_t t;

	while (n-- > 0) {
		assert_int_equal(loop_create(&loop), 0);
		uv_timer_init(&loop.uv, &t);
		uv_timer_start(&t, reenter, 100000, 0);
		uv_close((uv_handle_t *)&t, NULL);
		assert_int_equal(loop_destroy(&loop, NULL, NULL), 0);
	}
}

static void heap_and_descriptors_stay_level(void **state)
{
	struct loop leaked;
	size_t before;
	int fds;

	(void)state;
	rounds(3);
	before = leak_bytes();
	fds = unit_open_fds();
	rounds(100);
	assert_int_equal(leak_bytes(), before);
	assert_int_equal(unit_open_fds(), fds);
	/* The twin: one loop that is not destroyed is seen. */
	assert_int_equal(loop_create(&leaked), 0);
	assert_true(leak_bytes() > before);
	assert_true(unit_open_fds() > fds);
	assert_int_equal(loop_destroy(&leaked, NULL, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(empty),
		cmocka_unit_test(reentry_is_refused),
		cmocka_unit_test(stops),
		cmocka_unit_test(stuck_handles_are_named),
		cmocka_unit_test(nobody_to_tell),
		cmocka_unit_test(long_chain_of_closes_is_not_stuck),
		cmocka_unit_test(requests_in_flight_are_waited_for),
		cmocka_unit_test(endless_request_is_reported),
		cmocka_unit_test(heap_and_descriptors_stay_level),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
