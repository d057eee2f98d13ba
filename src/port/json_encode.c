/*
 * JSON out. See json_encode.h.
 *
 * Why not yajl's generator: it stops one level short of ours, knows no policy
 * for bytes that are not UTF-8, and dereferences NULL when memory runs out.
 */
#include "port/json_encode.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/buf.h"
#include "base/diag.h"
#include "base/utf8.h"
#include "port/number.h"

const struct json_encode_opts json_encode_default = {
	.precision = NUMBER_PRECISION,
};

static struct json_encoder *encoder(struct port_sink *s)
{
	return (struct json_encoder *)s; /* sink comes first */
}

static int no_room(struct json_encoder *e)
{
	diag_set(OutOfMemory, "json: no room for more than %zu bytes",
		 e->out->size);
	return -1;
}

static int bad_key(const char *what)
{
	diag_set(IllegalParams,
		 "json: a map key must be a string or an "
		 "integer, not %s",
		 what);
	return -1;
}

static bool at_key(const struct json_encoder *e)
{
	unsigned place = e->place[e->depth];

	return place == JSON_KEY_FIRST || place == JSON_KEY_NEXT;
}

/* The separator before the next value or key, and the step behind it. */
static char *lead(struct json_encoder *e, char *to)
{
	unsigned char *place = &e->place[e->depth];

	switch ((enum json_place) * place) {
	case JSON_TOP:
		break;
	case JSON_ARRAY_FIRST:
		*place = JSON_ARRAY_NEXT;
		break;
	case JSON_ARRAY_NEXT:
		*to++ = ',';
		break;
	case JSON_KEY_NEXT:
		*to++ = ',';
		/* fallthrough */
	case JSON_KEY_FIRST:
		*place = JSON_VALUE;
		break;
	case JSON_VALUE:
		*to++ = ':';
		*place = JSON_KEY_NEXT;
		break;
	}
	return to;
}

/* A value of a few bytes that needs no escapes. */
static int put(struct json_encoder *e, const char *text, size_t size)
{
	char *start = buf_reserve(e->out, size + 1), *to;

	if (start == NULL)
		return no_room(e);
	to = lead(e, start);
	memcpy(to, text, size);
	e->out->size += (size_t)(to + size - start);
	return 0;
}

static int put_word(struct port_sink *s, const char *word, const char *what)
{
	if (at_key(encoder(s)))
		return bad_key(what);
	return put(encoder(s), word, strlen(word));
}

static int on_nil(struct port_sink *s)
{
	return put_word(s, "null", "null");
}

static int on_boolean(struct port_sink *s, bool value)
{
	return put_word(s, value ? "true" : "false", "a boolean");
}

/* An integer is a string where a key must be. */
static int put_integer(struct json_encoder *e, char *text, size_t size)
{
	if (!at_key(e))
		return put(e, text + 1, size);
	text[0] = text[size + 1] = '"';
	return put(e, text, size + 2);
}

static int on_sint(struct port_sink *s, int64_t value)
{
	char text[NUMBER_TEXT_MAX];

	return put_integer(encoder(s), text, number_put_sint(text + 1, value));
}

static int on_uint(struct port_sink *s, uint64_t value)
{
	char text[NUMBER_TEXT_MAX];

	return put_integer(encoder(s), text, number_put_uint(text + 1, value));
}

static int on_real(struct port_sink *s, double value)
{
	struct json_encoder *e = encoder(s);
	char text[NUMBER_TEXT_MAX];

	if (at_key(e))
		return bad_key("a fraction");
	if (e->opts.refuse_nonfinite && !isfinite(value)) {
		diag_set(IllegalParams,
			 "json: a number must not be NaN or infinite");
		return -1;
	}
	return put(e, text, number_put_real(text, value, e->opts.precision));
}

static int on_real32(struct port_sink *s, float value)
{
	return on_real(s, (double)value);
}

/* For each byte: 0 if it stands for itself; else, below 0x80, its escape. */
static const char escapes[256] = {
	[0 ... 7] = 'u', ['\b'] = 'b',          ['\t'] = 't',
	['\n'] = 'n',    [0xb] = 'u',           ['\f'] = 'f',
	['\r'] = 'r',    [0xe ... 0x1f] = 'u',  ['"'] = '"',
	['\\'] = '\\',   [0x7f ... 0xff] = 'u',
};

/* Does a byte of this word need a look: control, '"', '\\' or past 0x7e? */
static bool word_special(uint64_t w)
{
	const uint64_t ones = 0x0101010101010101u, tops = ones << 7;
	uint64_t quote = w ^ (ones * '"'), slash = w ^ (ones * '\\'),
		 del = w ^ (ones * 0x7f);

	return ((w | (w - ones * 0x20) | (quote - ones) | (slash - ones) |
		 (del - ones)) &
		tops) != 0;
}

