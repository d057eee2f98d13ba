/*
 * Requests and their variables below Lua: no memory, limits, the end from any
 * side, states that close before they are told. States without Lua serve: what
 * is looked at makes no object.
 *
 * test: threads
 */
#include "unit.h"

#include <pthread.h>
#include <stdlib.h>

#include "app/app.h"
#include "app/request.h"
#include "app/worker.h"
#include "base/diag.h"
#include "base/inject.h"
#include "runtime/loop.h"

enum { WORKERS = 3, ROUNDS = 2000 };

static struct app app;
static struct worker workers[WORKERS + 1];
static struct loop loop;

static int set_up(void **state)
{
	(void)state;
	memset(workers, 0, sizeof workers);
	app = (struct app){ .workers = workers, .count = WORKERS };
	for (unsigned i = 0; i <= WORKERS; i++) {
		workers[i].app = &app;
		workers[i].id = i < WORKERS ? i + 1 : 0;
		mailbox_create(&workers[i].mailbox);
	}
	return loop_create(&loop);
}

static int tear_down(void **state)
{
	(void)state;
	inject_reset();
	for (unsigned i = 0; i <= WORKERS; i++) {
		mailbox_close(&workers[i].mailbox);
		mailbox_destroy(&workers[i].mailbox);
	}
	assert_int_equal(loop_destroy(&loop, NULL, NULL), 0);
	assert_int_equal(request_counts().requests, 0);
	assert_int_equal(request_counts().contexts, 0);
	diag_clear();
	return 0;
}

static void fails_with(const struct error_type *type, const char *text)
{
	struct error *e = diag_take();

	assert_ptr_equal(e->type, type);
	if (strstr(e->message, text) == NULL)
		fail_msg("'%s' wanted in: %s", text, e->message);
	error_unref(e);
}

static struct request_value number(double n)
{
	return (struct request_value){ REQUEST_NUMBER, { .number = n } };
}

static struct request_value string(const char *data, size_t size)
{
	struct request_value v = { REQUEST_STRING, { 0 } };

	v.string = request_string_new(data, size);
	assert_non_null(v.string);
	return v;
}

static void state_is_chosen_by_kind(void **state)
{
	struct request *r = request_new(&workers[1]);

	(void)state;
	assert_ptr_equal(request_state(r, CONTEXT_SHARED), &workers[WORKERS]);
	assert_ptr_equal(request_state(r, CONTEXT_WORKER), &workers[1]);
	request_end(r, &workers[1]);
}

/* Those of the shared state are spread over the workers. */
static void the_shared_states_go_by_turns(void **state)
{
	unsigned seen[WORKERS] = { 0 };

	(void)state;
	for (int i = 0; i < 4 * WORKERS; i++) {
		struct request *r = request_new(&workers[WORKERS]);

		assert_ptr_not_equal(r->worker, &workers[WORKERS]);
		seen[r->worker->id - 1]++;
		request_end(r, &workers[WORKERS]);
	}
	for (int i = 0; i < WORKERS; i++)
		assert_int_equal(seen[i], 4);
}

static void no_memory_for_a_request(void **state)
{
	(void)state;
	if (inject_arm("malloc", 0, 1) != 0)
		skip();
	assert_null(request_new(&workers[0]));
	fails_with(&OutOfMemory, "a request");
	assert_int_equal(request_counts().requests, 0);
}

static void variables_come_back(void **state)
{
	struct request *r = request_new(&workers[0]);
	struct request_value v;

	(void)state;
	assert_int_equal(request_get_var(r, "n", &v), 0);
	assert_int_equal(v.kind, REQUEST_NIL);
	assert_int_equal(request_set_var(r, "n", number(1.5)), 0);
	assert_int_equal(request_set_var(r, "s", string("a\0b", 3)), 0);
	assert_int_equal(request_get_var(r, "n", &v), 0);
	assert_int_equal(v.kind, REQUEST_NUMBER);
	assert_true(v.number == 1.5);
	assert_int_equal(request_get_var(r, "s", &v), 0);
	assert_int_equal(v.kind, REQUEST_STRING);
	assert_int_equal(v.string->size, 3);
	assert_memory_equal(v.string->data, "a\0b", 3);
	/* The one who has it keeps it beyond the variable and the request. */
	assert_int_equal(request_set_var(r, "s", number(2)), 0);
	request_end(r, &workers[0]);
	assert_memory_equal(v.string->data, "a\0b", 3);
	request_string_unref(v.string);
}

