/* Numbers to text and back, as json and yaml have them. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct port_sink;

enum {
	NUMBER_PRECISION = 14,     /* digits of a fraction unless told */
	NUMBER_PRECISION_MAX = 17, /* enough for any double */
	NUMBER_TEXT_MAX = 40,      /* no number's text is longer */
};

/** Write a number's text, without an end; returns its length. */
size_t number_put_uint(char *to, uint64_t v);
size_t number_put_sint(char *to, int64_t v);

/** As printf's %.<precision>g; "nan", "inf", "-inf" for what is no number. */
size_t number_put_real(char *to, double v, int precision);

enum number_kind { NUMBER_SINT, NUMBER_UINT, NUMBER_REAL };

struct number {
	enum number_kind kind; /* UINT only when it is no int64_t */
	union {
		int64_t sint;
		uint64_t uint;
		double real;
	};
};

/**
 * The number that all of @a s is: a sign, digits, a fraction, an exponent, as
 * in "-12", "+.5", "1e3". Integers that 64 bits hold are exact, the rest are
 * the nearest double. "-0" is the integer 0.
 * Returns 0; -1 if it is none; diag is not used.
 */
int number_parse(const char *s, size_t size, struct number *ret);

/** Tell @a n to a sink. */
int number_tell(const struct number *n, struct port_sink *sink);
