/*
 * Fibers made in C, over real fibers and a real state: no memory at each
 * allocation that making, starting, joining and waiting in them takes; and given
 * up, or cancelled, in each state that they can be in. Nothing may be left.
 *
 * test: timeout 200
 */
#include "lua_world.h"

#include <stdlib.h>

#include "cmod/call.h"
#include "cmod/cmod.h"
#include "cmod/compat.h"
#include "runtime/pool.h"

/* What the module calls: linked into this program, and exported. */
struct fiber *(*const fibers)(const char *,
			      int (*)(va_list)) = neap_compat_fiber_new;
ssize_t (*const threads)(ssize_t (*)(va_list), ...) = neap_compat_coio_call;
void (*const errors)(void) = neap_compat_box_error_clear;

static const char *const states[] = {
	"is_new",     "is_over",        "is_sleeping",    "is_ready",
	"is_working", "is_looking_up",  "is_reading",     "is_in_cond",
	"is_joining", "waits_for_join", "waits_for_work",
};

enum { STATES = sizeof states / sizeof *states };

/* A chunk that calls the function @a name of the module, and tells in the
 * global `failed` what it has failed with. */
static void call_function(const char *name)
{
	const char *dir = getenv("NEAP_TEST_CMOD_DIR");
	char text[1024];
	struct lua_fiber *f;

	snprintf(text, sizeof text,
		 "failed = nil\n"
		 "local m = require('cmod').load('%s/fiber_states')\n"
		 "local ok, err = m:load('%s')()\n"
		 "failed = not ok and tostring(err) or nil\n",
		 dir == NULL ? "." : dir, name);
	f = world_fiber(text);
	assert_non_null(f);
	lua_fiber_start(f, 0);
}

static const char *failed(void)
{
	const char *text;

	lua_getglobal(world_vm.L, "failed");
	text = lua_tostring(world_vm.L, -1); /* the global holds it */
	lua_pop(world_vm.L, 1);
	return text;
}

/* A few rounds, whatever still waits. */
static void run_a_little(void)
{
	for (int i = 0; i < 20; i++)
		loop_run(&world_loop, UV_RUN_NOWAIT);
}

static void test_use(void **state)
{
	(void)state;
	call_function("use");
	world_run();
	assert_null(failed());
	assert_int_equal(world_sched.count, 0);
}

/* Once for each allocation between the call and its end. */
static void fail_each(const char *what)
{
	long n, asked;

	if (inject_arm("nothing", 0, 0) != 0)
		skip();
	for (n = 0;; n++) {
		call_function("clean");
		world_run();
		call_empty_pool(); /* so that a call takes memory, too */
		inject_reset();
		inject_arm(what, n, 1);
		call_function("use");
		world_run();
		asked = inject_asked(what);
		inject_reset();
		world_forget(); /* a chunk may die of it, too */
		assert_int_equal(world_sched.count, 0);
		if (asked <= n)
			break;
	}
	printf("%s: %ld failures\n", what, n);
	assert_true(n > 2);
	assert_null(failed());
}

static void test_no_memory(void **state)
{
	(void)state;
	fail_each("malloc");
}

static void test_no_stack(void **state)
{
	(void)state;
	fail_each("cmod.stack");
}

/* Given up as it stands: what the end of the program does with those who do
 * not end when cancelled. */
static void test_abandon(void **state)
{
	(void)state;
	for (int i = 0; i < STATES; i++) {
		call_function(states[i]);
		assert_null(failed());
		world_abandon();
		assert_int_equal(world_sched.count, 0);
		world_run();
		call_function("clean");
		world_run();
	}
}

/* The same some rounds later. */
static void test_abandon_later(void **state)
{
	(void)state;
	for (int i = 0; i < STATES; i++) {
		call_function(states[i]);
		run_a_little();
		world_abandon();
		world_run();
		call_function("clean");
		world_run();
	}
}

static void cancel_all(void)
{
	list_foreach(link, &world_sched.all)
		fiber_cancel(list_entry(link, struct fiber, all));
}

/* Cancelled first, and again, which ends none of these: they wait on. */
static void test_cancel(void **state)
{
	(void)state;
	for (int i = 0; i < STATES; i++) {
		call_function(states[i]);
		cancel_all();
		run_a_little();
		cancel_all();
		run_a_little();
		world_abandon();
		world_run();
		call_function("clean");
		world_run();
	}
}

/* The state is closed over those that ended and were never joined. */
static void test_unjoined(void **state)
{
	(void)state;
	for (int i = 0; i < 10; i++)
		call_function("is_over");
	world_run();
	assert_int_equal(world_sched.count, 0);
}

static void test_fail_alone(void **state)
{
	(void)state;
	call_function("fail_alone");
	world_run();
	assert_null(failed());
	assert_int_equal(world_sched.count, 0);
}

/* Work that was given up ends by itself, and holds its module until then. */
static int none_left(void **state)
{
	(void)state;
	return pool_stop(60000000000u, NULL, NULL) != 0 ||
	       cmod_live_count() != 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		in_world(test_use),           in_world(test_no_memory),
		in_world(test_no_stack),      in_world(test_abandon),
		in_world(test_abandon_later), in_world(test_cancel),
		in_world(test_unjoined),      in_world(test_fail_alone),
	};

	return cmocka_run_group_tests(tests, NULL, none_left);
}
