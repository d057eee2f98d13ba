/*
 * lua_scratch_run(): states of threads that are not of a worker. All of it is
 * given back with the thread, whatever fails on the way.
 *
 * test: timeout 200
 */
#include "unit.h"

#include <lauxlib.h>
#include <lualib.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/diag.h"
#include "base/inject.h"
#include "leak.h"
#include "lua/lua_scratch.h"

static char code[4096];
static size_t code_size;

static int keep_code(lua_State *L, const void *data, size_t size, void *arg)
{
	(void)L;
	(void)arg;
	assert_true(code_size + size <= sizeof code);
	memcpy(code + code_size, data, size);
	code_size += size;
	return 0;
}

static void compile(const char *source)
{
	lua_State *L = luaL_newstate();

	assert_int_equal(luaL_loadstring(L, source), 0);
	code_size = 0;
	assert_int_equal(lua_dump(L, keep_code, NULL), 0);
	lua_close(L);
}

static void prepare(struct lua_scratch_run *run)
{
	static const char two_args[] = { '\x92', 40, 2 };

	*run = (struct lua_scratch_run){
		.code = code,
		.code_size = code_size,
		.path = "",
		.cpath = "",
		.jit = true,
		.name = "a test",
	};
	if (buf_append(&run->in, two_args, sizeof two_args) != 0)
		run->in.size = 0;
}

struct work {
	struct lua_scratch_run *runs;
	int count;
};

static void *thread_main(void *arg)
{
	struct work *w = arg;

	for (int i = 0; i < w->count; i++)
		lua_scratch_run(&w->runs[i]);
	return NULL;
}

static void run_in_thread(struct lua_scratch_run *runs, int count)
{
	struct work w = { runs, count };
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, thread_main, &w), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

static void results_and_errors(void **state)
{
	struct lua_scratch_run runs[3];

	(void)state;
	compile("local a, b = ... x = (x or 0) + a return x + b");
	for (int i = 0; i < 3; i++)
		prepare(&runs[i]);
	runs[1].code = "not bytecode";
	runs[1].code_size = 12;
	run_in_thread(runs, 3);
	for (int i = 0; i < 3; i += 2) {
		assert_true(runs[i].ok);
		assert_null(runs[i].error);
		assert_int_equal(runs[i].out.size, 2);
		assert_memory_equal(runs[i].out.data, "\x91\x2a", 2);
	}
	assert_false(runs[1].ok);
	assert_true(runs[1].report.size > 0);
	for (int i = 0; i < 3; i++)
		lua_scratch_run_destroy(&runs[i]);
}

static void *cancel_soon(void *arg)
{
	usleep(50000);
	atomic_store((atomic_bool *)arg, true);
	return NULL;
}

/* Each would go on for ever. The next run has a state again. */
static void cancelled(void **state)
{
	static const char *const endless[] = {
		"while true do end",
		"while true do pcall(function() while true do end end) end",
		"local function f() while true do end end "
		"while true do coroutine.wrap(function() pcall(f) end)() end",
		"while true do table.sort({ 3, 2, 1 }, "
		"function(a, b) return a < b end) end",
		"return setmetatable({}, { __serialize = function() "
		"while true do end end })",
		"error(setmetatable({}, { __serialize = function() "
		"while true do end end }))",
#ifndef __SANITIZE_THREAD__ /* there is no tick, and it is in C */
		"string.find(('a'):rep(40), ('.-'):rep(40) .. 'b')",
#endif
	};

	(void)state;
	for (size_t i = 0; i < sizeof endless / sizeof endless[0]; i++) {
		struct lua_scratch_run runs[2];
		pthread_t thread;

		compile(endless[i]);
		prepare(&runs[0]);
		prepare(&runs[1]);
		atomic_store(&runs[1].cancelled, true);
		assert_int_equal(pthread_create(&thread, NULL, cancel_soon,
						&runs[0].cancelled),
				 0);
		run_in_thread(runs, 2);
		pthread_join(thread, NULL);
		for (int k = 0; k < 2; k++) {
			assert_false(runs[k].ok);
			lua_scratch_run_destroy(&runs[k]);
		}
	}
}

