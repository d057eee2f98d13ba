/*
 * Fibers as C code of upper layers uses them: taken, given values, started,
 * dropped, abandoned in every state; what is told of their end.
 */
#include "lua_world.h"

#include <stdlib.h>

static struct {
	int calls;
	bool ok;
	double first; /* of the results */
	int count;
	char text[256];
} ended;

static void on_end(struct lua_fiber *f, bool ok, void *arg)
{
	assert_ptr_equal(arg, &ended);
	ended.calls++;
	ended.ok = ok;
	ended.count = lua_gettop(f->co);
	ended.first = lua_tonumber(f->co, 1);
	snprintf(ended.text, sizeof ended.text, "%s",
		 ended.count > 0 && lua_isstring(f->co, -1)
			 ? lua_tostring(f->co, -1)
			 : "");
}

static struct lua_fiber *told_fiber(const char *text)
{
	struct lua_fiber *f = world_fiber(text);

	assert_non_null(f);
	memset(&ended, 0, sizeof ended);
	f->on_end = on_end;
	f->on_end_arg = &ended;
	return f;
}

static void results_go_to_on_end(void **state)
{
	struct lua_fiber *f = told_fiber("local a, b = ... return a + b, 'x'");

	(void)state;
	lua_pushnumber(f->co, 30);
	lua_pushnumber(f->co, 12);
	lua_fiber_start(f, 2);
	assert_int_equal(ended.calls, 1);
	assert_true(ended.ok);
	assert_int_equal(ended.count, 2);
	assert_int_equal(ended.first, 42);
	assert_int_equal(world_sched.count, 0);

	f = told_fiber("require('fiber').yield() return ...");
	lua_pushboolean(f->co, 1);
	lua_fiber_start_later(f, 1);
	assert_int_equal(ended.calls, 0);
	world_run();
	assert_int_equal(ended.calls, 1);
	assert_int_equal(ended.count, 1);
}

/* An error goes to on_end, and then not to on_uncaught. */
static void errors_go_to_on_end(void **state)
{
	(void)state;
	lua_fiber_start(told_fiber("error('for on_end', 0)"), 0);
	assert_int_equal(ended.calls, 1);
	assert_false(ended.ok);
	assert_string_equal(ended.text, "for on_end");
	assert_string_equal(world_told, "");
	lua_fiber_start(world_fiber("error('for on_uncaught', 0)"), 0);
	assert_int_equal(ended.calls, 1);
	assert_int_equal(world_told_count, 1);
	assert_non_null(strstr(world_told, "for on_uncaught"));
	world_forget();
	/* The next one in its place has nothing of it. */
	lua_fiber_start(world_fiber("return 1"), 0);
	assert_int_equal(ended.calls, 1);
}

static void coroutines_are_used_again(void **state)
{
	struct lua_fiber *f = world_fiber("return ..."), *g;
	lua_State *co = f->co;

	(void)state;
	lua_fiber_start(f, 0);
	g = lua_fiber_get(&world_vm);
	assert_ptr_equal(g->co, co);
	assert_int_equal(lua_gettop(g->co), 0);
	assert_null(g->on_end);
	assert_null(g->handle);
	assert_string_equal(g->name, "lua");
	assert_int_equal(g->base.flags, 0);
	lua_fiber_drop(g);
	/* One that failed is not. */
	f = world_fiber("error('x')");
	assert_ptr_equal(f->co, co);
	lua_fiber_start(f, 0);
	world_forget();
	for (int i = 0; i < 3; i++) {
		lua_fiber_start(world_fiber("error('x')"), 0);
		lua_fiber_start(world_fiber("return 1"), 0);
	}
	assert_int_equal(world_told_count, 3);
	world_forget();
}

/* Dropped and abandoned in each state: nothing is told, nothing is left. */
static void abandons(void **state)
{
	static const char *const waits[] = {
		"require('fiber').sleep(1000)",
		"require('fiber').channel():get()",
		"require('fiber').channel():put(1, 1000)",
		"require('fiber').cond():wait()",
		"while true do require('fiber').yield() end",
		"coroutine.wrap(function() require('fiber').sleep(9) end)()",
		"pcall(pcall, require('fiber').sleep, 1000)",
		"while true do coroutine.yield() end",
		("local f = require('fiber').new(require('fiber').sleep, 1000)\n"
		 "f:set_joinable(true) f:join()"),
	};
	struct lua_fiber *f;

	(void)state;
	f = told_fiber("return 1");
	lua_fiber_drop(f);
	f = told_fiber("return 1");
	lua_fiber_abandon(f);
	f = told_fiber("return 1");
	lua_fiber_start_later(f, 0);
	lua_fiber_abandon(f);
	for (size_t i = 0; i < sizeof waits / sizeof *waits; i++) {
		for (int ready = 0; ready < 2; ready++) {
			f = told_fiber(waits[i]);
			lua_fiber_start(f, 0);
			assert_int_not_equal(f->base.state, FIBER_RUNNING);
			if (ready) /* woken, but it has not run */
				fiber_interrupt(&f->base, UV_ECANCELED);
			lua_fiber_abandon(f);
		}
	}
	world_abandon();
	assert_int_equal(ended.calls, 0);
	assert_int_equal(world_sched.count, 0);
	assert_int_equal(world_sched.waiting, 0);
	assert_null(world_sched.timers.root);
	assert_string_equal(world_told, "");
	world_run();
	world_do("collectgarbage() collectgarbage()");
}

