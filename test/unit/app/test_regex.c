/*
 * Regular expressions: what matches and where, what is replaced, what is refused,
 * and that no pattern runs on and on.
 */
#include "unit.h"

#include <stdlib.h>
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

/* A text of @a size bytes, of @a piece and what is left of it. */
static char *text_of(const char *piece, size_t size)
{
	char *text = malloc(size + 1);
	size_t n = strlen(piece);

	assert_non_null(text);
	for (size_t i = 0; i < size; i++)
		text[i] = piece[i % n];
	text[size] = 0;
	return text;
}

/* The search of @a pattern in a text so long and that ends so. */
static int searches(const char *pattern, const char *piece, size_t size,
		    const char *end)
{
	char *text = text_of(piece, size);
	int rc;

	memcpy(text + size - strlen(end), end, strlen(end));
	rc = matches(pattern, 0, text);
	free(text);
	return rc;
}

/* Each place where a match may begin takes few steps, and a step may look at much: all of
 * it counts. */
static void test_limit_of_all(void **state)
{
	(void)state;
	assert_int_equal(searches("a.{0,600}a.{0,600};$", "a", 15000, ";z"),
			 REGEX_OVER);
	assert_int_equal(searches(",.{0,600},.{0,600};$", ",", 60000, ";z"),
			 REGEX_OVER);
	assert_int_equal(searches(".*,.*;$", ",", 60000, ";z"), REGEX_OVER);
	assert_int_equal(searches("a(?=.*z|b)", "a", 60000, "y"), REGEX_OVER);
	assert_int_equal(searches("(*NO_JIT)a.{0,600}a.{0,600};$", "a", 15000,
				  ";z"),
			 REGEX_OVER);
}

/* What an item looks at before it does not match counts, too. */
static void test_limit_of_failures(void **state)
{
	char *digits = text_of("1", 30000);

	(void)state;
	assert_int_equal(searches("[a-z]{30001}", "a", 60000, digits),
			 REGEX_OVER);
	assert_int_equal(searches("^(a*)\\1b", "a", 40000, "cb"), REGEX_OVER);
	assert_int_equal(searches("^(?<n>a*)(?P=n)b", "a", 40000, "cb"),
			 REGEX_OVER);
	free(digits);
}

static void test_long_texts(void **state)
{
	(void)state;
	assert_int_equal(searches("[a-z]+@[a-z]+[.]org", "some words ", 1000000,
				  "me@here.org"),
			 1);
	assert_int_equal(searches("\\b[a-z]+@[a-z]+\\b", "some @words ",
				  1000000, "me@here"),
			 1);
	assert_int_equal(
		searches("(?i)select.*from", "selected, ", 60000, "from"), 1);
	assert_int_equal(searches("^.*END$", "some words ", 1000000, "END"), 1);
	assert_int_equal(searches("(['\"]).*?\\1;", "'some' \"words\" ", 60000,
				  "'';"),
			 2);
	assert_int_equal(searches("[^a-z @]", "some @words ", 1000000, "x"),
			 REGEX_NO_MATCH);
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

/* The sum over all matches, and over the places between them. */
static void test_replace_limit(void **state)
{
	struct regex *re = compiled("a(?=.*z)", 0);
	char *text = text_of("a", 60000);
	struct buf out = { 0 };

	(void)state;
	text[59999] = 'z';
	assert_int_equal(regex_replace(re, text, 60000, "", 0, true, &out),
			 REGEX_OVER);
	assert_int_equal(regex_replace(re, text, 60000, "b", 1, false, &out),
			 1);
	regex_delete(re);
	/* Checked to be UTF-8, all of it, before each. */
	re = compiled("(*UTF)a", 0);
	assert_int_equal(regex_replace(re, text, 60000, "b", 1, true, &out),
			 REGEX_OVER);
	regex_delete(re);
	out.size = 0;
	re = compiled("[a-m]+ *", 0);
	assert_int_equal(regex_replace(re, text, 60000, "b", 1, true, &out), 1);
	free(text);
	out.size = 0;
	text = text_of("abcdefg hijkl ", 700000);
	assert_int_equal(regex_replace(re, text, 700000, "b", 1, true, &out),
			 100000);
	free(text);
	buf_destroy(&out);
	regex_delete(re);
}

/* A pattern that PCRE2 cannot have counted. */
static void test_large_pattern(void **state)
{
	char *pattern = text_of("abcdefgh|", 8999);

	(void)state;
	assert_int_equal(searches(pattern, "abcdefg-", 100000, "abcdefgh"), 1);
	assert_int_equal(searches(pattern, "abcdefg-", 100000, "x"),
			 REGEX_NO_MATCH);
	memcpy(pattern, "(.*a){20}[bc]", 13);
	assert_int_equal(searches(pattern, "a", 3000, "h"), REGEX_OVER);
	free(pattern);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_match),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_limit_of_all),
		cmocka_unit_test(test_limit_of_failures),
		cmocka_unit_test(test_long_texts),
		cmocka_unit_test(test_large_pattern),
		cmocka_unit_test(test_replace),
		cmocka_unit_test(test_replace_over),
		cmocka_unit_test(test_replace_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