static void rounds(int n)
{
	compile("local a, b = ... x = { a } "
		"if b == 3 then error({ 'a table' }) end "
		"return a + b, ('x'):rep(1000)");
	while (n-- > 0) {
		struct lua_scratch_run runs[4];

		for (int i = 0; i < 4; i++)
			prepare(&runs[i]);
		runs[1].in.data[2] = 3;
		runs[2].code = "no code";
		runs[2].code_size = 7;
		run_in_thread(runs, 4);
		assert_true(runs[0].ok && !runs[1].ok && !runs[2].ok &&
			    runs[3].ok);
		for (int i = 0; i < 4; i++)
			lua_scratch_run_destroy(&runs[i]);
	}
}

static void heap_stays_level(void **state)
{
	struct lua_scratch_run kept;
	size_t before;
	int fds;

	(void)state;
	rounds(3);
	before = leak_bytes();
	fds = unit_open_fds();
	rounds(20);
	assert_int_equal(leak_bytes(), before);
	assert_int_equal(unit_open_fds(), fds);
	/* The twin: one whose results stay is seen. */
	prepare(&kept);
	run_in_thread(&kept, 1);
	assert_true(kept.ok);
	assert_true(leak_bytes() > before);
	lua_scratch_run_destroy(&kept);
	assert_int_equal(leak_bytes(), before);
}

struct struck {
	const char *what;
	long after;
	struct lua_scratch_run runs[3];
	bool reached;
};

/* The state is made by the first run. Without memory for LuaJIT's own part of that
 * its table of C types is lost, so only malloc() fails there. */
static void *strike_main(void *arg)
{
	struct struck *s = arg;
	int begun = strcmp(s->what, "malloc") != 0;

	if (begun)
		lua_scratch_run(&s->runs[0]);
	assert_int_equal(inject_arm(s->what, s->after, 1), 0);
	for (int i = begun; i < 3; i++)
		lua_scratch_run(&s->runs[i]);
	s->reached = inject_asked(s->what) > s->after;
	inject_reset();
	return NULL;
}

/* Every allocation fails once: an error says so, and the run behind it, where
 * none does, is right. Returns whether it came that far. */
static bool strike(const char *what, long after)
{
	struct struck s = { .what = what, .after = after };
	pthread_t thread;
	int failed = 0;

	for (int i = 0; i < 3; i++)
		prepare(&s.runs[i]);
	assert_int_equal(pthread_create(&thread, NULL, strike_main, &s), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	for (int i = 0; i < 3; i++) {
		failed += !s.runs[i].ok;
		assert_true(s.runs[i].ok || s.runs[i].error != NULL ||
			    s.runs[i].out.size > 0);
		lua_scratch_run_destroy(&s.runs[i]);
	}
	assert_true(failed <= 1);
	return s.reached;
}

static void without_memory(void **state)
{
	static const char *const what[] = { "malloc", "lua.alloc" };
	size_t before;

	(void)state;
	if (inject_arm("malloc", 0, 0) != 0)
		skip();
	inject_reset();
	compile("local a, b = ... return { a, { b } }, ('x'):rep(a)");
	strike("malloc", 1000000);
	before = leak_bytes();
	for (size_t i = 0; i < sizeof what / sizeof what[0]; i++) {
		long n = 0;

		/* The first ones each, then some. */
		while (strike(what[i], n))
			n += 1 + n / 50;
		assert_true(n > 2);
	}
	assert_int_equal(leak_bytes(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(results_and_errors),
		cmocka_unit_test(cancelled),
		cmocka_unit_test(heap_stays_level),
		cmocka_unit_test(without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
