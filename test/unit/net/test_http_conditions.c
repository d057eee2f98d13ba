/* Dates, ranges, tags, qualities, media types: texts of peers, taken apart. */
#include "unit.h"

#include "net/http_accept.h"
#include "net/http_condition.h"
#include "net/http_date.h"
#include "net/http_media.h"
#include "net/http_range.h"

static struct http_text text_of(const char *s)
{
	return (struct http_text){ s, strlen(s) };
}

static void test_dates(void **state)
{
	static const struct {
		const char *text;
		int64_t seconds; /* -1: none */
	} rows[] = {
		{ "Sun, 06 Nov 1994 08:49:37 GMT", 784111777 },
		{ "Sunday, 06-Nov-94 08:49:37 GMT", 784111777 },
		{ "Sun Nov  6 08:49:37 1994", 784111777 },
		{ "Thu, 01 Jan 1970 00:00:00 GMT", 0 },
		{ "Fri, 31 Dec 9999 23:59:59 GMT", 253402300799 },
		{ "Sun, 06 Nov 1994 08:49:37", -1 },
		{ "Sun, 06 Nov 1994 08:49:37 GMT ", -1 },
		{ "Sun, 06 Nov 1994 08:49:37 CET", -1 },
		{ "Sun, 06 Nox 1994 08:49:37 GMT", -1 },
		{ "Sun, 06 Nov 1994 24:49:37 GMT", -1 },
		{ "Sun, 06 Nov 1994 -8:49:37 GMT", -1 },
		{ "Sun, +6 Nov 1994 08:49:37 GMT", -1 },
		{ "Sun, 00 Nov 1994 08:49:37 GMT", -1 },
		{ "Sun, 06 Nov -994 08:49:37 GMT", -1 },
		{ "784111777", -1 },
		{ "", -1 },
		{ "Sun, 06 Nov 1994 08:49:37 GMT Sun, 06 Nov 1994", -1 },
	};
	char text[HTTP_DATE_SIZE];
	int64_t seconds;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		seconds = -1;
		if (!http_date_parse(text_of(rows[i].text), &seconds))
			seconds = -1;
		assert_int_equal(seconds, rows[i].seconds);
	}
	http_date_format(text, 784111777);
	assert_string_equal(text, rows[0].text);
	http_date_format(text, INT64_MAX);
	assert_string_equal(text, rows[4].text);
	http_date_format(text, INT64_MIN);
	assert_int_equal(strlen(text), HTTP_DATE_SIZE - 1);
	for (int64_t t = -62135596800; t < 253402300799; t += 86399 * 1009) {
		http_date_format(text, t);
		assert_true(http_date_parse(text_of(text), &seconds));
		assert_int_equal(seconds, t);
	}
}

/* Ranges of 10 bytes, as "start+size start+size". */
static void check_ranges(const char *value, uint64_t size, const char *want)
{
	struct http_range ranges[HTTP_RANGES_MAX];
	char got[1024] = "";
	int n = http_range_parse(text_of(value), size, ranges);

	if (n == HTTP_RANGES_WHOLE)
		strcpy(got, "whole");
	else if (n == HTTP_RANGES_NONE)
		strcpy(got, "none");
	for (int i = 0; i < n; i++) {
		size_t at = strlen(got);

		assert_true(ranges[i].size > 0 &&
			    ranges[i].size <= size - ranges[i].start);
		snprintf(got + at, sizeof(got) - at, "%s%llu+%llu",
			 i > 0 ? " " : "", (unsigned long long)ranges[i].start,
			 (unsigned long long)ranges[i].size);
	}
	assert_string_equal(got, want);
}

static void test_ranges(void **state)
{
	(void)state;
	check_ranges("bytes=0-0", 10, "0+1");
	check_ranges("bytes=0-9", 10, "0+10");
	check_ranges("bytes=0-10", 10, "0+10");
	check_ranges("bytes=9-", 10, "9+1");
	check_ranges("bytes=10-", 10, "none");
	check_ranges("bytes=-1", 10, "9+1");
	check_ranges("bytes=-11", 10, "0+10");
	check_ranges("bytes=-0", 10, "none");
	check_ranges("bytes=-1", 0, "none");
	check_ranges("bytes=0-", 0, "none");
	check_ranges("bytes=0-1,5-6", 10, "0+2 5+2");
	check_ranges("bytes=5-6,0-1", 10, "5+2 0+2");
	check_ranges("bytes=5-6,10-11", 10, "5+2");
	check_ranges("bytes=, ,5-6\t,,", 10, "5+2");
	check_ranges("bytes=0-5,4-9", 10, "whole");
	check_ranges("bytes=0-9,0-9", 10, "whole");
	check_ranges("bytes=18446744073709551615-", 10, "none");
	check_ranges("bytes=18446744073709551616-18446744073709551617", 10,
		     "none");
	check_ranges("bytes=0-18446744073709551615", UINT64_MAX,
		     "0+18446744073709551615");
	check_ranges("bytes=0-18446744073709551616", 10, "0+10");
	check_ranges("bytes=-18446744073709551616", 10, "0+10");
	check_ranges("bytes=1-0", 10, "whole");
	check_ranges("bytes=", 10, "whole");
	check_ranges("bytes=,", 10, "whole");
	check_ranges("bytes", 10, "whole");
	check_ranges("", 10, "whole");
	check_ranges("bytes=1", 10, "whole");
	check_ranges("bytes=1-2 3-4", 10, "whole");
	check_ranges("bytes=1 -2", 10, "whole");
	check_ranges("bytes=0x1-2", 10, "whole");
}

