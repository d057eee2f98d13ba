/* The process's signals; most is tested from outside, see cli/test_signals. */
#include "unit.h"

#include <signal.h>
#include <unistd.h>

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

static void blocked_by_the_parent(void **state)
{
	struct signals signals;
	struct loop loop;
	sigset_t set, old;
	int told = 0;

	(void)state;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	assert_int_equal(pthread_sigmask(SIG_BLOCK, &set, &old), 0);
	assert_int_equal(loop_create(&loop), 0);
	assert_int_equal(raise(SIGTERM), 0);
	assert_int_equal(signals_start(&signals, &loop, on_signal, &told), 0);
	uv_ref((uv_handle_t *)&signals.async);
	loop_run(&loop, UV_RUN_ONCE);
	assert_int_equal(told, SIGTERM);
	signals_stop(&signals);
	loop_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(loop_destroy(&loop, NULL, NULL), 0);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

/* What was none is not counted: the next one is the first. */
static void withdrawn(void **state)
{
	struct signals signals;
	struct loop loop;
	int told = 0;

	(void)state;
	assert_int_equal(loop_create(&loop), 0);
	assert_int_equal(signals_start(&signals, &loop, on_signal, &told), 0);
	signals_set_deadline(1000);
	assert_int_equal(raise(SIGHUP), 0);
	signals_withdraw(SIGTERM);
	assert_int_not_equal(alarm(1000), 0);
	signals_withdraw(SIGHUP);
	assert_int_equal(alarm(0), 0);
	assert_int_equal(raise(SIGTERM), 0);
	assert_int_not_equal(alarm(1000), 0);
	signals_stop(&signals);
	assert_int_equal(alarm(0), 0);
	signals_set_deadline(0);
	loop_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(loop_destroy(&loop, NULL, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(handler_comes_late),
		cmocka_unit_test(blocked_by_the_parent),
		cmocka_unit_test(withdrawn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
