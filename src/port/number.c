/* Numbers to text and back. See number.h. */
#include "port/number.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/inject.h"
#include "port/sink.h"

size_t number_put_uint(char *to, uint64_t v)
{
	char digits[20];
	size_t n = 0;

	do {
		digits[n++] = (char)('0' + v % 10);
		v /= 10;
	} while (v > 0);
	for (size_t i = 0; i < n; i++)
		to[i] = digits[n - 1 - i];
	return n;
}

size_t number_put_sint(char *to, int64_t v)
{
	if (v >= 0)
		return number_put_uint(to, (uint64_t)v);
	*to = '-';
	return 1 + number_put_uint(to + 1, -(uint64_t)v);
}

/*
 * Most fractions have few digits. One that is the double nearest to a decimal
 * of at most 14 digits prints as that decimal: rounding it to 14 or 15 digits
 * cannot lead elsewhere. Returns 0 when it is not such a one.
 */
static size_t put_short(char *to, double v, int precision)
{
	enum { PLACES = 5 };
	double scaled = rint(v * 1e5);
	char *start = to;
	uint64_t fraction, all;
	int n;

	/* Past these bounds there are more digits, or %g takes an exponent. */
	if (precision < 14 || precision > 15 || !(fabs(v) < 1e9) ||
	    fabs(v) < 1e-4 || scaled / 1e5 != v)
		return 0;
	if (v < 0)
		*to++ = '-';
	all = (uint64_t)fabs(scaled);
	to += number_put_uint(to, all / 100000);
	fraction = all % 100000;
	if (fraction == 0)
		return (size_t)(to - start);
	*to++ = '.';
	for (n = PLACES; fraction % 10 == 0; n--)
		fraction /= 10;
	for (int i = n; i-- > 0; fraction /= 10)
		to[i] = (char)('0' + fraction % 10);
	return (size_t)(to + n - start);
}

size_t number_put_real(char *to, double v, int precision)
{
	size_t n;
	int rc;

	if (v != v) {
		memcpy(to, "nan", 3);
		return 3;
	}
	n = put_short(to, v, precision);
	if (n > 0)
		return n;
	rc = snprintf(to, NUMBER_TEXT_MAX, "%.*g", precision, v);
	return rc > 0 ? (size_t)rc : 0;
}

/* A number's text taken apart. */
struct parts {
	uint64_t digits; /* all digits as one integer, while they fit */
	int exponent;    /* of ten, for these digits */
	bool negative;
	bool exact;   /* digits holds them all */
	bool integer; /* no point, no exponent */
};

static const char *take_digits(const char *p, const char *end, struct parts *n,
			       int *count)
{
	for (*count = 0; p < end && *p >= '0' && *p <= '9'; p++) {
		(*count)++;
		if (__builtin_mul_overflow(n->digits, 10, &n->digits) ||
		    __builtin_add_overflow(n->digits, (unsigned)(*p - '0'),
					   &n->digits))
			n->exact = false;
	}
	return p;
}

static bool take_apart(const char *p, const char *end, struct parts *n)
{
	int whole, places = 0, exponent = 0;
	bool minus;

	*n = (struct parts){ .exact = true, .integer = true };
	if (p < end && (*p == '-' || *p == '+'))
		n->negative = *p++ == '-';
	p = take_digits(p, end, n, &whole);
	if (p < end && *p == '.') {
		n->integer = false;
		p = take_digits(p + 1, end, n, &places);
	}
	if (whole + places == 0)
		return false;
	if (p < end && (*p == 'e' || *p == 'E')) {
		const char *first;

		n->integer = false;
		p++;
		minus = p < end && *p == '-';
		if (p < end && (*p == '-' || *p == '+'))
			p++;
		for (first = p; p < end && *p >= '0' && *p <= '9'; p++) {
			if (exponent < 100000)
				exponent = exponent * 10 + (*p - '0');
		}
		if (p == first)
			return false;
		if (minus)
			exponent = -exponent;
	}
	n->exponent = exponent - places;
	return p == end;
}

/* The library's conversion, which wants an end behind the text. */
static int parse_slow(const char *s, size_t size, double *ret)
{
	char small[128], *copy = small;

	if (size >= sizeof small) {
		copy = mem_alloc(size + 1);
		if (copy == NULL)
			return -1;
	}
	memcpy(copy, s, size);
	copy[size] = '\0';
	*ret = strtod(copy, NULL);
	if (copy != small)
		mem_free(copy);
	return 0;
}

int number_parse(const char *s, size_t size, struct number *ret)
{
	static const double tens[] = {
		1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
		1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
		1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
	};
	struct parts n;
	double v;

	if (!take_apart(s, s + size, &n))
		return -1;
	if (n.integer && n.exact) {
		if (!n.negative && n.digits > INT64_MAX) {
			ret->kind = NUMBER_UINT;
			ret->uint = n.digits;
			return 0;
		}
		if (n.digits <= (uint64_t)INT64_MAX + n.negative) {
			ret->kind = NUMBER_SINT;
			ret->sint =
				(int64_t)(n.negative ? -n.digits : n.digits);
			return 0;
		}
	}
	ret->kind = NUMBER_REAL;
	/* Both factors are exact, so that one rounding gives the nearest. */
	if (n.exact && n.digits <= (uint64_t)1 << 53 && n.exponent >= -22 &&
	    n.exponent <= 22) {
		v = (double)n.digits;
		v = n.exponent < 0 ? v / tens[-n.exponent]
				   : v * tens[n.exponent];
		ret->real = n.negative ? -v : v;
		return 0;
	}
	return parse_slow(s, size, &ret->real);
}

int number_tell(const struct number *n, struct port_sink *sink)
{
	switch (n->kind) {
	case NUMBER_SINT:
		return port_sint(sink, n->sint);
	case NUMBER_UINT:
		return port_uint(sink, n->uint);
	default:
		return port_real(sink, n->real);
	}
}
