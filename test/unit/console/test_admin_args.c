/* Arguments of admin commands, as declarations want them. */
#include "unit.h"

#include "base/diag.h"
#include "console/admin_args.h"
#include "console/admin_line.h"

static bool collect_nothing(struct worker *w, void *cursor,
			    struct admin_rows *rows)
{
	(void)w;
	(void)cursor;
	(void)rows;
	return false;
}

static const struct admin_column columns[] = {
	{ "name", ADMIN_TEXT, 0, "" },
	{ .name = NULL },
};

static char line[1024];
static struct admin_value values[ADMIN_ARGS_MAX];
static struct admin_args args;

/* As a session does it: all of @a text is behind the command's name. */
static int read_args(const struct admin_command *c, const char *text)
{
	struct admin_words w;
	char *at = line;

	memset(values, 0, sizeof(values));
	args = (struct admin_args){ .values = values };
	snprintf(line, sizeof(line), "%s", text);
	if (admin_line_next(&at, &w) == 0)
		w.count = 0;
	return admin_args_read(c, w.word, w.count, &args);
}

static void assert_wrong(const struct admin_command *c, const char *text,
			 const char *why)
{
	assert_int_equal(read_args(c, text), -1);
	assert_string_equal(diag_last()->type->name, "IllegalParams");
	if (strstr(diag_last()->message, why) == NULL)
		fail_msg("'%s': %s", text, diag_last()->message);
	diag_clear();
}

static const struct admin_arg one_number[] = {
	{ "n", ADMIN_NUMBER, false, NULL, "" },
	{ .name = NULL },
};
static const struct admin_arg one_size[] = {
	{ "n", ADMIN_BYTES, false, NULL, "" },
	{ .name = NULL },
};
static const struct admin_arg one_time[] = {
	{ "n", ADMIN_SECONDS, false, NULL, "" },
	{ .name = NULL },
};
static const struct admin_arg one_share[] = {
	{ "n", ADMIN_PERCENT, false, NULL, "" },
	{ .name = NULL },
};

static void assert_number(const struct admin_arg *a, const char *text,
			  double want)
{
	const struct admin_command c = { .words = "c", .args = a };

	assert_int_equal(read_args(&c, text), 0);
	assert_true(values[0].given);
	assert_string_equal(values[0].text, text);
	assert_float_equal(values[0].number, want, want * 1e-12);
}

static void test_units(void **state)
{
	const struct admin_command number = { .words = "c",
					      .args = one_number };
	const struct admin_command size = { .words = "c", .args = one_size };
	const struct admin_command span = { .words = "c", .args = one_time };
	const struct admin_command share = { .words = "c", .args = one_share };

	(void)state;
	assert_number(one_number, "0", 0);
	assert_number(one_number, "9007199254740991", 9007199254740991.0);
	assert_number(one_size, "17", 17);
	assert_number(one_size, "64k", 65536);
	assert_number(one_size, "1.5m", 1572864);
	assert_number(one_size, "2g", 2147483648.0);
	assert_number(one_time, "3", 3);
	assert_number(one_time, "10s", 10);
	assert_number(one_time, "100ms", 0.1);
	assert_number(one_time, "5us", 5e-6);
	assert_number(one_time, "2m", 120);
	assert_number(one_time, "1h", 3600);
	assert_number(one_time, "1d", 86400);
	assert_number(one_share, "12.5", 12.5);
	for (const char *const *t =
		     (const char *const[]){ "-1", "1.5", "0x10", "1e3", "+1",
					    "nan", "inf", "1s", "x", "''",
					    "' 1'", "1x", NULL };
	     *t != NULL; t++) {
		assert_wrong(&number, *t, "a whole number is wanted");
	}
	/* What no counter can be, and a cast cannot take. */
	assert_wrong(&number, "9007199254740993", "a whole number");
	assert_wrong(&number, "99999999999999999999999", "a whole number");
	assert_wrong(&size, "64q", "a size as 64k is wanted, not '64q'");
	assert_wrong(&size, "-1k", "a size");
	assert_wrong(&size, "k", "a size");
	assert_wrong(&size, "1e400", "a size");
	assert_wrong(&size, "0x10", "a size");
	assert_wrong(&span, "10 s", "too much: 's'");
	assert_wrong(&span, "10x", "a time as 10s");
	assert_wrong(&span, "-1s", "a time");
	assert_wrong(&span, "1e308d", "a time");
	assert_wrong(&share, "5ms", "a number is wanted");
	assert_wrong(&share, "nan", "a number is wanted");
}

