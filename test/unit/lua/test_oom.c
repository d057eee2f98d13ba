/*
 * No memory, at every allocation of a script that uses all of the core: the
 * error says so, nothing is lost, and the state works afterwards.
 *
 * test: timeout 200
 */
#include "lua_world.h"

#include <errno.h>
#include <stdlib.h>

#include "leak.h"

static char everything[16384];

static void load_script(void)
{
	const char *dir = getenv("NEAP_SOURCE_DIR");
	char path[512];
	size_t size;
	FILE *file;

	snprintf(path, sizeof path, "%s/test/unit/lua/everything.lua",
		 dir == NULL ? "." : dir);
	file = fopen(path, "r");
	if (file == NULL) {
		perror(path);
		exit(1);
	}
	size = fread(everything, 1, sizeof everything - 1, file);
	everything[size] = '\0';
	fclose(file);
}

/* Until nobody is ready and nobody wakes soon: one whose partner has died of the
 * failure would wait long. */
static void run_what_runs(void)
{
	const struct timer *next;

	do {
		loop_run(&world_loop, UV_RUN_NOWAIT);
		next = world_sched.timers.root;
	} while (!list_empty(&world_sched.ready) ||
		 (next != NULL && next->due_ns < uv_hrtime() + 1000000000));
}

/* Run the script once; the failure strikes while it runs. Returns whether the
 * script got as far as to need that allocation. */
static bool strike(const char *what, long after, long count)
{
	static char out_of_memory[8192];
	struct lua_fiber *f;
	bool reached;

	world_forget();
	assert_int_equal(inject_arm(what, after, count), 0);
	f = world_fiber(everything);
	if (f != NULL) {
		lua_fiber_start(f, 0);
		run_what_runs();
	} else {
		error_unref(diag_take());
	}
	reached = inject_asked(what) > after;
	inject_reset();
	world_abandon();
	snprintf(out_of_memory, sizeof out_of_memory, "%s", world_told);
	if (strstr(world_told, "WRONG") != NULL)
		fail_msg("%s %ld: %s", what, after, world_told);
	/* Each of those told is the expected one. */
	for (char *line = out_of_memory; *line != '\0';) {
		char *end = strstr(line, "\nstack traceback");

		if (end != NULL)
			*end = '\0';
		if (strstr(line, "not enough memory") == NULL &&
		    strstr(line, strerror(ENOMEM)) == NULL &&
		    strstr(line, "error in error handling") == NULL)
			fail_msg("%s %ld: %s", what, after, world_told);
		break;
	}
	return reached;
}

static void still_works(void)
{
	world_forget();
	world_do(
		"local fiber = require('fiber')\n"
		"local f = fiber.new(function(a) fiber.sleep(0) return a end, 7)\n"
		"f:set_joinable(true)\n"
		"local ok, n = f:join()\n"
		"assert(ok and n == 7)\n"
		"local ch = fiber.channel(0)\n"
		"fiber.create(function() ch:put('x') end)\n"
		"assert(ch:get() == 'x')\n"
		"local ok, err = pcall(fiber.sleep)\n"
		"assert(err.type == 'IllegalParams')\n"
		"assert(coroutine.wrap(function() fiber.yield() return 5 end)()"
		" == 5)\n");
}

static void strike_all(const char *what, long count)
{
	long step = getenv("NEAP_SOAK") != NULL ? 1 : 3;

	for (long k = 0; strike(what, k, count); k += step)
		still_works();
	strike(what, 1000000, 0);
	still_works();
}

/* One state through all failures: its size stays level, once all is loaded that is
 * loaded once; but for traces, which have a limit of their own. */
static void sweep(const char *what, long count, bool jit)
{
	size_t before;

	if (!jit)
		world_do("jit.off() jit.flush()");
	strike_all(what, count);
	if (jit)
		return;
	before = world_memory();
	strike_all(what, count);
	assert_in_range(world_memory(), 1, before + 16384);
}

static void every_allocation_of_lua(void **state)
{
	(void)state;
	if (inject_arm("x", 0, 0) != 0)
		skip();
	inject_reset();
	sweep("lua.alloc", 1, true);
}

static void every_allocation_of_the_interpreter(void **state)
{
	(void)state;
	if (inject_arm("x", 0, 0) != 0)
		skip();
	inject_reset();
	sweep("lua.alloc", 1, false);
}

static void several_allocations_of_lua(void **state)
{
	(void)state;
	if (inject_arm("x", 0, 0) != 0)
		skip();
	inject_reset();
	sweep("lua.alloc", 8, true);
	sweep("lua.alloc", 8, false);
}

static void every_allocation_of_ours(void **state)
{
	(void)state;
	if (inject_arm("x", 0, 0) != 0)
		skip();
	inject_reset();
	sweep("malloc", 1, true);
	sweep("malloc", 5, false);
}

/* The same failure again and again leaves nothing behind. */
static void ten_thousand_failures(void **state)
{
	size_t before = 0;

	(void)state;
	if (inject_arm("x", 0, 0) != 0)
		skip();
	inject_reset();
	for (int i = 0; i < 10000; i++) {
		struct lua_fiber *f;

		if (i == 1000)
			before = world_memory();
		inject_arm("lua.alloc", i % 7, 1);
		f = lua_fiber_get(&world_vm);
		if (f == NULL)
			error_unref(diag_take());
		else
			lua_fiber_drop(f);
		inject_reset();
		lua_fiber_empty_pool(&world_vm);
	}
	assert_true(world_memory() < before + 4096);
	still_works();
}

/* Failures while the state itself is made. What LuaJIT's ffi then leaves goes
 * with the state's own arena; only builds with the system's allocator keep it,
 * and only LuaJIT's own assertions, of the debug preset, mind it. */
static void every_allocation_of_a_start(void **state)
{
	bool reached = true;

	(void)state;
#ifndef LEAK_SANITIZED
	skip();
#endif
	inject_reset();
	for (long k = 0; reached; k += 5) {
		struct error *e;

		inject_arm("lua.alloc", k, 1);
		LEAK_IGNORE(world_create());
		reached = inject_asked("lua.alloc") > k;
		inject_reset();
		e = diag_last();
		if (e == NULL) { /* made, or collected garbage instead */
			still_works();
			world_destroy();
			continue;
		}
		assert_non_null(strstr(e->message, "not enough"));
		diag_clear();
	}
}

/* Failures while the modules of ours are loaded. */
static void every_allocation_of_a_module(void **state)
{
	bool reached = true;

	(void)state;
	if (inject_arm("x", 0, 0) != 0)
		skip();
	inject_reset();
	for (long k = 0; reached; k += 3) {
		struct lua_fiber *f;

		assert_int_equal(world_create(), 0);
		f = world_fiber("local fiber = require('fiber')\n"
				"fiber.channel():get(0)\n"
				"fiber.cond():wait(0)\n");
		assert_non_null(f);
		inject_arm("lua.alloc", k, 1);
		lua_fiber_start(f, 0);
		world_run();
		reached = inject_asked("lua.alloc") > k;
		inject_reset();
		if (world_told_count > 0)
			assert_non_null(strstr(world_told, "not enough"));
		still_works();
		world_destroy();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		in_world(every_allocation_of_lua),
		in_world(every_allocation_of_the_interpreter),
		in_world(several_allocations_of_lua),
		in_world(every_allocation_of_ours),
		in_world(ten_thousand_failures),
		cmocka_unit_test(every_allocation_of_a_start),
		cmocka_unit_test(every_allocation_of_a_module),
	};

	load_script();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
