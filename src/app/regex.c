/*
 * Regular expressions over PCRE2: compiled for its JIT where there is one, and
 * matched within limits.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "app/regex.h"

#include <pcre2.h>

#include "base/buf.h"
#include "base/diag.h"
#include "base/hex.h"
#include "base/inject.h"

enum {
	STEPS_MAX = 200000,  /* of one match: some milliseconds at most */
	HEAP_KIB_MAX = 4096, /* of ways back kept, by the interpreter */
	NESTING_MAX = 100,   /* of parentheses */
};

struct regex {
	pcre2_code *code;
	pcre2_match_data *match; /* of the one match that runs */
	pcre2_match_context *limits;
};

const char regex_limit_text[] = "the regular expression takes too many steps";

static void set_syntax_error(int rc, size_t at)
{
	PCRE2_UCHAR text[160];

	if (rc == PCRE2_ERROR_HEAP_FAILED) {
		diag_set_oom(0, "a regular expression");
		return;
	}
	pcre2_get_error_message(rc, text, sizeof text);
	diag_set(IllegalParams, "regular expression: %s (at byte %zu)",
		 (const char *)text, at + 1);
}

static pcre2_code *compile(const char *pattern, size_t size, unsigned flags)
{
	pcre2_compile_context *context = pcre2_compile_context_create(NULL);
	pcre2_code *code = NULL;
	size_t at = 0;
	int rc = PCRE2_ERROR_HEAP_FAILED;

	if (context != NULL) {
		pcre2_set_parens_nest_limit(context, NESTING_MAX);
		code = pcre2_compile((PCRE2_SPTR)pattern, size,
				     flags & REGEX_IGNORE_CASE ? PCRE2_CASELESS
							       : 0,
				     &rc, &at, context);
		pcre2_compile_context_free(context);
	}
	if (code == NULL)
		set_syntax_error(rc, at);
	return code;
}

static unsigned span_count(const pcre2_code *code)
{
	uint32_t groups = 0;

	pcre2_pattern_info(code, PCRE2_INFO_CAPTURECOUNT, &groups);
	return groups + 1;
}

static int check_groups(const pcre2_code *code)
{
	unsigned count = span_count(code);

	if (count <= REGEX_GROUPS_MAX)
		return 0;
	diag_set(IllegalParams,
		 "regular expression: %u groups, at most %d are wanted",
		 count - 1, REGEX_GROUPS_MAX - 1);
	return -1;
}

struct regex *regex_new(const char *pattern, size_t size, unsigned flags)
{
	struct regex *re;

	if (size > REGEX_PATTERN_MAX) {
		diag_set(IllegalParams,
			 "regular expression: at most %d bytes are wanted, "
			 "not %zu",
			 REGEX_PATTERN_MAX, size);
		return NULL;
	}
	re = mem_zalloc(sizeof *re);
	if (re == NULL) {
		diag_set_oom(sizeof *re, "a regular expression");
		return NULL;
	}
	re->code = compile(pattern, size, flags);
	if (re->code == NULL || check_groups(re->code) != 0)
		goto fail;
	/* Where it cannot be had, the interpreter does it. */
	pcre2_jit_compile(re->code, PCRE2_JIT_COMPLETE);
	re->match = pcre2_match_data_create_from_pattern(re->code, NULL);
	re->limits = pcre2_match_context_create(NULL);
	if (re->match == NULL || re->limits == NULL) {
		diag_set_oom(0, "a regular expression");
		goto fail;
	}
	pcre2_set_match_limit(re->limits, STEPS_MAX);
	pcre2_set_heap_limit(re->limits, HEAP_KIB_MAX);
	return re;
fail:
	regex_delete(re);
	return NULL;
}

void regex_delete(struct regex *re)
{
	if (re == NULL)
		return;
	pcre2_match_context_free(re->limits);
	pcre2_match_data_free(re->match);
	pcre2_code_free(re->code);
	mem_free(re);
}

unsigned regex_span_count(const struct regex *re)
{
	return span_count(re->code);
}

static int error_of(int rc)
{
	switch (rc) {
	case PCRE2_ERROR_NOMATCH:
		return REGEX_NO_MATCH;
	case PCRE2_ERROR_NOMEMORY:
		return REGEX_FAILED;
	default:
		return REGEX_OVER; /* the limits; \C, loops of recursion */
	}
}

