/* The door into Lua: protection, errors of every kind, waits and timeouts. */
#include "lua_world.h"

#include <math.h>
#include <stdlib.h>
#include <uv.h>

static void succeed(lua_State *L, void *arg)
{
	assert_int_equal(lua_gettop(L), 0);
	lua_pushliteral(L, "left on the stack");
	lua_pushnil(L);
	*(int *)arg += 1;
}

static void protects(void **state)
{
	int top = lua_gettop(world_vm.L), calls = 0;

	(void)state;
	lua_pushliteral(world_vm.L, "below");
	for (int i = 0; i < 10000; i++)
		assert_int_equal(lua_vm_protect(&world_vm, succeed, &calls), 0);
	assert_int_equal(calls, 10000);
	assert_int_equal(lua_gettop(world_vm.L), top + 1);
	assert_string_equal(lua_tostring(world_vm.L, -1), "below");
	lua_pop(world_vm.L, 1);
}

static void run_text(lua_State *L, void *arg)
{
	if (luaL_loadstring(L, arg) != 0)
		lua_error(L);
	lua_call(L, 0, 0);
}

static void check_thrown(const char *text, const struct error_type *type,
			 const char *message)
{
	int top = lua_gettop(world_vm.L);
	struct error *e;

	assert_int_equal(lua_vm_protect(&world_vm, run_text, (void *)text), -1);
	assert_int_equal(lua_gettop(world_vm.L), top);
	e = diag_take();
	assert_ptr_equal(e->type, type);
	assert_non_null(strstr(e->message, message));
	error_unref(e);
}

static void errors_become_the_diag(void **state)
{
	(void)state;
	for (int i = 0; i < 100; i++) {
		check_thrown("error('plain', 0)", &LuaError, "plain");
		check_thrown("error()", &LuaError, "nil value");
		check_thrown("error({})", &LuaError, "table value");
		check_thrown("error(print)", &LuaError, "function value");
		check_thrown("error(setmetatable({}, {__tostring = error}))",
			     &LuaError, "table value");
		check_thrown("x = = 1", &LuaError, "unexpected symbol");
		check_thrown("require('fiber').create()", &IllegalParams,
			     "a function is wanted, not n");
		check_thrown("local function f() return 1 + f() end f()",
			     &LuaError, "stack overflow");
		check_thrown("require('fiber').sleep(1)", &IllegalParams,
			     "not inside a fiber");
		check_thrown("require('fiber').self()", &IllegalParams,
			     "not inside a fiber");
		check_thrown("coroutine.wrap(function()"
			     " require('fiber').yield() end)()",
			     &IllegalParams, "not inside a fiber");
	}
}

static void inner(lua_State *L, void *arg)
{
	(void)L;
	assert_int_equal(lua_vm_protect(&world_vm, run_text, "error('deep')"),
			 -1);
	error_unref(diag_take());
	*(int *)arg += 1;
	luaL_error(L, "outer");
}

static void nests(void **state)
{
	int calls = 0;

	(void)state;
	assert_int_equal(lua_vm_protect(&world_vm, inner, &calls), -1);
	assert_int_equal(calls, 1);
	assert_string_equal(diag_last()->message, "outer");
	diag_clear();
}

static uint64_t last_timeout;

static void convert(lua_State *L, void *arg)
{
	if (arg != NULL)
		lua_pushnumber(L, *(double *)arg);
	last_timeout = lua_wait_timeout(L, 1);
}

static void timeouts(void **state)
{
	static const struct {
		double seconds;
		uint64_t ns;
	} cases[] = {
		{ 0, 0 },
		{ -0.0, 0 },
		{ -1, 0 },
		{ -INFINITY, 0 },
		{ 1, 1000000000 },
		{ 0.5, 500000000 },
		{ 1e-9, 1 },
		{ 1e-10, 0 },
		{ 1e9, 1000000000000000000 },
		{ 1e10, UINT64_MAX },
		{ 1e300, UINT64_MAX },
		{ INFINITY, UINT64_MAX },
	};
	double nan_value = NAN;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		double s = cases[i].seconds;

		assert_int_equal(lua_vm_protect(&world_vm, convert, &s), 0);
		assert_int_equal(last_timeout, cases[i].ns);
	}
	assert_int_equal(lua_vm_protect(&world_vm, convert, NULL), 0);
	assert_int_equal(last_timeout, UINT64_MAX);
	assert_int_equal(lua_vm_protect(&world_vm, convert, &nan_value), -1);
	assert_non_null(strstr(diag_last()->message, "NaN"));
	diag_clear();
}

static int l_wait_status(lua_State *L)
{
	struct fiber *self = lua_wait_check(L);

	fiber_park(self, NULL, NULL, UINT64_MAX);
	return lua_wait(L);
}

static void set_waiter(lua_State *L, void *arg)
{
	(void)arg;
	lua_pushcfunction(L, l_wait_status);
	lua_setglobal(L, "wait_status");
}

/* A wait gives the status its fiber was woken with, at any depth. */
static void statuses_arrive(void **state)
{
	static const int statuses[] = { 0,        1,         UV_ETIMEDOUT,
					UV_EPIPE, INT32_MAX, INT32_MIN };
	static const char *const texts[] = {
		"got = wait_status()",
		"got = coroutine.wrap(wait_status)()",
		("got = select(2, pcall(coroutine.wrap(function()"
		 " return coroutine.wrap(wait_status)() end)))"),
		"got = setmetatable({}, {__index = wait_status}).x",
		"for s in wait_status do got = s break end",
	};
	struct lua_fiber *f;

	(void)state;
	assert_int_equal(lua_vm_protect(&world_vm, set_waiter, NULL), 0);
	for (size_t t = 0; t < sizeof texts / sizeof *texts; t++) {
		for (size_t i = 0; i < sizeof statuses / sizeof *statuses;
		     i++) {
			f = world_fiber(texts[t]);
			lua_fiber_start(f, 0);
			assert_int_equal(f->base.state, FIBER_WAITING);
			assert_true(fiber_wakeup(&f->base, statuses[i]));
			world_run();
			lua_getglobal(world_vm.L, "got");
			assert_int_equal(lua_tonumber(world_vm.L, -1),
					 statuses[i]);
			lua_pop(world_vm.L, 1);
		}
	}
	assert_string_equal(world_told, "");
	assert_int_equal(world_sched.count, 0);
}

static void throw_status(lua_State *L, void *arg)
{
	lua_wait_throw(L, *(int *)arg);
}

static void statuses_are_thrown(void **state)
{
	static const struct {
		int status;
		const struct error_type *type;
		const char *text;
	} cases[] = {
		{ UV_ECANCELED, &FiberIsCancelled, "fiber is cancelled" },
		{ UV_ETIMEDOUT, &TimedOut, "timed out" },
		{ UV_EPIPE, &SystemError, "roken pipe" },
		{ UV_EOF, &SystemError, "end of file" },
		{ UV_ENOTSUP, &IllegalParams, "cannot wait here" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		int status = cases[i].status;

		assert_int_equal(
			lua_vm_protect(&world_vm, throw_status, &status), -1);
		assert_ptr_equal(diag_last()->type, cases[i].type);
		assert_non_null(strstr(diag_last()->message, cases[i].text));
		diag_clear();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		in_world(protects),        in_world(errors_become_the_diag),
		in_world(nests),           in_world(timeouts),
		in_world(statuses_arrive), in_world(statuses_are_thrown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
