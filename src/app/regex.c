/*
 * Regular expressions over PCRE2: compiled for its JIT where there is one, and
 * matched within limits.
 *
 * PCRE2 counts the steps of a match anew at each place of the text where it may begin,
 * and a step may look at all of the text. So a match of a short text has so few steps
 * at each place that all of them together are quick. Where that would be too few, or was,
 * the pattern is compiled once more, slower, for its work to be counted (regex_work.h).
 */
#include "app/regex.h"

#include <string.h>

#include "app/regex_work.h"
#include "base/buf.h"
#include "base/diag.h"
#include "base/hex.h"
#include "base/inject.h"

/* What a search may do, with all places where a match may begin: it looks at so many
 * bytes, which takes some milliseconds, and at more of a long text, as it is fine to walk
 * through that. */
enum {
	WORK_MAX = 1 << 25,
	WORK_PER_BYTE = 64,
};

enum {
	STEPS_MIN = 16,         /* at a place: fewer are not worth a try */
	STEPS_UNCOUNTED = 1000, /* the same, of what cannot be counted */
	HEAP_KIB_MAX = 4096,    /* of ways back kept, by the interpreter */
	NESTING_MAX = 100,      /* of parentheses */
};

/* How what runs is kept from running on. */
enum way {
	WAY_QUICK,   /* so few steps that they need not be counted together */
	WAY_COUNTED, /* by the work that it does */
	WAY_LIMITED, /* by steps, as it cannot be counted */
};

