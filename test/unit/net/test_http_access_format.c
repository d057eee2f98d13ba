/* Lines of access logs: whatever a peer sends, there is one, and its fields are
 * where they belong. */
#include "unit.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/utf8.h"
#include "net/http_access.h"
#include "net/http_access_format.h"

#define TEXT(s)                  \
	{                        \
		s, sizeof(s) - 1 \
	}

static struct buf line;

static const char *format(enum http_access_kind kind,
			  const struct http_access *a, const char *route)
{
	struct http_access_format f = { .kind = kind };

	buf_reset(&line, 0);
	assert_int_equal(http_access_format(&f, &line, a, route), 0);
	assert_int_equal(buf_append(&line, "", 1), 0);
	line.size--;
	return line.data;
}

static const struct http_access usual = {
	.remote = TEXT("10.0.0.1"),
	.method = TEXT("GET"),
	.target = TEXT("/a?b=c"),
	.protocol = TEXT("HTTP/1.1"),
	.referer = TEXT("http://b/"),
	.agent = TEXT("me/1.0 (it)"),
	.began_ns = 971186136123456789,
	.duration_ns = 1002003999,
	.head_ns = 5000,
	.sent = 5000000000,
	.received = 7,
	.port = 99,
	.status = 200,
	.complete = true,
};

static void test_usual(void **state)
{
	(void)state;
	assert_string_equal(
		format(HTTP_ACCESS_COMBINED, &usual, "r"),
		"10.0.0.1 - - [10/Oct/2000:13:55:36 +0000] \"GET /a?b=c "
		"HTTP/1.1\" 200 5000000000 \"http://b/\" \"me/1.0 (it)\" "
		"1.002003\n");
	assert_string_equal(
		format(HTTP_ACCESS_JSON, &usual, "r"),
		"{\"time\":\"2000-10-10T13:55:36.123+0000\","
		"\"remote\":\"10.0.0.1\",\"port\":99,\"method\":\"GET\","
		"\"target\":\"/a?b=c\",\"protocol\":\"HTTP/1.1\","
		"\"status\":200,\"sent\":5000000000,\"received\":7,"
		"\"duration\":1.002003,\"head\":0.000005,\"complete\":true,"
		"\"referer\":\"http://b/\",\"user_agent\":\"me/1.0 (it)\","
		"\"route\":\"r\"}\n");
}

static void test_nothing(void **state)
{
	static const struct http_access none = { .remote = TEXT("unix:"),
						 .status = 503 };

	(void)state;
	assert_string_equal(format(HTTP_ACCESS_COMBINED, &none, NULL),
			    "unix: - - [01/Jan/1970:00:00:00 +0000] \"-\" 503 "
			    "0 \"-\" \"-\" 0.000000\n");
	assert_non_null(strstr(format(HTTP_ACCESS_JSON, &none, NULL),
			       "\"method\":null,\"target\":null,"));
	assert_non_null(strstr(line.data, "\"head\":null,\"complete\":false,"
					  "\"referer\":null,"));
}

static void test_forged(void **state)
{
	static const char evil[] = "a\" 200 1\r\n\"b\\\x1b[2J\0\x7f\xff\xc3\xbc"
				   "\xc2\x9b\xed\xa0\x80\t";
	struct http_access a = usual;

	(void)state;
	a.target = (struct http_text)TEXT(evil);
	a.agent = a.target;
	assert_non_null(strstr(
		format(HTTP_ACCESS_COMBINED, &a, NULL),
		" \"GET a\\x22 200 1\\x0d\\x0a\\x22b\\x5c\\x1b[2J\\x00\\x7f"
		"\\xff\\xc3\\xbc\\xc2\\x9b\\xed\\xa0\\x80\\x09 HTTP/1.1\" "));
	assert_non_null(strstr(
		format(HTTP_ACCESS_JSON, &a, NULL),
		"\"target\":\"a\\\" 200 1\\u000d\\n\\\"b\\\\\\u001b[2J\\u0000"
		"\\u007f\\\\xff\xc3\xbc\\\\xc2\\\\x9b\\\\xed\\\\xa0\\\\x80"
		"\\t\","));
}

/* Random bytes make one line of printable characters, with as many quotes as
 * there are fields. */
static void test_random(void **state)
{
	enum http_access_kind kind;
	struct http_access a = usual;
	unsigned quotes;
	char bytes[200];

	(void)state;
	srand(1);
	for (unsigned i = 0; i < 20000; i++) {
		for (size_t j = 0; j < sizeof(bytes); j++)
			bytes[j] = (char)(rand() >> 7);
		a.target = (struct http_text){ bytes, 1 + i % 100 };
		a.referer = (struct http_text){ bytes + 100, 1 + i % 100 };
		a.agent = (struct http_text){ bytes + 50, 100 };
		kind = i % 2 == 0 ? HTTP_ACCESS_COMBINED : HTTP_ACCESS_JSON;
		format(kind, &a, NULL);
		assert_int_equal(utf8_valid(line.data, line.size), line.size);
		assert_int_equal(line.data[--line.size], '\n');
		quotes = 0;
		for (size_t j = 0; j < line.size; j++) {
			unsigned char c = line.data[j];

			assert_true(c >= 0x20 && c != 0x7f);
			if (c == '\\' && kind == HTTP_ACCESS_JSON)
				j++;
			else
				quotes += c == '"';
		}
		assert_int_equal(quotes, kind == HTTP_ACCESS_COMBINED ? 6 : 44);
	}
}

/* Times are made once a second: the next one has its own. */
static void test_time(void **state)
{
	struct http_access_format f = { .kind = HTTP_ACCESS_COMBINED };
	struct http_access a = usual;

	(void)state;
	buf_reset(&line, 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(http_access_format(&f, &line, &a, NULL), 0);
		a.began_ns += 600000000;
	}
	assert_int_equal(buf_append(&line, "", 1), 0);
	assert_non_null(strstr(line.data, ":13:55:36 "));
	assert_non_null(strstr(line.data, ":13:55:37 "));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_usual),  cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_forged), cmocka_unit_test(test_random),
		cmocka_unit_test(test_time),
	};
	int failed;

	setenv("TZ", "UTC0", 1);
	tzset();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	buf_destroy(&line);
	return failed;
}
