/* What a plain YAML scalar means. See yaml_scalar.h. */
#include "port/yaml_scalar.h"

#include <math.h>
#include <string.h>
#include <strings.h>

#include "base/hex.h"

static bool is(const char *s, size_t size, const char *word)
{
	return strlen(word) == size && memcmp(s, word, size) == 0;
}

static bool is_nocase(const char *s, size_t size, const char *word)
{
	return strlen(word) == size && strncasecmp(s, word, size) == 0;
}

/* [+-]?0x[0-9a-f]+, at most 64 bits of it. */
static bool parse_hex(const char *s, size_t size, struct number *ret)
{
	const char *p = s, *end = s + size;
	bool negative = false;
	uint64_t v = 0;

	if (p < end && (*p == '-' || *p == '+'))
		negative = *p++ == '-';
	if (end - p < 3 || p[0] != '0' || (p[1] | 0x20) != 'x')
		return false;
	for (p += 2; p < end; p++) {
		int digit = hex_value((unsigned char)*p);

		if (digit < 0 || v >> 60 != 0)
			return false;
		v = v << 4 | (unsigned)digit;
	}
	if (v > (uint64_t)INT64_MAX && negative)
		return false;
	if (v > (uint64_t)INT64_MAX) {
		ret->kind = NUMBER_UINT;
		ret->uint = v;
	} else {
		ret->kind = NUMBER_SINT;
		ret->sint = negative ? -(int64_t)v : (int64_t)v;
	}
	return true;
}

static bool parse_nonfinite(const char *s, size_t size, struct number *ret)
{
	double sign = 1;

	ret->kind = NUMBER_REAL;
	if (size > 0 && (*s == '-' || *s == '+')) {
		sign = *s == '-' ? -1 : 1;
		s++;
		size--;
	}
	if (is_nocase(s, size, "inf") || is_nocase(s, size, ".inf") ||
	    is_nocase(s, size, "infinity")) {
		ret->real = sign * INFINITY;
		return true;
	}
	ret->real = NAN;
	return is_nocase(s, size, "nan") || is_nocase(s, size, ".nan");
}

void yaml_resolve(const char *s, size_t size, struct yaml_scalar *ret)
{
	ret->kind = YAML_STR;
	if (size == 0)
		return;
	if (is(s, size, "~") || is(s, size, "null")) {
		ret->kind = YAML_NIL;
	} else if (is(s, size, "true") || is(s, size, "yes")) {
		ret->kind = YAML_BOOLEAN;
		ret->boolean = true;
	} else if (is(s, size, "false") || is(s, size, "no")) {
		ret->kind = YAML_BOOLEAN;
		ret->boolean = false;
	} else if (number_parse(s, size, &ret->number) == 0 ||
		   parse_hex(s, size, &ret->number) ||
		   parse_nonfinite(s, size, &ret->number)) {
		ret->kind = YAML_NUMBER;
	}
}

/* 0 and a letter, and then nothing but those characters. */
static bool is_based(const char *s, size_t size, char letter, const char *set)
{
	if (size <= 2 || s[0] != '0' || (s[1] | 0x20) != letter)
		return false;
	for (size_t i = 2; i < size; i++) {
		if (s[i] == '\0' || strchr(set, s[i]) == NULL)
			return false;
	}
	return true;
}

static size_t count_digits(const char *p, const char *end, bool hex)
{
	size_t n = 0;

	while (p + n < end && (hex ? hex_value((unsigned char)p[n]) >= 0
				   : p[n] >= '0' && p[n] <= '9'))
		n++;
	return n;
}

/* What LuaJIT reads as a number, and yaml_resolve() does not: 0b11, 0x1.8p-3, with a
 * sign. */
static bool is_luajit_number(const char *s, size_t size)
{
	const char *p = s, *end = s + size;
	size_t digits, more = 0;

	if (p < end && (*p == '-' || *p == '+'))
		p++;
	if (is_based(p, (size_t)(end - p), 'b', "01"))
		return true;
	if (end - p < 3 || p[0] != '0' || (p[1] | 0x20) != 'x')
		return false;
	p += 2;
	digits = count_digits(p, end, true);
	p += digits;
	if (p < end && *p == '.') {
		more = count_digits(p + 1, end, true);
		p += 1 + more;
	}
	if (digits + more > 0 && p < end && (*p | 0x20) == 'p') {
		p++;
		p += p < end && (*p == '-' || *p == '+');
		digits = count_digits(p, end, false);
		p += digits;
	}
	return digits + more > 0 && p == end;
}

/* As isspace() has it without a locale. */
static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

bool yaml_is_no_string(const char *s, size_t size)
{
	struct yaml_scalar scalar;
	size_t sign;

	yaml_resolve(s, size, &scalar);
	if (scalar.kind == YAML_NIL || scalar.kind == YAML_BOOLEAN)
		return true;
	for (; size > 0 && is_space(*s); size--) /* numbers may have them */
		s++;
	while (size > 0 && is_space(s[size - 1]))
		size--;
	sign = size > 0 && (*s == '-' || *s == '+');
	if (is_nocase(s + sign, size - sign, ".inf") ||
	    is_nocase(s + sign, size - sign, ".nan"))
		return false;
	yaml_resolve(s, size, &scalar);
	return scalar.kind == YAML_NUMBER || is_luajit_number(s, size);
}

bool yaml_needs_quotes(const char *s, size_t size)
{
	static const char *const words[] = {
		"y", "n", "on", "off", "yes", "no", "true", "false", "null",
	};
	struct yaml_scalar scalar;

	if (size == 0)
		return true;
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
		if (is_nocase(s, size, words[i]))
			return true;
	}
	if (is_based(s, size, 'b', "01_"))
		return true;
	/* Hexadecimal fractions are strings to us, numbers to strtod(). */
	if (is_based(s, size, 'x', "0123456789abcdefABCDEF.pP+-"))
		return true;
	yaml_resolve(s, size, &scalar);
	return scalar.kind != YAML_STR;
}
