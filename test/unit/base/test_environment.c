/* Changes to the environment, also while other threads read it. Not for the thread
 * sanitizer: it does not see how getenv() comes to what it gives. */
#include "unit.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/environment.h"

static void count(const char *entry, void *arg)
{
	*(int *)arg += strncmp(entry, "TEST_ENVIRONMENT", 16) == 0;
}

static int ours(void)
{
	int n = 0;

	environment_each(count, &n);
	return n;
}

static void sets(void **state)
{
	char name[40];

	(void)state;
	assert_int_equal(environment_set("TEST_ENVIRONMENT", "a=b"), 0);
	assert_string_equal(getenv("TEST_ENVIRONMENT"), "a=b");
	assert_int_equal(environment_set("TEST_ENVIRONMENT", ""), 0);
	assert_string_equal(getenv("TEST_ENVIRONMENT"), "");
	assert_int_equal(ours(), 1);
	assert_int_equal(environment_set("TEST_ENVIRONMENT", NULL), 0);
	assert_null(getenv("TEST_ENVIRONMENT"));
	assert_int_equal(environment_set("TEST_ENVIRONMENT", NULL), 0);
	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "TEST_ENVIRONMENT_%d", i);
		assert_int_equal(environment_set(name, name), 0);
	}
	assert_int_equal(ours(), 300);
	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "TEST_ENVIRONMENT_%d", i);
		assert_string_equal(getenv(name), name);
		assert_int_equal(environment_set(name, NULL), 0);
	}
	assert_int_equal(ours(), 0);
	assert_non_null(getenv("PATH"));
}

static void refuses(void **state)
{
	char *long_value = malloc(ENVIRONMENT_MAX + 1);

	(void)state;
	assert_int_equal(environment_set("", "x"), -EINVAL);
	assert_int_equal(environment_set("A=B", "x"), -EINVAL);
	assert_int_equal(environment_set("A=B", NULL), -EINVAL);
	memset(long_value, 'x', ENVIRONMENT_MAX);
	long_value[ENVIRONMENT_MAX] = '\0';
	assert_int_equal(environment_set("TEST_ENVIRONMENT", long_value),
			 -ENOMEM);
	assert_null(getenv("TEST_ENVIRONMENT"));
	free(long_value);
}

/* In a process of its own: nothing can be set behind it. */
static bool fills_up(void)
{
	const size_t least = 32; /* what the allocator gives at least */
	size_t n = 0;
	int rc = 0;

	for (; rc == 0; n++)
		rc = environment_set("T", n % 2 == 0 ? "0" : "1");
	return rc == -ENOMEM && n > 10000 && n <= ENVIRONMENT_MAX / least &&
	       environment_set("T", NULL) == 0;
}

/* What is kept is counted with what it costs beside the text: so the shortest ones do not
 * take many times the limit. */
static void short_ones(void **state)
{
	pid_t pid = fork();
	int status = -1;

	(void)state;
	if (pid == 0)
		_exit(fills_up() ? 0 : 1);
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void too_many(void **state)
{
	char name[40];
	int n = 0, rc = 0;

	(void)state;
	for (; rc == 0 && n <= ENVIRONMENT_COUNT_MAX; n++) {
		snprintf(name, sizeof(name), "TEST_ENVIRONMENT_%d", n);
		rc = environment_set(name, "");
	}
	assert_int_equal(rc, -ENOMEM);
	assert_in_range(n, 3000, ENVIRONMENT_COUNT_MAX);
	for (int i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "TEST_ENVIRONMENT_%d", i);
		assert_int_equal(environment_set(name, NULL), 0);
	}
	/* There is room again. */
	assert_int_equal(environment_set("TEST_ENVIRONMENT", "x"), 0);
	assert_int_equal(environment_set("TEST_ENVIRONMENT", NULL), 0);
}

static atomic_bool over;

/* What stays is always found, and whole. */
static void *reads(void *arg)
{
	while (!atomic_load(&over)) {
		const char *stays = getenv("TEST_STAYS");
		const char *comes = getenv("TEST_ENVIRONMENT_7");

		if (stays == NULL || strcmp(stays, "here") != 0 ||
		    (comes != NULL && strncmp(comes, "TEST_", 5) != 0))
			return arg;
	}
	return NULL;
}

static void beside_readers(void **state)
{
	pthread_t threads[3];
	char name[40];

	(void)state;
	assert_int_equal(environment_set("TEST_STAYS", "here"), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, reads, name),
				 0);
	for (int i = 0; i < 4000; i++) {
		snprintf(name, sizeof(name), "TEST_ENVIRONMENT_%d", i % 400);
		assert_int_equal(environment_set(name, i / 400 % 2 == 0 ? name
									: NULL),
				 0);
	}
	atomic_store(&over, true);
	for (int i = 0; i < 3; i++) {
		void *failed;

		pthread_join(threads[i], &failed);
		assert_null(failed);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sets),       cmocka_unit_test(refuses),
		cmocka_unit_test(short_ones), cmocka_unit_test(beside_readers),
		cmocka_unit_test(too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
