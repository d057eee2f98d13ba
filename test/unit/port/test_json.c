/* JSON in and out: what passes, what is refused and where, exact text. */
#include "unit.h"

#include <math.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/diag.h"
#include "port/json_decode.h"
#include "port/json_encode.h"
#include "port/mp_decode.h"
#include "trace_sink.h"

static int decode_with(struct trace_sink *t, const char *text, size_t size,
		       const struct json_decode_opts *opts)
{
	char *copy = malloc(size + (size == 0));
	struct buf scratch = { 0 };
	int rc;

	trace_create(t, 0);
	memcpy(copy, text, size);
	rc = json_decode(copy, copy + size, opts, &scratch, &t->sink);
	free(copy);
	buf_destroy(&scratch);
	assert_null(t->broken);
	return rc;
}

static int decode(struct trace_sink *t, const char *text)
{
	return decode_with(t, text, strlen(text), &json_decode_default);
}

static void good(void **state)
{
	static const struct {
		const char *json, *text;
	} cases[] = {
		{ "null", "nil" },
		{ "true", "true" },
		{ " \t\r\n false \n", "false" },
		{ "\xef\xbb\xbf 1", "1s" },
		{ "0", "0s" },
		{ "-0", "0s" },
		{ "-0.0", "-0r" },
		{ "9007199254740993", "9007199254740993s" },
		{ "9223372036854775807", "9223372036854775807s" },
		{ "9223372036854775808", "9223372036854775808u" },
		{ "18446744073709551615", "18446744073709551615u" },
		{ "18446744073709551616", "1.8446744073709552e+19r" },
		{ "-9223372036854775808", "-9223372036854775808s" },
		{ "-9223372036854775809", "-9.2233720368547758e+18r" },
		{ "1.5", "1.5r" },
		{ "1e2", "100r" },
		{ "1E+2", "100r" },
		{ "25e-1", "2.5r" },
		{ "0.1", "0.10000000000000001r" },
		{ "1e400", "infr" },
		{ "1e-400", "0r" },
		{ "2.2250738585072014e-308", "2.2250738585072014e-308r" },
		{ "123456789012345678901234567890e-20", "1234567890.1234567r" },
		{ "nan", "nanr" },
		{ "NaN", "nanr" },
		{ "inf", "infr" },
		{ "-inf", "-infr" },
		{ "Infinity", "infr" },
		{ "-Infinity", "-infr" },
		{ "\"\"", "''" },
		{ "\"a b\"", "'a b'" },
		{ "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
		  "'\"\\/\\x08\\x0c\\x0a\\x0d\\x09'" },
		{ "\"\\u0000\\u0041\\u00e9\\u20ac\\ud83d\\ude00x\"",
		  "'\\x00A\\xc3\\xa9\\xe2\\x82\\xac\\xf0\\x9f\\x98\\x80x'" },
		{ "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"",
		  "'\\xc3\\xa9\\xe2\\x82\\xac\\xf0\\x9f\\x98\\x80'" },
		{ "\"0123456789abcdef\\n0123456789abcdef\"",
		  "'0123456789abcdef\\x0a0123456789abcdef'" },
		{ "[]", "[? ]" },
		{ "{}", "{? }" },
		{ "[ ]", "[? ]" },
		{ "{ }", "{? }" },
		{ "[1,[2,{}],[]]", "[? 1s [? 2s {? } ] [? ] ]" },
		{ "{\"a\":1,\"b\":{\"c\":[]},\"a\":2}",
		  "{? 'a' 1s 'b' {? 'c' [? ] } 'a' 2s }" },
		{ " { \"a\" : [ 1 , 2 ] , \"b\" : null } ",
		  "{? 'a' [? 1s 2s ] 'b' nil }" },
	};
	struct trace_sink t;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		if (decode(&t, cases[i].json) != 0)
			fail_msg("%s: %s", cases[i].json, diag_last()->message);
		assert_string_equal(trace_text(&t), cases[i].text);
		trace_destroy(&t);
	}
}

