/*
 * Regular expressions (PCRE2, over bytes), with limits: no pattern and no text
 * can keep a thread busy for long or take much memory. A match that reaches them
 * is told apart from one that is not there.
 *
 * A regex belongs to one thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct buf;
struct regex;

enum {
	REGEX_PATTERN_MAX = 16384,
	REGEX_GROUPS_MAX = 64, /* of a pattern, with the whole match */
};

enum regex_flag {
	REGEX_IGNORE_CASE = 1 << 0,
};

/** What matched: bytes from @a from to before @a to. A group that took no part:
 * both are REGEX_UNSET. */
struct regex_span {
	size_t from, to;
};

#define REGEX_UNSET ((size_t)-1)

enum {
	REGEX_NO_MATCH = 0,
	REGEX_OVER = -1,   /* a limit is reached; regex_limit_text */
	REGEX_FAILED = -2, /* no memory */
};

extern const char regex_limit_text[];

/**
 * Compile. Returns NULL with diag set: IllegalParams, what is wrong and at which
 * byte; OutOfMemory.
 */
struct regex *regex_new(const char *pattern, size_t size, unsigned flags);
void regex_delete(struct regex *re); /* NULL is fine */

/** How many spans a match has: the whole and the groups. */
unsigned regex_span_count(const struct regex *re);

/**
 * Search @a text from byte @a start on. Returns the number of spans, of which the
 * first @a max are in @a ret_spans; REGEX_NO_MATCH; REGEX_OVER; REGEX_FAILED. No diag.
 */
int regex_match(struct regex *re, const char *text, size_t size, size_t start,
		struct regex_span *ret_spans, unsigned max);

/**
 * Append @a format with what matched: \0 to \9 are spans, \xHH is a byte, any
 * other character behind a backslash is itself. Returns 0; UV_ENOMEM.
 */
int regex_expand(const char *format, size_t format_size, const char *text,
		 const struct regex_span *spans, unsigned count,
		 struct buf *out);

/**
 * Append @a text with the first match, or with @a all each, replaced by
 * @a format as of regex_expand(). Returns how many there were; REGEX_OVER; REGEX_FAILED.
 */
int regex_replace(struct regex *re, const char *text, size_t size,
		  const char *format, size_t format_size, bool all,
		  struct buf *out);
