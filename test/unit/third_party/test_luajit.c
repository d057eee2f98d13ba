/*
 * Our LuaJIT has what its build promises: hooks in compiled code, and each
 * mend of third_party/luajit that shows itself from outside.
 */
#include "unit.h"

#include <signal.h>
#include <stdbool.h>
#include <sys/time.h>

#include <lauxlib.h>
#include <lua.h>
#include <luajit.h>
#include <lualib.h>

static lua_State *state; /* of the running test, for the signal handler */
static int hooks;        /* calls of a hook */

static int setup(void **unused)
{
	(void)unused;
	state = luaL_newstate();
	if (state == NULL)
		return -1;
	luaL_openlibs(state);
	hooks = 0;
	return 0;
}

static int teardown(void **unused)
{
	(void)unused;
	lua_close(state);
	return 0;
}

/* Runs a chunk; returns its error as text of the state, or NULL. */
static const char *run(const char *chunk)
{
	lua_settop(state, 0);
	if (luaL_loadstring(state, chunk) == 0 &&
	    lua_pcall(state, 0, 1, 0) == 0)
		return NULL;
	return lua_tostring(state, -1);
}

#if !NEAP_LUAJIT_SYSTEM

/* Calls the handler on this thread in a while. */
static void signal_in_ms(int ms, void (*handler)(int))
{
	struct sigaction sa = { .sa_handler = handler, .sa_flags = SA_RESTART };
	struct itimerval it = { .it_value = { 0, ms * 1000 } };

	assert_int_equal(sigaction(SIGALRM, &sa, NULL), 0);
	assert_int_equal(setitimer(ITIMER_REAL, &it, NULL), 0);
}

static void throwing_hook(lua_State *L, lua_Debug *ar)
{
	(void)ar;
	hooks++;
	lua_sethook(L, NULL, 0, 0);
	luaL_error(L, "stopped by the hook");
}

static void on_alarm_set_hook(int signo)
{
	(void)signo;
	lua_sethook(state, throwing_hook, LUA_MASKCOUNT, 1);
}

/* The thread sanitizer holds signals back until a call it knows: there is
 * none while Lua spins. */
static void need_signals(void)
{
#ifdef __SANITIZE_THREAD__
	skip();
#endif
}

static void test_compiled_loop_meets_hook(void **unused)
{
	const char *err;

	(void)unused;
	need_signals();
	assert_null(run("require('jit.opt').start('hotloop=2')"));
	signal_in_ms(50, on_alarm_set_hook);
	err = run("local i = 0 while true do i = i + 1 end");
	assert_non_null(err);
	assert_non_null(strstr(err, "stopped by the hook"));
	assert_int_equal(hooks, 1);
	/* It was compiled code that was stopped. */
	assert_null(run("return require('jit.util').traceinfo(1).nins"));
	assert_true(lua_isnumber(state, -1));
}

static void test_failed_load_restores_hook(void **unused)
{
	(void)unused;
	assert_null(run("jit.off()"));
	lua_sethook(state, throwing_hook, LUA_MASKCOUNT, 1000);
	assert_null(run("local f, err = load(function()\n"
			"    for i = 1, 1e6 do end\n"
			"end)\n"
			"assert(not f and err:find('stopped by the hook'))"));
	assert_int_equal(hooks, 1);
	lua_sethook(state, throwing_hook, LUA_MASKCOUNT, 1000);
	assert_non_null(run("for i = 1, 1e6 do end"));
	assert_int_equal(hooks, 2);
}

/* The VM's own error, in code of both kinds: the traceback has the line. */
static void test_failed_coroutine_keeps_its_line(void **unused)
{
	(void)unused;
	assert_null(run("local function fail(t)\n"
			"  local x = 1\n"
			"  return t.a + x\n"
			"end\n"
			"local good = {a = 1}\n"
			"for i = 1, 300 do\n"
			"  local co = coroutine.create(function()\n"
			"    for j = 1, 100 do fail(good) end\n"
			"    fail(nil)\n"
			"  end)\n"
			"  assert(not coroutine.resume(co))\n"
			"  local text = debug.traceback(co)\n"
			"  assert(text:find(':3: in function', 1, true)\n"
			"    and text:find(':9: in function', 1, true),\n"
			"    text)\n"
			"end"));
}

static void on_alarm_stop_match(int signo)
{
	(void)signo;
	luaJIT_stopmatch = 1;
}

