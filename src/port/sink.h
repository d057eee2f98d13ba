/*
 * Values as a stream of events: one producer, many sinks.
 *
 * A producer (the walk over a Lua value, the decoders of msgpack, json and
 * yaml) tells a value to a sink, part by part; a sink (the encoders, the
 * builder of Lua values) makes something of it. Neither knows the other, so
 * that every pair of them works.
 *
 * What a producer owes:
 * - each container is closed by end(); inside a map, keys and values take
 *   turns, and there is a value for each key;
 * - a container announced with a count gets exactly that many elements;
 * - at most PORT_DEPTH_MAX containers are open at any time;
 * - text handed to str() is valid for the call only, and may hold any bytes;
 * - after an event failed no more events come.
 *
 * What a sink owes: each event returns 0, or -1 with diag set.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Containers inside each other that pass; one more is an error. */
enum { PORT_DEPTH_MAX = 128 };

/** The producer cannot tell how many elements a container will have. */
#define PORT_COUNT_UNKNOWN UINT32_MAX

/** How a container is best written, where the format has a choice. */
enum port_style {
	PORT_STYLE_BLOCK, /* an element a line */
	PORT_STYLE_FLOW,  /* all on one line */
};

/** What a sink understands beyond plain values. */
enum {
	PORT_SINK_ALIASES = 1 << 0, /* has anchor() and alias() */
	PORT_SINK_EXT = 1 << 1,     /* has a form for extension values */
};

struct port_sink;

/** The events. All are present but those that a flag announces. */
struct port_sink_ops {
	int (*nil)(struct port_sink *s);
	int (*boolean)(struct port_sink *s, bool value);
	int (*sint)(struct port_sink *s, int64_t value);
	int (*uint)(struct port_sink *s, uint64_t value);
	int (*real)(struct port_sink *s, double value);
	int (*real32)(struct port_sink *s, float value);
	int (*str)(struct port_sink *s, const char *data, size_t size);
	int (*bin)(struct port_sink *s, const char *data, size_t size);
	int (*ext)(struct port_sink *s, int8_t type, const char *data,
		   size_t size);
	int (*array)(struct port_sink *s, uint32_t count,
		     enum port_style style);
	int (*map)(struct port_sink *s, uint32_t count, enum port_style style);
	int (*end)(struct port_sink *s);
	/** The next value may be meant again, by alias(id). */
	int (*anchor)(struct port_sink *s, unsigned id);
	/** The very value of that anchor, which may still be open. */
	int (*alias)(struct port_sink *s, unsigned id);
};

/** The first field of every sink. */
struct port_sink {
	const struct port_sink_ops *ops;
	unsigned flags; /* PORT_SINK_* */
};

static inline int port_nil(struct port_sink *s)
{
	return s->ops->nil(s);
}

static inline int port_boolean(struct port_sink *s, bool value)
{
	return s->ops->boolean(s, value);
}

static inline int port_sint(struct port_sink *s, int64_t value)
{
	return s->ops->sint(s, value);
}

static inline int port_uint(struct port_sink *s, uint64_t value)
{
	return s->ops->uint(s, value);
}

static inline int port_real(struct port_sink *s, double value)
{
	return s->ops->real(s, value);
}

static inline int port_real32(struct port_sink *s, float value)
{
	return s->ops->real32(s, value);
}

static inline int port_str(struct port_sink *s, const char *data, size_t size)
{
	return s->ops->str(s, data, size);
}

static inline int port_bin(struct port_sink *s, const char *data, size_t size)
{
	return s->ops->bin(s, data, size);
}

static inline int port_ext(struct port_sink *s, int8_t type, const char *data,
			   size_t size)
{
	return s->ops->ext(s, type, data, size);
}

static inline int port_array(struct port_sink *s, uint32_t count,
			     enum port_style style)
{
	return s->ops->array(s, count, style);
}

static inline int port_map(struct port_sink *s, uint32_t count,
			   enum port_style style)
{
	return s->ops->map(s, count, style);
}

static inline int port_end(struct port_sink *s)
{
	return s->ops->end(s);
}

static inline int port_anchor(struct port_sink *s, unsigned id)
{
	return s->ops->anchor(s, id);
}

static inline int port_alias(struct port_sink *s, unsigned id)
{
	return s->ops->alias(s, id);
}
