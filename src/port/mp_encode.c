/* msgpack out. See mp_encode.h. */
#include "port/mp_encode.h"

#include <assert.h>

#include "base/buf.h"
#include "base/diag.h"
#include "port/mp_pack.h"

enum { MP_HEAD_MAX = 5, MP_SCALAR_MAX = 9 };

static struct mp_encoder *encoder(struct port_sink *s)
{
	return (struct mp_encoder *)s; /* sink comes first */
}

/* The buffer for the next value, which counts in its container. */
static struct buf *next(struct port_sink *s)
{
	struct mp_encoder *e = encoder(s);

	e->open[e->depth].count++;
	return e->out;
}

/* A value whose bytes are @a more, or about as many, found no room. */
static int full(struct port_sink *s, const char *what, size_t more)
{
	const struct buf *b = encoder(s)->out;

	if (b->limit != 0 && more >= b->limit - b->size)
		diag_set(IllegalParams,
			 "msgpack: a %s of %zu bytes is too much (split it up "
			 "or pass it some other way): at most %zu bytes are "
			 "allowed in all, and %zu are taken",
			 what, more, b->limit, b->size);
	else
		diag_set(OutOfMemory,
			 "msgpack: no room for more than %zu bytes", b->size);
	return -1;
}

static int done(struct port_sink *s, int rc)
{
	return __builtin_expect(rc == 0, 1) ? 0
					    : full(s, "value", MP_SCALAR_MAX);
}

static int too_long(const char *what, size_t size)
{
	diag_set(IllegalParams,
		 "msgpack: a %s of %zu bytes is too long: "
		 "4294967295 is the most",
		 what, size);
	return -1;
}

static int on_nil(struct port_sink *s)
{
	return done(s, mp_pack_nil(next(s)));
}

static int on_boolean(struct port_sink *s, bool value)
{
	struct buf *b = next(s);

	return done(s, value ? mp_pack_true(b) : mp_pack_false(b));
}

static int on_sint(struct port_sink *s, int64_t value)
{
	return done(s, mp_pack_int64(next(s), value));
}

static int on_uint(struct port_sink *s, uint64_t value)
{
	return done(s, mp_pack_uint64(next(s), value));
}

static int on_real(struct port_sink *s, double value)
{
	return done(s, mp_pack_double(next(s), value));
}

static int on_real32(struct port_sink *s, float value)
{
	return done(s, mp_pack_float(next(s), value));
}

static int on_str(struct port_sink *s, const char *data, size_t size)
{
	struct buf *b = next(s);

	if (size > UINT32_MAX)
		return too_long("string", size);
	if (mp_pack_str(b, size) != 0 || mp_pack_append(b, data, size) != 0)
		return full(s, "string", size);
	return 0;
}

static int on_bin(struct port_sink *s, const char *data, size_t size)
{
	struct buf *b = next(s);

	if (size > UINT32_MAX)
		return too_long("binary string", size);
	if (mp_pack_bin(b, size) != 0 || mp_pack_append(b, data, size) != 0)
		return full(s, "binary string", size);
	return 0;
}

static int on_ext(struct port_sink *s, int8_t type, const char *data,
		  size_t size)
{
	struct buf *b = next(s);

	if (size > UINT32_MAX)
		return too_long("extension value", size);
	if (mp_pack_ext(b, size, type) != 0 ||
	    mp_pack_append(b, data, size) != 0)
		return full(s, "extension value", size);
	return 0;
}

static int put_head(struct buf *b, bool map, uint32_t count)
{
	return map ? mp_pack_map(b, count) : mp_pack_array(b, count);
}

static int begin(struct port_sink *s, bool map, uint32_t count)
{
	struct mp_encoder *e = encoder(s);
	struct buf *b = next(s);
	struct mp_open *o;

	assert(e->depth < PORT_DEPTH_MAX);
	o = &e->open[++e->depth];
	o->at = b->size;
	o->count = 0;
	o->late = count == PORT_COUNT_UNKNOWN;
	o->map = map;
	/* The largest count makes the longest head. */
	return done(s, put_head(b, map, count));
}

static int on_array(struct port_sink *s, uint32_t count, enum port_style style)
{
	(void)style;
	return begin(s, false, count);
}

static int on_map(struct port_sink *s, uint32_t count, enum port_style style)
{
	(void)style;
	return begin(s, true, count);
}

static void put_be32(char *to, uint32_t v)
{
	to[0] = (char)(v >> 24);
	to[1] = (char)(v >> 16);
	to[2] = (char)(v >> 8);
	to[3] = (char)v;
}

static int on_end(struct port_sink *s)
{
	struct mp_encoder *e = encoder(s);
	struct mp_open *o = &e->open[e->depth--];
	uint32_t count = o->map ? o->count / 2 : o->count;
	struct buf *b = e->out;
	size_t end = b->size, body = o->at + MP_HEAD_MAX, head;

	if (!o->late)
		return 0;
	if (e->wide) {
		put_be32(b->data + o->at + 1, count);
		return 0;
	}
	/* The head goes over its own place and is never longer than that. */
	b->size = o->at;
	if (put_head(b, o->map, count) != 0)
		return done(s, -1);
	head = b->size;
	memmove(b->data + head, b->data + body, end - body);
	b->size = head + (end - body);
	return 0;
}

static const struct port_sink_ops ops = {
	.nil = on_nil,
	.boolean = on_boolean,
	.sint = on_sint,
	.uint = on_uint,
	.real = on_real,
	.real32 = on_real32,
	.str = on_str,
	.bin = on_bin,
	.ext = on_ext,
	.array = on_array,
	.map = on_map,
	.end = on_end,
};

void mp_encoder_create(struct mp_encoder *e, struct buf *out)
{
	e->sink.ops = &ops;
	e->sink.flags = PORT_SINK_EXT;
	e->out = out;
	e->depth = 0;
	e->wide = false;
	e->open[0] = (struct mp_open){ 0 };
}
