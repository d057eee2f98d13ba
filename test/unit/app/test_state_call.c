/*
 * Calls on their way between states, where a script cannot put them: the way is
 * full, one end or both close with the call in between, the caller gives up at
 * each step, no memory. The states have mailboxes and no Lua.
 */
#include "unit.h"

#include <stdlib.h>

#include "app/app.h"
#include "app/request.h"
#include "app/state_call.h"
#include "app/worker.h"
#include "base/diag.h"
#include "base/inject.h"
#include "runtime/loop.h"

static struct app app;
static struct worker workers[2]; /* worker 1 and the shared state */
static struct worker *const caller = &workers[0], *const shared = &workers[1];
static struct loop loops[2];
static const struct handler *handler;

static struct state_call *told_call;
static int told;

static int set_up(void **state)
{
	int old;

	(void)state;
	memset(workers, 0, sizeof workers);
	app = (struct app){ .workers = workers, .count = 1, .threads = 2 };
	for (unsigned i = 0; i < 2; i++) {
		workers[i].app = &app;
		workers[i].id = 1 - i;
		list_init(&workers[i].calls);
		mailbox_create(&workers[i].mailbox);
		assert_int_equal(loop_create(&loops[i]), 0);
		assert_int_equal(mailbox_open(&workers[i].mailbox, &loops[i]),
				 0);
	}
	handlers_create(&app.handlers, 1);
	assert_int_equal(handlers_put(&app.handlers, HANDLER_ACTION, "x", 0, 1,
				      &old),
			 0);
	assert_int_equal(handlers_seal(&app.handlers), 0);
	handler = handlers_find(&app.handlers, HANDLER_ACTION, "x");
	told_call = NULL;
	told = 0;
	return 0;
}

/* Nothing may be left: neither a request nor a reason to stay alive. */
static int tear_down(void **state)
{
	(void)state;
	inject_reset();
	for (unsigned i = 0; i < 2; i++) {
		mailbox_close(&workers[i].mailbox);
		mailbox_destroy(&workers[i].mailbox);
		assert_int_equal(loop_destroy(&loops[i], NULL, NULL), 0);
	}
	handlers_destroy(&app.handlers);
	assert_int_equal(request_counts().requests, 0);
	diag_clear();
	return 0;
}

static void on_end(struct state_call *c, void *arg)
{
	assert_ptr_equal(arg, &told);
	told_call = c;
	told++;
}

/* A call in a request whose only other reference goes at once. */
static struct state_call *new_call(void)
{
	struct request *r = request_new(caller);
	struct state_call *c;

	assert_non_null(r);
	c = state_call_new(r, handler, caller);
	assert_non_null(c);
	request_end(r, caller);
	c->on_end = on_end;
	c->on_end_arg = &told;
	return c;
}

static struct state_call *start(void)
{
	struct state_call *c = new_call();

	assert_int_equal(state_call_start(c), 0);
	assert_true(c->started);
	return c;
}

/* The caller's loop, as long as something holds it. */
static void come_home(void)
{
	assert_int_equal(loop_run(&loops[0], UV_RUN_DEFAULT), 0);
}

static void fails_with(const struct error_type *type, const char *text)
{
	struct error *e = diag_take();

	assert_ptr_equal(e->type, type);
	if (strstr(e->message, text) == NULL)
		fail_msg("'%s' wanted in: %s", text, e->message);
	error_unref(e);
}

static void no_memory_for_a_call(void **state)
{
	struct request *r = request_new(caller);

	(void)state;
	if (inject_arm("malloc", 0, 1) != 0) {
		request_end(r, caller);
		skip();
	}
	assert_null(state_call_new(r, handler, caller));
	fails_with(&OutOfMemory, "a call");
	assert_int_equal(r->refs, 1);
	request_end(r, caller);
}

static void none_in_a_request_that_is_over(void **state)
{
	struct request *r = request_ref(request_new(caller));

	(void)state;
	request_end(r, caller);
	assert_null(state_call_new(r, handler, caller));
	fails_with(&ClientError, "the request is over");
	request_unref(r);
}

static void one_that_never_starts(void **state)
{
	struct state_call *c = new_call();

	(void)state;
	assert_int_equal(request_counts().requests, 1);
	state_call_cancel(c);
	state_call_cancel(c);
	state_call_free(c);
	state_call_free(NULL);
	assert_int_equal(told, 0);
	assert_int_equal(caller->mailbox.waiting, 0);
}

static void to_a_closed_state(void **state)
{
	struct state_call *c = new_call();

	(void)state;
	mailbox_close(&shared->mailbox);
	assert_int_equal(state_call_start(c), -1);
	fails_with(&FiberIsCancelled, "the shared state is closing");
	assert_false(c->started);
	assert_int_equal(caller->mailbox.waiting, 0);
	assert_int_equal(c->refs, 1);
	state_call_free(c);
	assert_int_equal(told, 0);
}

static void let_go(struct mail *m, bool delivered)
{
	(void)m;
	(void)delivered;
}

