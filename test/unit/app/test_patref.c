/*
 * Maps and ACLs that several have at once: of two who commit the same version one is
 * late, what is taken out is the caller's to free, and a long file keeps nobody waiting who
 * does not want it.
 *
 * test: threads
 */
#include "unit.h"

#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "app/patref.h"
#include "base/buf.h"
#include "base/diag.h"

static sem_t reading, go_on;
static bool holds; /* who reads next */

/* That of the C library, which waits when it shall. */
ssize_t read(int fd, void *to, size_t size)
{
	if (__atomic_exchange_n(&holds, false, __ATOMIC_ACQ_REL)) {
		sem_post(&reading);
		sem_wait(&go_on);
	}
	return syscall(SYS_read, fd, to, size);
}

static struct patref *opened(const char *name)
{
	struct patref *r = NULL;

	assert_int_equal(patref_open(name, true, NULL, &r), 0);
	return r;
}

static void add(struct patref *r, struct patref_gen *gen, const char *key)
{
	assert_int_equal(patref_add(r, gen, key, strlen(key), "1", 1), 0);
}

static bool has(struct patref *r, struct patref_gen *gen, const char *key)
{
	struct buf out = { 0 };
	bool found = patref_get(r, gen, key, strlen(key), &out) == PATREF_FOUND;

	buf_destroy(&out);
	return found;
}

static unsigned prepared(struct patref *r)
{
	struct patref_look look;

	patref_look(r, &look);
	return look.prepared;
}

static void is_refused(int rc)
{
	assert_int_equal(rc, -1);
	assert_non_null(strstr(diag_last()->message, "is gone"));
	diag_clear();
}

static void test_committed_by_two(void **state)
{
	struct patref *r = opened("virt@two");
	struct patref_gen *first, *second, *old = NULL, *none = NULL;
	uint64_t version;

	(void)state;
	assert_int_equal(patref_prepare_version(r, &version), 0);
	first = patref_version(r, version);
	second = patref_version(r, version);
	add(r, first, "a");
	assert_int_equal(patref_commit(r, first, &old), 0);
	patref_gen_unref(old);
	patref_gen_unref(first);
	/* What the second has is there for all now. */
	assert_true(patref_is_gone(r, second));
	is_refused(patref_commit(r, second, &none));
	is_refused(patref_purge(r, second, &none));
	is_refused(patref_add(r, second, "b", 1, "1", 1));
	is_refused(patref_set(r, second, "a", 1, "2", 1, false));
	is_refused(patref_del(r, second, "a", 1));
	patref_give_up(r, second);
	assert_null(none);
	patref_gen_unref(second);
	assert_true(has(r, NULL, "a"));
	assert_int_equal(prepared(r), 0);
	assert_int_equal(patref_prepare_version(r, &version), 0);
	second = patref_version(r, version);
	patref_give_up(r, second);
	patref_gen_unref(second);
	patrefs_end();
}

/* Whoever takes much out frees it where that keeps nobody waiting: all of it is his. */
static void test_what_was_taken_out(void **state)
{
	struct patref *r = opened("virt@out");
	struct patref_gen *older = patref_prepare(r);
	struct patref_gen *gen = patref_prepare(r), *old;
	struct patref_cursor walk;
	struct buf out = { 0 };

	(void)state;
	assert_int_equal(patref_use(r, PATTERN_STR, false), 0);
	add(r, NULL, "now");
	add(r, older, "a");
	add(r, older, "b");
	add(r, gen, "c");
	patref_cursor_open(&walk, r, gen);
	assert_int_equal(patref_purge(r, gen, &old), 0);
	assert_int_equal(patref_gen_weight(old), 1);
	patref_gen_unref(old);
	assert_int_equal(patref_cursor_next(&walk, 10, &out), 0);
	patref_gen_unref(patref_cursor_close(&walk));
	assert_null(patref_cursor_close(&walk));
	assert_false(has(r, gen, "c"));
	add(r, gen, "d");
	assert_int_equal(patref_commit(r, gen, &old), 0);
	patref_gen_unref(gen);
	assert_int_equal(patref_gen_weight(old), 3);
	patref_gen_unref(old);
	assert_int_equal(patref_size(r, older), 0);
	assert_true(patref_is_gone(r, older));
	patref_gen_unref(older);
	assert_true(has(r, NULL, "d"));
	assert_int_equal(patref_match(r, PATTERN_STR, false, "d", 1,
				      PATREF_VALUE, &out),
			 PATREF_FOUND);
	buf_destroy(&out);
	patrefs_end();
}

static void *open_file_map(void *arg)
{
	struct patref *r = NULL;

	(void)arg;
	return patref_open("long.map", true, NULL, &r) == 0 ? r : NULL;
}

static void test_opened_meanwhile(void **state)
{
	FILE *f = fopen("long.map", "w");
	struct patref *r = opened("virt@known");
	pthread_t one, other;
	void *first, *second;
	struct buf names = { 0 };

	(void)state;
	assert_non_null(f);
	fputs("key value\n", f);
	fclose(f);
	__atomic_store_n(&holds, true, __ATOMIC_RELEASE);
	assert_int_equal(pthread_create(&one, NULL, open_file_map, NULL), 0);
	sem_wait(&reading);
	assert_ptr_equal(patref_find("virt@known"), r);
	assert_ptr_equal(opened("virt@known"), r);
	assert_null(patref_find("long.map"));
	assert_ptr_equal(patref_after(0), r);
	assert_int_equal(patref_names(&names), 0);
	assert_int_equal(names.size, sizeof "virt@known");
	buf_destroy(&names);
	assert_int_equal(pthread_create(&other, NULL, open_file_map, NULL), 0);
	sem_post(&go_on);
	pthread_join(one, &first);
	pthread_join(other, &second);
	assert_non_null(first);
	assert_ptr_equal(first, second);
	assert_true(has(first, NULL, "key"));
	patrefs_end();
	unlink("long.map");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_committed_by_two),
		cmocka_unit_test(test_what_was_taken_out),
		cmocka_unit_test(test_opened_meanwhile),
	};

	sem_init(&reading, 0, 0);
	sem_init(&go_on, 0, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