static void bad(void **state)
{
	static const struct {
		const char *json;
		int line, character;
	} cases[] = {
		{ "", 1, 1 },
		{ "  ", 1, 3 },
		{ "[", 1, 2 },
		{ "[1", 1, 3 },
		{ "[1,", 1, 4 },
		{ "[1,]", 1, 4 },
		{ "[1 2]", 1, 4 },
		{ "[,1]", 1, 2 },
		{ "]", 1, 1 },
		{ "[1}", 1, 3 },
		{ "{", 1, 2 },
		{ "{\"a\"", 1, 5 },
		{ "{\"a\":", 1, 6 },
		{ "{\"a\":1", 1, 7 },
		{ "{\"a\":1,", 1, 8 },
		{ "{\"a\":1,}", 1, 8 },
		{ "{\"a\" 1}", 1, 6 },
		{ "{1:2}", 1, 2 },
		{ "{a:1}", 1, 2 },
		{ "{\"a\":1]", 1, 7 },
		{ "1 2", 1, 3 },
		{ "[1] x", 1, 5 },
		{ "01", 1, 1 },
		{ "-01", 1, 1 },
		{ "+1", 1, 1 },
		{ ".5", 1, 1 },
		{ "1.", 1, 1 },
		{ "1.e1", 1, 1 },
		{ "1e", 1, 1 },
		{ "1e+", 1, 1 },
		{ "-", 1, 1 },
		{ "--1", 1, 1 },
		{ "0x10", 1, 2 },
		{ "tru", 1, 1 },
		{ "True", 1, 1 },
		{ "nul", 1, 1 },
		{ "na", 1, 1 },
		{ "-n", 1, 1 },
		{ "'a'", 1, 1 },
		{ "\"a", 1, 3 },
		{ "\"a\\", 1, 4 },
		{ "\"\\x\"", 1, 2 },
		{ "\"\\u12\"", 1, 2 },
		{ "\"\\u12g4\"", 1, 2 },
		{ "\"\\ud800\"", 1, 2 },
		{ "\"\\ud800x\"", 1, 2 },
		{ "\"\\ud800\\u0041\"", 1, 2 },
		{ "\"\\udc00\"", 1, 2 },
		{ "\"a\nb\"", 1, 3 },
		{ "\"\t\"", 1, 2 },
		{ "\"\xff\"", 1, 2 },
		{ "\"\xc0\x80\"", 1, 2 },
		{ "\"\xed\xa0\x80\"", 1, 2 },
		{ "\"\xf4\x90\x80\x80\"", 1, 2 },
		{ "\"\xe2\x82\"", 1, 2 },
		{ "[1,\n2,\n  x]", 3, 3 },
		{ "/* */ 1", 1, 1 },
		{ "\xef\xbb", 1, 1 },
	};
	struct trace_sink t;
	char place[64];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		if (decode(&t, cases[i].json) == 0)
			fail_msg("%s passes", cases[i].json);
		snprintf(place, sizeof place, "on line %d at character %d",
			 cases[i].line, cases[i].character);
		if (strstr(diag_last()->message, place) == NULL)
			fail_msg("%s: %s", cases[i].json, diag_last()->message);
		diag_clear();
		trace_destroy(&t);
	}
}

/* A NUL is a byte as any other. */
static void nul_bytes(void **state)
{
	struct trace_sink t;

	(void)state;
	assert_int_equal(decode_with(&t, "1\0", 2, &json_decode_default), -1);
	diag_clear();
	trace_destroy(&t);
	assert_int_equal(decode_with(&t, "\"a\0b\"", 5, &json_decode_default),
			 -1);
	diag_clear();
	trace_destroy(&t);
}

static void options(void **state)
{
	static const char *const nonfinite[] = { "nan", "-inf", "[infinity]" };
	struct json_decode_opts opts = json_decode_default;
	struct trace_sink t;

	(void)state;
	opts.refuse_nonfinite = true;
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(decode_with(&t, nonfinite[i],
					     strlen(nonfinite[i]), &opts),
				 -1);
		assert_non_null(strstr(diag_last()->message, "NaN"));
		diag_clear();
		trace_destroy(&t);
	}
	opts.max_depth = 2;
	assert_int_equal(decode_with(&t, "[[]]", 4, &opts), 0);
	trace_destroy(&t);
	assert_int_equal(decode_with(&t, "[{\"a\":[]}]", 10, &opts), -1);
	assert_non_null(strstr(diag_last()->message, "too deep"));
	diag_clear();
	trace_destroy(&t);
}

