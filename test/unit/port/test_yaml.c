/* YAML in and out: exact documents, what scalars mean, aliases, limits. */
#include "unit.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/diag.h"
#include "base/utf8.h"
#include "port/json_decode.h"
#include "port/mp_decode.h"
#include "port/yaml_decode.h"
#include "port/yaml_encode.h"
#include "port/yaml_scalar.h"
#include "trace_sink.h"

enum { ALIASES = PORT_SINK_ALIASES };

/* All documents of a text into one trace. Returns how many, or -1. */
static int decode_with(struct trace_sink *t, const char *text, size_t size,
		       unsigned flags, const struct yaml_decode_opts *opts)
{
	struct yaml_decoder d;
	char *copy = malloc(size + (size == 0));
	int rc, n = 0;

	memcpy(copy, text, size);
	trace_create(t, flags);
	rc = yaml_decoder_create(&d, copy, size, opts);
	if (rc == 0) {
		while ((rc = yaml_decode_next(&d, &t->sink)) == 1)
			n++;
		yaml_decoder_destroy(&d);
	}
	free(copy);
	assert_null(t->broken);
	return rc == 0 ? n : -1;
}

static int decode(struct trace_sink *t, const char *text, unsigned flags)
{
	return decode_with(t, text, strlen(text), flags, &yaml_decode_default);
}

static void scalars(void **state)
{
	static const struct {
		const char *yaml, *text;
	} cases[] = {
		{ "~", "nil" },
		{ "null", "nil" },
		{ "Null", "'Null'" },
		{ "NULL", "'NULL'" },
		{ "true", "true" },
		{ "yes", "true" },
		{ "false", "false" },
		{ "no", "false" },
		{ "True", "'True'" },
		{ "Yes", "'Yes'" },
		{ "y", "'y'" },
		{ "n", "'n'" },
		{ "on", "'on'" },
		{ "off", "'off'" },
		{ "12", "12s" },
		{ "-12", "-12s" },
		{ "+12", "12s" },
		{ "014", "14s" },
		{ "0x1F", "31s" },
		{ "-0x10", "-16s" },
		{ "0xffffffffffffffff", "18446744073709551615u" },
		{ "0x10000000000000000", "'0x10000000000000000'" },
		{ "0o14", "'0o14'" },
		{ "1_000", "'1_000'" },
		{ "18446744073709551615", "18446744073709551615u" },
		{ "123456789012345678901", "1.2345678901234568e+20r" },
		{ "1.5", "1.5r" },
		{ "1e3", "1000r" },
		{ "1.", "1r" },
		{ "inf", "infr" },
		{ "-Infinity", "-infr" },
		{ ".inf", "infr" },
		{ "-.INF", "-infr" },
		{ "nan", "nanr" },
		{ ".NaN", "nanr" },
		{ "2001-01-01", "'2001-01-01'" },
		{ "12:30", "'12:30'" },
		{ "'12'", "'12'" },
		{ "\"12\"", "'12'" },
		{ "'null'", "'null'" },
		{ "|\n  12\n", "'12\\x0a'" },
		{ "a b", "'a b'" },
		{ "!!str 12", "'12'" },
		{ "!!str", "''" },
		{ "! 12", "12s" },
		{ "! '12'", "'12'" },
		{ "!mine 12", "'12'" },
		{ "!!int 12", "12s" },
		{ "!!int '12'", "12s" },
		{ "!!float 12", "12s" },
		{ "!!bool no", "false" },
		{ "!!null x", "nil" },
		{ "!!binary aGk=", "b'hi'" },
		{ "!!binary |\n  aG\n  k=\n", "b'hi'" },
		{ "!!binary ''", "b''" },
		{ "[]", "[? ]" },
		{ "{}", "{? }" },
		{ "- 1\n-\n- - 2\n", "[? 1s '' [? 2s ] ]" },
		{ "a: 1\nb:\n  - x\n? [1]\n: y\n",
		  "{? 'a' 1s 'b' [? 'x' ] [? 1s ] 'y' }" },
		{ "<<: {a: 1}", "{? '<<' {? 'a' 1s } }" },
		{ "# nothing", "" },
		{ "---\n...\n", "''" },
		{ "--- 1\n...\n--- [2]\n--- {a: 3}\n",
		  "1s [? 2s ] {? 'a' 3s }" },
	};
	struct trace_sink t;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		for (unsigned flags = 0; flags <= ALIASES; flags++) {
			if (decode(&t, cases[i].yaml, flags) < 0)
				fail_msg("%s: %s", cases[i].yaml,
					 diag_last()->message);
			/* The way by msgpack tells counts and unsigned. */
			if (flags == ALIASES)
				assert_string_equal(trace_text(&t),
						    cases[i].text);
			trace_destroy(&t);
		}
	}
}

