/* msgpack in and out: exact bytes at every boundary, and hostile input. */
#include "unit.h"

#include <math.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/diag.h"
#include "base/inject.h"
#include "port/mp_decode.h"
#include "port/mp_encode.h"
#include "trace_sink.h"

/* Bytes and what they mean; encoding that gives the bytes again. */
static const struct {
	const char *bytes;
	size_t size;
	const char *text;
} exact[] = {
#define BYTES(s) s, sizeof(s) - 1
	{ BYTES("\xc0"), "nil" },
	{ BYTES("\xc2"), "false" },
	{ BYTES("\xc3"), "true" },
	{ BYTES("\x00"), "0u" },
	{ BYTES("\x7f"), "127u" },
	{ BYTES("\xcc\x80"), "128u" },
	{ BYTES("\xcc\xff"), "255u" },
	{ BYTES("\xcd\x01\x00"), "256u" },
	{ BYTES("\xcd\xff\xff"), "65535u" },
	{ BYTES("\xce\x00\x01\x00\x00"), "65536u" },
	{ BYTES("\xce\xff\xff\xff\xff"), "4294967295u" },
	{ BYTES("\xcf\x00\x00\x00\x01\x00\x00\x00\x00"), "4294967296u" },
	{ BYTES("\xcf\x80\x00\x00\x00\x00\x00\x00\x00"),
	  "9223372036854775808u" },
	{ BYTES("\xcf\xff\xff\xff\xff\xff\xff\xff\xff"),
	  "18446744073709551615u" },
	{ BYTES("\xff"), "-1s" },
	{ BYTES("\xe0"), "-32s" },
	{ BYTES("\xd0\xdf"), "-33s" },
	{ BYTES("\xd0\x80"), "-128s" },
	{ BYTES("\xd1\xff\x7f"), "-129s" },
	{ BYTES("\xd1\x80\x00"), "-32768s" },
	{ BYTES("\xd2\xff\xff\x7f\xff"), "-32769s" },
	{ BYTES("\xd2\x80\x00\x00\x00"), "-2147483648s" },
	{ BYTES("\xd3\xff\xff\xff\xff\x7f\xff\xff\xff"), "-2147483649s" },
	{ BYTES("\xd3\x80\x00\x00\x00\x00\x00\x00\x00"),
	  "-9223372036854775808s" },
	{ BYTES("\xca\x3f\x00\x00\x00"), "0.5f" },
	{ BYTES("\xcb\x3f\xe0\x00\x00\x00\x00\x00\x00"), "0.5r" },
	{ BYTES("\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00"), "infr" },
	{ BYTES("\xcb\x80\x00\x00\x00\x00\x00\x00\x00"), "-0r" },
	{ BYTES("\xa0"), "''" },
	{ BYTES("\xa1x"), "'x'" },
	{ BYTES("\xbf"
		"0123456789012345678901234567890"),
	  "'0123456789012345678901234567890'" },
	{ BYTES("\xd9\x20"
		"01234567890123456789012345678901"),
	  "'01234567890123456789012345678901'" },
	{ BYTES("\xc4\x00"), "b''" },
	{ BYTES("\xc4\x02\x00\xff"), "b'\\x00\\xff'" },
	{ BYTES("\xd4\x07"
		"a"),
	  "e7'a'" },
	{ BYTES("\xd5\x07"
		"ab"),
	  "e7'ab'" },
	{ BYTES("\xd6\xff"
		"abcd"),
	  "e-1'abcd'" },
	{ BYTES("\xd7\x80"
		"abcdefgh"),
	  "e-128'abcdefgh'" },
	{ BYTES("\xd8\x7f"
		"0123456789abcdef"),
	  "e127'0123456789abcdef'" },
	{ BYTES("\xc7\x00\x07"), "e7''" },
	{ BYTES("\xc7\x03\x07"
		"abc"),
	  "e7'abc'" },
	{ BYTES("\x90"), "[0 ]" },
	{ BYTES("\x80"), "{0 }" },
	{ BYTES("\x93\x01\x90\x91\xa1x"), "[3 1u [0 ] [1 'x' ] ]" },
	{ BYTES("\x82\xa1"
		"a\x01\xc0\x80"),
	  "{2 'a' 1u nil {0 } }" },
	{ BYTES("\x81\x91\x01\x81\xc2\xcb\x40\x09\x21\xfb\x54\x44\x2d\x18"),
	  "{1 [1 1u ] {1 false 3.1415926535897931r } }" },
};