static void test_etags(void **state)
{
	static const struct {
		const char *list;
		const char *tag;
		bool weak;
		bool strong;
	} rows[] = {
		{ "\"a\"", "\"a\"", true, true },
		{ "W/\"a\"", "\"a\"", true, false },
		{ "\"a\"", "W/\"a\"", true, false },
		{ "W/\"a\"", "W/\"a\"", true, false },
		{ "\"b\", \"a\"", "\"a\"", true, true },
		{ "\"b\",\"a\"", "\"a\"", true, true },
		{ "\"b, \"a\"", "\"a\"", false, false },
		{ "\"aa\"", "\"a\"", false, false },
		{ "\"a", "\"a\"", false, false },
		{ "a", "\"a\"", false, false },
		{ "w/\"a\"", "\"a\"", false, false },
		{ "\"a\"\"b\"", "\"b\"", true, true },
		{ "*", "\"a\"", true, true },
		{ "\"*\"", "\"a\"", false, false },
		{ "", "\"a\"", false, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct http_text list = text_of(rows[i].list);
		struct http_text tag = text_of(rows[i].tag);

		assert_int_equal(http_etag_matches(list, tag, true),
				 rows[i].weak);
		assert_int_equal(http_etag_matches(list, tag, false),
				 rows[i].strong);
	}
	assert_true(http_etag_is_valid(text_of("\"a\"")));
	assert_true(http_etag_is_valid(text_of("W/\"\"")));
	assert_false(http_etag_is_valid(text_of("a")));
	assert_false(http_etag_is_valid(text_of("\"a\"b")));
	assert_false(http_etag_is_valid(text_of("\"a b\"")));
	assert_false(http_etag_is_valid(text_of("")));
	assert_false(http_etag_is_valid(text_of("W/")));
}

static void test_qualities(void **state)
{
	static const struct {
		const char *list;
		int gzip;
	} rows[] = {
		{ "gzip", 1000 },
		{ "GZIP", 1000 },
		{ "gzip;q=0.5", 500 },
		{ "gzip ; q=0.123", 123 },
		{ "gzip;q=0", 0 },
		{ "gzip;q=1.000", 1000 },
		{ "gzip;q=1.9", 1000 },
		{ "gzip;q=-1", 0 },
		{ "gzip;q=0.12345", 123 },
		{ "gzip;a=b;q=0.5", 500 },
		{ "br, gzip;q=0.25", 250 },
		{ "br", 0 },
		{ "*", 1000 },
		{ "*;q=0.5, gzip;q=0", 0 },
		{ "gzip;q=0.1, *", 100 },
		{ "xgzip, gzipx", 0 },
		{ "", 0 },
		{ ",,gzip,", 1000 },
		{ "gzip;q=", 1000 },
		{ "gzip;q=x", 0 },
		{ "identity", 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(http_accept_quality(text_of(rows[i].list),
						     "gzip"),
				 rows[i].gzip);
	assert_int_equal(http_accept_quality(text_of("br"), "identity"), 1000);
	assert_int_equal(http_accept_quality(text_of("*;q=0"), "identity"), 0);
}

static void check_type(const char *name, const char *want)
{
	assert_string_equal(http_media_type(name, strlen(name)), want);
}

static void test_types(void **state)
{
	static const char unknown[] = "application/octet-stream";

	(void)state;
	check_type("a.html", "text/html; charset=utf-8");
	check_type("A.HTML", "text/html; charset=utf-8");
	check_type("a.b.7z", "application/x-7z-compressed");
	check_type("x/y.zst", "application/zstd");
	check_type("x.woff2", "font/woff2");
	check_type("x.docx", "application/vnd.openxmlformats-officedocument"
			     ".wordprocessingml.document");
	check_type(".html", "text/html; charset=utf-8");
	check_type("html", unknown);
	check_type("a.html/b", unknown);
	check_type("a.", unknown);
	check_type("", unknown);
	check_type("a.averyveryverylongend", unknown);
	check_type("a.htm\xc0", unknown);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dates), cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_etags), cmocka_unit_test(test_qualities),
		cmocka_unit_test(test_types),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