static void refused(void **state)
{
	static const struct {
		const char *yaml, *message;
	} cases[] = {
		{ "a: b: c", "line: 1, column: 5" },
		{ "[1", "line: 2, column: 1" },
		{ "- 1\n- [2\n- 3", "line: 4" },
		{ "*x", "invalid reference: x at document: 1" },
		{ "--- &x 1\n--- *x", "invalid reference: x at document: 2" },
		{ "!!int x", "!!int" },
		{ "!!int 1.5", "!!int" },
		{ "!!float x", "!!float" },
		{ "!!bool y", "!!bool" },
		{ "!!binary '*'", "base64" },
		{ "\"\\q\"", "unknown escape" },
		{ "\xff", "UTF-8" },
		{ "a\x01", "control characters" },
		{ "%YAML 9.9\n--- 1", "incompatible" },
	};
	struct trace_sink t;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		for (unsigned flags = 0; flags <= ALIASES; flags++) {
			if (decode(&t, cases[i].yaml, flags) >= 0)
				fail_msg("%s passes", cases[i].yaml);
			if (strstr(diag_last()->message, cases[i].message) ==
			    NULL)
				fail_msg("%s: %s", cases[i].yaml,
					 diag_last()->message);
			diag_clear();
			trace_destroy(&t);
		}
	}
}

static void aliases(void **state)
{
	static const struct {
		const char *yaml, *with, *without;
	} cases[] = {
		{ "[&a [1], *a, *a]", "[? &0 [? 1s ] *0 *0 ]",
		  "[3 [1 1u ] [1 1u ] [1 1u ] ]" },
		{ "[&a x, *a]", "[? &0 'x' *0 ]", "[2 'x' 'x' ]" },
		{ "{a: &a {b: &b [1]}, c: [*a, *b]}",
		  "{? 'a' &0 {? 'b' &1 [? 1s ] } 'c' [? *0 *1 ] }",
		  "{2 'a' {1 'b' [1 1u ] } 'c' [2 {1 'b' [1 1u ] } [1 1u ] ] }" },
		/* A name given again is another value's. */
		{ "[&a 1, *a, &a 2, *a]", "[? &0 1s *0 &1 2s *1 ]",
		  "[4 1u 1u 2u 2u ]" },
		{ "&a [&a 1, *a]", "&0 [? &1 1s *1 ]", "[2 1u 1u ]" },
		{ "{&k a: 1, b: *k}", "{? &0 'a' 1s 'b' *0 }",
		  "{2 'a' 1u 'b' 'a' }" },
	};
	struct trace_sink t;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		assert_int_equal(decode(&t, cases[i].yaml, ALIASES), 1);
		assert_string_equal(trace_text(&t), cases[i].with);
		trace_destroy(&t);
		if (decode(&t, cases[i].yaml, 0) != 1)
			fail_msg("%s: %s", cases[i].yaml, diag_last()->message);
		assert_string_equal(trace_text(&t), cases[i].without);
		trace_destroy(&t);
	}
	/* What contains itself has no end without aliases. */
	assert_int_equal(decode(&t, "&a [*a]", ALIASES), 1);
	assert_string_equal(trace_text(&t), "&0 [? *0 ]");
	trace_destroy(&t);
	assert_int_equal(decode(&t, "&a [*a]", 0), -1);
	assert_non_null(strstr(diag_last()->message, "contains itself"));
	diag_clear();
	trace_destroy(&t);
}

/* Nine levels of nine aliases each: 380 bytes that stand for gigabytes. */
static void alias_bomb(void **state)
{
	struct yaml_decode_opts opts = yaml_decode_default;
	struct buf b = { 0 };
	struct trace_sink t;

	(void)state;
	buf_puts(&b, "a0: &a0 [x,x,x,x,x,x,x,x,x]\n");
	for (int i = 1; i < 10; i++) {
		buf_printf(&b, "a%d: &a%d [*a%d", i, i, i - 1);
		for (int k = 0; k < 8; k++)
			buf_printf(&b, ",*a%d", i - 1);
		buf_puts(&b, "]\n");
	}
	opts.max_size = 1 << 20;
	assert_int_equal(decode_with(&t, b.data, b.size, 0, &opts), -1);
	assert_non_null(strstr(diag_last()->message, "larger than the limit"));
	assert_int_equal(t.events, 0);
	diag_clear();
	trace_destroy(&t);
	/* Shared they cost nothing here, but whoever walks the result. */
	assert_int_equal(decode_with(&t, b.data, b.size, ALIASES, &opts), -1);
	assert_non_null(strstr(diag_last()->message, "larger than the limit"));
	diag_clear();
	trace_destroy(&t);
	opts.max_size = b.size - 1;
	assert_int_equal(decode_with(&t, b.data, b.size, 0, &opts), -1);
	assert_non_null(strstr(diag_last()->message, "the limit is"));
	diag_clear();
	trace_destroy(&t);
	buf_destroy(&b);
}

