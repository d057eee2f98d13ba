/* What is open at the end of a Lua text, told from its tokens. */
#include "unit.h"

#include <stdlib.h>

#include "console/scan.h"

static bool is_open_after(const char *text)
{
	struct scan s = { 0 };
	const char *end;

	for (; (end = strchr(text, '\n')) != NULL; text = end + 1)
		scan_feed(&s, text, (size_t)(end - text));
	scan_feed(&s, text, strlen(text));
	return scan_is_open(&s);
}

static void test_open(void **state)
{
	static const char *const texts[] = {
		"(",
		"f(",
		"t = {",
		"t[",
		"t = {{}, {",
		"t = {\n1,\n2,\n",
		"function f()",
		"f(function(a, b)",
		"local function f() return 1",
		"do",
		"do do end",
		"if x then",
		"if x then y() elseif z then",
		"if x then y() else z()",
		"if x",
		"for i = 1, 2 do",
		"for i = 1, 2",
		"for _ in",
		"for _ in\npairs(t)\n do",
		"while x",
		"while x do if y then end",
		"while (function() do end return true end)() do",
		"repeat x()",
		"repeat x() until",
		"repeat repeat x() until y",
		"x = 'end' do",
		"x = \"a\\\"b\" (",
		"x = 'a\\z   b' (",
		"x = 'a\\\\' (",
		"[[",
		"x = [==[ ]] ]=]",
		"x = [==[\n]]\n]===]\n]=",
		"x = [[ ]] [",
		"t[ [[a]]",
		"--[[",
		"--[==[ ]]",
		"x = 1 --[[\nend",
		"x =",
		"x = -- 1",
		"x = --[[ 1 ]]",
		"x = --[[\n1\n]]",
		"x = 1 +",
		"x = 1 -",
		"x = 1 ..",
		"x = 'a' ..",
		"x = a.",
		"x = a:",
		"x = a ==",
		"x = a ~=",
		"x = a and",
		"x = a or",
		"x = not",
		"x = #",
		"local",
		"return 1,",
	};

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		if (!is_open_after(texts[i]))
			fail_msg("'%s' is open", texts[i]);
}

static void test_closed(void **state)
{
	static const char *const texts[] = {
		"",
		"   \n\t\n",
		"-- a comment (",
		"--[[ a comment ( ]]",
		"--[==[ a\n]]\n(\n]==]",
		"--[= a comment (",
		"x = 1",
		"x = 1 -- (",
		"x = 1 --[[ ( ]]",
		"x = 1 --[[\n(\n]]",
		"f()",
		"t = {}",
		"t = {1, {2}, [3] = 4}",
		"t = {\n1,\n2,\n}",
		"t[ [[a]] ] = 1",
		"x = [[ ( ]]",
		"x = [==[\n]]\n(\n]==]",
		"x = 3.",
		"x = 3..2",
		"x = .5",
		"x = 1e+5",
		"x = 0xAp-2",
		"x = 10ULL",
		"return ...",
		"::label::",
		"goto label",
		"x = t.goto",
		"x = doing",
		"x = _do + end_",
		"x = '('",
		"x = \"(\"",
		"x = 'it\\'s ('",
		"x = 'a\\\\' y = '('",
		"x = 'a\\z   (' ",
		"x = 'a\\\n('",
		"return",
		"return;",
		"break",
		"do end",
		"do break end",
		"function f() end",
		"if x then y() elseif z then else end",
		"if x then if y then end end",
		"for i = 1, 2 do end",
		"for _ in pairs(t) do do end end",
		"while x do end",
		"while x do while y do end end",
		"while (function() do end return true end)() do end",
		"for _ in (function() while x do end end) do end",
		"repeat x() until y",
		"repeat do end until (function() end)()",
		"x = 1, 2",
		"x = a % b",
		"x = nil",
		"x = \303\244",
		/* Wrong, which the compiler is to say. */
		"end",
		")",
		"x = 'unfinished",
		"x = 'unfinished\\",
		"x = ( 'unfinished",
		"@",
	};

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		if (is_open_after(texts[i]))
			fail_msg("'%s' is not open", texts[i]);
}

/* Lines that say nothing new are told from others. */
static void test_tokens(void **state)
{
	struct scan s = { 0 };

	(void)state;
	scan_feed(&s, "x = 5 y", 7);
	assert_int_equal(s.tokens, 4);
	scan_feed(&s, "", 0);
	scan_feed(&s, " \t\r", 3);
	scan_feed(&s, "-- end", 6);
	assert_int_equal(s.tokens, 4);
	scan_feed(&s, "--[[", 4);
	assert_true(scan_is_open(&s));
	scan_feed(&s, "]]", 2);
	assert_false(scan_is_open(&s));
	assert_int_equal(s.tokens, 5);
}

/* Any bytes, NUL too, and lines cut anywhere. */
static void test_noise(void **state)
{
	static const char letters[] = "[]=-'\"\\z\n\r .0e+(){}do end:~\377";
	unsigned seed = 1;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		struct scan s = { 0 };

		for (int line = 0; line < 3; line++) {
			size_t size = (seed >> 16) % 12;
			/* Of its own size, for what watches memory. */
			char *text = malloc(size == 0 ? 1 : size);

			assert_non_null(text);
			for (size_t k = 0; k < size; k++) {
				seed = seed * 1103515245 + 12345;
				text[k] =
					letters[(seed >> 16) % sizeof letters];
			}
			seed = seed * 1103515245 + 12345;
			scan_feed(&s, text, size);
			free(text);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_open),
		cmocka_unit_test(test_closed),
		cmocka_unit_test(test_tokens),
		cmocka_unit_test(test_noise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
