/* Console sessions without a carrier: lines in, text out. */
#include "unit.h"

#include <stdbool.h>

#include "base/buf.h"
#include "base/diag.h"
#include "base/inject.h"
#include "console/session.h"
#include "lua/lua_call.h"
#include "lua/lua_fiber.h"
#include "lua/lua_state.h"
#include "runtime/fiber.h"
#include "runtime/loop.h"

static struct {
	struct loop loop;
	struct sched sched;
	struct lua_vm vm;
	struct session session;
	struct buf out;
	char entry[256]; /* what was to be remembered last; "" is none */
	unsigned writes;
	unsigned ready;
	unsigned left;
	unsigned compiles; /* calls of loadstring() */
	size_t compiled;   /* bytes they were given */
} t;

static void on_uncaught(struct lua_fiber *f, const char *text, void *arg)
{
	(void)f;
	(void)arg;
	fail_msg("uncaught: %s", text);
}

static void on_write(struct session *s, const char *data, size_t size)
{
	(void)s;
	t.writes++;
	assert_int_equal(buf_append(&t.out, data, size), 0);
}

static void on_ready(struct session *s, const char *entry)
{
	(void)s;
	t.ready++;
	snprintf(t.entry, sizeof t.entry, "%s", entry == NULL ? "" : entry);
}

static void on_leave(struct session *s)
{
	(void)s;
	t.left++;
}

static const struct session_ops ops = { on_write, on_ready, on_leave, NULL,
					NULL };

static int l_loadstring(lua_State *L)
{
	t.compiles++;
	t.compiled += lua_objlen(L, 1);
	lua_pushvalue(L, lua_upvalueindex(1));
	lua_insert(L, 1);
	lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
	return lua_gettop(L);
}

static void count_compiles(lua_State *L, void *arg)
{
	(void)arg;
	lua_getglobal(L, "loadstring");
	lua_pushcclosure(L, l_loadstring, 1);
	lua_setglobal(L, "loadstring");
}

static int setup(void **state)
{
	(void)state;
	memset(&t, 0, sizeof t);
	assert_int_equal(loop_create(&t.loop), 0);
	assert_int_equal(sched_create(&t.sched, &t.loop), 0);
	assert_int_equal(lua_vm_create(&t.vm, &t.sched, on_uncaught, NULL), 0);
	assert_int_equal(lua_vm_protect(&t.vm, count_compiles, NULL), 0);
	assert_int_equal(session_create(&t.session, &t.vm, &ops, &t), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	session_destroy(&t.session);
	loop_run(&t.loop, UV_RUN_DEFAULT);
	assert_int_equal(t.sched.count, 0);
	lua_vm_destroy(&t.vm);
	sched_close(&t.sched);
	assert_int_equal(loop_destroy(&t.loop, NULL, NULL), 0);
	buf_destroy(&t.out);
	return 0;
}

static void feed(const char *line)
{
	assert_int_equal(session_feed(&t.session, line,
				      line == NULL ? 0 : strlen(line)),
			 0);
	while (session_is_busy(&t.session))
		loop_run(&t.loop, UV_RUN_ONCE);
}

static void assert_out(const char *want)
{
	buf_putc(&t.out, '\0');
	assert_string_equal(t.out.data, want);
	buf_reset(&t.out, 4096);
}

static void test_answers(void **state)
{
	(void)state;
	feed("1 + 1");
	assert_out("---\n- 2\n...\n");
	assert_string_equal(t.entry, "1 + 1");
	feed("");
	assert_out("---\n...\n");
	feed("nil, nil");
	assert_out("---\n- null\n- null\n...\n");
	feed("x = {1, {a = 2}}");
	assert_out("---\n...\n");
	feed("= x");
	assert_out("---\n- - 1\n  - a: 2\n...\n");
	feed("error('text')");
	assert_out("---\n- error: text\n...\n");
	feed("error({code = 7})");
	assert_out("---\n- error:\n    code: 7\n...\n");
	assert_int_equal(t.ready, 7);
}

/* Which beginnings want more lines, and which are wrong for good. */
static void test_completeness(void **state)
{
	static const char *const unfinished[] = {
		"for i = 1, 2 do",
		"f(",
		"{",
		"x =",
		"x = 1 +",
		"1 +",
		"1,",
		"function f()",
		"if x then",
		"if x then y = 1 else",
		"local a =",
		"[[",
		"x = [==[ ]]",
		"--[[ comment",
		"f{",
		"a.b.",
		"a:",
		"not",
		"return",
		"return 1,",
		"while true",
		"repeat x = 1",
		"= f(",
		"local function",
		"do",
	};
	static const char *const wrong[] = {
		"x = = 1",     "end",          ")",
		"'unfinished", "\"unfinished", "1 1",
		"for 1 do",    "x y z",        "@",
		"local 1",     "'a\\xZZ'",     "}",
		"if if",       "goto 1",       "[",
		"..",          "f()) ",        "x = 'a' 'b",
	};

	(void)state;
	for (size_t i = 0; i < sizeof unfinished / sizeof *unfinished; i++) {
		/* "return" alone is a whole chunk. */
		bool whole = strcmp(unfinished[i], "return") == 0;

		feed(unfinished[i]);
		if (t.session.continuing == whole)
			fail_msg("'%s'", unfinished[i]);
		if (!whole)
			assert_int_equal(t.out.size, 0);
		buf_reset(&t.out, 4096);
		session_interrupt(&t.session);
		assert_false(t.session.continuing);
	}
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		feed(wrong[i]);
		if (t.session.continuing)
			fail_msg("'%s' is taken for unfinished", wrong[i]);
		assert_memory_equal(t.out.data, "---\n- error: ", 13);
		buf_reset(&t.out, 4096);
	}
	/* What was interrupted has left nothing behind. */
	feed("'clean'");
	assert_out("---\n- clean\n...\n");
}

