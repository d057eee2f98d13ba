/*
 * Records of registered functions: slots, what is refused when they are sealed,
 * no memory, and many states that register at once.
 *
 * test: threads
 */
#include "unit.h"

#include <lauxlib.h>
#include <pthread.h>
#include <stdlib.h>

#include "app/handlers.h"
#include "base/diag.h"
#include "base/inject.h"

enum { WORKERS = 4, MANY = 400, AT_ONCE = 4000 };

static struct handlers h;

static int set_up(void **state)
{
	(void)state;
	handlers_create(&h, WORKERS);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	inject_reset();
	handlers_destroy(&h);
	diag_clear();
	return 0;
}

static void put(enum handler_kind kind, const char *name, unsigned state,
		int ref)
{
	int old;

	assert_int_equal(handlers_put(&h, kind, name, state, ref, &old), 0);
	assert_int_equal(old, LUA_NOREF);
}

static void put_in_workers(enum handler_kind kind, const char *name, int ref)
{
	for (unsigned i = 1; i <= WORKERS; i++)
		put(kind, name, i, ref + (int)i);
}

static void fails_with(const struct error_type *type, const char *text)
{
	struct error *e = diag_take();

	assert_ptr_equal(e->type, type);
	if (strstr(e->message, text) == NULL)
		fail_msg("'%s' wanted in: %s", text, e->message);
	error_unref(e);
}

static void each_state_has_a_slot(void **state)
{
	const struct handler *s, *p;

	(void)state;
	put(HANDLER_ACTION, "x", 0, 7);
	put_in_workers(HANDLER_FETCH, "x", 100);
	assert_null(handlers_find(&h, HANDLER_ACTION, "x"));
	assert_int_equal(handlers_seal(&h), 0);
	s = handlers_find(&h, HANDLER_ACTION, "x");
	p = handlers_find(&h, HANDLER_FETCH, "x");
	assert_non_null(s);
	assert_non_null(p);
	assert_true(handler_is_shared(s));
	assert_false(handler_is_shared(p));
	assert_int_equal(handler_ref(s, 0), 7);
	for (int i = 1; i <= WORKERS; i++) {
		assert_int_equal(handler_ref(s, i), LUA_NOREF);
		assert_int_equal(handler_ref(p, i), 100 + i);
	}
	assert_int_equal(handler_kind(p), HANDLER_FETCH);
	assert_string_equal(handler_name(p), "x");
	/* No other kind, no prefix, no longer name. */
	assert_null(handlers_find(&h, HANDLER_CONVERTER, "x"));
	assert_null(handlers_find(&h, HANDLER_ACTION, ""));
	assert_null(handlers_find(&h, HANDLER_ACTION, "xx"));
	assert_null(handlers_find(&h, HANDLER_ACTION, "bx"));
}

static void the_old_reference_comes_back(void **state)
{
	int old;

	(void)state;
	put_in_workers(HANDLER_ACTION, "x", 10);
	assert_int_equal(handlers_put(&h, HANDLER_ACTION, "x", 2, 99, &old), 0);
	assert_int_equal(old, 12);
	assert_int_equal(handlers_seal(&h), 0);
	assert_int_equal(handler_ref(handlers_find(&h, HANDLER_ACTION, "x"), 2),
			 99);
	assert_int_equal(handler_ref(handlers_find(&h, HANDLER_ACTION, "x"), 3),
			 13);
}

static void names_have_limits(void **state)
{
	char name[HANDLER_NAME_MAX + 2];
	int old = 5;

	(void)state;
	memset(name, 'n', sizeof name);
	name[HANDLER_NAME_MAX + 1] = '\0';
	assert_int_equal(handlers_put(&h, HANDLER_ACTION, name, 0, 1, &old),
			 -1);
	fails_with(&IllegalParams, "1 to 255 bytes");
	assert_int_equal(handlers_put(&h, HANDLER_ACTION, "", 0, 1, &old), -1);
	fails_with(&IllegalParams, "1 to 255 bytes");
	assert_int_equal(old, 5);
	name[HANDLER_NAME_MAX] = '\0';
	put(HANDLER_ACTION, name, 0, 1);
	assert_int_equal(handlers_seal(&h), 0);
	assert_non_null(handlers_find(&h, HANDLER_ACTION, name));
	name[HANDLER_NAME_MAX] = 'n';
	assert_null(handlers_find(&h, HANDLER_ACTION, name));
}