static const struct admin_arg mixed[] = {
	{ "mode", ADMIN_TEXT, false, "yaml|lua|y", "" },
	{ "-w", ADMIN_FLAG, true, NULL, "" },
	{ "-n", ADMIN_FLAG, true, NULL, "" },
	{ "rest", ADMIN_TEXT, true, NULL, "" },
	{ .name = NULL },
};

static void test_choices_and_flags(void **state)
{
	const struct admin_command c = { .words = "do it", .args = mixed };

	(void)state;
	assert_int_equal(read_args(&c, "lua"), 0);
	assert_string_equal(values[0].text, "lua");
	assert_false(values[1].given || values[2].given || values[3].given);
	assert_int_equal(read_args(&c, "y -w -n a"), 0);
	assert_true(values[1].given && values[2].given);
	assert_string_equal(values[3].text, "a");
	assert_int_equal(read_args(&c, "yaml -n"), 0);
	assert_false(values[1].given);
	assert_true(values[2].given);
	/* Flags have their places: another order is the rest. */
	assert_int_equal(read_args(&c, "yaml -n -w"), 0);
	assert_string_equal(values[3].text, "-w");
	assert_wrong(&c, "ya", "not understood: 'ya'; usage: do it yaml|lua|y");
	assert_wrong(&c, "yaml|lua", "not understood");
	assert_wrong(&c, "''", "not understood");
	assert_wrong(&c, "", "missing: 'mode'");
}

static void test_keys(void **state)
{
	static const struct admin_arg keyed[] = {
		{ "what", ADMIN_TEXT, true, "a|b", "" },
		{ "path", ADMIN_TEXT, true, NULL, "", true },
		{ "for", ADMIN_SECONDS, true, NULL, "", true },
		{ .name = NULL },
	};
	static const struct admin_arg wanted[] = {
		{ "path", ADMIN_TEXT, false, NULL, "", true },
		{ .name = NULL },
	};
	const struct admin_command c = { .words = "c", .args = keyed };
	const struct admin_command w = { .words = "w", .args = wanted };

	(void)state;
	assert_int_equal(read_args(&c, ""), 0);
	assert_false(values[0].given || values[1].given || values[2].given);
	assert_int_equal(read_args(&c, "a for 2s path for"), 0);
	assert_string_equal(values[1].text, "for");
	assert_float_equal(values[2].number, 2, 0);
	assert_wrong(&c, "a path",
		     "nothing behind 'path'; usage: c [a|b] "
		     "[path <path>] [for <for>]");
	assert_wrong(&c, "a path x path y", "told twice: 'path'");
	assert_wrong(&c, "a path x y", "too much: 'y'");
	assert_wrong(&c, "a for x", "a time as 10s");
	assert_wrong(&w, "", "missing: 'path'; usage: w path <path>");
	assert_int_equal(read_args(&w, "path x"), 0);
}

static void test_the_rest(void **state)
{
	static const struct admin_arg two[] = {
		{ "first", ADMIN_TEXT, false, NULL, "" },
		{ "rest", ADMIN_TEXT, false, NULL, "" },
		{ .name = NULL },
	};
	const struct admin_command c = { .words = "c", .args = two };

	(void)state;
	assert_int_equal(read_args(&c, "one two"), 0);
	assert_string_equal(values[0].text, "one");
	assert_string_equal(values[1].text, "two");
	assert_int_equal(read_args(&c, "one  two   'th  ree' '' f\\;our"), 0);
	assert_string_equal(values[1].text, "two th  ree  f;our");
	assert_wrong(&c, "one", "missing: 'rest'");
	/* json is a word like others where there are no rows. */
	assert_int_equal(read_args(&c, "one json"), 0);
	assert_false(args.json);
	assert_string_equal(values[1].text, "json");
}

