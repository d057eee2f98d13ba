/*
 * No memory, at every allocation of code that is compiled meanwhile: the error
 * says so, what does not fail is right, and so is everything afterwards. Once more
 * while it is made to give way every 0.1 ms.
 *
 * test: timeout 200
 */
#include "lua_world.h"

#include <stdlib.h>

#include "lua/lua_preempt.h"

static void load_script(void)
{
	const char *dir = getenv("NEAP_SOURCE_DIR");
	static char text[16384];
	char path[512];
	size_t size;
	FILE *file;

	snprintf(path, sizeof path, "%s/test/unit/lua/hot.lua",
		 dir == NULL ? "." : dir);
	file = fopen(path, "r");
	assert_non_null(file);
	size = fread(text, 1, sizeof text - 1, file);
	text[size] = '\0';
	assert_int_equal(fclose(file), 0);
	world_do(text);
}

/* Run it with a failure. Returns whether it got as far. */
static bool strike(long after, long count)
{
	struct lua_fiber *f = world_fiber("hot()");
	bool reached;

	assert_non_null(f);
	world_forget();
	assert_int_equal(inject_arm("lua.alloc", after, count), 0);
	lua_fiber_start(f, 0);
	world_run();
	reached = inject_asked("lua.alloc") > after;
	inject_reset();
	if (strstr(world_told, "WRONG") != NULL ||
	    (world_told_count > 0 &&
	     strstr(world_told, "not enough memory") == NULL))
		fail_msg("%ld: %s", after, world_told);
	world_forget();
	assert_int_equal(lua_gc(world_vm.L, LUA_GCCOUNT, 0) * 1024 +
				 lua_gc(world_vm.L, LUA_GCCOUNTB, 0),
			 world_vm.memory.used);
	return reached;
}

/* Every one in a soak; else of ten neighbours one, another for each count. */
static void sweep(long count)
{
	long step = getenv("NEAP_SOAK") != NULL ? 1 : 10;

	for (long k = step > 1 ? count : 0; strike(k, count); k += step)
		world_do("assert(hot() == 0)");
}

static void every_allocation(void **state)
{
	(void)state;
	if (inject_arm("x", 0, 0) != 0)
		skip();
	inject_reset();
	load_script();
	world_do("assert(hot() == 0)\n"
		 "assert(require('jit.util').traceinfo(20), 'not compiled')");
	sweep(1);
	sweep(7);
}

static void every_allocation_in_slices(void **state)
{
	(void)state;
	if (inject_arm("x", 0, 0) != 0)
		skip();
	inject_reset();
	if (lua_preempt_start(&world_vm, 100000) != 0) {
		diag_clear();
		skip();
	}
	load_script();
	sweep(1);
	sweep(7);
	lua_preempt_stop(&world_vm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		in_world(every_allocation),
		in_world(every_allocation_in_slices),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
