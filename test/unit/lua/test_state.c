/* States: making, closing, memory that is counted, modules. */
#include "lua_world.h"

#include "leak.h"

static void memory_is_counted(void **state)
{
	size_t empty = world_memory(), full;

	(void)state;
	world_do("kept = {} for i = 1, 125000 do kept[i] = i end");
	full = world_memory();
	assert_true(full >= empty + 1000000 && full < empty + 1100000);
	assert_true(world_vm.memory.peak >= full);
	world_do("kept = nil");
	assert_true(world_memory() < empty + 10000);
	assert_true(world_vm.memory.peak >= full);
	/* What the state counts is what we count. */
	assert_int_equal(lua_gc(world_vm.L, LUA_GCCOUNT, 0) * 1024 +
				 lua_gc(world_vm.L, LUA_GCCOUNTB, 0),
			 world_vm.memory.used);
}

static void vm_is_found_from_every_coroutine(void **state)
{
	struct lua_fiber *f = lua_fiber_get(&world_vm);
	lua_State *co;

	(void)state;
	assert_ptr_equal(lua_vm_of(world_vm.L), &world_vm);
	assert_ptr_equal(lua_vm_of(f->co), &world_vm);
	co = lua_newthread(f->co);
	assert_ptr_equal(lua_vm_of(co), &world_vm);
	lua_fiber_drop(f);
}

static int opened;

static int open_half(lua_State *L)
{
	opened++;
	lua_newtable(L);
	lua_pushinteger(L, 42);
	lua_setfield(L, -2, "answer");
	return 1;
}

static int open_badly(lua_State *L)
{
	return luaL_error(L, "cannot open: %d", 7);
}

static void modules(void **state)
{
	static const struct lua_module both = {
		"both", open_half,
		"local c = ... return { twice = c.answer * 2 }"
	};
	static const struct lua_module c_only = { "c_only", open_half, NULL };
	static const struct lua_module lua_only = {
		"lua_only", NULL, "return { c = (...) == nil }"
	};
	static const struct lua_module broken = { "broken", NULL, "x x" };
	static const struct lua_module bad = { "bad", open_badly, NULL };
	static const struct lua_module throws = {
		"throws", NULL, "\n\nerror('in the Lua half')"
	};

	(void)state;
	opened = 0;
	assert_int_equal(lua_vm_register(&world_vm, &both), 0);
	assert_int_equal(lua_vm_register(&world_vm, &c_only), 0);
	assert_int_equal(lua_vm_register(&world_vm, &lua_only), 0);
	assert_int_equal(lua_vm_register(&world_vm, &broken), 0);
	assert_int_equal(lua_vm_register(&world_vm, &bad), 0);
	assert_int_equal(lua_vm_register(&world_vm, &throws), 0);
	assert_int_equal(opened, 0); /* not before it is wanted */
	world_do("assert(require('both').twice == 84)\n"
		 "assert(require('c_only').answer == 42)\n"
		 "assert(require('lua_only').c)\n"
		 "local function fails(name, text)\n"
		 "    for _ = 1, 2 do\n"
		 "        local ok, err = pcall(require, name)\n"
		 "        assert(not ok and err:find(text, 1, true), err)\n"
		 "    end\n"
		 "end\n"
		 "fails('broken', 'neap/broken.lua:1:')\n"
		 "fails('bad', 'cannot open: 7')\n"
		 "fails('throws', 'neap/throws.lua:3: in the Lua half')\n");
	assert_int_equal(opened, 2);
	/* Once a state, also when package.loaded forgets it. */
	world_do("local m = require('both')\n"
		 "package.loaded.both = nil\n"
		 "assert(require('both') == m)\n");
	assert_int_equal(opened, 2);
}

/* Finalizers run at the end; what they do must not outlive the state. */
static void finalizers_at_the_end(void **state)
{
	(void)state;
	for (int i = 0; i < 20; i++) {
		assert_int_equal(world_create(), 0);
		world_do(
			"local fiber = require('fiber')\n"
			"local ffi = require('ffi')\n"
			"local function finalized(f)\n"
			"    return ffi.gc(ffi.new('char[1]'), f)\n"
			"end\n"
			"keep = {}\n"
			"for i = 1, 50 do\n"
			"    keep[i] = finalized(function()\n"
			"        local ok, err = pcall(fiber.create, fiber.yield)\n"
			"        late = { ok, err, finalized(function()\n"
			"            pcall(fiber.sleep)\n"
			"        end) }\n"
			"        pcall(fiber.find)\n"
			"    end)\n"
			"end\n");
		world_destroy();
	}
}

static void rounds(int n)
{
	while (n-- > 0) {
		assert_int_equal(world_create(), 0);
		world_do("local fiber = require('fiber')\n"
			 "for i = 1, 10 do fiber.create(fiber.sleep, 0) end\n"
			 "pcall(fiber.sleep)\n");
		world_destroy();
	}
}

/* What the process has mapped, in pages: states have memory of their own from the
 * system. */
static long mapped(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	long pages = 0;

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%ld", &pages), 1);
	fclose(f);
	return pages;
}

static void mappings_stay_level(void **state)
{
	enum { STATES = 40, SLACK = 256 };
	long before;

	(void)state;
#ifdef LEAK_SANITIZED
	skip(); /* which keeps what is freed */
#endif
	rounds(3);
	before = mapped();
	rounds(STATES);
	assert_true(mapped() - before < SLACK);
	/* The twin: what one state has is more. */
	assert_int_equal(world_create(), 0);
	world_do("kept = ('x'):rep(4 * 1024 * 1024)");
	assert_true(mapped() - before >= SLACK);
	world_destroy();
	assert_true(mapped() - before < SLACK);
}

static void heap_stays_level(void **state)
{
	size_t before;
	int fds;

	(void)state;
	rounds(3);
	before = leak_bytes();
	fds = unit_open_fds();
	rounds(30);
	assert_int_equal(leak_bytes(), before);
	assert_int_equal(unit_open_fds(), fds);
	/* The twin: an error that nobody takes is seen. */
	rounds(3);
	diag_set(ClientError, "left behind");
	assert_true(leak_bytes() > before);
	diag_clear();
	assert_int_equal(leak_bytes(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		in_world(memory_is_counted),
		in_world(vm_is_found_from_every_coroutine),
		in_world(modules),
		cmocka_unit_test(finalizers_at_the_end),
		cmocka_unit_test(heap_stays_level),
		cmocka_unit_test(mappings_stay_level),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