static void decode_to(struct trace_sink *t, const char *data, size_t size,
		      const char **next, int want)
{
	int rc;

	trace_create(t, 0);
	/* A copy of just that size, so that a sanitizer sees each step over. */
	char *copy = malloc(size + (size == 0));

	if (size > 0)
		memcpy(copy, data, size);
	rc = mp_decode(copy, copy + size, &t->sink, next);
	if (rc == 0)
		*next = data + (*next - copy);
	free(copy);
	assert_int_equal(rc, want);
	assert_null(t->broken);
}

static void exact_bytes(void **state)
{
	struct trace_sink t;
	struct mp_encoder e;
	const char *next;

	(void)state;
	for (size_t i = 0; i < sizeof exact / sizeof exact[0]; i++) {
		struct buf out = { 0 };

		decode_to(&t, exact[i].bytes, exact[i].size, &next, 0);
		assert_string_equal(trace_text(&t), exact[i].text);
		assert_ptr_equal(next, exact[i].bytes + exact[i].size);
		assert_int_equal(t.depth, 0);
		trace_destroy(&t);
		mp_encoder_create(&e, &out);
		assert_int_equal(mp_decode(exact[i].bytes,
					   exact[i].bytes + exact[i].size,
					   &e.sink, &next),
				 0);
		assert_int_equal(out.size, exact[i].size);
		assert_memory_equal(out.data, exact[i].bytes, out.size);
		buf_destroy(&out);
	}
}

/* Forms longer than they need be mean the same, and come out short. */
static void long_forms(void **state)
{
	static const struct {
		const char *bytes;
		size_t size;
		const char *text;
	} forms[] = {
		{ BYTES("\xcc\x01"), "1u" },
		{ BYTES("\xd3\x00\x00\x00\x00\x00\x00\x00\x01"), "1s" },
		{ BYTES("\xd9\x00"), "''" },
		{ BYTES("\xda\x00\x01x"), "'x'" },
		{ BYTES("\xdb\x00\x00\x00\x01x"), "'x'" },
		{ BYTES("\xc5\x00\x01x"), "b'x'" },
		{ BYTES("\xc6\x00\x00\x00\x00"), "b''" },
		{ BYTES("\xc8\x00\x01\x05x"), "e5'x'" },
		{ BYTES("\xc9\x00\x00\x00\x01\x05x"), "e5'x'" },
		{ BYTES("\xc9\x00\x00\x00\x00\x05"), "e5''" },
		{ BYTES("\xdc\x00\x00"), "[0 ]" },
		{ BYTES("\xdd\x00\x00\x00\x01\xc0"), "[1 nil ]" },
		{ BYTES("\xde\x00\x01\xc0\xc0"), "{1 nil nil }" },
		{ BYTES("\xdf\x00\x00\x00\x00"), "{0 }" },
		{ BYTES("\xca\x7f\xc0\x00\x01"), "nanf" },
	};
	struct trace_sink t;
	const char *next;

	(void)state;
	for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
		decode_to(&t, forms[i].bytes, forms[i].size, &next, 0);
		assert_string_equal(trace_text(&t), forms[i].text);
		trace_destroy(&t);
	}
}

/* Lengths at the edge of each head. */
static void lengths(void **state)
{
	static const struct {
		size_t size;
		size_t str_head, bin_head, ext_head, array_head;
	} heads[] = {
		{ 15, 1, 2, 3, 1 },    { 16, 1, 2, 2, 3 },
		{ 17, 1, 2, 3, 3 },    { 31, 1, 2, 3, 3 },
		{ 32, 2, 2, 3, 3 },    { 255, 2, 2, 3, 3 },
		{ 256, 3, 3, 4, 3 },   { 65535, 3, 3, 4, 3 },
		{ 65536, 5, 5, 6, 5 },
	};
	char *data = calloc(1, 65536);
	struct mp_encoder e;

	(void)state;
	for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
		size_t n = heads[i].size;
		struct buf out = { 0 };

		mp_encoder_create(&e, &out);
		assert_int_equal(port_str(&e.sink, data, n), 0);
		assert_int_equal(out.size, heads[i].str_head + n);
		out.size = 0;
		assert_int_equal(port_bin(&e.sink, data, n), 0);
		assert_int_equal(out.size, heads[i].bin_head + n);
		out.size = 0;
		assert_int_equal(port_ext(&e.sink, 1, data, n), 0);
		assert_int_equal(out.size, heads[i].ext_head + n);
		for (int map = 0; map < 2; map++) {
			for (int late = 0; late < 2; late++) {
				uint32_t count = late ? PORT_COUNT_UNKNOWN
						      : (uint32_t)n;

				out.size = 0;
				if (map)
					port_map(&e.sink, count, 0);
				else
					port_array(&e.sink, count, 0);
				for (size_t k = 0; k < n * (1 + map); k++)
					port_nil(&e.sink);
				assert_int_equal(port_end(&e.sink), 0);
				assert_int_equal(out.size,
						 heads[i].array_head +
							 n * (1 + map));
				assert_int_equal(
					(unsigned char)out.data[out.size - 1],
					0xc0);
			}
		}
		buf_destroy(&out);
	}
	free(data);
}

