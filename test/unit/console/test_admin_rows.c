/* Rows of cells: kept, and written as text and JSON. */
#include "unit.h"

#include <math.h>

#include "base/inject.h"
#include "console/admin_rows.h"

static struct buf out;

static int tear_down(void **state)
{
	(void)state;
	inject_reset();
	buf_destroy(&out);
	return 0;
}

static void assert_out(const char *want)
{
	assert_int_equal(buf_putc(&out, '\0'), 0);
	assert_string_equal(out.data, want);
	out.size = 0;
}

/* --- kept --- */

static void test_kept(void **state)
{
	struct admin_rows r = { .columns = 3, .room = 1 << 10 };
	char text[16] = "text";
	struct admin_cell cells[3] = { admin_number(-1.5), admin_text(text),
				       admin_text(NULL) };

	(void)state;
	assert_false(admin_rows_take(&r, cells));
	assert_true(admin_rows_add(&r, cells));
	strcpy(text, "changed"); /* it has a copy */
	cells[2] = admin_text("");
	assert_true(admin_rows_add(&r, cells));
	assert_true(admin_rows_take(&r, cells));
	assert_float_equal(cells[0].number, -1.5, 0);
	assert_string_equal(cells[1].text, "text");
	assert_int_equal(cells[2].type, ADMIN_CELL_NONE);
	assert_true(admin_rows_take(&r, cells));
	assert_string_equal(cells[1].text, "changed");
	assert_int_equal(cells[2].type, ADMIN_CELL_TEXT);
	assert_string_equal(cells[2].text, "");
	assert_false(admin_rows_take(&r, cells));
	admin_rows_reset(&r);
	assert_false(admin_rows_take(&r, cells));
	assert_true(admin_rows_add(&r, cells));
	assert_true(admin_rows_take(&r, cells));
	buf_destroy(&r.bytes);
}

/* The first always fits; another only in the room there is. */
static void test_room(void **state)
{
	struct admin_rows r = { .columns = 1, .room = 64 };
	char text[200] = "";
	struct admin_cell cell = admin_text(text), got;

	(void)state;
	memset(text, 'x', sizeof(text));
	text[199] = '\0';
	assert_true(admin_rows_add(&r, &cell));
	assert_false(admin_rows_add(&r, &cell));
	assert_true(admin_rows_take(&r, &got));
	assert_string_equal(got.text, text);
	assert_false(admin_rows_take(&r, &got));
	admin_rows_reset(&r);
	text[30] = '\0'; /* 32 bytes each */
	assert_true(admin_rows_add(&r, &cell));
	assert_true(admin_rows_add(&r, &cell));
	assert_false(admin_rows_add(&r, &cell));
	buf_destroy(&r.bytes);
}

static void test_kept_without_memory(void **state)
{
	struct admin_cell cells[2] = { admin_text("a text of some bytes"),
				       admin_number(1) };
	struct admin_cell got[2];

	(void)state;
	if (inject_arm("malloc", 0, 0) != 0)
		skip();
	for (int after = 0; after < 4; after++) {
		struct admin_rows r = { .columns = 2, .room = 1 << 20 };
		int count = 0, taken = 0;

		inject_reset();
		inject_arm("malloc", after, 1);
		for (int i = 0; i < 100; i++)
			count += admin_rows_add(&r, cells);
		assert_int_equal(count, 99);
		while (admin_rows_take(&r, got)) {
			assert_string_equal(got[0].text, cells[0].text);
			taken++;
		}
		assert_int_equal(taken, count);
		buf_destroy(&r.bytes);
	}
}

/* --- written --- */

static const struct admin_column columns[] = {
	{ "n", ADMIN_NUMBER, 4, "" },   { "name", ADMIN_TEXT, -6, "" },
	{ "yes", ADMIN_FLAG, -3, "" },  { "time", ADMIN_SECONDS, 9, "" },
	{ "last", ADMIN_TEXT, -8, "" }, { .name = NULL },
};

static void put(struct admin_format *f, double n, const char *name, bool yes,
		double time, const char *last)
{
	struct admin_cell cells[] = {
		admin_number(n),    admin_text(name), admin_number(yes),
		admin_number(time), admin_text(last),
	};

	assert_int_equal(admin_format_row(f, cells, &out), 0);
}

static void test_table(void **state)
{
	struct admin_format f = { .columns = columns };

	(void)state;
	put(&f, 1, "a", true, 0.5, "x");
	put(&f, 123456, "longer than that", false, 12.5, NULL);
	put(&f, -0.25, NULL, false, 0, "");
	assert_int_equal(admin_format_end(&f, &out), 0);
	assert_out("   n name   yes      time last\n"
		   "   1 a      yes  0.500000 x\n"
		   "123456 longer than that no     12.500 -\n"
		   "-0.250 -      no   0.000000\n");
	f.count = 0;
	assert_int_equal(admin_format_end(&f, &out), 0); /* without a row */
	assert_out("   n name   yes      time last\n");
	f.of_worker = true;
	f.worker = 3;
	put(&f, 1, "a", true, 0, "x");
	assert_int_equal(admin_format_error(&f, "is busy", &out), 0);
	assert_int_equal(admin_format_end(&f, &out), 0);
	assert_out("worker    n name   yes      time last\n"
		   "     3    1 a      yes  0.000000 x\n"
		   "     3 is busy\n");
}

