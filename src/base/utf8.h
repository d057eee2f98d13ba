/* UTF-8: is it, and how long is a character. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/**
 * Length of the character at @a p, which is before @a end; 0 when no valid
 * one stands there: stray or missing bytes, overlong forms, surrogates, past
 * U+10FFFF.
 */
static inline unsigned utf8_length(const unsigned char *p,
				   const unsigned char *end)
{
	size_t left = (size_t)(end - p);
	unsigned c = p[0];

	if (c < 0x80)
		return 1;
	if (c < 0xc2 || left < 2 || (p[1] & 0xc0) != 0x80)
		return 0;
	if (c < 0xe0)
		return 2;
	if (left < 3 || (p[2] & 0xc0) != 0x80)
		return 0;
	if (c < 0xf0) {
		if ((c == 0xe0 && p[1] < 0xa0) || (c == 0xed && p[1] > 0x9f))
			return 0;
		return 3;
	}
	if (c > 0xf4 || left < 4 || (p[3] & 0xc0) != 0x80 ||
	    (c == 0xf0 && p[1] < 0x90) || (c == 0xf4 && p[1] > 0x8f))
		return 0;
	return 4;
}

/* Of four bytes: no character, of private use, or not assigned as a whole range. */
static inline bool utf8__is_far(const unsigned char *p)
{
	uint32_t c = (p[0] & 7u) << 18 | (p[1] & 0x3fu) << 12 |
		     (p[2] & 0x3fu) << 6 | (p[3] & 0x3fu);

	return (c & 0xfffe) == 0xfffe || (c >= 0x323b0 && c < 0xe0100) ||
	       c >= 0xe01f0;
}

/** Is valid UTF-8 without C1 controls, the byte order mark and what is no character, or
 * one of private use beyond U+FFFF? */
static inline bool utf8_is_shown(const char *s, size_t size)
{
	const unsigned char *p = (const unsigned char *)s, *end = p + size;

	for (; p + 1 < end; p++) {
		if (*p == 0xc2 && p[1] < 0xa0)
			return false;
		if (*p == 0xef && end - p >= 3 &&
		    ((p[1] == 0xbb && p[2] == 0xbf) ||
		     (p[1] == 0xbf && p[2] >= 0xbe)))
			return false;
		if (*p >= 0xf0 && end - p >= 4 && utf8__is_far(p))
			return false;
	}
	return true;
}

/** How many bytes at the begin of @a s are whole valid characters. */
static inline size_t utf8_valid(const char *s, size_t size)
{
	const unsigned char *p = (const unsigned char *)s, *end = p + size;
	uint64_t word;
	unsigned n;

	while (p < end) {
		if (end - p >= 8) {
			memcpy(&word, p, 8);
			if ((word & 0x8080808080808080u) == 0) {
				p += 8;
				continue;
			}
		}
		n = utf8_length(p, end);
		if (n == 0)
			break;
		p += n;
	}
	return (size_t)(p - (const unsigned char *)s);
}

/** May the @a size bytes at @a s, 1 to 3, become a valid character? */
static inline bool utf8_is_begun(const char *s, size_t size)
{
	unsigned char low[4] = { 0x80, 0x80, 0x80, 0x80 };
	unsigned char high[4] = { 0xbf, 0xbf, 0xbf, 0xbf };

	/* Every lead byte that is one takes the lowest or the highest of what
	 * may follow. */
	memcpy(low, s, size);
	memcpy(high, s, size);
	return utf8_length(low, low + 4) > size ||
	       utf8_length(high, high + 4) > size;
}

/** Write @a c, at most U+10FFFF, as 1 to 4 bytes; returns how many. */
static inline unsigned utf8_put(char *to, uint32_t c)
{
	if (c < 0x80) {
		to[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		to[0] = (char)(0xc0 | c >> 6);
		to[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		to[0] = (char)(0xe0 | c >> 12);
		to[1] = (char)(0x80 | (c >> 6 & 0x3f));
		to[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	to[0] = (char)(0xf0 | c >> 18);
	to[1] = (char)(0x80 | (c >> 12 & 0x3f));
	to[2] = (char)(0x80 | (c >> 6 & 0x3f));
	to[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}