static void variables_have_limits(void **state)
{
	enum { HALF = REQUEST_VAR_BYTES_MAX / 2 };
	struct request *r = request_new(&workers[0]);
	const struct request_value nil = { REQUEST_NIL, { 0 } };
	char *half = calloc(1, HALF), name[32];

	(void)state;
	for (int i = 0; i < REQUEST_VARS_MAX; i++) {
		snprintf(name, sizeof name, "v%d", i);
		assert_int_equal(request_set_var(r, name, number(i)), 0);
	}
	assert_int_equal(request_set_var(r, "more", number(1)), -1);
	fails_with(&ClientError, "'more': a request has at most 256");
	assert_int_equal(request_set_var(r, "v0", number(7)), 0);
	assert_int_equal(request_set_var(r, "none", nil), 0);
	for (int i = 0; i < REQUEST_VARS_MAX; i++) {
		snprintf(name, sizeof name, "v%d", i);
		assert_int_equal(request_set_var(r, name, nil), 0);
	}
	assert_int_equal(r->vars.count, 0);
	assert_int_equal(r->vars.bytes, 0);

	/* One that is refused leaves what was there. */
	assert_int_equal(request_set_var(r, "a", string(half, HALF)), 0);
	assert_int_equal(request_set_var(r, "b", number(3)), 0);
	assert_int_equal(request_set_var(r, "b", string(half, HALF)), -1);
	fails_with(&ClientError, "'b'");
	assert_int_equal(request_get_var(r, "b", &(struct request_value){ 0 }),
			 0);
	assert_int_equal(r->vars.count, 2);
	/* In place of one as large there is room. */
	assert_int_equal(request_set_var(r, "a", string(half, HALF)), 0);
	request_end(r, &workers[0]);
	free(half);
}

/* The string's reference is taken over also then: the leak check would tell. */
static void no_memory_for_a_variable(void **state)
{
	struct request *r = request_new(&workers[0]);
	struct request_value v;

	(void)state;
	if (inject_arm("x", 0, 0) != 0) {
		request_end(r, &workers[0]);
		skip();
	}
	assert_int_equal(request_set_var(r, "s", number(1)), 0);
	v = string("text", 4);
	assert_int_equal(inject_arm("malloc", 0, 1), 0);
	assert_int_equal(request_set_var(r, "s", v), -1);
	fails_with(&OutOfMemory, "a variable");
	inject_reset();
	assert_int_equal(inject_arm("malloc", 0, 1), 0);
	assert_null(request_string_new("text", 4));
	fails_with(&OutOfMemory, "a variable");
	inject_reset();
	/* To remove takes no memory. */
	assert_int_equal(inject_arm("malloc", 0, -1), 0);
	assert_int_equal(request_set_var(r, "s",
					 (struct request_value){ REQUEST_NIL }),
			 0);
	inject_reset();
	request_end(r, &workers[0]);
}

static void nothing_begins_after_the_end(void **state)
{
	struct request *r = request_new(&workers[0]);
	struct request_value v = number(5);

	(void)state;
	assert_int_equal(request_set_var(r, "s", string("text", 4)), 0);
	request_ref(r);
	request_end(r, &workers[0]);
	assert_int_equal(request_counts().requests, 1);
	assert_int_equal(request_enter(r, CONTEXT_SHARED), -1);
	fails_with(&ClientError, "the request is over");
	assert_false(r->used[CONTEXT_SHARED]);
	assert_int_equal(request_set_var(r, "s", string("late", 4)), -1);
	fails_with(&ClientError, "the request is over");
	assert_int_equal(request_get_var(r, "s", &v), -1);
	fails_with(&ClientError, "the request is over");
	assert_true(v.kind == REQUEST_NUMBER && v.number == 5);
	request_unref(r);
	assert_int_equal(request_counts().requests, 0);
}

