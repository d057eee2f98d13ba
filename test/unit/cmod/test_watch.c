/*
 * A module's file looked at for new builds, at times that the test makes up:
 * each build is given once, bad ones are waited for, and said once; every
 * allocation fails once.
 */
#include "unit.h"

#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/inject.h"
#include "cmod/cmod.h"
#include "cmod/watch.h"
#include "cmod_build.h"

#define MS UINT64_C(1000000)
#define S  (1000 * MS)

enum { BUILDS = 3 };

static const char *const source =
	"int version(void *c, const char *a, const char *e)\n"
	"{ return VERSION; }\n";

static char *build[BUILDS];
static size_t build_size[BUILDS];
static struct cmod_watch watch;
static uint64_t now;
static uint64_t again; /* when the last look wants the next one */

static void put(int n)
{
	file_replace("m.so", build[n], build_size[n]);
}

static struct cmod *look(void)
{
	return cmod_watch_look(&watch, now, &again);
}

static void expect_nothing(void)
{
	assert_null(look());
	assert_null(diag_last());
}

/* The build is given, and given once. */
static void expect_new(int n)
{
	struct cmod *m = look();
	struct cmod_use use;

	assert_non_null(m);
	assert_int_equal(cmod_use_create(&use, m, "version", 7), 0);
	assert_int_equal(cmod_func_code(use.func)(NULL, NULL, NULL), n);
	cmod_use_destroy(&use);
	assert_in_range(again, now + 1, now + 100 * MS);
	expect_nothing();
	cmod_unref(m);
}

/* As long as looks are asked for; returns how many there were. */
static int look_on(void)
{
	int looks = 0;

	while (again != UINT64_MAX && now < 100000 * S) {
		assert_true(again > now);
		now = again;
		expect_nothing();
		looks++;
	}
	return looks;
}

