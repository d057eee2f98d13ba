/*
 * Threads that load, call, wait, unload and replace one file, all at once. Each
 * call must answer the version that its own module's file had; at the end
 * nothing is left. (Under the thread sanitizer, also: no race.)
 * test: timeout 120, soak 600, threads
 */
#include "unit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/diag.h"
#include "cmod/call.h"
#include "cmod/host.h"
#include "cmod/live.h"
#include "cmod_build.h"
#include "neap/module.h"

enum { THREADS = 8, VERSIONS = 3 };

static const char *const source =
	"#include <neap/module.h>\n"
	"static int first; static const char version = VERSION;\n"
	"static int up(void) { first++; return first != 1; }\n"
	"NEAP_MODULE(\"threads\", \"1\", up, 0);\n"
	"int version_of(neap_call_t *c, const char *a, const char *e)\n"
	"{ return neap_return_mp(c, &version, &version + 1); }\n"
	"int nap(neap_call_t *c, const char *a, const char *e)\n"
	"{ return neap_fiber_sleep(1) ||\n"
	"	neap_return_mp(c, &version, &version + 1); }\n";

/* What modules call must be linked into this program, and exported. */
int (*const exported)(neap_call_t *, const char *,
		      const char *) = neap_return_mp;

static char *build[VERSIONS];
static size_t build_size[VERSIONS];
static atomic_bool stop;
static atomic_int wrong, loads, calls;

static int host_sleep(struct neap_call *c, uint64_t ns, bool deaf)
{
	(void)c, (void)ns, (void)deaf;
	return 0;
}

static const struct cmod_host test_host = { .sleep = host_sleep };

/* The version that a call answers, or -1. */
static int call_version(const struct cmod_use *use, bool waits)
{
	struct neap_call *c = call_get();
	int version = -1;
	bool ended;

	ended = call_run(c, use, NULL, NULL, NULL);
	if (ended == waits)
		return -1;
	if (!ended)
		ended = call_resume(c, 0);
	if (ended && call_succeeded(c) && c->results == 1)
		version = c->out.data[sizeof(call_size_t)];
	call_put(c);
	return version;
}

static void use_module(unsigned n)
{
	struct cmod *m = n % 2 ? cmod_load("./m", NULL)
			       : cmod_load_cached("./m", 3);
	struct cmod_use plain, waiting;
	int version;

	if (m == NULL && n % 2 == 0)
		return;
	if (m == NULL) {
		atomic_fetch_add(&wrong, 1);
		return;
	}
	atomic_fetch_add(&loads, 1);
	if (cmod_use_create(&plain, m, "version_of", 10) != 0 ||
	    cmod_use_create(&waiting, m, "nap", 3) != 0)
		abort();
	cmod_unref(m); /* its functions hold it */
	version = call_version(&plain, false);
	for (int i = 0; i < 20; i++) {
		if (call_version(&plain, false) != version ||
		    call_version(&waiting, true) != version || version < 1)
			atomic_fetch_add(&wrong, 1);
		atomic_fetch_add(&calls, 2);
	}
	cmod_use_destroy(&plain);
	cmod_use_destroy(&waiting);
}

static void *run_user(void *arg)
{
	for (unsigned n = (unsigned)(uintptr_t)arg; !atomic_load(&stop); n++)
		use_module(n);
	call_empty_pool();
	return NULL;
}

static void *run_follower(void *arg)
{
	struct cmod_live live;

	(void)arg;
	if (cmod_live_create(&live, "./m", NULL, "version_of", 10, NULL) != 0)
		abort();
	while (!atomic_load(&stop)) {
		cmod_live_follow(&live);
		if (call_version(&live.use, false) < 1)
			atomic_fetch_add(&wrong, 1);
	}
	cmod_live_destroy(&live);
	call_empty_pool();
	return NULL;
}

static void count(const struct cmod_info *info, void *arg)
{
	(void)info;
	++*(int *)arg;
}

static void *run_watcher(void *arg)
{
	int seen = 0;

	(void)arg;
	while (!atomic_load(&stop)) {
		cmod_list(count, &seen);
		usleep(1000);
	}
	return NULL;
}

static int setup(void **state)
{
	char flags[32];

	(void)state;
	cmod_set_host(&test_host);
	for (int i = 0; i < VERSIONS; i++) {
		snprintf(flags, sizeof flags, "-DVERSION=%d", i + 1);
		build_so("m.so", source, flags);
		build[i] = file_read("m.so", &build_size[i]);
	}
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (int i = 0; i < VERSIONS; i++)
		free(build[i]);
	return 0;
}

static void test_all_at_once(void **state)
{
	int rounds = getenv("NEAP_SOAK") != NULL ? 10000 : 300;
	pthread_t threads[THREADS];
	int fds;

	(void)state;
	cmod_unref(cmod_load("./m", NULL));
	fds = unit_open_fds();
	for (uintptr_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL,
						i == 0   ? run_watcher
						: i == 1 ? run_follower
							 : run_user,
						(void *)i),
				 0);
	for (int i = 0; i < rounds; i++) {
		file_replace("m.so", build[i % VERSIONS],
			     build_size[i % VERSIONS]);
		usleep(1000);
	}
	atomic_store(&stop, true);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	print_message("%d loads and %d calls over %d replacements\n", loads,
		      calls, rounds);
	assert_int_equal(wrong, 0);
	assert_int_not_equal(calls, 0);
	assert_int_equal(cmod_live_count(), 0);
	assert_int_equal(unit_open_fds(), fds);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_at_once),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