/* Entered, but no object was made there yet. */
static void its_own_state_is_told_at_once(void **state)
{
	struct request *r = request_new(&workers[0]);

	(void)state;
	assert_int_equal(request_enter(r, CONTEXT_WORKER), 0);
	request_ref(r);
	request_end(r, &workers[0]);
	assert_true(r->contexts[CONTEXT_WORKER].released);
	assert_false(r->contexts[CONTEXT_SHARED].released);
	assert_int_equal(r->refs, 1);
	request_unref(r);
}

static void a_closed_state_is_not_told(void **state)
{
	struct request *r = request_new(&workers[0]);

	(void)state;
	assert_int_equal(request_enter(r, CONTEXT_SHARED), 0);
	request_ref(r);
	request_end(r, &workers[0]);
	assert_int_equal(r->refs, 1);
	request_unref(r);
}

/* It is told, and closes before it has looked: the request goes with that. */
static void a_state_closes_before_it_looks(void **state)
{
	struct request *r = request_new(&workers[0]);
	struct mailbox *box = &workers[WORKERS].mailbox;

	(void)state;
	assert_int_equal(mailbox_open(box, &loop), 0);
	assert_int_equal(request_enter(r, CONTEXT_SHARED), 0);
	request_end(r, &workers[0]);
	assert_int_equal(request_counts().requests, 1);
	mailbox_close(box);
	assert_int_equal(request_counts().requests, 0);
}

/* Both states at work on the variables, and the end comes in the middle. */
static void *set_and_get(void *arg)
{
	struct request *r = arg;
	char text[64];
	size_t bad = 0;

	memset(text, 'x', sizeof text);
	for (int i = 0;; i++) {
		struct request_value v = { REQUEST_STRING, { 0 } };
		char name[8];

		snprintf(name, sizeof name, "v%d", i % 5);
		v.string = request_string_new(text, (size_t)(i % 64));
		if (request_set_var(r, name, v) != 0)
			break;
		if (request_get_var(r, name, &v) != 0)
			break;
		if (v.kind == REQUEST_STRING) {
			bad += memcmp(v.string->data, text, v.string->size) !=
			       0;
			request_string_unref(v.string);
		}
		if (i % 7 == 0)
			(void)request_set_var(
				r, name, (struct request_value){ REQUEST_NIL });
	}
	bad += strcmp(diag_last()->message, "the request is over") != 0;
	diag_clear();
	request_unref(r);
	return bad == 0 ? NULL : arg;
}

static void the_end_meets_variables_in_use(void **state)
{
	(void)state;
	for (int i = 0; i < ROUNDS / 20; i++) {
		struct request *r = request_new(&workers[0]);
		pthread_t threads[2];

		for (int k = 0; k < 2; k++)
			assert_int_equal(pthread_create(&threads[k], NULL,
							set_and_get,
							request_ref(r)),
					 0);
		for (int k = 0; k < i * 10; k++)
			assert_int_equal(request_set_var(r, "n", number(k)), 0);
		request_end(r, &workers[0]);
		for (int k = 0; k < 2; k++) {
			void *failed;

			pthread_join(threads[k], &failed);
			assert_null(failed);
		}
		assert_int_equal(request_counts().requests, 0);
	}
}

#define with_states(test) \
	cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_states(state_is_chosen_by_kind),
		with_states(the_shared_states_go_by_turns),
		with_states(no_memory_for_a_request),
		with_states(variables_come_back),
		with_states(variables_have_limits),
		with_states(no_memory_for_a_variable),
		with_states(nothing_begins_after_the_end),
		with_states(its_own_state_is_told_at_once),
		with_states(a_closed_state_is_not_told),
		with_states(a_state_closes_before_it_looks),
		with_states(the_end_meets_variables_in_use),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