/* So many wait there as may. */
static void to_a_full_state(void **state)
{
	struct mail *mails = calloc(STATE_CALLS_WAITING_MAX, sizeof *mails);
	struct state_call *c = new_call(), *last = new_call();

	(void)state;
	assert_non_null(mails);
	for (int i = shared->mailbox.count; i < STATE_CALLS_WAITING_MAX - 1;
	     i++) {
		mails[i].run = let_go;
		assert_int_equal(mailbox_post(&shared->mailbox, &mails[i], 0),
				 0);
	}
	assert_int_equal(state_call_start(last), 0);
	assert_int_equal(state_call_start(c), -1);
	fails_with(&ClientError, "262144 calls wait for that state already");
	assert_int_equal(caller->mailbox.waiting, 1);
	state_call_free(c);
	/* To give up has no limit. */
	state_call_free(last);
	assert_int_equal(shared->mailbox.count, STATE_CALLS_WAITING_MAX + 1);
	mailbox_close(&shared->mailbox);
	come_home();
	assert_int_equal(told, 0);
	assert_int_equal(caller->mailbox.waiting, 0);
	free(mails);
}

/* The callee closes with the call before it: the caller is told, and of what. */
static void the_callee_closes(void **state)
{
	struct state_call *c = start();

	(void)state;
	assert_int_equal(caller->mailbox.waiting, 1);
	mailbox_close(&shared->mailbox);
	assert_int_equal(told, 0); /* on its own thread alone */
	come_home();
	assert_int_equal(told, 1);
	assert_ptr_equal(told_call, c);
	assert_true(c->ended);
	assert_non_null(c->error);
	assert_ptr_equal(c->error->type, &FiberIsCancelled);
	assert_string_equal(c->error->message,
			    "action 'x' in the shared state: the shared state "
			    "is closing");
	assert_int_equal(caller->mailbox.waiting, 0);
	assert_int_equal(c->refs, 1);
	state_call_cancel(c); /* late, and in vain */
	assert_int_equal(c->refs, 1);
	state_call_free(c);
}

/* Without memory for its words it is told all the same. */
static void the_callee_closes_without_memory(void **state)
{
	struct state_call *c = start();

	(void)state;
	if (inject_arm("malloc", 0, -1) == 0) {
		mailbox_close(&shared->mailbox);
		come_home();
		inject_reset();
		assert_non_null(c->error);
		assert_ptr_equal(c->error->type, &OutOfMemory);
	} else {
		mailbox_close(&shared->mailbox);
		come_home();
	}
	assert_int_equal(told, 1);
	state_call_free(c);
}

/* The caller gives up while the call is under way, and the callee closes. */
static void given_up_on_the_way(void **state)
{
	struct state_call *c = start();

	(void)state;
	state_call_cancel(c);
	assert_int_equal(c->refs, 3); /* ours, the call's way, the cancel's */
	state_call_cancel(c);
	assert_int_equal(c->refs, 3);
	mailbox_close(&shared->mailbox);
	assert_int_equal(c->refs, 2);
	come_home();
	assert_int_equal(told, 0);
	assert_true(c->ended);
	assert_int_equal(c->refs, 1);
	state_call_free(c);
}

/* The same, and forgets it: nothing of it is touched on the way home. */
static void forgotten_on_the_way(void **state)
{
	(void)state;
	state_call_free(start());
	assert_int_equal(request_counts().requests, 1);
	mailbox_close(&shared->mailbox);
	come_home();
	assert_int_equal(told, 0);
	assert_int_equal(request_counts().requests, 0);
}

/* It is given up when the answer is on its way home already. */
static void forgotten_on_the_way_home(void **state)
{
	struct state_call *c = start();

	(void)state;
	mailbox_close(&shared->mailbox);
	state_call_free(c);
	assert_int_equal(request_counts().requests, 1);
	come_home();
	assert_int_equal(told, 0);
	assert_int_equal(request_counts().requests, 0);
}

/* The caller is closed when the answer comes: nobody is told. */
static void the_caller_closes_first(void **state)
{
	struct state_call *c = start();

	(void)state;
	mailbox_close(&caller->mailbox);
	mailbox_close(&shared->mailbox);
	assert_int_equal(told, 0);
	assert_false(c->ended);
	assert_int_equal(c->refs, 1);
	state_call_free(c);
}

/* It closes with the answer before it. */
static void the_caller_closes_with_the_answer(void **state)
{
	struct state_call *c = start();

	(void)state;
	mailbox_close(&shared->mailbox);
	mailbox_close(&caller->mailbox);
	assert_int_equal(told, 0);
	assert_int_equal(c->refs, 1);
	assert_int_equal(caller->mailbox.waiting, 0);
	state_call_free(c);
}

/* What a state served until its end. */
static void what_is_served_fails_with_its_state(void **state)
{
	struct state_call *c = new_call();
	unsigned sent;

	(void)state;
	/* As if it had arrived, and had a fiber that was abandoned. */
	c->started = true;
	c->refs++;
	mailbox_hold(&caller->mailbox);
	list_add_tail(&shared->calls, &c->link);
	state_calls_end(shared);
	assert_true(list_empty(&shared->calls));
	come_home();
	assert_int_equal(told, 1);
	assert_ptr_equal(c->error->type, &FiberIsCancelled);
	/* Nothing is to be cancelled there any more. */
	sent = shared->mailbox.count;
	state_call_free(c);
	assert_int_equal(shared->mailbox.count, sent);
}

#define with_states(test) \
	cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_states(no_memory_for_a_call),
		with_states(none_in_a_request_that_is_over),
		with_states(one_that_never_starts),
		with_states(to_a_closed_state),
		with_states(to_a_full_state),
		with_states(the_callee_closes),
		with_states(the_callee_closes_without_memory),
		with_states(given_up_on_the_way),
		with_states(forgotten_on_the_way),
		with_states(forgotten_on_the_way_home),
		with_states(the_caller_closes_first),
		with_states(the_caller_closes_with_the_answer),
		with_states(what_is_served_fails_with_its_state),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
