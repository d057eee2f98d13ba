/* A helper thread: it runs, has its name, and takes no signals. */
#include "unit.h"

#include <semaphore.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>

#include "base/thread.h"

static char name[16];
static bool quiet;
static sem_t seen; /* it was looked at */

static void *body(void *arg)
{
	sigset_t blocked;

	pthread_sigmask(SIG_SETMASK, NULL, &blocked);
	quiet = sigismember(&blocked, SIGTERM) == 1 &&
		sigismember(&blocked, SIGRTMIN) == 1;
	sem_wait(&seen);
	return arg;
}

static void runs_quietly(void **state)
{
	sigset_t before, after;
	pthread_t thread;
	void *result;

	(void)state;
	sem_init(&seen, 0, 0);
	pthread_sigmask(SIG_SETMASK, NULL, &before);
	assert_int_equal(thread_start_helper(&thread, "a-name", body, &name),
			 0);
	pthread_getname_np(thread, name, sizeof name);
	sem_post(&seen);
	pthread_join(thread, &result);
	assert_string_equal(name, "a-name");
	assert_ptr_equal(result, name);
	assert_true(quiet);
	/* Who started it takes what it took before. */
	pthread_sigmask(SIG_SETMASK, NULL, &after);
	assert_int_equal(sigismember(&after, SIGTERM),
			 sigismember(&before, SIGTERM));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(runs_quietly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