static void depth(void **state)
{
	struct trace_sink t;

	(void)state;
	for (int n = PORT_DEPTH_MAX; n <= PORT_DEPTH_MAX + 1; n++) {
		struct buf b = { 0 };
		int want = n > PORT_DEPTH_MAX ? -1 : 0;

		for (int i = 0; i < n; i++)
			buf_putc(&b, '[');
		for (int i = 0; i < n; i++)
			buf_putc(&b, ']');
		assert_int_equal(decode_with(&t, b.data, b.size,
					     &json_decode_default),
				 want);
		trace_destroy(&t);
		b.size = 0;
		for (int i = 0; i < n; i++)
			buf_puts(&b, "{\"a\":");
		buf_putc(&b, '1');
		for (int i = 0; i < n; i++)
			buf_putc(&b, '}');
		assert_int_equal(decode_with(&t, b.data, b.size,
					     &json_decode_default),
				 want);
		trace_destroy(&t);
		buf_destroy(&b);
		diag_clear();
	}
}

/* A long text without an end fails without a long C stack. */
static void bomb(void **state)
{
	size_t size = 1 << 20;
	char *text = malloc(size);
	struct trace_sink t;

	(void)state;
	memset(text, '[', size);
	assert_int_equal(decode_with(&t, text, size, &json_decode_default), -1);
	diag_clear();
	trace_destroy(&t);
	free(text);
}

static void truncated(void **state)
{
	static const char text[] = "{\"a\\u00e9\":[1.5e3,true,null,{}],"
				   "\"\xc3\xa9\":\"x\\ud83d\\ude00\"}";
	struct trace_sink t;

	(void)state;
	for (size_t n = 0; n < sizeof text - 1; n++) {
		assert_int_equal(decode_with(&t, text, n, &json_decode_default),
				 -1);
		diag_clear();
		trace_destroy(&t);
	}
}

static void sink_fails(void **state)
{
	static const char text[] = "{\"a\":[1,true,null,\"x\",{}],\"b\":nan}";
	struct buf scratch = { 0 };
	struct trace_sink t;
	long all;

	(void)state;
	assert_int_equal(decode(&t, text), 0);
	all = t.events;
	trace_destroy(&t);
	for (long n = 0; n < all; n++) {
		trace_create(&t, 0);
		t.fail_after = n;
		assert_int_equal(json_decode(text, text + sizeof text - 1,
					     &json_decode_default, &scratch,
					     &t.sink),
				 -1);
		assert_null(t.broken);
		assert_string_equal(diag_last()->message, "the sink is full");
		diag_clear();
		trace_destroy(&t);
	}
	buf_destroy(&scratch);
}

/* msgpack as the producer: it has every kind of value. */
static int encode(struct buf *out, const char *bytes, size_t size,
		  const struct json_encode_opts *opts)
{
	struct json_encoder e;
	const char *next;
	int rc;

	out->size = 0;
	json_encoder_create(&e, out, opts);
	rc = mp_decode(bytes, bytes + size, &e.sink, &next);
	buf_putc(out, '\0');
	return rc;
}

