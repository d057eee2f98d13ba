/*
 * Regular expressions: what matches and where, what is replaced, what is refused,
 * and that no pattern runs on and on.
 */
#include "unit.h"

#include <string.h>

#include "app/regex.h"
#include "base/buf.h"
#include "base/diag.h"

static struct regex *compiled(const char *pattern, unsigned flags)
{
	struct regex *re = regex_new(pattern, strlen(pattern), flags);

	assert_non_null(re);
	return re;
}

static int matches(const char *pattern, unsigned flags, const char *text)
{
	struct regex *re = compiled(pattern, flags);
	struct regex_span spans[1];
	int rc = regex_match(re, text, strlen(text), 0, spans, 1);

	regex_delete(re);
	return rc;
}

static void test_match(void **state)
{
	struct regex *re = compiled("(a+)(x)?(b)", 0);
	struct regex_span spans[4];

	(void)state;
	assert_int_equal(regex_span_count(re), 4);
	assert_int_equal(regex_match(re, "--aab", 5, 0, spans, 4), 4);
	assert_int_equal(spans[0].from, 2);
	assert_int_equal(spans[0].to, 5);
	assert_int_equal(spans[1].to, 4);
	assert_true(spans[2].from == REGEX_UNSET && spans[2].to == REGEX_UNSET);
	assert_int_equal(spans[3].from, 4);
	assert_int_equal(regex_match(re, "--aab", 5, 4, spans, 4), 0);
	assert_int_equal(regex_match(re, "ab\0", 3, 0, spans, 1), 4);
	regex_delete(re);
	assert_int_equal(matches("ABC", 0, "xabc"), REGEX_NO_MATCH);
	assert_int_equal(matches("ABC", REGEX_IGNORE_CASE, "xabc"), 1);
	assert_int_equal(matches("", 0, ""), 1);
	assert_int_equal(matches("^\\xff.$", 0, "\xff\xfe"), 1);
}

static void fails(const char *pattern, size_t size, const char *text)
{
	struct error *e;

	assert_null(regex_new(pattern, size, 0));
	e = diag_take();
	assert_ptr_equal(e->type, &IllegalParams);
	if (strstr(e->message, text) == NULL)
		fail_msg("'%s' wanted in: %s", text, e->message);
	error_unref(e);
}

static void test_refused(void **state)
{
	static char many[REGEX_PATTERN_MAX + 1];

	(void)state;
	fails("a(b", 3, "missing closing parenthesis (at byte 4)");
	fails("*", 1, "at byte 1");
	memset(many, 'a', sizeof many);
	fails(many, sizeof many, "at most 16384 bytes");
	memset(many, '(', 1000);
	memset(many + 1000, ')', 1000);
	fails(many, 2000, "nested");
	for (int i = 0; i < 64; i++)
		memcpy(many + 2 * i, "()", 2);
	fails(many, 128, "64 groups, at most 63");
}

static void test_limits(void **state)
{
	char text[4096];

	(void)state;
	memset(text, 'a', sizeof text - 1);
	text[sizeof text - 1] = 0;
	assert_int_equal(matches("^(a+)+$", 0,
				 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"),
			 REGEX_OVER);
	assert_int_equal(matches("(.*a){20}[bc]", 0, text), REGEX_OVER);
	assert_int_equal(matches("^(?:(a)|b)*$", 0, text), 2);
}

static void replaces(const char *pattern, const char *text, const char *format,
		     bool all, const char *wanted, int count)
{
	struct regex *re = compiled(pattern, 0);
	struct buf out = { 0 };

	assert_int_equal(regex_replace(re, text, strlen(text), format,
				       strlen(format), all, &out),
			 count);
	buf_putc(&out, 0);
	assert_string_equal(out.data, wanted);
	buf_destroy(&out);
	regex_delete(re);
}

static void test_replace(void **state)
{
	(void)state;
	replaces("a(.)", "xabyac", "[\\1\\0]", false, "x[bab]yac", 1);
	replaces("a(.)", "xabyac", "[\\1\\0]", true, "x[bab]y[cac]", 2);
	replaces("z", "abc", "-", true, "abc", 0);
	replaces("x*", "abxc", "-", true, "-a-b--c-", 5);
	replaces("$", "", "-", true, "-", 1);
	replaces("b", "abc", "\\x41\\\\\\n\\5\\", true, "aA\\n\\c", 1);
	replaces("b(x)?", "abc", "<\\1>", true, "a<>c", 1);
	replaces("a\\Kb", "ab", "-", false, "a-", 1);
}

static void test_replace_over(void **state)
{
	struct regex *re = compiled("^(a+)+$", 0);
	struct buf out = { 0 };
	const char *text = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaab";

	(void)state;
	assert_int_equal(regex_replace(re, text, strlen(text), "", 0, true,
				       &out),
			 REGEX_OVER);
	buf_destroy(&out);
	regex_delete(re);
	re = compiled("b", 0);
	out.limit = 2;
	assert_int_equal(regex_replace(re, "xbx", 3, "yy", 2, true, &out),
			 REGEX_FAILED);
	buf_destroy(&out);
	regex_delete(re);
	regex_delete(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_match),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_replace),
		cmocka_unit_test(test_replace_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