static void nothing_comes_after_the_seal(void **state)
{
	int old = 5;

	(void)state;
	put(HANDLER_ACTION, "x", 0, 1);
	assert_int_equal(handlers_seal(&h), 0);
	assert_int_equal(handlers_put(&h, HANDLER_ACTION, "x", 0, 2, &old), -1);
	fails_with(&ClientError, "action 'x' comes too late");
	assert_int_equal(handlers_put(&h, HANDLER_FETCH, "y", 0, 2, &old), -1);
	fails_with(&ClientError, "fetch 'y' comes too late");
	assert_int_equal(old, 5);
	assert_null(handlers_find(&h, HANDLER_FETCH, "y"));
	assert_int_equal(handler_ref(handlers_find(&h, HANDLER_ACTION, "x"), 0),
			 1);
}

static void a_refused_seal_is_none(void **state)
{
	(void)state;
	put(HANDLER_ACTION, "half", 1, 1);
	assert_int_equal(handlers_seal(&h), -1);
	fails_with(&ClientError, "'half' is registered in not every worker: it "
				 "is missing in 2, 3, 4\n1 function:");
	assert_false(handlers_are_sealed(&h));
	assert_null(handlers_find(&h, HANDLER_ACTION, "half"));
	for (unsigned i = 2; i <= WORKERS; i++)
		put(HANDLER_ACTION, "half", i, 1);
	assert_int_equal(handlers_seal(&h), 0);
}

/* In one worker and the shared state, with a worker alone: as little right as in
 * all of them. */
static void both_kinds_are_refused(void **state)
{
	(void)state;
	put(HANDLER_SERVICE, "all", 0, 1);
	put_in_workers(HANDLER_SERVICE, "all", 1);
	put(HANDLER_FILTER, "one", 0, 1);
	put(HANDLER_FILTER, "one", WORKERS, 1);
	assert_int_equal(handlers_seal(&h), -1);
	fails_with(&ClientError, "service 'all' is registered in the shared "
				 "state and in workers too\nfilter 'one' is "
				 "registered in the shared state and in "
				 "workers too\n2 functions:");
}

/* All are counted, some are named. */
static void a_long_list_is_cut(void **state)
{
	struct error *e;
	unsigned named = 0;

	(void)state;
	for (int i = 0; i < MANY; i++) {
		char name[32];

		snprintf(name, sizeof name, "f%d", i);
		put(HANDLER_COMMAND, name, 1, i);
	}
	assert_int_equal(handlers_seal(&h), -1);
	e = diag_take();
	for (const char *at = e->message;
	     (at = strstr(at, "command '")) != NULL; at++)
		named++;
	assert_int_equal(named, 10);
	assert_non_null(strstr(e->message, "\n400 functions:"));
	error_unref(e);
}

/* Without memory it is refused all the same, be the text short. */
static void a_refusal_needs_no_memory(void **state)
{
	(void)state;
	put(HANDLER_ACTION, "half", 1, 1);
	if (inject_arm("malloc", 0, -1) != 0)
		skip();
	assert_int_equal(handlers_seal(&h), -1);
	inject_reset();
	assert_non_null(diag_last());
	assert_false(handlers_are_sealed(&h));
}

/* Whichever allocation fails, of a record or of the table that grows: nobody is
 * registered by half, and trying again is fine. */