static void test_several_lines(void **state)
{
	(void)state;
	feed("local n = 0");
	feed("for i = 1, 3 do");
	assert_true(t.session.continuing);
	assert_string_equal(t.entry, "");
	feed("sum = (sum or 0) + i");
	feed("end return sum");
	assert_false(t.session.continuing);
	assert_string_equal(t.entry, "for i = 1, 3 do\nsum = (sum or 0) + i\n"
				     "end return sum");
	assert_out("---\n...\n---\n- 6\n...\n");
	/* Several at once, as a history gives them back. */
	feed("do\nz = 9\nend return z");
	assert_out("---\n- 9\n...\n");
	/* A backslash inside is none of ours. */
	feed("s = [[");
	feed("\\q]] return #s");
	assert_out("---\n- 2\n...\n");
	assert_int_equal(t.left, 0);
}

static void test_end_of_input(void **state)
{
	(void)state;
	feed(NULL);
	assert_int_equal(t.out.size, 0);
	feed("f(");
	feed(NULL);
	assert_out("---\n- error: '[string \"f(\"]:1: unexpected symbol near "
		   "''<eof>'''\n...\n");
	assert_false(t.session.continuing);
}

static void test_commands(void **state)
{
	(void)state;
	feed("\\set output lua");
	assert_out("true;\n");
	feed("1, 'a\\n\"', nil, {2, x = {3}, [10] = 4}, 1/0, 2^53, 0.1");
	assert_out("1, \"a\\n\\\"\", nil, {[1] = 2, [10] = 4, x = {3}}, 1/0, "
		   "9007199254740992, 0.1;\n");
	feed("t = {} t.t = t return t");
	assert_out("{t = \"table: it contains itself\"};\n");
	feed("  \\set   output   yaml  ");
	assert_out("---\n- true\n...\n");
	feed("\\set output xml");
	assert_out(
		"---\n- error: 'Invalid format \"xml\", supported are: yaml, "
		"lua, json and table.'\n...\n");
	feed("\\nosuch");
	assert_out("---\n- error: Invalid command \\nosuch. Type \\help for "
		   "help.\n...\n");
	feed("\\quit");
	assert_int_equal(t.left, 1);
}

static void test_limit(void **state)
{
	static char line[SESSION_INPUT_MAX / 2];

	(void)state;
	memset(line, 'x', sizeof line - 1);
	memcpy(line, "y = [[", 6);
	feed(line);
	assert_true(t.session.continuing);
	feed(line);
	assert_true(t.session.continuing);
	feed(line);
	assert_false(t.session.continuing);
	assert_memory_equal(t.out.data, "---\n- error: 'input of ", 22);
}

/* All lines of a large input cost a few compiles of the whole, and it runs at
 * the line that completes it. */
