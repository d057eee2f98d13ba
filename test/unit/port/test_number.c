/* Numbers and base64: compared with what the C library does. */
#include "unit.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/buf.h"
#include "port/base64.h"
#include "port/number.h"

static uint64_t seed = 1;

static uint64_t next_random(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static double from_bits(uint64_t bits)
{
	double v;

	memcpy(&v, &bits, sizeof v);
	return v;
}

/* Numbers of many kinds: any bits, and short decimals with their neighbours. */
static double sample(int i)
{
	uint64_t r = next_random();
	double v;

	switch (i % 4) {
	case 0:
		return from_bits(r);
	case 1:
		v = (double)(int64_t)(r % 2000000000) / 100000 - 10000;
		break;
	case 2:
		v = (double)(r % 100000000000000) / 1e5;
		break;
	default:
		v = (double)(r % 100000) / 1e7;
	}
	/* An ulp up or down must not print as the short one does. */
	return r >> 60 == 0   ? nextafter(v, 1e300)
	       : r >> 60 == 1 ? nextafter(v, -1e300)
			      : v;
}

static void print_real(void **state)
{
	char got[NUMBER_TEXT_MAX + 1], want[64];
	size_t n;

	(void)state;
	for (int i = 0; i < 400000; i++) {
		double v = sample(i);
		int precision = 12 + i % 6;

		n = number_put_real(got, v, precision);
		assert_true(n <= NUMBER_TEXT_MAX);
		got[n] = '\0';
		if (v != v)
			strcpy(want, "nan");
		else
			snprintf(want, sizeof want, "%.*g", precision, v);
		assert_string_equal(got, want);
	}
}

static void print_integers(void **state)
{
	static const int64_t edges[] = { 0,  1,   -1,        9,         10,
					 99, 100, INT64_MAX, INT64_MIN, -10 };
	char got[NUMBER_TEXT_MAX + 1], want[64];

	(void)state;
	for (size_t i = 0; i < sizeof edges / sizeof edges[0]; i++) {
		got[number_put_sint(got, edges[i])] = '\0';
		snprintf(want, sizeof want, "%lld", (long long)edges[i]);
		assert_string_equal(got, want);
		got[number_put_uint(got, (uint64_t)edges[i])] = '\0';
		snprintf(want, sizeof want, "%llu",
			 (unsigned long long)edges[i]);
		assert_string_equal(got, want);
	}
}

static double as_real(const struct number *n)
{
	return n->kind == NUMBER_REAL   ? n->real
	       : n->kind == NUMBER_UINT ? (double)n->uint
					: (double)n->sint;
}

static void parse_real(void **state)
{
	static const char *const formats[] = { "%.17g", "%.6g",  "%.3f",
					       "%.15e", "%.30f", "%g" };
	struct number n;
	char text[512];

	(void)state;
	for (int i = 0; i < 200000; i++) {
		double v = sample(i), want;
		int size;

		if (!isfinite(v))
			continue;
		size = snprintf(text, sizeof text, formats[i % 6], v);
		want = strtod(text, NULL);
		assert_int_equal(number_parse(text, (size_t)size, &n), 0);
		v = as_real(&n);
		assert_memory_equal(&v, &want, v == 0 ? 0 : sizeof v);
	}
}

static void parse_text(void **state)
{
	static const char *const good[] = { "1",    "+1",   "-1",   ".5",
					    "5.",   "1e5",  "1.e5", "+.5e-3",
					    "0001", "1E+05" };
	static const char *const bad[] = {
		"",     "+",   "-",   ".",     "e5",  "1e",
		"1e+",  "1x",  " 1",  "1 ",    "--1", "1.2.3",
		"0x10", "inf", "nan", "1_000", "+-1", ".e1",
	};
	struct number n;

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		assert_int_equal(number_parse(good[i], strlen(good[i]), &n), 0);
		assert_true(as_real(&n) == strtod(good[i], NULL));
	}
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_int_equal(number_parse(bad[i], strlen(bad[i]), &n), -1);
	/* The nearest double of a text that no register holds. */
	char *zeros = malloc(5000);

	memset(zeros, '0', 5000);
	memcpy(zeros, "1.", 2);
	zeros[4999] = '1';
	assert_int_equal(number_parse(zeros, 5000, &n), 0);
	assert_true(n.kind == NUMBER_REAL && n.real == 1.0);
	free(zeros);
}

static void base64(void **state)
{
	static const struct {
		const char *plain, *text;
	} cases[] = {
		{ "", "" },
		{ "f", "Zg==" },
		{ "fo", "Zm8=" },
		{ "foo", "Zm9v" },
		{ "foob", "Zm9vYg==" },
		{ "fooba", "Zm9vYmE=" },
		{ "foobar", "Zm9vYmFy" },
	};
	static const char *const bad[] = { "Z", "Zg=a", "Zm9v!",
					   "Zh==", "Zm9v=====" };
	struct buf out = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		out.size = 0;
		assert_int_equal(base64_encode(&out, cases[i].plain,
					       strlen(cases[i].plain)),
				 0);
		assert_int_equal(out.size, strlen(cases[i].text));
		assert_memory_equal(out.data, cases[i].text, out.size);
		out.size = 0;
		assert_int_equal(base64_decode(&out, cases[i].text,
					       strlen(cases[i].text)),
				 0);
		assert_int_equal(out.size, strlen(cases[i].plain));
		assert_memory_equal(out.data, cases[i].plain, out.size);
	}
	out.size = 0;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		assert_int_equal(base64_decode(&out, bad[i], strlen(bad[i])),
				 -EINVAL);
		assert_int_equal(out.size, 0);
	}
	assert_int_equal(base64_decode(&out, "Zm 9v\nYg", 8), 0);
	assert_int_equal(out.size, 4);
	buf_destroy(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(print_real), cmocka_unit_test(print_integers),
		cmocka_unit_test(parse_real), cmocka_unit_test(parse_text),
		cmocka_unit_test(base64),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