/* The place behind the bytes from @a p on that are copied as they are. */
static const char *skip_plain(const char *p, const char *end)
{
	uint64_t word;

	while (end - p >= 8) {
		memcpy(&word, p, 8);
		if (word_special(word))
			break;
		p += 8;
	}
	while (p < end && escapes[(unsigned char)*p] == 0)
		p++;
	return p;
}

static int put_escape(struct json_encoder *e, unsigned char c)
{
	static const char hex[] = "0123456789abcdef";
	char text[6] = { '\\', escapes[c], '0', '0', hex[c >> 4], hex[c & 15] };

	if (buf_append(e->out, text, text[1] == 'u' ? 6 : 2) != 0)
		return no_room(e);
	return 0;
}

/* One byte that is no part of any character. */
static int put_invalid(struct json_encoder *e, const char *p, size_t offset)
{
	int rc;

	switch (e->opts.utf8) {
	case JSON_UTF8_ERROR:
		diag_set(IllegalParams,
			 "json: a string is not UTF-8: byte "
			 "0x%02x at offset %zu",
			 (unsigned char)*p, offset);
		return -1;
	case JSON_UTF8_PASS:
		rc = buf_putc(e->out, *p);
		break;
	default:
		rc = buf_puts(e->out, "\xef\xbf\xbd");
	}
	return rc == 0 ? 0 : no_room(e);
}

/* The bytes from @a p on, up to the first that is plain again. */
static int put_special(struct json_encoder *e, const char *data,
		       const char **at, const char *end)
{
	const char *p = *at, *start = p;
	unsigned n = 0;

	while (p < end && (unsigned char)*p >= 0x80 &&
	       (n = utf8_length((const unsigned char *)p,
				(const unsigned char *)end)) > 0)
		p += n;
	*at = p;
	if (p > start)
		return buf_append(e->out, start, (size_t)(p - start)) == 0
			       ? 0
			       : no_room(e);
	*at = p + 1;
	if ((unsigned char)*p < 0x80)
		return put_escape(e, (unsigned char)*p);
	return put_invalid(e, p, (size_t)(p - data));
}

static int on_str(struct port_sink *s, const char *data, size_t size)
{
	struct json_encoder *e = encoder(s);
	const char *p = data, *end = data + size, *next;
	char *start = buf_reserve(e->out, size + 3), *to;

	if (start == NULL)
		return no_room(e);
	to = lead(e, start);
	*to++ = '"';
	if (skip_plain(p, end) == end) { /* as most are */
		memcpy(to, data, size);
		to[size] = '"';
		e->out->size += (size_t)(to - start) + size + 1;
		return 0;
	}
	e->out->size += (size_t)(to - start);
	while (p < end) {
		next = skip_plain(p, end);
		if (buf_append(e->out, p, (size_t)(next - p)) != 0)
			return no_room(e);
		p = next;
		if (p < end && put_special(e, data, &p, end) != 0)
			return -1;
	}
	return buf_putc(e->out, '"') == 0 ? 0 : no_room(e);
}

static int on_ext(struct port_sink *s, int8_t type, const char *data,
		  size_t size)
{
	(void)s;
	(void)data;
	(void)size;
	diag_set(IllegalParams,
		 "json: extension values (this one of type %d) "
		 "have no form in JSON",
		 type);
	return -1;
}

static int begin(struct port_sink *s, bool map)
{
	struct json_encoder *e = encoder(s);

	if (at_key(e))
		return bad_key(map ? "a map" : "an array");
	assert(e->depth < PORT_DEPTH_MAX);
	if (put(e, map ? "{" : "[", 1) != 0)
		return -1;
	e->place[++e->depth] = map ? JSON_KEY_FIRST : JSON_ARRAY_FIRST;
	return 0;
}

static int on_array(struct port_sink *s, uint32_t count, enum port_style style)
{
	(void)count;
	(void)style;
	return begin(s, false);
}

static int on_map(struct port_sink *s, uint32_t count, enum port_style style)
{
	(void)count;
	(void)style;
	return begin(s, true);
}

static int on_end(struct port_sink *s)
{
	struct json_encoder *e = encoder(s);
	bool map = e->place[e->depth] >= JSON_KEY_FIRST;

	e->depth--;
	return buf_putc(e->out, map ? '}' : ']') == 0 ? 0 : no_room(e);
}

static const struct port_sink_ops ops = {
	.nil = on_nil,
	.boolean = on_boolean,
	.sint = on_sint,
	.uint = on_uint,
	.real = on_real,
	.real32 = on_real32,
	.str = on_str,
	.bin = on_str,
	.ext = on_ext,
	.array = on_array,
	.map = on_map,
	.end = on_end,
};

void json_encoder_create(struct json_encoder *e, struct buf *out,
			 const struct json_encode_opts *opts)
{
	e->sink.ops = &ops;
	e->sink.flags = 0;
	e->opts = *opts;
	e->out = out;
	e->depth = 0;
	e->place[0] = JSON_TOP;
}