static void depth(void **state)
{
	struct trace_sink t;

	(void)state;
	for (int n = PORT_DEPTH_MAX; n <= PORT_DEPTH_MAX + 1; n++) {
		struct buf b = { 0 };
		int want = n > PORT_DEPTH_MAX ? -1 : 1;

		for (int i = 0; i < n; i++)
			buf_puts(&b, i % 2 ? "[" : "{a: ");
		for (int i = n; i-- > 0;)
			buf_puts(&b, i % 2 ? "]" : "}");
		for (unsigned flags = 0; flags <= ALIASES; flags++) {
			assert_int_equal(decode_with(&t, b.data, b.size, flags,
						     &yaml_decode_default),
					 want);
			trace_destroy(&t);
		}
		buf_destroy(&b);
		diag_clear();
	}
	/* Aliases that nest deeper than the text does. */
	struct buf b = { 0 };

	buf_puts(&b, "- &a0 []\n");
	for (int i = 1; i < 200; i++)
		buf_printf(&b, "- &a%d [*a%d]\n", i, i - 1);
	assert_int_equal(
		decode_with(&t, b.data, b.size, 0, &yaml_decode_default), -1);
	assert_non_null(strstr(diag_last()->message, "deeper"));
	diag_clear();
	trace_destroy(&t);
	buf_destroy(&b);
}

static void sink_fails(void **state)
{
	static const char text[] = "a: &x [1, null]\nb: *x\nc: !!binary aGk=\n";
	struct trace_sink t;

	(void)state;
	for (unsigned flags = 0; flags <= ALIASES; flags++) {
		long all;

		assert_int_equal(decode(&t, text, flags), 1);
		all = t.events;
		trace_destroy(&t);
		for (long n = 0; n < all; n++) {
			struct yaml_decoder d;

			trace_create(&t, flags);
			t.fail_after = n;
			yaml_decoder_create(&d, text, sizeof text - 1,
					    &yaml_decode_default);
			assert_int_equal(yaml_decode_next(&d, &t.sink), -1);
			assert_null(t.broken);
			yaml_decoder_destroy(&d);
			diag_clear();
			trace_destroy(&t);
		}
	}
}

/* JSON as the producer, written as YAML. */
static int encode(struct buf *out, const char *json,
		  const struct yaml_encode_opts *opts)
{
	struct buf scratch = { 0 };
	struct yaml_encoder e;
	int rc;

	out->size = 0;
	rc = yaml_encoder_create(&e, out, opts);
	if (rc == 0) {
		rc = json_decode(json, json + strlen(json),
				 &json_decode_default, &scratch, &e.sink);
		if (rc == 0)
			rc = yaml_encoder_finish(&e);
		yaml_encoder_destroy(&e);
	}
	buf_destroy(&scratch);
	buf_putc(out, '\0');
	out->size--;
	return rc;
}

