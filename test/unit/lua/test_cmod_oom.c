/*
 * No memory, at every allocation that a script makes of C modules, of Lua's and
 * of ours: what is thrown or returned says so, the script's own checks hold, and
 * no instance, descriptor, function or call is left.
 *
 * test: timeout 200, soak 1800
 */
#include "lua_world.h"

#include <stdlib.h>

#include "cmod/call.h"
#include "cmod/cmod.h"
#include "cmod_build.h"
#include "neap/module.h"

static const char *const source =
	"#include <neap/module.h>\n"
	"int echo(neap_call_t *c, const char *a, const char *e)\n"
	"{ return neap_return_mp(c, a, e); }\n"
	"int nap(neap_call_t *c, const char *a, const char *e)\n"
	"{ return neap_fiber_sleep(0.0001) || neap_return_mp(c, a, e); }\n"
	"int fail(neap_call_t *c, const char *a, const char *e)\n"
	"{ return NEAP_ERR(\"bad luck\"); }\n";

/* What modules call must be linked into this program, and exported. */
int (*const exported)(neap_call_t *, const char *,
		      const char *) = neap_return_mp;

/* WRONG is what the script itself finds wrong; other errors are out of memory
 * and go uncaught, or are looked at here. */
static const char *const script =
	"local cmod = require('cmod')\n"
	"local function short(err)\n"
	"    local text = tostring(err)\n"
	"    if type(err) == 'userdata' and err.type ~= 'OutOfMemory' and\n"
	"        not text:find('not enough memory') then\n"
	"        error('WRONG: ' .. err.type .. ': ' .. text, 0)\n"
	"    end\n"
	"    return nil\n"
	"end\n"
	"local function try(f, ...)\n"
	"    local ok, a, b = pcall(f, ...)\n"
	"    if not ok then return short(a) end\n"
	"    return a, b\n"
	"end\n"
	"local m = try(cmod.load, './m')\n"
	"if not m then return end\n"
	"if m.state ~= 'cached' then error('WRONG: state', 0) end\n"
	"local by_name = try(cmod.load, 'm')\n"
	"for _, name in ipairs({ 'echo', 'nap' }) do\n"
	"    local f = try(m.load, m, name)\n"
	"    if f then\n"
	"        local ok, back = f(1, 'x', { 1, { a = ('y'):rep(100) } })\n"
	"        if ok == nil then\n"
	"            short(back)\n"
	"        elseif ok ~= true or back[3][2].a ~= ('y'):rep(100) then\n"
	"            error('WRONG: echo', 0)\n"
	"        end\n"
	"        f:unload()\n"
	"    end\n"
	"end\n"
	"local fail = try(m.load, m, 'fail')\n"
	"if fail then\n"
	"    local ok, err = fail()\n"
	"    if ok ~= nil then error('WRONG: fail', 0) end\n"
	"    if tostring(err) ~= 'bad luck' then short(err) end\n"
	"end\n"
	"local live = try(cmod.live, './m', 'echo')\n"
	"if live then\n"
	"    local ok, back = live(7)\n"
	"    if ok == nil then short(back)\n"
	"    elseif back[1] ~= 7 then error('WRONG: live', 0) end\n"
	"end\n"
	"local list = try(cmod.list)\n"
	"if list and #list ~= 1 then error('WRONG: list', 0) end\n"
	"m:unload()\n";

static bool strike(const char *what, long after, long count)
{
	struct lua_fiber *f;
	bool reached;

	world_forget();
	assert_int_equal(inject_arm(what, after, count), 0);
	f = world_fiber(script);
	if (f != NULL) {
		lua_fiber_start(f, 0);
		world_run();
	} else {
		error_unref(diag_take());
	}
	reached = inject_asked(what) > after;
	inject_reset();
	world_abandon();
	if (strstr(world_told, "WRONG") != NULL ||
	    (world_told_count > 0 &&
	     strstr(world_told, "enough memory") == NULL &&
	     strstr(world_told, "error in error handling") == NULL))
		fail_msg("%s %ld: %s", what, after, world_told);
	return reached;
}

/* Nothing is held but what Lua has yet to collect. */
static void expect_nothing_left(const char *what, long k, int fds)
{
	world_memory();
	if (cmod_live_count() != 0)
		fail_msg("%s %ld: %u instances are left", what, k,
			 cmod_live_count());
	assert_null(call_current);
	assert_int_equal(unit_open_fds(), fds);
}

static void sweep(const char *what, long count)
{
	size_t before = 0;
	long struck = 0;
	int fds;

	if (inject_arm("x", 0, 0) != 0)
		skip();
	inject_reset();
	strike(what, 1000000, 0); /* what is made once is made */
	assert_string_equal(world_told, "");
	call_empty_pool();
	world_memory();
	fds = unit_open_fds();
	for (long k = 0; strike(what, k, count); k++, struck++) {
		expect_nothing_left(what, k, fds);
		strike(what, 1000000, 0);
		assert_string_equal(world_told, "");
		expect_nothing_left(what, k, fds);
		if (k % 2 == 0)
			call_empty_pool();
		if (k == 20)
			before = world_memory();
	}
	print_message("%s, %ld at a time: %ld failures\n", what, count, struck);
	assert_in_range(struck, 10, 100000);
	assert_true(world_memory() < before + 16384);
}

static void every_allocation_of_lua(void **state)
{
	(void)state;
	sweep("lua.alloc", 1);
}

static void several_allocations_of_lua(void **state)
{
	(void)state;
	sweep("lua.alloc", 6);
}

static void every_allocation_of_ours(void **state)
{
	(void)state;
	sweep("malloc", 1);
}

static void several_allocations_of_ours(void **state)
{
	(void)state;
	sweep("malloc", 4);
}

/* A twin that keeps one module on purpose is seen. */
static void a_leak_is_seen(void **state)
{
	struct cmod *m;
	int fds;

	(void)state;
	fds = unit_open_fds();
	m = cmod_load("./m", NULL);
	assert_int_equal(cmod_live_count(), 1);
	assert_int_not_equal(unit_open_fds(), fds);
	cmod_unref(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		in_world(every_allocation_of_lua),
		in_world(several_allocations_of_lua),
		in_world(every_allocation_of_ours),
		in_world(several_allocations_of_ours),
		in_world(a_leak_is_seen),
	};

	build_so("m.so", source, "-O1");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