static void test_no_arguments(void **state)
{
	const struct admin_command c = { .words = "c" };

	(void)state;
	assert_int_equal(read_args(&c, ""), 0);
	assert_wrong(&c, "x", "too much: 'x'; usage: c");
	assert_wrong(&c, "json", "too much: 'json'");
	assert_wrong(&c, "worker 1", "too much: 'worker'");
}

static void test_rows(void **state)
{
	const struct admin_command next = { .words = "c", .columns = columns };
	const struct admin_command all = { .words = "c",
					   .columns = columns,
					   .collect = collect_nothing };
	const struct admin_command kill = { .words = "kill",
					    .args = one_number,
					    .columns = columns,
					    .collect = collect_nothing };

	(void)state;
	assert_int_equal(read_args(&next, "json"), 0);
	assert_true(args.json);
	assert_wrong(&next, "worker 1", "too much: 'worker'");
	assert_wrong(&next, "json json", "too much: 'json'");
	assert_int_equal(read_args(&all, ""), 0);
	assert_false(args.json);
	assert_false(args.one);
	assert_int_equal(read_args(&all, "worker 0"), 0);
	assert_true(args.one && args.worker == 0);
	assert_int_equal(read_args(&all, "worker 3"), 0);
	assert_true(args.one && args.worker == 3);
	assert_int_equal(read_args(&all, "worker 65535 json"), 0);
	assert_true(args.json);
	assert_int_equal(args.worker, 65535);
	assert_wrong(&all, "json worker 1", "too much: 'json'");
	for (const char *const *t =
		     (const char *const[]){ "-1", "1.5", "x", "65536", "1s",
					    "60000ms", "0x1", "1e0", "''",
					    NULL };
	     *t != NULL; t++) {
		char text[64];

		snprintf(text, sizeof(text), "worker %s", *t);
		assert_wrong(&all, text, "a worker's number is wanted, not");
	}
	assert_wrong(&all, "worker", "too much: 'worker'");
	assert_int_equal(read_args(&kill, "5 worker 2 json"), 0);
	assert_float_equal(values[0].number, 5, 0);
	assert_int_equal(args.worker, 2);
	assert_wrong(&kill, "worker 2",
		     "missing: 'n'; usage: kill <n> [worker "
		     "<n>] [json|typed]");
	assert_int_equal(read_args(&kill, "5 typed"), 0);
	assert_true(args.typed && !args.json);
}

/* "@3" is for the version, and where it may be left out the next argument's else. */
static void test_version(void **state)
{
	static const struct admin_arg may[] = {
		{ "version", ADMIN_VERSION, true, NULL, "" },
		{ "name", ADMIN_TEXT, false, NULL, "" },
		{ .name = NULL },
	};
	static const struct admin_arg must[] = {
		{ "version", ADMIN_VERSION, false, NULL, "" },
		{ "name", ADMIN_TEXT, false, NULL, "" },
		{ .name = NULL },
	};
	const struct admin_command c = { .words = "c", .args = may };
	const struct admin_command d = { .words = "d", .args = must };

	(void)state;
	assert_int_equal(read_args(&c, "@3 x"), 0);
	assert_true(values[0].given && values[0].number == 3);
	assert_string_equal(values[1].text, "x");
	assert_int_equal(read_args(&c, "x"), 0);
	assert_false(values[0].given);
	assert_string_equal(values[1].text, "x");
	assert_wrong(&c, "@3", "missing: 'name'");
	assert_wrong(&c, "@", "a version as @3");
	assert_wrong(&c, "@x y", "a version as @3");
	assert_wrong(&c, "@-1 y", "a version as @3");
	assert_wrong(&d, "x", "missing: 'version'");
	assert_int_equal(read_args(&d, "@0 x"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_units),
		cmocka_unit_test(test_choices_and_flags),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_the_rest),
		cmocka_unit_test(test_no_arguments),
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_version),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
