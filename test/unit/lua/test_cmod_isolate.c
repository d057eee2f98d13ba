/*
 * Calls in helper processes and everything that a start needs and can lack: each
 * allocation of ours and of Lua, the sockets, the process, its pidfd, and, truly,
 * each descriptor. The call is `nil, err` that tells why, or well; no process, no
 * descriptor and no instance is left of it.
 *
 * test: timeout 180, threads
 */
#include "lua_world.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "cmod/cmod.h"
#include "cmod/isolate_child.h"
#include "cmod_build.h"
#include "neap/module.h"

/* What modules call must be linked into this program, and exported. */
int (*const exported)(neap_call_t *, const char *,
		      const char *) = neap_return_mp;

static const char *const source =
	"#include <neap/module.h>\n"
	"int echo(neap_call_t *c, const char *a, const char *e)\n"
	"{ return neap_return_mp(c, a, e); }\n";

/* Two calls: when the first start fails, the next one is not tried at once, or
 * goes well. WRONG is what the script itself finds wrong. */
static const char *const script =
	"local cmod = require('cmod')\n"
	"local known = { 'not enough memory',\n"
	"    'cannot start a helper process for function .echo. of module .*: ',\n"
	"    'cannot talk to the helper process', 'Too many open files',\n"
	"    'cannot ask the helper process of .echo.: Cannot allocate' }\n"
	"local function check(ok, err)\n"
	"    if ok then return end\n"
	"    for _, text in ipairs(known) do\n"
	"        if tostring(err):find(text) then failures = 1 return end\n"
	"    end\n"
	"    error('WRONG: ' .. tostring(err), 0)\n"
	"end\n"
	"local function call(f, text)\n"
	"    local ok, back = f(text, 7)\n"
	"    check(ok, back)\n"
	"    if ok and (back[1] ~= text or back[2] ~= 7) then\n"
	"        error('WRONG: echo', 0)\n"
	"    end\n"
	"end\n"
	"local ok, m = pcall(cmod.load, './m')\n"
	"check(ok, m)\n"
	"if not ok then return end\n"
	"local ok, f = pcall(m.load, m, 'echo', { isolate = 'process' })\n"
	"check(ok, f)\n"
	"if not ok then return end\n"
	"call(f, 'short')\n"
	"call(f, ('x'):rep(300000))\n"; /* more than the socket holds */

/* Neither running nor waited for. */
static void expect_no_child(const char *what, long k)
{
	if (waitpid(-1, NULL, WNOHANG) != -1 || errno != ECHILD)
		fail_msg("%s %ld: a process is left", what, k);
}

static void expect_nothing_left(const char *what, long k, int fds)
{
	expect_no_child(what, k);
	if (cmod_live_count() != 0)
		fail_msg("%s %ld: %u instances are left", what, k,
			 cmod_live_count());
	if (unit_open_fds() != fds)
		fail_msg("%s %ld: %d descriptors, %d before", what, k,
			 unit_open_fds(), fds);
}

static void run_script(const char *what, long k)
{
	struct lua_fiber *f = world_fiber(script);

	if (f == NULL) {
		error_unref(diag_take());
		return;
	}
	lua_fiber_start(f, 0);
	world_run();
	if (strstr(world_told, "WRONG") != NULL ||
	    (world_told[0] != '\0' &&
	     strstr(world_told, "enough memory") == NULL))
		fail_msg("%s %ld: %s", what, k, world_told);
}

/* In a state of its own: its end waits for its helpers. */
static void run_once(const char *what, long k, int fds)
{
	assert_int_equal(world_create(), 0);
	run_script(what, k);
	inject_reset();
	world_destroy();
	expect_nothing_left(what, k, fds);
}

/* Every failure of @a what, one after the other, until it is not reached. */
static void sweep(const char *what, long count)
{
	int fds = unit_open_fds(), failures = 0;
	bool reached = true;

	for (long k = 0; reached; k++) {
		assert_int_equal(world_create(), 0);
		inject_arm(what, k, count);
		run_script(what, k);
		reached = inject_asked(what) > k;
		inject_reset();
		world_destroy();
		expect_nothing_left(what, k, fds);
		failures += reached;
	}
	print_message("%s: %d failures\n", what, failures);
	if (failures == 0)
		fail_msg("%s is never reached", what);
	run_once("well", 0, fds);
	assert_string_equal(world_told, "");
}

static void test_failures(void **state)
{
	(void)state;
	if (inject_arm("x", 0, 0) != 0)
		skip();
	inject_reset();
	sweep("cmod.socketpair", 1);
	sweep("cmod.dup", 1);
	sweep("cmod.spawn", 1);
	sweep("cmod.pidfd", 1);
	sweep("cmod.pidfd", -1);
	sweep("malloc", 1);
	sweep("malloc", -1);
	sweep("lua.alloc", 1);
}

/* One descriptor more each time, from none at all until it is enough. */
static void test_descriptors(void **state)
{
	struct rlimit before, limit;
	int fds = unit_open_fds(), failures = 0;
	bool well = false;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	for (int more = 0; !well && more < 30; more++) {
		assert_int_equal(world_create(), 0);
		limit = before;
		limit.rlim_cur = (rlim_t)(3 + more);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
		run_script("descriptors", more);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
		lua_getglobal(world_vm.L, "failures");
		well = lua_isnil(world_vm.L, -1);
		lua_pop(world_vm.L, 1);
		failures += !well;
		world_destroy();
		expect_nothing_left("descriptors", more, fds);
	}
	print_message("%d times too few descriptors\n", failures);
	assert_true(well && failures >= 5);
}

static int setup(void **state)
{
	(void)state;
	build_so("m.so", source, "-O1");
	/* What libuv opens once, and keeps. */
	assert_int_equal(world_create(), 0);
	world_destroy();
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_descriptors),
	};

	/* A helper process is this program anew. */
	if (isolate_is_child(argc, argv))
		return isolate_child_run();
	return cmocka_run_group_tests(tests, setup, NULL);
}