static void test_single(void **state)
{
	struct admin_format f = { .columns = columns, .single = true };

	(void)state;
	put(&f, 1, "", true, 1e-6, "two\nlines");
	assert_int_equal(admin_format_end(&f, &out), 0);
	assert_out("n: 1\nname: \nyes: yes\ntime: 0.000001\n"
		   "last: two\\nlines\n");
	f.count = 0;
	f.of_worker = true;
	f.worker = 2;
	put(&f, 1, "a", false, 100, NULL);
	assert_int_equal(admin_format_error(&f, "is busy", &out), 0);
	assert_int_equal(admin_format_end(&f, &out), 0);
	assert_out("worker: 2\nn: 1\nname: a\nyes: no\ntime: 100.000\nlast: "
		   "-\nworker: 2\nerror: is busy\n");
}

static void test_json(void **state)
{
	struct admin_format f = { .columns = columns, .json = true };

	(void)state;
	put(&f, 1e15, "a\"b\\\n\x01\xff", true, 0.25, NULL);
	put(&f, NAN, "", false, INFINITY, "\xc3\xa9");
	assert_int_equal(admin_format_end(&f, &out), 0);
	assert_out("[{\"n\":1000000000000000,\"name\":\"a\\\"b\\\\\\n\\u0001"
		   "\xef\xbf\xbd\",\"yes\":true,\"time\":0.25,\"last\":null},\n"
		   "{\"n\":null,\"name\":\"\",\"yes\":false,\"time\":null,"
		   "\"last\":\"\xc3\xa9\"}]\n");
	f.count = 0;
	assert_int_equal(admin_format_end(&f, &out), 0);
	assert_out("[]\n");
	f.of_worker = true;
	f.worker = 7;
	put(&f, 1, "a", true, 0, "x");
	f.worker = 0;
	assert_int_equal(admin_format_error(&f, "is \"busy\"", &out), 0);
	assert_int_equal(admin_format_end(&f, &out), 0);
	assert_out("[{\"worker\":7,\"n\":1,\"name\":\"a\",\"yes\":true,"
		   "\"time\":0,\"last\":\"x\"},\n"
		   "{\"worker\":0,\"error\":\"is \\\"busy\\\"\"}]\n");
	f = (struct admin_format){ .columns = columns,
				   .json = true,
				   .single = true };
	put(&f, 1, "a", true, 0, "x");
	assert_int_equal(admin_format_end(&f, &out), 0);
	assert_out("{\"n\":1,\"name\":\"a\",\"yes\":true,\"time\":0,"
		   "\"last\":\"x\"}\n");
	f.count = 0;
	assert_int_equal(admin_format_end(&f, &out), 0);
	assert_out("null\n");
}

static const struct admin_column one[] = {
	{ "line", ADMIN_TEXT, 0, "" },
	{ .name = NULL },
};

/* What strangers chose makes no line, no empty one, and plays with no terminal. */
static void test_text_of_strangers(void **state)
{
	struct admin_format f = { .columns = one, .plain = true };
	struct admin_cell cell =
		admin_text("a\n\nb\r\t\x1b[2J\x7f\xff\xc2\x9b");

	(void)state;
	assert_int_equal(admin_format_row(&f, &cell, &out), 0);
	assert_out(
		"a\\n\\nb\\u000d\\t\\u001b[2J\\u007f\\\\xff\\\\xc2\\\\x9b\n");
	cell = admin_text("");
	assert_int_equal(admin_format_row(&f, &cell, &out), 0);
	assert_out(" \n"); /* an empty line would end the answer */
	cell = admin_text("   ");
	assert_int_equal(admin_format_row(&f, &cell, &out), 0);
	assert_out(" \n");
	f.of_worker = true;
	f.worker = 2;
	cell = admin_text("x");
	assert_int_equal(admin_format_row(&f, &cell, &out), 0);
	assert_int_equal(admin_format_end(&f, &out), 0);
	assert_out("x\n");
}

/* Nothing, or the whole: half a row is never left. */
static void test_written_without_memory(void **state)
{
	static const struct admin_format formats[] = {
		{ .columns = columns },
		{ .columns = columns, .json = true },
		{ .columns = columns, .single = true },
		{ .columns = columns, .of_worker = true },
	};
	struct admin_cell cells[] = {
		admin_number(1), admin_text("a name\n"), admin_number(0),
		admin_number(2), admin_text("another"),
	};

	(void)state;
	if (inject_arm("malloc", 0, 0) != 0)
		skip();
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		struct admin_format f = formats[i];
		struct buf whole = { 0 };
		int failed = 0;

		inject_reset();
		assert_int_equal(admin_format_row(&f, cells, &whole), 0);
		for (int after = 0; after < 20; after++) {
			struct buf b = { 0 };

			f = formats[i];
			inject_reset();
			inject_arm("malloc", after, 1);
			if (admin_format_row(&f, cells, &b) != 0) {
				failed++;
				assert_int_equal(b.size, 0);
				assert_int_equal(f.count, 0);
			} else {
				assert_int_equal(b.size, whole.size);
				assert_memory_equal(b.data, whole.data, b.size);
			}
			buf_destroy(&b);
		}
		assert_true(failed > 0);
		buf_destroy(&whole);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kept),
		cmocka_unit_test(test_room),
		cmocka_unit_test_teardown(test_kept_without_memory, tear_down),
		cmocka_unit_test_teardown(test_table, tear_down),
		cmocka_unit_test_teardown(test_single, tear_down),
		cmocka_unit_test_teardown(test_json, tear_down),
		cmocka_unit_test_teardown(test_text_of_strangers, tear_down),
		cmocka_unit_test_teardown(test_written_without_memory,
					  tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
