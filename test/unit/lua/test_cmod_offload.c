/*
 * Offloaded calls and everything they need that can be lacking: each allocation
 * of ours and of Lua, a thread, descriptors. The call is `nil, err` or well, and
 * nothing is left of it.
 *
 * test: timeout 120, threads
 */
#include "lua_world.h"

#include <stdlib.h>

#include "cmod/cmod.h"
#include "cmod_build.h"
#include "neap/module.h"
#include "runtime/pool.h"

/* What modules call must be linked into this program, and exported. */
int (*const exported)(neap_call_t *, const char *,
		      const char *) = neap_return_mp;

static const char *const source =
	"#include <neap/module.h>\n"
	"int echo(neap_call_t *c, const char *a, const char *e)\n"
	"{ return neap_return_mp(c, a, e); }\n"
	"int nap(neap_call_t *c, const char *a, const char *e)\n"
	"{ return neap_fiber_sleep(0.001); }\n"
	"int fails(neap_call_t *c, const char *a, const char *e)\n"
	"{ return NEAP_ERR(\"it %s\", \"failed\"); }\n";

/* Each call: well, or an error that tells why. */
static const char *const script =
	"local cmod = require('cmod')\n"
	"m = m or cmod.load('./m')\n"
	"local function load(name)\n"
	"	local ok, f = pcall(m.load, m, name, {offload = true})\n"
	"	if ok then return f end\n"
	"	return function() return nil, f end\n"
	"end\n"
	"local function check(want, ok, back, more)\n"
	"	if ok == want then return end\n"
	"	local text = tostring(back)\n"
	"	assert(ok == nil and (text:find('not enough memory') or\n"
	"	       text:find('temporarily unavailable') or\n"
	"	       text:find('Too many open files')), text)\n"
	"end\n"
	"local function run()\n"
	"	check(true, load('echo')(1, {a = ('x'):rep(300)}, 'y'))\n"
	"	check(true, load('nap')())\n"
	"	local ok, err = load('fails')()\n"
	"	if tostring(err) ~= 'it failed' then check(true, ok, err) end\n"
	"end\n"
	"local ok, err = pcall(run)\n"
	"if not ok and not tostring(err):find('not enough memory') then\n"
	"	error(err)\n"
	"end\n";

static void run_script(void)
{
	struct lua_fiber *f = world_fiber(script);

	if (f == NULL) {
		error_unref(diag_take());
		return;
	}
	lua_fiber_start(f, 0);
	world_run();
}

/* Every failure of @a what, one after the other, until it is not reached. */
static void sweep(const char *what, long count)
{
	bool reached = true;
	int failures = 0;

	for (long k = 0; reached; k++) {
		world_forget();
		inject_arm(what, k, count);
		run_script();
		reached = inject_asked(what) > k;
		inject_reset();
		if (world_told[0] != '\0' &&
		    strstr(world_told, "not enough memory") == NULL)
			fail_msg("%s %ld: %s", what, k, world_told);
		failures += reached;
		/* A thread is wanted anew each time. */
		assert_int_equal(pool_stop(30000000000u, NULL, NULL), 0);
	}
	if (failures == 0)
		fail_msg("%s is never reached", what);
	world_forget();
	run_script();
	assert_string_equal(world_told, "");
	assert_int_equal(pool_stop(30000000000u, NULL, NULL), 0);
}

static void test_failures(void **state)
{
	(void)state;
	if (inject_arm("x", 0, 0) != 0)
		skip();
	inject_reset();
	sweep("pool.port", 1);
	sweep("malloc", 1);
	sweep("malloc", -1);
	sweep("lua.alloc", 1);
	sweep("pool.thread", 1);
	sweep("cmod.eventfd", 1);
}

/* The state goes while calls run, wait in the queue and have ended. */
static void test_state_goes(void **state)
{
	const struct pool_limits before = pool_get_limits();
	const struct pool_limits limits = { 2, 100, before.idle_ns };
	static const char text[] =
		"local fiber = require('fiber')\n"
		"local m = require('cmod').load('./m')\n"
		"for i = 1, 50 do\n"
		"	local f = m:load(i % 2 == 0 and 'nap' or 'echo',\n"
		"		{offload = true})\n"
		"	fiber.create(function() f(i) end)\n"
		"end\n";

	(void)state;
	pool_set_limits(&limits);
	for (int i = 0; i < 20; i++) {
		struct lua_fiber *f;

		assert_int_equal(world_create(), 0);
		f = world_fiber(text);
		assert_non_null(f);
		lua_fiber_start(f, 0);
		for (int n = 0; n < i; n++)
			loop_run(&world_loop, UV_RUN_NOWAIT);
		world_destroy();
		assert_int_equal(pool_stop(30000000000u, NULL, NULL), 0);
		assert_int_equal(cmod_live_count(), 0);
	}
	pool_set_limits(&before);
}

static int tear_down(void **state)
{
	int rc = world_tear_down(state);

	assert_int_equal(pool_stop(30000000000u, NULL, NULL), 0);
	assert_int_equal(cmod_live_count(), 0);
	return rc;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_failures, world_set_up,
						tear_down),
		cmocka_unit_test(test_state_goes),
	};

	build_so("m.so", source, "");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