static void test_many_lines(void **state)
{
	static const struct {
		const char *first, *line, *last, *want;
	} inputs[] = {
		{ "t = {", "{id = 1, name = 'abc'},", "} return #t",
		  "---\n- 20000\n...\n" },
		{ "x = [[", "a", "]] return #x", "---\n- 40000\n...\n" },
		{ "do --[[", "(", "]] end", "---\n...\n" },
		{ "x =", "", "7 return x", "---\n- 7\n...\n" },
		{ "x = 5 y", "-- no more", "= 6 return y", "---\n- 6\n...\n" },
		{ "for i = 1, 1 do", "n = i", "end", "---\n...\n" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++) {
		size_t size = strlen(inputs[i].first);

		t.compiles = 0;
		t.compiled = 0;
		feed(inputs[i].first);
		for (int n = 0; n < 20000; n++) {
			size += strlen(inputs[i].line) + 1;
			feed(inputs[i].line);
		}
		assert_true(t.session.continuing);
		assert_int_equal(t.out.size, 0);
		feed(inputs[i].last);
		assert_false(t.session.continuing);
		assert_out(inputs[i].want);
		/* Twice a line while it is small, then each time it doubles. */
		assert_in_range(t.compiles, 2, 2 * SESSION_SMALL_MAX + 40);
		assert_in_range(t.compiled, 1,
				SESSION_SMALL_MAX * SESSION_SMALL_MAX +
					8 * size);
	}
}

/* Nothing is open at the end of any line, and yet the input wants more. */
static void test_many_lines_in_vain(void **state)
{
	(void)state;
	feed("t = {} t.t = t t");
	while (t.session.input.size <= SESSION_SMALL_MAX)
		feed(".t");
	t.compiles = 0;
	for (int n = 0; n < 20000; n++)
		feed(".t");
	assert_true(t.session.continuing);
	assert_in_range(t.compiles, 1, 2 * (SESSION_VAIN_MAX + 10));
	/* The end of the input is asked in any case. */
	feed(".x = 7");
	feed(NULL);
	assert_out("---\n...\n");
	feed("t.x");
	assert_out("---\n- 7\n...\n");
}

/* Past the size that is compiled at each line: run at the very line. */
static void test_completeness_of_large(void **state)
{
	static const char *const inputs[][5] = {
		{ "for i = 1, 2", "do", "n = i", "end return n" },
		{ "while true", "do", "if 1 then break end", "end return 2" },
		{ "repeat n = 2", "until", "n == 2 return n" },
		{ "if x then", "elseif y then", "else", "n = 2 end return n" },
		{ "n = 1 +", "1 return n --[[", "]]" },
		{ "local function g(a,", "b) return", "a + b", "end return 2" },
		{ "return (f {", "g = [==[", "]]", "]==] }) and 2" },
		{ "return", "2" },
		{ "n = 2 z", "= 3 return n" },
	};
	static char pad[SESSION_SMALL_MAX + 100];

	(void)state;
	memset(pad, 'x', sizeof pad - 1);
	memcpy(pad, "f = tostring pad = [[", 21);
	for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++) {
		feed(pad);
		feed("]] do end do");
		for (int k = 0; inputs[i][k] != NULL; k++) {
			feed(inputs[i][k]);
			if (!t.session.continuing)
				fail_msg("'%s'", inputs[i][k]);
		}
		assert_int_equal(t.out.size, 0);
		feed("end");
		assert_out("---\n- 2\n...\n");
	}
}

/* What is wrong in a large input is told, if not at its line. */
static void test_error_in_large(void **state)
{
	static char pad[SESSION_SMALL_MAX + 100];
	int lines = 0;

	(void)state;
	memset(pad, 'x', sizeof pad - 1);
	memcpy(pad, "t = {--", 7);
	/* Where something closes. */
	feed(pad);
	feed("1 1");
	assert_int_equal(t.out.size, 0);
	feed("}");
	assert_false(t.session.continuing);
	buf_putc(&t.out, '\0');
	assert_non_null(strstr(t.out.data, "]:2: "));
	buf_reset(&t.out, 4096);
	/* Where nothing ever does. */
	feed(pad);
	feed("1 1");
	for (; t.session.continuing; lines++)
		feed("{");
	assert_in_range(lines, 1, SESSION_SMALL_MAX);
	buf_reset(&t.out, 4096);
	/* A string never goes over a line. */
	feed(pad);
	feed("'unfinished");
	assert_false(t.session.continuing);
	buf_putc(&t.out, '\0');
	assert_non_null(strstr(t.out.data, "]:2: unfinished"));
	buf_reset(&t.out, 4096);
	/* An interrupt leaves nothing behind. */
	feed(pad);
	session_interrupt(&t.session);
	feed("1");
	assert_out("---\n- 1\n...\n");
}