static void documents(void **state)
{
	static const struct {
		const char *json, *yaml;
	} cases[] = {
		{ "1", "--- 1\n...\n" },
		{ "[]", "--- []\n...\n" },
		{ "{}", "--- {}\n...\n" },
		{ "[1]", "---\n- 1\n...\n" },
		{ "[[1,[2,3]]]", "---\n- - 1\n  - - 2\n    - 3\n...\n" },
		{ "{\"a\":1}", "---\na: 1\n...\n" },
		{ "{\"a\":{\"b\":[1,2]}}",
		  "---\na:\n  b:\n  - 1\n  - 2\n...\n" },
		{ "[{\"a\":1,\"b\":2}]", "---\n- a: 1\n  b: 2\n...\n" },
		{ "[[],{}]", "---\n- []\n- {}\n...\n" },
		{ "[true,false,null,1.5,-0.5,nan,inf,-inf,1e100]",
		  "---\n- true\n- false\n- null\n- 1.5\n- -0.5\n- nan\n- inf\n"
		  "- -inf\n- 1e+100\n...\n" },
		{ "18446744073709551615", "--- 18446744073709551615\n...\n" },
		{ "\"\"", "--- ''\n...\n" },
		{ "\"a b\"", "--- a b\n...\n" },
		{ "\"null\"", "--- 'null'\n...\n" },
		{ "\"~\"", "--- '~'\n...\n" },
		{ "\"123\"", "--- '123'\n...\n" },
		{ "\"0x10\"", "--- '0x10'\n...\n" },
		{ "\"1e5\"", "--- '1e5'\n...\n" },
		{ "\"inf\"", "--- 'inf'\n...\n" },
		{ "\"y\"", "--- 'y'\n...\n" },
		{ "\"Off\"", "--- 'Off'\n...\n" },
		{ "\"yes\"", "--- 'yes'\n...\n" },
		{ "\"a: b\"", "--- 'a: b'\n...\n" },
		{ "\"- a\"", "--- '- a'\n...\n" },
		{ "\" a\"", "--- ' a'\n...\n" },
		{ "\"it's\"", "--- it's\n...\n" },
		{ "\"#a\"", "--- '#a'\n...\n" },
		{ "\"---\"", "--- '---'\n...\n" },
		{ "\"2001-01-01\"", "--- 2001-01-01\n...\n" },
		{ "\"a\\tb\"", "--- \"a\\tb\"\n...\n" },
		{ "\"\\u0000\\u0001\"", "--- \"\\0\\x01\"\n...\n" },
		{ "\"\xc3\xa9\"", "--- \xc3\xa9\n...\n" },
		{ "[\"a\\nb\",\"a\\nb\\n\",\"a\\n\\n\"]",
		  "---\n- |-\n  a\n  b\n- |\n  a\n  b\n- |+\n  a\n\n...\n" },
		{ "{\"k\":\"a\\nb\\n\"}", "---\nk: |\n  a\n  b\n...\n" },
		{ "{\"123\":1,\"\":2}", "---\n'123': 1\n'': 2\n...\n" },
	};
	struct buf out = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		assert_int_equal(
			encode(&out, cases[i].json, &yaml_encode_default), 0);
		assert_string_equal(out.data, cases[i].yaml);
	}
	buf_destroy(&out);
}

/* Events that JSON cannot tell. */
static void styles(void **state)
{
	struct buf out = { 0 };
	struct yaml_encoder e;

	(void)state;
	yaml_encoder_create(&e, &out, &yaml_encode_default);
	port_array(&e.sink, PORT_COUNT_UNKNOWN, PORT_STYLE_BLOCK);
	port_str(&e.sink, "plain", 5);
	port_anchor(&e.sink, 0);
	port_map(&e.sink, 2, PORT_STYLE_FLOW);
	port_str(&e.sink, "k", 1);
	port_array(&e.sink, 2, PORT_STYLE_BLOCK);
	port_str(&e.sink, "two\nlines", 9);
	port_sint(&e.sink, 1);
	port_end(&e.sink);
	port_nil(&e.sink);
	port_real32(&e.sink, 0.5f);
	port_end(&e.sink);
	port_alias(&e.sink, 0);
	port_str(&e.sink, "plain", 5);
	port_str(&e.sink, "\xff\x00", 2);
	port_bin(&e.sink, "hi", 2);
	port_bin(&e.sink, "", 0);
	port_end(&e.sink);
	assert_int_equal(yaml_encoder_finish(&e), 0);
	yaml_encoder_destroy(&e);
	buf_putc(&out, '\0');
	assert_string_equal(out.data,
			    "---\n- plain\n"
			    "- &0 {'k': ['two\n\n      lines', 1], null: 0.5}\n"
			    "- *0\n- plain\n- !!binary /wA=\n- !!binary aGk=\n"
			    "- !!binary\n...\n");
	out.size = 0;
	yaml_encoder_create(&e, &out, &yaml_encode_default);
	assert_int_equal(port_ext(&e.sink, 7, "x", 1), -1);
	assert_non_null(strstr(diag_last()->message, "type 7"));
	diag_clear();
	yaml_encoder_destroy(&e);
	buf_destroy(&out);
}