static void test_endless_match_is_stopped(void **unused)
{
	const char *err;

	(void)unused;
	need_signals();
	signal_in_ms(50, on_alarm_stop_match);
	err = run("local a = string.rep('a', 100)\n"
		  "return a:find(string.rep('a-', 100) .. 'b')");
	luaJIT_stopmatch = 0;
	assert_non_null(err);
	assert_non_null(strstr(err, "execution time limit exceeded"));
	assert_null(run("assert(('key=value'):match('^(%w+)=') == 'key')"));
}

static void test_long_plain_find_is_linear(void **unused)
{
	(void)unused;
	/* Some 6 s where each place is compared whole; 3 ms here. */
	assert_null(run("local s = ('a'):rep(1e6)\n"
			"local from = os.clock()\n"
			"assert(not s:find(('a'):rep(5e5) .. 'b', 1, true))\n"
			"assert(os.clock() - from < 1)"));
	/* The same places at every length around the change of method. */
	assert_null(
		run("local s = ('ab'):rep(40) .. ('ba'):rep(40) .. 'c'\n"
		    "for length = 1, 80 do\n"
		    "    for i = 1, #s - length + 1 do\n"
		    "        local p, at = s:sub(i, i + length - 1)\n"
		    "        for j = 1, i do\n"
		    "            if s:sub(j, j + length - 1) == p then\n"
		    "                at = j\n"
		    "                break\n"
		    "            end\n"
		    "        end\n"
		    "        assert(s:find(p, 1, true) == at)\n"
		    "    end\n"
		    "    assert(not s:find(('x'):rep(length), 1, true))\n"
		    "end\n"
		    "assert(('x'):rep(40):find(('x'):rep(40), 1, true) == 1)\n"
		    "assert(not ('x'):rep(39):find(('x'):rep(40), 1, true))"));
}

static lua_Alloc alloc;
static void *alloc_arg;
static bool no_growth;

/* What has 64 bytes gets no more: the table of seven traces. */
static void *alloc_no_growth(void *arg, void *ptr, size_t old_size, size_t size)
{
	(void)arg;
	if (no_growth && ptr != NULL && old_size == 64 && size > old_size)
		return NULL;
	return alloc(alloc_arg, ptr, old_size, size);
}

static int same(lua_State *L)
{
	no_growth = lua_isboolean(L, 1) ? lua_toboolean(L, 1) : no_growth;
	lua_settop(L, 1);
	return 1;
}

static void test_recording_without_memory_harms_none(void **unused)
{
	const char *error;

	(void)unused;
	alloc = lua_getallocf(state, &alloc_arg);
	lua_setallocf(state, alloc_no_growth, NULL);
	lua_register(state, "same", same);
	error = run("jit.opt.start('hotloop=2')\n"
		    "local info = require('jit.util').traceinfo\n"
		    "local function loop()\n"
		    "    return loadstring([[local s = 0\n"
		    "        for i = 1, 50 do s = s + i end return s]])\n"
		    "end\n"
		    "while not info(5) do loop()() end\n"
		    "local function sum()\n" /* two: one begins at the call */
		    "    local s = 0\n"
		    "    for i = 1, 50 do s = s + same(i) end\n"
		    "    return s\n"
		    "end\n"
		    "assert(sum() == 1275 and info(7) and not info(8))\n"
		    "local other = loop()\n"
		    "same(true)\n"
		    "for i = 1, 200 do assert(other() == 1275) end\n"
		    "same(false)\n"
		    "for i = 1, 20 do assert(sum() == 1275) end\n");
	lua_setallocf(state, alloc, alloc_arg);
	if (error != NULL)
		fail_msg("%s", error);
}

#endif

static void test_interface(void **unused)
{
	(void)unused;
	assert_null(run("local ffi = require('ffi')\n"
			"assert(ffi.abi('gc64') and ffi.abi('le'))\n"
			"assert(require('jit').status())\n"
			"assert(tostring(ffi.cast('int64_t', 1)) == '1LL')"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#if !NEAP_LUAJIT_SYSTEM
		cmocka_unit_test_setup_teardown(test_compiled_loop_meets_hook,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_failed_load_restores_hook,
						setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_failed_coroutine_keeps_its_line, setup, teardown),
		cmocka_unit_test_setup_teardown(test_endless_match_is_stopped,
						setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_recording_without_memory_harms_none, setup,
			teardown),
		cmocka_unit_test_setup_teardown(test_long_plain_find_is_linear,
						setup, teardown),
#endif
		cmocka_unit_test_setup_teardown(test_interface, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