/* What nobody looks at is not shown, and costs no memory to speak of. */
static void test_large_answer(void **state)
{
	static const char *const large[] = {
		"('x'):rep(20000000)",
		("(function() local t = {} for i = 1, 3e6 do t[i] = i end "
		 "return t end)()"),
		"{deep = {{{('x'):rep(20000000)}}}}",
		"{[('x'):rep(20000000)] = 1}",
	};
	static const char want[] = "---\n- error: 'the result is too large ";
	static const char want_lua[] = "{error = \"the result is too large ";

	(void)state;
	for (size_t i = 0; i < sizeof large / sizeof *large; i++) {
		feed(large[i]);
		assert_memory_equal(t.out.data, want, sizeof want - 1);
		buf_reset(&t.out, 4096);
	}
	feed("\\set output lua");
	buf_reset(&t.out, 4096);
	for (size_t i = 0; i < sizeof large / sizeof *large; i++) {
		feed(large[i]);
		assert_memory_equal(t.out.data, want_lua, sizeof want_lua - 1);
		assert_in_range(t.out.size, 1, 200);
		buf_reset(&t.out, 4096);
	}
	feed("error(('x'):rep(20000000))");
	assert_memory_equal(t.out.data, want_lua, sizeof want_lua - 1);
	feed("\\set output yaml");
	buf_reset(&t.out, 4096);
	/* The same thing many times over is small. */
	feed("s = ('x'):rep(1000000) t = {s} return #{t, t, t, t, t, t, t, t, "
	     "t, t, t, t, t, t, t, t, t, t, t, t}, t and nil");
	assert_out("---\n- 20\n- null\n...\n");
	feed("t = {} t.t = t t.u = {t} return t.t.t == t");
	assert_out("---\n- true\n...\n");
}

static void test_waits(void **state)
{
	(void)state;
	assert_int_equal(session_feed(&t.session,
				      "fiber = require('fiber') "
				      "fiber.sleep(0.01) return 'slept'",
				      57),
			 0);
	assert_true(session_is_busy(&t.session));
	assert_int_equal(t.ready, 0);
	while (session_is_busy(&t.session))
		loop_run(&t.loop, UV_RUN_ONCE);
	assert_out("---\n- slept\n...\n");
	assert_int_equal(t.ready, 1);
}

static void test_interrupt_running(void **state)
{
	(void)state;
	feed("fiber = require('fiber')");
	buf_reset(&t.out, 4096);
	assert_int_equal(session_feed(&t.session, "fiber.sleep(1000)", 17), 0);
	session_interrupt(&t.session);
	while (session_is_busy(&t.session))
		loop_run(&t.loop, UV_RUN_ONCE);
	assert_out("---\n- error: fiber is cancelled\n...\n");
}

/* The session's own Lua fails: told in one write, as any answer. */
static void test_failure_of_its_own(void **state)
{
	static const char want[] = "---\n- error: 'console: ";
	unsigned writes;

	(void)state;
	feed("debug.getmetatable('').__index = nil");
	buf_reset(&t.out, 4096);
	writes = t.writes;
	feed("1");
	assert_memory_equal(t.out.data, want, sizeof want - 1);
	assert_memory_equal(t.out.data + t.out.size - 6, "'\n...\n", 6);
	assert_int_equal(t.writes - writes, 1);
}

/* The carrier goes away while a line is evaluated. */
static void test_destroyed_running(void **state)
{
	struct session s;

	(void)state;
	assert_int_equal(session_create(&s, &t.vm, &ops, NULL), 0);
	assert_int_equal(session_feed(&s, "require('fiber').sleep(1000)", 28),
			 0);
	assert_true(session_is_busy(&s));
	session_destroy(&s);
	memset(&s, 0x55, sizeof s);
	loop_run(&t.loop, UV_RUN_DEFAULT);
	assert_int_equal(t.sched.count, 0);
	assert_int_equal(t.ready, 0);
}