struct regex {
	pcre2_code *code;
	pcre2_code *counted;     /* NULL: it was not needed yet */
	pcre2_match_data *match; /* of the one match that runs */
	pcre2_match_context *limits;
	pcre2_match_context *counting;
	struct regex_work work;
	unsigned flags;
	enum way way;
	bool is_anchored; /* a match begins where it is looked for, or nowhere */
	bool is_utf;      /* each search looks at all of the text first */
	bool too_large;   /* to be counted */
	size_t size;
	char pattern[];
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

/* NULL with what is wrong, and where. */
static pcre2_code *compile(const struct regex *re, uint32_t options,
			   int *ret_error, size_t *ret_at)
{
	pcre2_compile_context *context = pcre2_compile_context_create(NULL);
	pcre2_code *code;

	*ret_error = PCRE2_ERROR_HEAP_FAILED;
	*ret_at = 0;
	if (context == NULL)
		return NULL;
	pcre2_set_parens_nest_limit(context, NESTING_MAX);
	if (re->flags & REGEX_IGNORE_CASE)
		options |= PCRE2_CASELESS;
	code = pcre2_compile((PCRE2_SPTR)re->pattern, re->size, options,
			     ret_error, ret_at, context);
	pcre2_compile_context_free(context);
	/* Where it cannot be had, the interpreter does it. */
	if (code != NULL)
		pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
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

static int create(struct regex *re)
{
	uint32_t options = 0;
	size_t at;
	int rc;

	re->code = compile(re, 0, &rc, &at);
	if (re->code == NULL) {
		set_syntax_error(rc, at);
		return -1;
	}
	if (check_groups(re->code) != 0)
		return -1;
	re->match = pcre2_match_data_create_from_pattern(re->code, NULL);
	re->limits = pcre2_match_context_create(NULL);
	if (re->match == NULL || re->limits == NULL) {
		diag_set_oom(0, "a regular expression");
		return -1;
	}
	pcre2_set_heap_limit(re->limits, HEAP_KIB_MAX);
	pcre2_pattern_info(re->code, PCRE2_INFO_ALLOPTIONS, &options);
	re->is_anchored = (options & PCRE2_ANCHORED) != 0;
	re->is_utf = (options & PCRE2_UTF) != 0;
	return 0;
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
	re = mem_zalloc(sizeof *re + size + 1);
	if (re == NULL) {
		diag_set_oom(sizeof *re + size + 1, "a regular expression");
		return NULL;
	}
	re->flags = flags;
	re->size = size;
	if (size > 0)
		memcpy(re->pattern, pattern, size);
	if (create(re) == 0)
		return re;
	regex_delete(re);
	return NULL;
}

void regex_delete(struct regex *re)
{
	if (re == NULL)
		return;
	regex_work_destroy(&re->work);
	pcre2_match_context_free(re->counting);
	pcre2_match_context_free(re->limits);
	pcre2_match_data_free(re->match);
	pcre2_code_free(re->counted);
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

/* What it takes to count. Returns 0, or an error of PCRE2. */
static int prepare_counting(struct regex *re)
{
	size_t at;
	int rc;

	if (re->counting == NULL)
		re->counting = pcre2_match_context_create(NULL);
	if (re->counting == NULL)
		return PCRE2_ERROR_NOMEMORY;
	pcre2_set_heap_limit(re->counting, HEAP_KIB_MAX);
	pcre2_set_callout(re->counting, regex_work_count, &re->work);
	if (re->counted == NULL)
		re->counted = compile(re, PCRE2_AUTO_CALLOUT, &rc, &at);
	if (re->counted == NULL && rc != PCRE2_ERROR_HEAP_FAILED) {
		re->too_large = true;
		return 0;
	}
	if (re->counted == NULL ||
	    regex_work_create(&re->work, re->counted, re->pattern, re->size) !=
		    0)
		return PCRE2_ERROR_NOMEMORY;
	return 0;
}

/* The quick way is none. Returns 0, or an error of PCRE2. */
static int leave_quick_way(struct regex *re)
{
	int rc = 0;

	if (re->work.items == NULL && !re->too_large)
		rc = prepare_counting(re);
	if (re->too_large)
		pcre2_set_match_limit(re->limits, STEPS_UNCOUNTED);
	re->way = re->too_large ? WAY_LIMITED : WAY_COUNTED;
	return rc;
}

/* Before a search in @a size bytes, or several, which begin at up to @a starts of them.
 * Returns 0, or an error of PCRE2. */
static int begin(struct regex *re, size_t size, size_t starts)
{
	uint32_t steps = (uint32_t)(WORK_MAX / (size + 1) / starts);

	re->work.left = WORK_MAX + (uint64_t)size * WORK_PER_BYTE;
	re->way = WAY_QUICK;
	pcre2_set_match_limit(re->limits, steps);
	return steps < STEPS_MIN ? leave_quick_way(re) : 0;
}

static int run(struct regex *re, const pcre2_code *code,
	       pcre2_match_context *limits, const char *text, size_t size,
	       size_t start, uint32_t options)
{
	int rc = pcre2_match(code, (PCRE2_SPTR)text, size, start, options,
			     re->match, limits);

	/* The JIT's stack is small: what does not fit may still be short work. */
	if (rc == PCRE2_ERROR_JIT_STACKLIMIT)
		rc = pcre2_match(code, (PCRE2_SPTR)text, size, start,
				 options | PCRE2_NO_JIT, re->match, limits);
	return rc;
}

static int run_counted(struct regex *re, const char *text, size_t size,
		       size_t start, uint32_t options)
{
	size_t checked = re->is_utf ? size - start : 0;

	re->work.at = start;
	re->work.left -= checked < re->work.left ? checked : re->work.left;
	return run(re, re->counted, re->counting, text, size, start, options);
}

static int match(struct regex *re, const char *text, size_t size, size_t start,
		 uint32_t options)
{
	int rc;

	if (re->way == WAY_QUICK) {
		rc = run(re, re->code, re->limits, text, size, start, options);
		if (rc != PCRE2_ERROR_MATCHLIMIT)
			return rc;
		rc = leave_quick_way(re);
		if (rc != 0)
			return rc;
	}
	if (re->way == WAY_COUNTED)
		return run_counted(re, text, size, start, options);
	return run(re, re->code, re->limits, text, size, start, options);
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
	int rc = begin(re, size, re->is_anchored ? 1 : size - start + 1);

	if (rc == 0)
		rc = match(re, text, size, start, 0);
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
	int rc = begin(re, size, size + 1);

	if (rc < 0)
		return error_of(rc);
	while (at <= size && (all || found == 0)) {
		rc = match(re, text, size, at, options);

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