static void hostile(void **state)
{
	static const struct {
		const char *bytes;
		size_t size;
		const char *message; /* a part of it */
	} bad[] = {
		{ BYTES(""), "cut short" },
		{ BYTES("\xc1"), "no value begins" },
		{ BYTES("\x92\xc1"), "no value begins" },
		{ BYTES("\xdd\xff\xff\xff\xff"), "more elements" },
		{ BYTES("\xdf\xff\xff\xff\xff"), "more elements" },
		{ BYTES("\xdf\x80\x00\x00\x00"), "more elements" },
		{ BYTES("\xdc\xff\xff\xc0"), "more elements" },
		{ BYTES("\x9f"), "more elements" },
		/* Two heads may not claim the same bytes. */
		{ BYTES("\x94\x94\xc0\xc0\xc0\xc0"), "more elements" },
		{ BYTES("\xdb\xff\xff\xff\xff"), "cut short" },
		{ BYTES("\xc6\xff\xff\xff\xff"), "cut short" },
		{ BYTES("\xc9\xff\xff\xff\xff\x01"), "longer than the bytes" },
		{ BYTES("\xc9\xff\xff\xff\xfe\x01"), "cut short" },
		{ BYTES("\xc7\xff\x01"), "cut short" },
		{ BYTES("\xd8\x01"), "cut short" },
	};
	struct trace_sink t;
	const char *next;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		decode_to(&t, bad[i].bytes, bad[i].size, &next, -1);
		assert_non_null(strstr(diag_last()->message, bad[i].message));
		diag_clear();
		trace_destroy(&t);
	}
}

/* Every value cut at every byte is refused, and told from a whole one. */
static void truncated(void **state)
{
	struct trace_sink t;
	const char *next;

	(void)state;
	for (size_t i = 0; i < sizeof exact / sizeof exact[0]; i++) {
		for (size_t n = 0; n < exact[i].size; n++) {
			decode_to(&t, exact[i].bytes, n, &next, -1);
			diag_clear();
			trace_destroy(&t);
		}
	}
}

static void stream(void **state)
{
	static const char bytes[] = "\x01\x92\x02\x90\xa1x";
	const char *p = bytes, *end = bytes + sizeof bytes - 1;
	struct trace_sink t;
	int n = 0;

	(void)state;
	trace_create(&t, 0);
	for (; p < end; n++)
		assert_int_equal(mp_decode(p, end, &t.sink, &p), 0);
	assert_int_equal(n, 3);
	assert_string_equal(trace_text(&t), "1u [2 2u [0 ] ] 'x'");
	trace_destroy(&t);
}

/* @a depth containers inside each other, the innermost one empty or not. */
static int nested(int depth, bool map, bool empty, struct buf *b)
{
	b->size = 0;
	for (int i = 0; i < depth; i++) {
		bool last = i == depth - 1 && empty;

		if (map && !last)
			buf_append(b, "\x81\x01", 2);
		else
			buf_putc(b, map    ? (char)0x80
				    : last ? (char)0x90
					   : (char)0x91);
	}
	if (!empty)
		buf_putc(b, 1);
	return depth;
}