static void text_out(void **state)
{
	static const struct {
		const char *bytes;
		size_t size;
		const char *json;
	} cases[] = {
#define BYTES(s) s, sizeof(s) - 1
		{ BYTES("\xc0"), "null" },
		{ BYTES("\x92\xc2\xc3"), "[false,true]" },
		{ BYTES("\xcf\xff\xff\xff\xff\xff\xff\xff\xff"),
		  "18446744073709551615" },
		{ BYTES("\xd3\x80\x00\x00\x00\x00\x00\x00\x00"),
		  "-9223372036854775808" },
		{ BYTES("\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00"), "1.5" },
		{ BYTES("\xca\x3f\xc0\x00\x00"), "1.5" },
		{ BYTES("\xcb\x3f\xd5\x55\x55\x55\x55\x55\x55"),
		  "0.33333333333333" },
		{ BYTES("\xcb\x54\xb2\x49\xad\x25\x94\xc3\x7d"), "1e+100" },
		{ BYTES("\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00"), "nan" },
		{ BYTES("\xcb\xff\xf0\x00\x00\x00\x00\x00\x00"), "-inf" },
		{ BYTES("\x90"), "[]" },
		{ BYTES("\x80"), "{}" },
		{ BYTES("\x82\xa1"
			"a\x92\x01\x80\xa1"
			"b\xc0"),
		  "{\"a\":[1,{}],\"b\":null}" },
		{ BYTES("\x82\x01\x02\xff\x03"), "{\"1\":2,\"-1\":3}" },
		{ BYTES("\xa6"
			"a/\"\\\n\x7f"),
		  "\"a/\\\"\\\\\\n\\u007f\"" },
		{ BYTES("\xa3\x00\x1f\t"), "\"\\u0000\\u001f\\t\"" },
		{ BYTES("\xa2\xc3\xa9"), "\"\xc3\xa9\"" },
		{ BYTES("\xa3"
			"a\xff"
			"b"),
		  "\"a\xef\xbf\xbd"
		  "b\"" },
		{ BYTES("\xa1\xc3"), "\"\xef\xbf\xbd\"" },
		{ BYTES("\xc4\x02hi"), "\"hi\"" },
		{ BYTES("\xb4"
			"0123456789abcdef\xe2\x82\xac\n"),
		  "\"0123456789abcdef\xe2\x82\xac\\n\"" },
	};
	struct buf out = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		assert_int_equal(encode(&out, cases[i].bytes, cases[i].size,
					&json_encode_default),
				 0);
		assert_string_equal(out.data, cases[i].json);
	}
	buf_destroy(&out);
}

static void refused(void **state)
{
	static const struct {
		const char *bytes;
		size_t size;
		const char *message;
	} cases[] = {
		{ BYTES("\xd4\x07x"), "extension" },
		{ BYTES("\x81\xc0\x01"), "null" },
		{ BYTES("\x81\xc3\x01"), "a boolean" },
		{ BYTES("\x81\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00\x01"),
		  "a fraction" },
		{ BYTES("\x81\x90\x01"), "an array" },
		{ BYTES("\x81\x80\x01"), "a map" },
		{ BYTES("\xa2"
			"a\xff"),
		  "offset 1" },
		{ BYTES("\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00"), "NaN" },
	};
	struct json_encode_opts strict = {
		.precision = 17,
		.utf8 = JSON_UTF8_ERROR,
		.refuse_nonfinite = true,
	};
	struct buf out = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		assert_int_equal(encode(&out, cases[i].bytes, cases[i].size,
					&strict),
				 -1);
		assert_non_null(strstr(diag_last()->message, cases[i].message));
		diag_clear();
	}
	assert_int_equal(encode(&out, "\xcb\x3f\xb9\x99\x99\x99\x99\x99\x9a", 9,
				&strict),
			 0);
	assert_string_equal(out.data, "0.10000000000000001");
	strict.utf8 = JSON_UTF8_PASS;
	assert_int_equal(encode(&out, "\xa1\xff", 2, &strict), 0);
	assert_string_equal(out.data, "\"\xff\"");
	buf_destroy(&out);
}

static void no_room(void **state)
{
	static const char bytes[] = "\x83\xa1"
				    "a\xa4\n\xff\xc3\xa9\x01\x02\x03"
				    "\x92\xc0\xcb\x3f\xf8\0\0\0\0\0";
	struct json_encoder e;
	struct buf all = { 0 };
	const char *next;

	(void)state;
	json_encoder_create(&e, &all, &json_encode_default);
	assert_int_equal(mp_decode(bytes, bytes + sizeof bytes, &e.sink, &next),
			 0);
	for (size_t limit = 1; limit < all.size; limit++) {
		struct buf out = { .limit = limit };

		json_encoder_create(&e, &out, &json_encode_default);
		assert_int_equal(mp_decode(bytes, bytes + sizeof bytes, &e.sink,
					   &next),
				 -1);
		assert_ptr_equal(diag_last()->type, &OutOfMemory);
		diag_clear();
		buf_destroy(&out);
	}
	buf_destroy(&all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good),      cmocka_unit_test(bad),
		cmocka_unit_test(nul_bytes), cmocka_unit_test(options),
		cmocka_unit_test(depth),     cmocka_unit_test(bomb),
		cmocka_unit_test(truncated), cmocka_unit_test(sink_fails),
		cmocka_unit_test(text_out),  cmocka_unit_test(refused),
		cmocka_unit_test(no_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