/* The fiber is abandoned, as at the process's end. */
static void test_destroyed_abandoned(void **state)
{
	struct session s;

	(void)state;
	assert_int_equal(session_create(&s, &t.vm, &ops, NULL), 0);
	assert_int_equal(session_feed(&s, "require('fiber').sleep(1000)", 28),
			 0);
	lua_fiber_abandon(s.fiber);
	session_destroy(&s);
}

static struct buf found;
static size_t found_at;

static void collect(void *arg, size_t start, const struct buf *candidates)
{
	assert_ptr_equal(arg, &t);
	found_at = start;
	for (size_t i = 0; i < candidates->size;
	     i += strlen(candidates->data + i) + 1)
		buf_printf(&found, " %s", candidates->data + i);
}

static void assert_completed(const char *text, size_t start, const char *want)
{
	session_complete(&t.session, text, strlen(text), collect);
	buf_putc(&found, '\0');
	assert_string_equal(found.data, want);
	if (*want != '\0')
		assert_int_equal(found_at, start);
	buf_destroy(&found);
}

static void test_complete(void **state)
{
	(void)state;
	feed("aa1 = {b1 = {c1 = 1, ['odd key'] = 2, [5] = 3}, b2 = print}"
	     " aa2 = setmetatable({}, {__index = {m1 = print, v1 = 1}})"
	     " aa3 = setmetatable({}, {__index = function() SPRUNG = 1 end})"
	     " aa4 = setmetatable({}, {__index = aa4, __call = print})"
	     " loop = {} setmetatable(loop, {__index = loop})"
	     " hidden = setmetatable({}, {__metatable = false, "
	     "__index = {h1 = 1}})"
	     " str = 'text'");
	assert_completed("aa", 0, " aa1 aa2 aa3 aa4(");
	assert_completed("x = aa1.b", 8, " b1 b2(");
	assert_completed("f(aa1.b1.c", 9, " c1");
	assert_completed("aa1.b1.", 7, " c1");
	assert_completed("aa1:b", 4, " b2(");
	assert_completed("aa2.", 4, " m1( v1");
	assert_completed("aa2:", 4, " m1(");
	assert_completed("aa3.", 4, "");
	assert_completed("aa3.x.y", 6, "");
	assert_completed("loop.", 5, "");
	assert_completed("hidden.h", 7, " h1");
	assert_completed("str:upp", 4, " upper(");
	assert_completed("str.x.y.z", 8, "");
	assert_completed("nosuch.x", 7, "");
	assert_completed("string.upp", 7, " upper(");
	assert_completed("wh", 0, " while");
	assert_completed("f().ab", 6, "");
	assert_completed("'abc':up", 8, "");
	assert_completed("t[1].aa", 7, "");
	assert_completed("require('fib", 9, " fiber'");
	assert_completed("x = require \"fib", 13, " fiber\"");
	assert_completed("\\se", 0,
			 " \\set cut off \\set cut on \\set delimiter"
			 " \\set language admin \\set language lua"
			 " \\set output json \\set output lua"
			 " \\set output table \\set output yaml");
	assert_completed("zzzz", 0, "");
	buf_reset(&t.out, 4096);
	feed("SPRUNG");
	assert_out("---\n- null\n...\n");
}

/* Out of memory anywhere: an error, and the next line is fine. */
static void test_no_memory(void **state)
{
	(void)state;
	if (inject_arm("lua.alloc", 1000000, 0) != 0)
		skip();
	feed("f = function() return {1, 2, {a = ('x'):rep(100)}} end");
	for (int after = 0; after < 60; after++) {
		inject_reset();
		inject_arm("lua.alloc", after, 1);
		if (session_feed(&t.session, "f()", 3) != 0)
			error_unref(diag_take());
		inject_reset();
		assert_false(session_is_busy(&t.session));
	}
	buf_reset(&t.out, 4096);
	feed("1");
	assert_out("---\n- 1\n...\n");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_answers),           TEST(test_completeness),
		TEST(test_several_lines),     TEST(test_end_of_input),
		TEST(test_commands),          TEST(test_limit),
		TEST(test_many_lines),        TEST(test_many_lines_in_vain),
		TEST(test_error_in_large),    TEST(test_completeness_of_large),
		TEST(test_large_answer),      TEST(test_waits),
		TEST(test_interrupt_running), TEST(test_failure_of_its_own),
		TEST(test_destroyed_running), TEST(test_destroyed_abandoned),
		TEST(test_complete),          TEST(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