static void depth(void **state)
{
	struct buf b = { 0 };
	struct trace_sink t;
	const char *next;

	(void)state;
	for (int kind = 0; kind < 4; kind++) {
		nested(PORT_DEPTH_MAX, kind & 1, kind & 2, &b);
		decode_to(&t, b.data, b.size, &next, 0);
		trace_destroy(&t);
		for (int more = 1; more < 4; more++) {
			nested(PORT_DEPTH_MAX + more, kind & 1, kind & 2, &b);
			decode_to(&t, b.data, b.size, &next, -1);
			assert_non_null(strstr(diag_last()->message, "deeper"));
			diag_clear();
			trace_destroy(&t);
		}
	}
	buf_destroy(&b);
}

/* A NaN keeps no payload: it could forge a value of a VM that boxes in NaNs. */
static void nan_payload(void **state)
{
	static const char *const forged[] = {
		"\xcb\xff\xff\xff\xff\xff\xff\xff\xff",
		"\xcb\xff\xf9\x12\x34\x56\x78\x9a\xbc",
		"\xcb\x7f\xf0\x00\x00\x00\x00\x00\x01",
	};
	static const double nan = NAN;
	const char *next;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct buf out = { 0 };
		struct mp_encoder e;
		double v;
		uint64_t bits = 0, want;

		mp_encoder_create(&e, &out);
		assert_int_equal(
			mp_decode(forged[i], forged[i] + 9, &e.sink, &next), 0);
		for (int k = 1; k < 9; k++)
			bits = bits << 8 | (unsigned char)out.data[k];
		memcpy(&v, &bits, 8);
		assert_true(v != v);
		memcpy(&want, &nan, 8);
		assert_true(bits == want);
		buf_destroy(&out);
	}
}

static void sink_fails(void **state)
{
	static const char bytes[] = "\x93\x01\x82\xa1"
				    "a\x90\x02\xc0\xd4\1x";
	struct trace_sink t;
	const char *next;
	long all;

	(void)state;
	decode_to(&t, bytes, sizeof bytes - 1, &next, 0);
	all = t.events;
	trace_destroy(&t);
	for (long n = 0; n < all; n++) {
		trace_create(&t, 0);
		t.fail_after = n;
		assert_int_equal(mp_decode(bytes, bytes + sizeof bytes - 1,
					   &t.sink, &next),
				 -1);
		assert_string_equal(diag_last()->message, "the sink is full");
		assert_null(t.broken);
		diag_clear();
		trace_destroy(&t);
	}
}

/* A buffer that may not grow fails each event, and nothing is written past. */
static void no_room(void **state)
{
	struct mp_encoder e;

	(void)state;
	for (size_t limit = 1; limit < 64; limit++) {
		struct buf out = { .limit = limit };
		int rc = 0;

		mp_encoder_create(&e, &out);
		rc = port_array(&e.sink, PORT_COUNT_UNKNOWN, 0);
		for (int i = 0; rc == 0; i++) {
			rc = i % 2 == 0 ? port_sint(&e.sink, i * 1000)
					: port_str(&e.sink, "abcdefgh", 8);
		}
		assert_ptr_equal(diag_last()->type, &IllegalParams);
		assert_true(out.size <= limit);
		diag_clear();
		buf_destroy(&out);
	}
}

/* Which value is too large, and how large all may be. */
static void too_large(void **state)
{
	struct buf out = { .limit = 20 };
	static char text[400];
	struct mp_encoder e;

	(void)state;
	mp_encoder_create(&e, &out);
	assert_int_equal(port_str(&e.sink, "abcdefgh", 8), 0);
	assert_int_equal(port_str(&e.sink, text, sizeof text), -1);
	assert_string_equal(
		diag_last()->message,
		"msgpack: a string of 400 bytes is too much (split "
		"it up or pass it some other way): at most 20 bytes "
		"are allowed in all, and 12 are taken");
	diag_clear();
	assert_int_equal(port_bin(&e.sink, text, 17), -1);
	assert_non_null(strstr(diag_last()->message,
			       "a binary string of 17 bytes is too much"));
	diag_clear();
	buf_destroy(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(exact_bytes), cmocka_unit_test(long_forms),
		cmocka_unit_test(lengths),     cmocka_unit_test(hostile),
		cmocka_unit_test(truncated),   cmocka_unit_test(stream),
		cmocka_unit_test(depth),       cmocka_unit_test(nan_payload),
		cmocka_unit_test(sink_fails),  cmocka_unit_test(no_room),
		cmocka_unit_test(too_large),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