static int set_up(void **state)
{
	(void)state;
	now = 1000 * S;
	put(0);
	assert_int_equal(cmod_watch_create(&watch, "./m", NULL), 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	inject_reset();
	cmod_watch_destroy(&watch);
	diag_clear();
	assert_int_equal(cmod_live_count(), 0);
	return 0;
}

/* Quiet: looks end when the file cannot change unseen any more. */
static void looks_end(void **state)
{
	uint64_t begin = now;

	(void)state;
	expect_nothing();
	assert_in_range(look_on(), 3, 20);
	assert_int_equal(again, UINT64_MAX);
	assert_in_range(now - begin, 2 * S, 10 * S);
}

static void each_build_once(void **state)
{
	(void)state;
	expect_nothing();
	for (int i = 1; i < 2 * BUILDS; i++) {
		put(i % BUILDS);
		now += S;
		expect_new(i % BUILDS);
	}
	look_on();
	put(0);
	expect_new(0);
	assert_true(look_on() > 0); /* they have begun anew */
}

/* What only looks new is none: rights, and a look without cause. */
static void same_build(void **state)
{
	(void)state;
	expect_nothing();
	assert_int_equal(chmod("m.so", 0500), 0);
	expect_nothing();
	assert_int_equal(chmod("m.so", 0700), 0);
	expect_nothing();
}

/* Of equal size and time: told by its bytes, while looks go on. */
static void unseen_change(void **state)
{
	struct timespec times[2];
	struct cmod *held, *m = NULL;
	struct stat st;

	(void)state;
	expect_nothing();
	held = cmod_load("./m", NULL); /* the cache believes it for a moment */
	assert_non_null(held);
	assert_int_equal(stat("m.so", &st), 0);
	times[0] = times[1] = st.st_mtim;
	assert_int_equal(build_size[1], build_size[0]);
	file_overwrite("m.so", build[1], build_size[1]);
	assert_int_equal(utimensat(AT_FDCWD, "m.so", times, 0), 0);
	for (int i = 0; i < 1000 && m == NULL; i++) {
		m = look();
		usleep(10000);
	}
	assert_non_null(m);
	assert_ptr_not_equal(m, held);
	cmod_unref(m);
	cmod_unref(held);
	expect_nothing();
}

/* A bad build is waited for, ever more slowly and for ever, and said once. */
static void bad_build(void **state)
{
	(void)state;
	expect_nothing();
	file_replace("m.so", build[1], build_size[1] / 2);
	expect_nothing();
	assert_false(watch.logged);
	now += 500 * MS;
	expect_nothing();
	assert_false(watch.logged);
	now += 600 * MS;
	expect_nothing();
	assert_true(watch.logged);
	for (int i = 0; i < 30; i++) {
		assert_in_range(again - now, 1, 10 * S);
		now = again;
		expect_nothing();
	}
	assert_int_equal(again - now, 10 * S);
	/* Another bad one is another matter. */
	file_replace("m.so", build[1], build_size[1] / 3);
	expect_nothing();
	assert_false(watch.logged);
	assert_in_range(again - now, 1, 100 * MS);
	put(1);
	expect_new(1);
}

static void file_is_gone(void **state)
{
	(void)state;
	expect_nothing();
	assert_int_equal(unlink("m.so"), 0);
	expect_nothing();
	now += 2 * S;
	expect_nothing();
	assert_true(watch.logged);
	put(2);
	expect_new(2);
	assert_int_equal(unlink("m.so"), 0);
	assert_int_equal(symlink("m.so", "m.so"), 0);
	now += S;
	expect_nothing();
	assert_int_equal(unlink("m.so"), 0);
	put(1);
	expect_new(1);
}

/* What cmod_load() gave last is known, whatever the file holds now. */
static void known_by_the_cache(void **state)
{
	struct cmod *m = cmod_load("./m", NULL);
	struct cmod_watch late;

	(void)state;
	put(1);
	assert_int_equal(cmod_watch_create(&late, "./m", NULL), 0);
	cmod_watch_destroy(&watch);
	watch = late;
	expect_new(1);
	cmod_unref(m);
}

static void wrong_start(void **state)
{
	struct cmod_watch w;

	(void)state;
	assert_int_equal(cmod_watch_create(&w, "./none", NULL), -1);
	assert_ptr_equal(diag_last()->type, &ClientError);
	assert_null(w.path);
	diag_clear();
	if (inject_arm("cmod.read", 0, 1) != 0)
		skip();
	assert_int_equal(cmod_watch_create(&w, "./m", NULL), -1);
	assert_ptr_equal(diag_last()->type, &SystemError);
	assert_null(w.path);
	diag_clear();
}

/* Each allocation of a creation and of a look fails once. */
static void no_memory(void **state)
{
	struct cmod_watch w;
	bool reached = true;
	int failed = 0;

	(void)state;
	if (inject_arm("x", 0, 0) != 0)
		skip();
	inject_reset();
	for (int k = 0; reached; k++) {
		inject_arm("malloc", k, 1);
		if (cmod_watch_create(&w, "./m", NULL) != 0) {
			inject_reset();
			assert_ptr_equal(diag_last()->type, &OutOfMemory);
			assert_null(w.path);
			diag_clear();
			failed++;
			continue;
		}
		reached = inject_asked("malloc") > k;
		inject_reset();
		cmod_watch_destroy(&w);
	}
	assert_true(failed >= 3);
	failed = 0;
	reached = true;
	expect_nothing();
	for (int k = 0; reached; k++) {
		struct cmod *m;

		put((k + 1) % BUILDS);
		inject_arm("malloc", k, 1);
		m = look();
		reached = inject_asked("malloc") > k;
		inject_reset();
		assert_null(diag_last());
		if (m == NULL) { /* then the next look gives it */
			failed++;
			expect_new((k + 1) % BUILDS);
		}
		cmod_unref(m);
	}
	assert_true(failed >= 3);
}

static int build_all(void **state)
{
	char flags[32];

	(void)state;
	for (int i = 0; i < BUILDS; i++) {
		snprintf(flags, sizeof flags, "-DVERSION=%d", i);
		build_so("b.so", source, flags);
		build[i] = file_read("b.so", &build_size[i]);
	}
	return 0;
}

static int free_all(void **state)
{
	(void)state;
	for (int i = 0; i < BUILDS; i++)
		free(build[i]);
	return 0;
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(looks_end),   test(each_build_once),
		test(same_build),  test(unseen_change),
		test(bad_build),   test(file_is_gone),
		test(wrong_start), test(known_by_the_cache),
		test(no_memory),
	};

	return cmocka_run_group_tests(tests, build_all, free_all);
}
