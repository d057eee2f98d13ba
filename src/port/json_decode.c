/*
 * JSON in. See json_decode.h; doc/internals/port.md says why it is our own.
 *
 * A loop over values with a stack of one byte a level: nesting costs no C
 * stack. Strings without escapes go to the sink from where they stand.
 */
#include "port/json_decode.h"

#include <assert.h>
#include <math.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/diag.h"
#include "base/hex.h"
#include "base/utf8.h"
#include "port/number.h"

const struct json_decode_opts json_decode_default = {
	.max_depth = PORT_DEPTH_MAX,
};

/* The run over one text. */
struct reader {
	struct buf *text; /* a string whose escapes are undone */
	const struct json_decode_opts *opts;
	struct port_sink *sink;
	const char *data, *end, *p;
	int depth;
	char closer[PORT_DEPTH_MAX + 1]; /* what ends each open container */
};

/* Fail at the place @a p. */
static int fail(struct reader *r, const char *p, const char *problem)
{
	size_t line = 1;
	const char *start = r->data;

	for (const char *q = r->data; q < p; q++) {
		if (*q == '\n') {
			line++;
			start = q + 1;
		}
	}
	diag_set(ClientError, "json: %s on line %zu at character %zu", problem,
		 line, (size_t)(p - start) + 1);
	return -1;
}

static void skip_space(struct reader *r)
{
	while (r->p < r->end && (*r->p == ' ' || *r->p == '\n' ||
				 *r->p == '\r' || *r->p == '\t'))
		r->p++;
}

/* The place of the next byte in a string that needs a look. */
static const char *skip_plain(const char *p, const char *end)
{
	const uint64_t ones = 0x0101010101010101u, tops = ones << 7;
	uint64_t w;

	while (end - p >= 8) {
		memcpy(&w, p, 8);
		if (((w | (w - ones * 0x20) | ((w ^ ones * '"') - ones) |
		      ((w ^ ones * '\\') - ones)) &
		     tops) != 0)
			break;
		p += 8;
	}
	while (p < end && (unsigned char)*p >= 0x20 &&
	       (unsigned char)*p < 0x80 && *p != '"' && *p != '\\')
		p++;
	return p;
}

/* Four hex digits at @a p, or -1. */
static int hex4(const char *p, const char *end)
{
	int v = 0;

	if (end - p < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		int digit = hex_value((unsigned char)p[i]);

		if (digit < 0)
			return -1;
		v = v << 4 | digit;
	}
	return v;
}

/* \uXXXX at @a p, its backslash; a surrogate takes its partner along. */
static int unicode_escape(struct reader *r, const char *p, char *to,
			  unsigned *ret_size)
{
	int c = hex4(p + 2, r->end), low;

	if (c < 0)
		return fail(r, p, "\\u wants four hexadecimal digits");
	r->p = p + 6;
	if (c >= 0xd800 && c < 0xe000) {
		low = c < 0xdc00 && r->end - r->p >= 6 && r->p[0] == '\\' &&
				      r->p[1] == 'u'
			      ? hex4(r->p + 2, r->end)
			      : -1;
		if (low < 0xdc00 || low > 0xdfff)
			return fail(r, p, "half a surrogate pair");
		c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
		r->p += 6;
	}
	*ret_size = utf8_put(to, (uint32_t)c);
	return 0;
}

/* The escape at r->p, undone behind text. */
static int undo_escape(struct reader *r)
{
	static const char plain[256] = {
		['"'] = '"',  ['\\'] = '\\', ['/'] = '/',  ['b'] = '\b',
		['f'] = '\f', ['n'] = '\n',  ['r'] = '\r', ['t'] = '\t',
	};
	const char *p = r->p;
	unsigned size = 1;
	char text[4];

	if (r->end - p < 2)
		return fail(r, r->end, "the text ends inside a string");
	if (p[1] == 'u') {
		if (unicode_escape(r, p, text, &size) != 0)
			return -1;
	} else {
		text[0] = plain[(unsigned char)p[1]];
		if (text[0] == '\0')
			return fail(r, p, "no such escape");
		r->p = p + 2;
	}
	if (buf_append(r->text, text, size) != 0) {
		diag_set_oom(size, "a JSON string");
		return -1;
	}
	return 0;
}