/* A server that runs for months: numbers are past what 32 bits hold, and one
 * that is there is found by each of them. */
static void numbers_past_32_bits(void **state)
{
	static const uint64_t firsts[] = { INT32_MAX, UINT32_MAX, 1ull << 52 };

	(void)state;
	for (size_t i = 0; i < sizeof firsts / sizeof *firsts; i++) {
		world_sched.next_id = firsts[i] - 2;
		world_do("local fiber = require('fiber')\n"
			 "local last = 0\n"
			 "for i = 1, 5 do\n"
			 "	local f = fiber.create(fiber.sleep, 100)\n"
			 "	local id = f:id()\n"
			 "	assert(id > last, id)\n"
			 "	last = id\n"
			 "	assert(fiber.find(id) == f, id)\n"
			 "	assert(fiber.info()[id].fid == id, id)\n"
			 "	fiber.cancel(id)\n"
			 "	fiber.yield()\n"
			 "	assert(fiber.find(id) == nil, id)\n"
			 "end\n"
			 "assert(last > 2 ^ 31)");
		world_run();
	}
}

/* Objects of fibers that C code has ended are as those of dead ones. */
static void objects_outlive_abandoned_fibers(void **state)
{
	struct lua_fiber *f;

	(void)state;
	f = world_fiber("local fiber = require('fiber')\n"
			"mine = fiber.self() mine:set_joinable(true)\n"
			"id = mine:id() fiber.sleep(1000)");
	lua_fiber_start(f, 0);
	f = world_fiber("local fiber = require('fiber')\n"
			"joined = { pcall(mine.join, mine) }");
	lua_fiber_start(f, 0);
	lua_fiber_abandon(lua_fiber_of(fiber_find(&world_sched, 101)));
	world_run();
	world_do("local fiber = require('fiber')\n"
		 "assert(mine:status() == 'dead' and mine:id() == id)\n"
		 "assert(fiber.find(id) == nil)\n"
		 "assert(joined[1] == false, 'the joiner is told')\n"
		 "assert(not pcall(mine.cancel, mine))\n"
		 "assert(not pcall(mine.join, mine))\n"
		 "mine = nil collectgarbage()\n");
}

/* Started from within a fiber, from within protected code, and nested. */
static void start_inside(lua_State *L, void *arg)
{
	(void)L, (void)arg;
	lua_fiber_start(told_fiber("require('fiber').sleep(0) return 5"), 0);
}

static void starts_from_protected_code(void **state)
{
	(void)state;
	assert_int_equal(lua_vm_protect(&world_vm, start_inside, NULL), 0);
	assert_int_equal(ended.calls, 0);
	world_run();
	assert_int_equal(ended.calls, 1);
	assert_int_equal(ended.first, 5);
}

/* Many at once, ended in random order by all means. */
static void crowd(void **state)
{
	enum { COUNT = 3000 };
	static uint64_t id[COUNT];

	(void)state;
	srand(9);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < COUNT; i++) {
			struct lua_fiber *f =
				told_fiber("local fiber = require('fiber')\n"
					   "local ch = fiber.channel()\n"
					   "pcall(ch.get, ch) fiber.self()");
			id[i] = f->base.id;
			lua_fiber_start(f, 0);
		}
		assert_int_equal(world_sched.count, COUNT);
		for (int i = 0; i < COUNT * 2; i++) {
			struct fiber *f =
				fiber_find(&world_sched, id[rand() % COUNT]);

			if (f == NULL)
				continue;
			if (rand() % 2)
				lua_fiber_abandon(lua_fiber_of(f));
			else
				fiber_cancel(f);
		}
		world_run();
		world_abandon();
		assert_int_equal(world_sched.count, 0);
	}
	assert_true(world_vm.pooled <= 1024);
	assert_string_equal(world_told, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		in_world(results_go_to_on_end),
		in_world(errors_go_to_on_end),
		in_world(coroutines_are_used_again),
		in_world(abandons),
		in_world(numbers_past_32_bits),
		in_world(objects_outlive_abandoned_fibers),
		in_world(starts_from_protected_code),
		in_world(crowd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
