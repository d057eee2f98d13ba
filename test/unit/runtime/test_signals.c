/* The process's signals; most is tested from outside, see cli/test_signals. */
#include "unit.h"

#include <signal.h>

#include "runtime/loop.h"
#include "runtime/signals.h"

static void on_signal(int signo, void *arg)
{
	*(int *)arg = signo;
}

/* Another thread may still be on its way into the handler when the signals
 * are given back. */
static void handler_comes_late(void **state)
{
	struct sigaction caught;
	struct signals signals;
	struct loop loop;
	int told = 0;

	(void)state;
	assert_int_equal(loop_create(&loop), 0);
	assert_int_equal(signals_start(&signals, &loop, on_signal, &told), 0);
	assert_int_equal(sigaction(SIGUSR1, NULL, &caught), 0);
	signals_stop(&signals);
	caught.sa_handler(SIGUSR1);
	loop_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(told, 0);
	assert_int_equal(loop_destroy(&loop, NULL, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(handler_comes_late),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
