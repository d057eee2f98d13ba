/* Lines of admin commands: words, quotes, semicolons, marks. */
#include "unit.h"

#include <stdlib.h>

#include "base/diag.h"
#include "console/admin_line.h"

static char line[4096];
static char *at;
static struct admin_words words;

static void begin(const char *text)
{
	snprintf(line, sizeof(line), "%s", text);
	at = line;
}

/* The next command is @a want: its words, each behind a '|'. */
static void assert_next(const char *want)
{
	char got[4096] = "";

	assert_int_equal(admin_line_next(&at, &words), 1);
	for (unsigned i = 0; i < words.count; i++) {
		strcat(got, "|");
		strcat(got, words.word[i]);
	}
	assert_string_equal(got, want);
}

static void assert_end(void)
{
	assert_int_equal(admin_line_next(&at, &words), 0);
	assert_int_equal(words.count, 0);
}

static void assert_one(const char *text, const char *want)
{
	begin(text);
	assert_next(want);
	assert_end();
}

static void assert_wrong(const char *text, const char *why)
{
	begin(text);
	assert_int_equal(admin_line_next(&at, &words), -1);
	assert_non_null(strstr(diag_last()->message, why));
	assert_string_equal(diag_last()->type->name, "IllegalParams");
	diag_clear();
}

static void test_words(void **state)
{
	(void)state;
	begin("");
	assert_end();
	assert_one("show", "|show");
	assert_one("show  info\t json ", "|show|info|json");
	assert_one("   show", "|show");
	assert_one("  \t ", "");
	assert_one("a\rb", "|a\rb");
	assert_one("\xff\xfe \x01", "|\xff\xfe|\x01");
}

static void test_escapes(void **state)
{
	(void)state;
	assert_one("a\\ b c", "|a b|c");
	assert_one("a\\;b", "|a;b");
	assert_one("\\\\", "|\\");
	assert_one("\\\"a", "|\"a");
	assert_one("\\n", "|n");
	assert_wrong("a \\", "ends in a backslash");
	assert_wrong("a\\", "ends in a backslash");
}

static void test_quotes(void **state)
{
	(void)state;
	assert_one("\"a b\" c", "|a b|c");
	assert_one("'a;b' c", "|a;b|c");
	assert_one("\"\"", "|");
	assert_one("'' x ''", "||x|");
	assert_one("a'b c'd\"e f\"", "|ab cde f");
	assert_one("\"it's\"", "|it's");
	assert_one("'say \"x\"'", "|say \"x\"");
	assert_one("\"a\\\"b\"", "|a\"b");
	assert_one("'a\\b'", "|a\\b");
	assert_one("'a\\'", "|a\\");
	assert_wrong("'a", "a quote ' is not closed");
	assert_wrong("x \"a b", "a quote \" is not closed");
	assert_wrong("\"a\\\"", "a quote \" is not closed");
	assert_wrong("\"a\\", "backslash");
}

static void test_semicolons(void **state)
{
	(void)state;
	begin("a b;c; d ;e");
	assert_next("|a|b");
	assert_next("|c");
	assert_next("|d");
	assert_next("|e");
	assert_end();
	begin(";;a;");
	assert_next("");
	assert_next("");
	assert_next("|a");
	assert_end();
	begin("a; ");
	assert_next("|a");
	assert_next("");
	assert_end();
	begin("'a';\"b\";c\\;");
	assert_next("|a");
	assert_next("|b");
	assert_next("|c;");
	assert_end();
}

static void test_many_words(void **state)
{
	char text[1024] = "";

	(void)state;
	for (int i = 0; i < ADMIN_WORDS_MAX; i++)
		strcat(text, "w ");
	begin(text);
	assert_int_equal(admin_line_next(&at, &words), 1);
	assert_int_equal(words.count, ADMIN_WORDS_MAX);
	assert_end();
	strcat(text, ";w");
	begin(text);
	assert_int_equal(admin_line_next(&at, &words), 1);
	assert_next("|w");
	assert_end();
	text[strlen(text) - 2] = ' ';
	assert_wrong(text, "more than 64 words");
}

static bool wants(const char *text, const char *want_mark, unsigned left)
{
	const char *mark = NULL;
	bool is;

	begin(text);
	assert_int_equal(admin_line_next(&at, &words), 1);
	is = admin_line_wants_payload(&words, &mark);
	assert_int_equal(words.count, left);
	if (is)
		assert_string_equal(mark, want_mark);
	return is;
}

static void test_marks(void **state)
{
	char text[128] = "a <<";

	(void)state;
	assert_true(wants("a <<", "", 1));
	assert_true(wants("a b <<END", "END", 2));
	assert_true(wants("<<", "", 0));
	assert_true(wants("a <<<", "<", 1));
	assert_false(wants("a", NULL, 1));
	assert_false(wants("a <", NULL, 2));
	assert_false(wants("a << b", NULL, 3)); /* not the last */
	assert_false(wants("a b<<", NULL, 2));
	assert_false(wants("a '<<'", NULL, 2)); /* as it is */
	assert_false(wants("a \\<<", NULL, 2));
	assert_false(wants("a <<'E'", NULL, 2));
	assert_false(wants("  ", NULL, 0));
	memset(text + 4, 'x', ADMIN_MARK_MAX);
	assert_true(wants(text, text + 4, 1));
	/* One too long is none that becomes a word: the session refuses it. */
	text[4 + ADMIN_MARK_MAX] = 'x';
	assert_true(wants(text, text + 4, 1));
}

static bool may_want(const char *text)
{
	return admin_line_may_want_payload(text, strlen(text));
}

static void test_lost_marks(void **state)
{
	(void)state;
	assert_true(may_want("a 'b <<"));
	assert_true(may_want("a 'b <<END \t"));
	assert_true(may_want("<<"));
	assert_true(may_want("a;<<E"));
	assert_false(may_want(""));
	assert_false(may_want("  "));
	assert_false(may_want("a <"));
	assert_false(may_want("a << b"));
	assert_false(may_want("a<<"));
}

/* Whatever is typed: what comes out lies in the line, and the line ends. */
static void test_random(void **state)
{
	static const char letters[] = "ab \t;;\\\"'<<";
	char text[64];

	(void)state;
	srandom(1);
	for (int round = 0; round < 200000; round++) {
		size_t size = (size_t)random() % sizeof(text);
		int rc, count = 0;

		for (size_t i = 0; i < size; i++)
			text[i] = letters[random() % (sizeof(letters) - 1)];
		text[size] = '\0';
		begin(text);
		line[size + 1] = '#';
		while ((rc = admin_line_next(&at, &words)) > 0) {
			const char *mark;

			assert_true(++count <= (int)size + 1);
			assert_true(at > line && at <= line + size);
			for (unsigned i = 0; i < words.count; i++)
				assert_true(
					words.word[i] >= line &&
					words.word[i] + strlen(words.word[i]) <
						line + size + 1);
			admin_line_wants_payload(&words, &mark);
		}
		assert_int_equal(rc < 0, diag_last() != NULL);
		assert_int_equal(line[size + 1], '#');
		diag_clear();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_escapes),
		cmocka_unit_test(test_quotes),
		cmocka_unit_test(test_semicolons),
		cmocka_unit_test(test_many_words),
		cmocka_unit_test(test_marks),
		cmocka_unit_test(test_lost_marks),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