/*
 * The string whose opening quote is behind us: where it stands, or in text
 * once there was an escape.
 */
static int take_string(struct reader *r, const char **ret, size_t *ret_size)
{
	const char *from = r->p; /* first byte not in text yet */
	struct buf *text = r->text;
	unsigned n;

	text->size = 0;
	for (;;) {
		r->p = skip_plain(r->p, r->end);
		if (r->p == r->end)
			return fail(r, r->p, "the text ends inside a string");
		if ((unsigned char)*r->p >= 0x80) {
			n = utf8_length((const unsigned char *)r->p,
					(const unsigned char *)r->end);
			if (n == 0)
				return fail(r, r->p, "a byte that is no UTF-8");
			r->p += n;
			continue;
		}
		if ((unsigned char)*r->p < 0x20)
			return fail(r, r->p,
				    "a control character inside a string");
		if (*r->p == '"' && text->size == 0) {
			*ret = from;
			*ret_size = (size_t)(r->p++ - from);
			return 0;
		}
		if (buf_append(text, from, (size_t)(r->p - from)) != 0) {
			diag_set_oom(r->p - from, "a JSON string");
			return -1;
		}
		if (*r->p == '"') {
			r->p++;
			*ret = text->data;
			*ret_size = text->size;
			return 0;
		}
		if (undo_escape(r) != 0)
			return -1;
		from = r->p;
	}
}

static bool is_digit(const char *p, const char *end)
{
	return p < end && *p >= '0' && *p <= '9';
}

/* -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)? */
static int take_number(struct reader *r)
{
	const char *p = r->p, *start = p, *end = r->end;
	struct number n;

	if (*p == '-')
		p++;
	if (!is_digit(p, end))
		return fail(r, start, "expected a value");
	if (*p == '0' && is_digit(p + 1, end))
		return fail(r, start, "a number must not begin with 0");
	while (is_digit(p, end))
		p++;
	if (p < end && *p == '.') {
		if (!is_digit(++p, end))
			return fail(r, start, "no digit behind the point");
		while (is_digit(p, end))
			p++;
	}
	if (p < end && (*p == 'e' || *p == 'E')) {
		p++;
		if (p < end && (*p == '+' || *p == '-'))
			p++;
		if (!is_digit(p, end))
			return fail(r, start, "no digit in the exponent");
		while (is_digit(p, end))
			p++;
	}
	r->p = p;
	if (number_parse(start, (size_t)(p - start), &n) != 0) {
		diag_set_oom(p - start, "a JSON number");
		return -1;
	}
	return number_tell(&n, r->sink);
}

static bool take_word(struct reader *r, const char *word)
{
	size_t n = strlen(word);

	if ((size_t)(r->end - r->p) < n || strncasecmp(r->p, word, n) != 0)
		return false;
	r->p += n;
	return true;
}

/* What encoders without a better idea write for numbers JSON has not. */
static int take_nonfinite(struct reader *r)
{
	const char *start = r->p;
	double v = 0;

	if (*r->p == '-') {
		r->p++;
		v = -1;
	}
	if (take_word(r, "infinity") || take_word(r, "inf"))
		v = v < 0 ? -INFINITY : INFINITY;
	else if (take_word(r, "nan"))
		v = NAN;
	else
		return fail(r, start, "expected a value");
	if (r->opts->refuse_nonfinite)
		return fail(r, start, "a number must not be NaN or infinite");
	return port_real(r->sink, v);
}

