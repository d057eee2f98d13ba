/*
 * A sink for tests: writes each event as text, checks what a producer owes,
 * and fails on demand.
 *
 *   nil true 1s 2u 0.5r 0.5f 'str' b'bin' e7'ext' [3 .. ] {? .. } &0 *0
 */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/diag.h"
#include "port/sink.h"

struct trace_sink {
	struct port_sink sink;
	struct buf text;
	long fail_after; /* events that pass before one fails; -1: all pass */
	long events;
	const char *broken; /* what the producer did wrong, or NULL */
	int depth;
	struct {
		uint32_t count, got;
		bool map;
	} open[PORT_DEPTH_MAX + 2];
};

static inline int trace_event(struct trace_sink *t)
{
	if (t->events++ == t->fail_after) {
		diag_set(ClientError, "the sink is full");
		return -1;
	}
	if (t->fail_after >= 0 && t->events > t->fail_after + 1)
		t->broken = "an event after a failed one";
	return 0;
}

static inline int trace_value(struct trace_sink *t)
{
	t->open[t->depth].got++;
	return trace_event(t);
}

static inline void trace_data(struct trace_sink *t, const char *lead,
			      const char *data, size_t size)
{
	buf_printf(&t->text, "%s'", lead);
	for (size_t i = 0; i < size; i++) {
		unsigned char c = (unsigned char)data[i];

		buf_printf(&t->text,
			   c < 0x20 || c >= 0x7f || c == '\'' ? "\\x%02x"
							      : "%c",
			   c);
	}
	buf_puts(&t->text, "' ");
}

#define TRACE(s) ((struct trace_sink *)(s))

static inline int trace_nil(struct port_sink *s)
{
	buf_puts(&TRACE(s)->text, "nil ");
	return trace_value(TRACE(s));
}

static inline int trace_boolean(struct port_sink *s, bool v)
{
	buf_puts(&TRACE(s)->text, v ? "true " : "false ");
	return trace_value(TRACE(s));
}

static inline int trace_sint(struct port_sink *s, int64_t v)
{
	buf_printf(&TRACE(s)->text, "%llds ", (long long)v);
	return trace_value(TRACE(s));
}

static inline int trace_uint(struct port_sink *s, uint64_t v)
{
	buf_printf(&TRACE(s)->text, "%lluu ", (unsigned long long)v);
	return trace_value(TRACE(s));
}

static inline int trace_real(struct port_sink *s, double v)
{
	buf_printf(&TRACE(s)->text, "%.17gr ", v);
	return trace_value(TRACE(s));
}

static inline int trace_real32(struct port_sink *s, float v)
{
	buf_printf(&TRACE(s)->text, "%.9gf ", (double)v);
	return trace_value(TRACE(s));
}

static inline int trace_str(struct port_sink *s, const char *data, size_t size)
{
	trace_data(TRACE(s), "", data, size);
	return trace_value(TRACE(s));
}

static inline int trace_bin(struct port_sink *s, const char *data, size_t size)
{
	trace_data(TRACE(s), "b", data, size);
	return trace_value(TRACE(s));
}

static inline int trace_ext(struct port_sink *s, int8_t type, const char *data,
			    size_t size)
{
	buf_printf(&TRACE(s)->text, "e%d", type);
	trace_data(TRACE(s), "", data, size);
	return trace_value(TRACE(s));
}

static inline int trace_open(struct trace_sink *t, bool map, uint32_t count,
			     enum port_style style)
{
	int rc = trace_value(t);

	if (++t->depth > PORT_DEPTH_MAX) {
		t->broken = "more open containers than allowed";
		t->depth--;
		return -1;
	}
	t->open[t->depth].count = count;
	t->open[t->depth].got = 0;
	t->open[t->depth].map = map;
	if (style == PORT_STYLE_FLOW)
		buf_putc(&t->text, '~');
	if (count == PORT_COUNT_UNKNOWN)
		buf_puts(&t->text, map ? "{? " : "[? ");
	else
		buf_printf(&t->text, map ? "{%u " : "[%u ", count);
	return rc;
}

static inline int trace_array(struct port_sink *s, uint32_t count,
			      enum port_style style)
{
	return trace_open(TRACE(s), false, count, style);
}

static inline int trace_map(struct port_sink *s, uint32_t count,
			    enum port_style style)
{
	return trace_open(TRACE(s), true, count, style);
}

static inline int trace_end(struct port_sink *s)
{
	struct trace_sink *t = TRACE(s);
	uint32_t got = t->open[t->depth].got, count = t->open[t->depth].count;
	bool map = t->open[t->depth].map;

	if (t->depth == 0) {
		t->broken = "an end without a begin";
		return -1;
	}
	if (map && got % 2 != 0)
		t->broken = "a key without a value";
	if (count != PORT_COUNT_UNKNOWN && (map ? got / 2 : got) != count)
		t->broken = "another count than announced";
	t->depth--;
	buf_puts(&t->text, map ? "} " : "] ");
	return trace_event(t);
}

static inline int trace_anchor(struct port_sink *s, unsigned id)
{
	buf_printf(&TRACE(s)->text, "&%u ", id);
	return trace_event(TRACE(s));
}

static inline int trace_alias(struct port_sink *s, unsigned id)
{
	buf_printf(&TRACE(s)->text, "*%u ", id);
	return trace_value(TRACE(s));
}

static inline void trace_create(struct trace_sink *t, unsigned flags)
{
	static const struct port_sink_ops ops = {
		.nil = trace_nil,
		.boolean = trace_boolean,
		.sint = trace_sint,
		.uint = trace_uint,
		.real = trace_real,
		.real32 = trace_real32,
		.str = trace_str,
		.bin = trace_bin,
		.ext = trace_ext,
		.array = trace_array,
		.map = trace_map,
		.end = trace_end,
		.anchor = trace_anchor,
		.alias = trace_alias,
	};

	memset(t, 0, sizeof *t);
	t->sink.ops = &ops;
	t->sink.flags = flags;
	t->fail_after = -1;
}

/* The text so far, without the last space, ending in a NUL. */
static inline const char *trace_text(struct trace_sink *t)
{
	if (t->text.size > 0 && t->text.data[t->text.size - 1] == ' ')
		t->text.size--;
	buf_putc(&t->text, '\0');
	t->text.size--;
	return t->text.data;
}

static inline void trace_destroy(struct trace_sink *t)
{
	buf_destroy(&t->text);
}