static void tags(void **state)
{
	struct yaml_encode_opts opts = yaml_encode_default;
	struct buf out = { 0 };
	struct yaml_decoder d;
	const char *handle, *prefix;

	(void)state;
	opts.tag_handle = "!push!";
	opts.tag_prefix = "tag:example.org,2018:push";
	assert_int_equal(encode(&out, "[1]", &opts), 0);
	assert_string_equal(out.data, "%TAG !push! tag:example.org,2018:push\n"
				      "---\n- 1\n...\n");
	yaml_decoder_create(&d, out.data, out.size, &yaml_decode_default);
	assert_int_equal(yaml_decode_tag(&d, &handle, &prefix), 0);
	assert_string_equal(handle, "!push!");
	assert_string_equal(prefix, "tag:example.org,2018:push");
	yaml_decoder_destroy(&d);
	yaml_decoder_create(&d, "- 1", 3, &yaml_decode_default);
	assert_int_equal(yaml_decode_tag(&d, &handle, &prefix), 0);
	assert_null(handle);
	yaml_decoder_destroy(&d);
	opts.tag_handle = "nonsense";
	assert_int_equal(encode(&out, "1", &opts), -1);
	assert_ptr_equal(diag_last()->type, &IllegalParams);
	diag_clear();
	buf_destroy(&out);
}

/* Strings of every kind come back as they were. */
static void strings_back(void **state)
{
	static const char *const pieces[] = {
		"",
		" ",
		"\n",
		"\t",
		"\r",
		"a",
		"b c",
		"'",
		"\"",
		"\\",
		"#",
		": ",
		"- ",
		"?",
		"|",
		">",
		"%",
		"@",
		"`",
		"[",
		"]",
		"{",
		"}",
		",",
		"&",
		"*",
		"!",
		"~",
		"null",
		"12",
		"0x",
		"---",
		"...",
		"0b1",
		"\xc2\x85",
		"\xe2\x80\xa8",
		"\xef\xbb\xbf",
		"\xc3\xa9",
		"\xf0\x9f\x98\x80",
		"\x01",
		"\x7f",
		"\xff",
		"words that go on and on until the line is longer than 80 wide",
	};
	enum { PIECES = sizeof pieces / sizeof pieces[0] };
	struct trace_sink want, got;
	struct yaml_encoder e;
	struct yaml_decoder d;

	(void)state;
	for (int i = 0; i < PIECES * PIECES * PIECES; i++) {
		struct buf out = { 0 }, s = { 0 };
		bool flow = i % 2;

		buf_puts(&s, pieces[i % PIECES]);
		buf_puts(&s, pieces[i / PIECES % PIECES]);
		buf_puts(&s, pieces[i / PIECES / PIECES]);
		trace_create(&want, 0);
		trace_create(&got, 0);
		buf_reserve(&s, 1);
		if (utf8_valid(s.data, s.size) == s.size)
			port_str(&want.sink, s.data, s.size);
		else
			port_bin(&want.sink, s.data, s.size);
		yaml_encoder_create(&e, &out, &yaml_encode_default);
		port_map(&e.sink, 1, flow ? PORT_STYLE_FLOW : PORT_STYLE_BLOCK);
		port_str(&e.sink, s.data, s.size);
		port_str(&e.sink, s.data, s.size);
		port_end(&e.sink);
		assert_int_equal(yaml_encoder_finish(&e), 0);
		yaml_encoder_destroy(&e);
		assert_int_equal(yaml_decoder_create(&d, out.data, out.size,
						     &yaml_decode_default),
				 0);
		if (yaml_decode_next(&d, &got.sink) != 1)
			fail_msg("%.*s: %s", (int)out.size, out.data,
				 diag_last()->message);
		yaml_decoder_destroy(&d);
		buf_printf(&got.text, " ");
		trace_text(&want);
		struct buf both = { 0 };

		buf_printf(&both, "{1 %s %s } ", want.text.data,
			   want.text.data);
		assert_string_equal(trace_text(&got), both.data);
		buf_destroy(&both);
		trace_destroy(&want);
		trace_destroy(&got);
		buf_destroy(&out);
		buf_destroy(&s);
	}
}

/* No place where memory runs out leaks or passes for success. */
static void no_room(void **state)
{
	static const char json[] = "{\"a\":[1,\"two\\nlines\",{\"b\":null}]}";
	struct buf all = { 0 };

	(void)state;
	assert_int_equal(encode(&all, json, &yaml_encode_default), 0);
	for (size_t limit = 1; limit < all.size; limit++) {
		struct buf out = { .limit = limit };

		assert_int_equal(encode(&out, json, &yaml_encode_default), -1);
		assert_ptr_equal(diag_last()->type, &OutOfMemory);
		diag_clear();
		buf_destroy(&out);
	}
	buf_destroy(&all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(scalars),   cmocka_unit_test(refused),
		cmocka_unit_test(aliases),   cmocka_unit_test(alias_bomb),
		cmocka_unit_test(depth),     cmocka_unit_test(sink_fails),
		cmocka_unit_test(documents), cmocka_unit_test(styles),
		cmocka_unit_test(tags),      cmocka_unit_test(strings_back),
		cmocka_unit_test(no_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