static int take_literal(struct reader *r)
{
	size_t left = (size_t)(r->end - r->p);

	if (left >= 4 && memcmp(r->p, "true", 4) == 0) {
		r->p += 4;
		return port_boolean(r->sink, true);
	}
	if (left >= 5 && memcmp(r->p, "false", 5) == 0) {
		r->p += 5;
		return port_boolean(r->sink, false);
	}
	if (left >= 4 && memcmp(r->p, "null", 4) == 0) {
		r->p += 4;
		return port_nil(r->sink);
	}
	return take_nonfinite(r);
}

static int take_begin(struct reader *r)
{
	bool map = *r->p == '{';

	if (r->depth >= r->opts->max_depth)
		return fail(r, r->p, "nested too deep");
	r->p++;
	r->closer[++r->depth] = map ? '}' : ']';
	return map ? port_map(r->sink, PORT_COUNT_UNKNOWN, PORT_STYLE_BLOCK)
		   : port_array(r->sink, PORT_COUNT_UNKNOWN, PORT_STYLE_BLOCK);
}

/* A value, or the begin of one; r->p is not at the end. */
static int take_value(struct reader *r)
{
	const char *text;
	size_t size;

	switch (*r->p) {
	case '"':
		r->p++;
		if (take_string(r, &text, &size) != 0)
			return -1;
		return port_str(r->sink, text, size);
	case '{':
	case '[':
		return take_begin(r);
	case '-':
		if (is_digit(r->p + 1, r->end))
			return take_number(r);
		return take_nonfinite(r);
	case '0' ... '9':
		return take_number(r);
	default:
		return take_literal(r);
	}
}

static int take_key(struct reader *r)
{
	const char *text;
	size_t size;

	if (r->p == r->end || *r->p != '"')
		return fail(r, r->p, "expected a key in quotes");
	r->p++;
	if (take_string(r, &text, &size) != 0)
		return -1;
	skip_space(r);
	if (r->p == r->end || *r->p != ':')
		return fail(r, r->p, "expected ':' behind a key");
	if (port_str(r->sink, text, size) != 0)
		return -1;
	r->p++;
	skip_space(r);
	return 0;
}

/*
 * After a value: close what ends here, until a comma asks for the next one or
 * all is closed. Returns 0, or -1 with diag set.
 */
static int close_and_go_on(struct reader *r)
{
	for (; r->depth > 0; r->depth--) {
		char closer = r->closer[r->depth];

		skip_space(r);
		if (r->p < r->end && *r->p == ',') {
			r->p++;
			skip_space(r);
			return closer == '}' ? take_key(r) : 0;
		}
		if (r->p == r->end || *r->p != closer)
			return fail(r, r->p,
				    closer == '}' ? "expected ',' or '}'"
						  : "expected ',' or ']'");
		r->p++;
		if (port_end(r->sink) != 0)
			return -1;
	}
	return 0;
}

/* Into a container that was just opened. Returns 1 when it is empty. */
static int enter(struct reader *r)
{
	char closer = r->closer[r->depth];

	skip_space(r);
	if (r->p < r->end && *r->p == closer)
		return 1;
	return closer == '}' ? take_key(r) : 0;
}

int json_decode(const char *data, const char *end,
		const struct json_decode_opts *opts, struct buf *scratch,
		struct port_sink *sink)
{
	struct reader r = { .text = scratch,
			    .opts = opts,
			    .sink = sink,
			    .data = data,
			    .end = end,
			    .p = data };
	int depth, rc;

	assert(opts->max_depth <= PORT_DEPTH_MAX);
	if (end - data >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0)
		r.p += 3;
	skip_space(&r);
	do {
		if (r.p == r.end)
			return fail(&r, r.p, "expected a value");
		depth = r.depth;
		if (take_value(&r) != 0)
			return -1;
		if (r.depth > depth) {
			rc = enter(&r);
			if (rc < 0)
				return -1;
			if (rc == 0)
				continue;
		}
		if (close_and_go_on(&r) != 0)
			return -1;
	} while (r.depth > 0);
	skip_space(&r);
	if (r.p < r.end)
		return fail(&r, r.p, "expected the end");
	return 0;
}