static int match(struct regex *re, const char *text, size_t size, size_t start,
		 uint32_t options)
{
	int rc = pcre2_match(re->code, (PCRE2_SPTR)text, size, start, options,
			     re->match, re->limits);

	/* The JIT's stack is small: what does not fit may still be short work. */
	if (rc == PCRE2_ERROR_JIT_STACKLIMIT)
		rc = pcre2_match(re->code, (PCRE2_SPTR)text, size, start,
				 options | PCRE2_NO_JIT, re->match, re->limits);
	return rc;
}

/* The spans of the match just found; those behind the last that took part are
 * not set by PCRE2's count, but in its vector. */
static void copy_spans(const struct regex *re, struct regex_span *ret,
		       unsigned count)
{
	const PCRE2_SIZE *vector = pcre2_get_ovector_pointer(re->match);

	for (unsigned i = 0; i < count; i++) {
		ret[i].from = vector[2 * i];
		ret[i].to = vector[2 * i + 1];
		if (ret[i].from == PCRE2_UNSET || ret[i].from > ret[i].to)
			ret[i].from = ret[i].to = REGEX_UNSET;
	}
}

int regex_match(struct regex *re, const char *text, size_t size, size_t start,
		struct regex_span *ret_spans, unsigned max)
{
	unsigned count = regex_span_count(re);
	int rc = match(re, text, size, start, 0);

	if (rc < 0)
		return error_of(rc);
	copy_spans(re, ret_spans, count < max ? count : max);
	return (int)count;
}

static int append_span(const char *text, const struct regex_span *spans,
		       unsigned count, unsigned i, struct buf *out)
{
	if (i >= count || spans[i].from == REGEX_UNSET)
		return 0;
	return buf_append(out, text + spans[i].from,
			  spans[i].to - spans[i].from);
}

int regex_expand(const char *format, size_t format_size, const char *text,
		 const struct regex_span *spans, unsigned count,
		 struct buf *out)
{
	const char *p = format, *end = format + format_size;
	int rc = 0;

	for (; p < end && rc == 0; p++) {
		if (*p != '\\' || p + 1 == end) {
			rc = buf_putc(out, *p);
			continue;
		}
		p++;
		if (*p >= '0' && *p <= '9') {
			rc = append_span(text, spans, count,
					 (unsigned)(*p - '0'), out);
		} else if (*p == 'x' && end - p > 2 && hex_value(p[1]) >= 0 &&
			   hex_value(p[2]) >= 0) {
			rc = buf_putc(out, (char)(hex_value(p[1]) << 4 |
						  hex_value(p[2])));
			p += 2;
		} else {
			rc = buf_putc(out, *p);
		}
	}
	return rc;
}

int regex_replace(struct regex *re, const char *text, size_t size,
		  const char *format, size_t format_size, bool all,
		  struct buf *out)
{
	struct regex_span spans[REGEX_GROUPS_MAX];
	size_t at = 0, done = 0; /* where to look on; what is written */
	uint32_t options = 0;
	int found = 0;

	while (at <= size && (all || found == 0)) {
		int rc = match(re, text, size, at, options);

		if (rc == PCRE2_ERROR_NOMATCH && options != 0) {
			options = 0; /* not empty here: one byte further */
			at++;
			continue;
		}
		if (rc == PCRE2_ERROR_NOMATCH)
			break;
		if (rc < 0)
			return error_of(rc);
		copy_spans(re, spans, regex_span_count(re));
		if (spans[0].from == REGEX_UNSET || spans[0].from < done)
			return REGEX_OVER; /* \K went back */
		if (buf_append(out, text + done, spans[0].from - done) != 0 ||
		    regex_expand(format, format_size, text, spans,
				 regex_span_count(re), out) != 0)
			return REGEX_FAILED;
		found++;
		done = at = spans[0].to;
		/* Behind an empty one comes one that is not, or a byte. */
		options = spans[0].to == spans[0].from
				  ? PCRE2_NOTEMPTY_ATSTART | PCRE2_ANCHORED
				  : 0;
	}
	return buf_append(out, text + done, size - done) == 0 ? found
							      : REGEX_FAILED;
}