static void every_allocation_fails(void **state)
{
	unsigned failures = 0;

	(void)state;
	if (inject_arm("x", 0, 0) != 0)
		skip();
	for (int i = 0; i < MANY; i++) {
		char name[32];
		int old;

		snprintf(name, sizeof name, "f%d", i);
		for (long k = 0;; k++) {
			int rc;

			inject_reset();
			assert_int_equal(inject_arm("malloc", k, 1), 0);
			rc = handlers_put(&h, HANDLER_ACTION, name, 0, i, &old);
			if (rc == 0)
				break;
			inject_reset();
			failures++;
			fails_with(&OutOfMemory, "a registered function");
			assert_int_equal(h.count, i);
		}
		inject_reset();
		assert_int_equal(old, LUA_NOREF);
		assert_int_equal(h.count, i + 1);
	}
	/* Of the first record and of its table too. */
	assert_true(failures > MANY);
	assert_int_equal(handlers_seal(&h), 0);
	for (int i = 0; i < MANY; i++) {
		const struct handler *r;
		char name[32];

		snprintf(name, sizeof name, "f%d", i);
		r = handlers_find(&h, HANDLER_ACTION, name);
		assert_non_null(r);
		assert_int_equal(handler_ref(r, 0), i);
	}
}

static void there_is_a_most(void **state)
{
	char name[32];
	int old;

	(void)state;
	for (int i = 0; i < HANDLERS_MAX; i++) {
		snprintf(name, sizeof name, "f%d", i);
		put(HANDLER_ACTION, name, 0, i);
	}
	assert_int_equal(handlers_put(&h, HANDLER_ACTION, "more", 0, 1, &old),
			 -1);
	fails_with(&ClientError, "65536 functions are the most");
	/* What is there may still be replaced. */
	assert_int_equal(handlers_put(&h, HANDLER_ACTION, name, 0, 1, &old), 0);
	assert_int_equal(old, HANDLERS_MAX - 1);
	assert_int_equal(handlers_seal(&h), 0);
}

static pthread_barrier_t barrier;

static void *register_many(void *arg)
{
	unsigned state = *(unsigned *)arg;

	pthread_barrier_wait(&barrier);
	for (int i = 0; i < AT_ONCE; i++) {
		char name[32];
		int old;

		snprintf(name, sizeof name, "f%d", i);
		if (handlers_put(&h, HANDLER_ACTION, name, state,
				 i * 10 + (int)state, &old) != 0 ||
		    old != LUA_NOREF)
			return arg;
	}
	return NULL;
}

static void states_register_at_once(void **state)
{
	pthread_t threads[WORKERS];
	unsigned ids[WORKERS];

	(void)state;
	pthread_barrier_init(&barrier, NULL, WORKERS);
	for (unsigned i = 0; i < WORKERS; i++) {
		ids[i] = i + 1;
		assert_int_equal(pthread_create(&threads[i], NULL,
						register_many, &ids[i]),
				 0);
	}
	for (unsigned i = 0; i < WORKERS; i++) {
		void *failed;

		assert_int_equal(pthread_join(threads[i], &failed), 0);
		assert_null(failed);
	}
	pthread_barrier_destroy(&barrier);
	assert_int_equal(h.count, AT_ONCE);
	assert_int_equal(handlers_seal(&h), 0);
	for (int i = 0; i < AT_ONCE; i++) {
		const struct handler *r;
		char name[32];

		snprintf(name, sizeof name, "f%d", i);
		r = handlers_find(&h, HANDLER_ACTION, name);
		for (int id = 1; id <= WORKERS; id++)
			assert_int_equal(handler_ref(r, id), i * 10 + id);
	}
}

#define with_records(test) \
	cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_records(each_state_has_a_slot),
		with_records(the_old_reference_comes_back),
		with_records(names_have_limits),
		with_records(nothing_comes_after_the_seal),
		with_records(a_refused_seal_is_none),
		with_records(both_kinds_are_refused),
		with_records(a_long_list_is_cut),
		with_records(a_refusal_needs_no_memory),
		with_records(every_allocation_fails),
		with_records(there_is_a_most),
		with_records(states_register_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
