/* YAML out. See yaml_encode.h. */
#include "port/yaml_encode.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/diag.h"
#include "base/utf8.h"
#include "port/base64.h"
#include "port/number.h"
#include "port/yaml_scalar.h"

const struct yaml_encode_opts yaml_encode_default = {
	.precision = NUMBER_PRECISION,
};

static struct yaml_encoder *encoder(struct port_sink *s)
{
	return (struct yaml_encoder *)s; /* sink comes first */
}

static yaml_char_t *chars(const char *s)
{
	return (yaml_char_t *)s;
}

static int no_memory(struct yaml_encoder *e)
{
	diag_set(OutOfMemory, "yaml: no room for more than %zu bytes",
		 e->out->size);
	return -1;
}

/* Emit an event that was made (or not: @a made is what its maker said). */
static int emit(struct yaml_encoder *e, yaml_event_t *ev, int made)
{
	if (made && yaml_emitter_emit(&e->emitter, ev))
		return 0;
	if (!made || e->emitter.error != YAML_EMITTER_ERROR)
		return no_memory(e);
	diag_set(IllegalParams, "yaml: %s", e->emitter.problem);
	return -1;
}

/* The anchor asked for, which goes with this event; or NULL. */
static yaml_char_t *take_anchor(struct yaml_encoder *e, char *name)
{
	if (e->anchor[0] == '\0')
		return NULL;
	memcpy(name, e->anchor, sizeof e->anchor);
	e->anchor[0] = '\0';
	return chars(name);
}

static int too_long(size_t size)
{
	diag_set(IllegalParams, "yaml: a string of %zu bytes is too long",
		 size);
	return -1;
}

static int put(struct yaml_encoder *e, const char *tag, const char *text,
	       size_t size, yaml_scalar_style_t style)
{
	char name[sizeof e->anchor];
	yaml_char_t *anchor = take_anchor(e, name);
	yaml_event_t ev;

	if (size > INT32_MAX / 2)
		return too_long(size);
	return emit(e, &ev,
		    yaml_scalar_event_initialize(
			    &ev, anchor, chars(tag), chars(text), (int)size,
			    tag == NULL, tag == NULL, style));
}

static int put_plain(struct yaml_encoder *e, const char *text, size_t size)
{
	return put(e, NULL, text, size, YAML_PLAIN_SCALAR_STYLE);
}

static int on_nil(struct port_sink *s)
{
	return put_plain(encoder(s), "null", 4);
}

static int on_boolean(struct port_sink *s, bool value)
{
	return put_plain(encoder(s), value ? "true" : "false", value ? 4 : 5);
}

static int on_sint(struct port_sink *s, int64_t value)
{
	char text[NUMBER_TEXT_MAX];

	return put_plain(encoder(s), text, number_put_sint(text, value));
}

static int on_uint(struct port_sink *s, uint64_t value)
{
	char text[NUMBER_TEXT_MAX];

	return put_plain(encoder(s), text, number_put_uint(text, value));
}

static int on_real(struct port_sink *s, double value)
{
	struct yaml_encoder *e = encoder(s);
	char text[NUMBER_TEXT_MAX];

	if (e->opts.refuse_nonfinite && !isfinite(value)) {
		diag_set(IllegalParams,
			 "yaml: a number must not be NaN or infinite");
		return -1;
	}
	if (e->opts.as_console && isnan(value) && signbit(value))
		return put_plain(e, "-nan", 4);
	return put_plain(e, text,
			 number_put_real(text, value, e->opts.precision));
}

static int on_real32(struct port_sink *s, float value)
{
	return on_real(s, (double)value);
}

static int on_bin(struct port_sink *s, const char *data, size_t size)
{
	struct yaml_encoder *e = encoder(s);

	if (size > INT32_MAX / 2)
		return too_long(size);
	e->text.size = 0;
	if (base64_encode(&e->text, data, size) != 0)
		return no_memory(e);
	return put(e, "tag:yaml.org,2002:binary",
		   e->text.size > 0 ? e->text.data : "", e->text.size,
		   YAML_PLAIN_SCALAR_STYLE);
}

/* Does libyaml know already that it is inside "[..]" or "{..}"? It lags behind, and
 * Tarantool asks it. */
static bool is_flow(const yaml_emitter_t *em)
{
	for (const yaml_event_t *ev = em->events.head; ev != em->events.tail;
	     ev++) {
		if ((ev->type == YAML_SEQUENCE_START_EVENT &&
		     ev->data.sequence_start.style ==
			     YAML_FLOW_SEQUENCE_STYLE) ||
		    (ev->type == YAML_MAPPING_START_EVENT &&
		     ev->data.mapping_start.style == YAML_FLOW_MAPPING_STYLE))
			return true;
	}
	return em->flow_level > 0;
}

/* Tarantool quotes what it would itself read as something else, and writes lines out
 * when there is an empty one among them. */
static yaml_scalar_style_t console_style(const char *data, size_t size)
{
	if (size > 0 && yaml_is_no_string(data, size))
		return YAML_SINGLE_QUOTED_SCALAR_STYLE;
	if (memmem(data, size, "\n\n", 2) != NULL)
		return YAML_LITERAL_SCALAR_STYLE;
	return YAML_ANY_SCALAR_STYLE;
}

static yaml_scalar_style_t str_style(const struct yaml_encoder *e,
				     const char *data, size_t size)
{
	if (e->opts.as_console)
		return is_flow(&e->emitter) ? YAML_SINGLE_QUOTED_SCALAR_STYLE
					    : console_style(data, size);
	if (e->flow_depth != 0 || yaml_needs_quotes(data, size))
		return YAML_SINGLE_QUOTED_SCALAR_STYLE;
	if (memchr(data, '\n', size) != NULL)
		return YAML_LITERAL_SCALAR_STYLE;
	return YAML_ANY_SCALAR_STYLE; /* plain where the emitter can */
}

static int on_str(struct port_sink *s, const char *data, size_t size)
{
	struct yaml_encoder *e = encoder(s);

	if (utf8_valid(data, size) != size ||
	    (e->opts.as_console && !utf8_is_shown(data, size)))
		return on_bin(s, data, size);
	return put(e, NULL, data, size, str_style(e, data, size));
}

static int on_ext(struct port_sink *s, int8_t type, const char *data,
		  size_t size)
{
	(void)s;
	(void)data;
	(void)size;
	diag_set(IllegalParams,
		 "yaml: extension values (this one of type %d) "
		 "have no form in YAML",
		 type);
	return -1;
}

static void enter(struct yaml_encoder *e, bool map, enum port_style style)
{
	assert(e->depth < PORT_DEPTH_MAX);
	e->map[++e->depth] = map;
	if (style == PORT_STYLE_FLOW && e->flow_depth == 0)
		e->flow_depth = e->depth;
}

static int on_array(struct port_sink *s, uint32_t count, enum port_style style)
{
	struct yaml_encoder *e = encoder(s);
	char name[sizeof e->anchor];
	yaml_char_t *anchor = take_anchor(e, name);
	yaml_event_t ev;

	(void)count;
	enter(e, false, style);
	return emit(e, &ev,
		    yaml_sequence_start_event_initialize(
			    &ev, anchor, NULL, 1,
			    style == PORT_STYLE_FLOW
				    ? YAML_FLOW_SEQUENCE_STYLE
				    : YAML_BLOCK_SEQUENCE_STYLE));
}

static int on_map(struct port_sink *s, uint32_t count, enum port_style style)
{
	struct yaml_encoder *e = encoder(s);
	char name[sizeof e->anchor];
	yaml_char_t *anchor = take_anchor(e, name);
	yaml_event_t ev;

	(void)count;
	enter(e, true, style);
	return emit(e, &ev,
		    yaml_mapping_start_event_initialize(
			    &ev, anchor, NULL, 1,
			    style == PORT_STYLE_FLOW
				    ? YAML_FLOW_MAPPING_STYLE
				    : YAML_BLOCK_MAPPING_STYLE));
}

static int on_end(struct port_sink *s)
{
	struct yaml_encoder *e = encoder(s);
	bool map = e->map[e->depth];
	yaml_event_t ev;

	if (e->flow_depth == e->depth)
		e->flow_depth = 0;
	e->depth--;
	return emit(e, &ev,
		    map ? yaml_mapping_end_event_initialize(&ev)
			: yaml_sequence_end_event_initialize(&ev));
}

static int on_anchor(struct port_sink *s, unsigned id)
{
	struct yaml_encoder *e = encoder(s);

	snprintf(e->anchor, sizeof e->anchor, "%u", id);
	return 0;
}

static int on_alias(struct port_sink *s, unsigned id)
{
	yaml_event_t ev;
	char name[16];

	snprintf(name, sizeof name, "%u", id);
	return emit(encoder(s), &ev,
		    yaml_alias_event_initialize(&ev, chars(name)));
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
	.anchor = on_anchor,
	.alias = on_alias,
};

static int write_out(void *arg, unsigned char *data, size_t size)
{
	struct buf *out = arg;

	return buf_append(out, data, size) == 0;
}

static int begin_document(struct yaml_encoder *e)
{
	yaml_tag_directive_t tag = {
		.handle = chars(e->opts.tag_handle),
		.prefix = chars(e->opts.tag_prefix),
	};
	yaml_event_t ev;

	if (emit(e, &ev,
		 yaml_stream_start_event_initialize(&ev, YAML_UTF8_ENCODING)) !=
	    0)
		return -1;
	return emit(e, &ev,
		    yaml_document_start_event_initialize(
			    &ev, NULL, &tag,
			    tag.handle == NULL ? &tag : &tag + 1, 0));
}

int yaml_encoder_create(struct yaml_encoder *e, struct buf *out,
			const struct yaml_encode_opts *opts)
{
	e->sink.ops = &ops;
	e->sink.flags = PORT_SINK_ALIASES;
	e->opts = *opts;
	e->out = out;
	e->text = (struct buf){ 0 };
	e->depth = e->flow_depth = 0;
	e->anchor[0] = '\0';
	if (!yaml_emitter_initialize(&e->emitter))
		return no_memory(e);
	yaml_emitter_set_unicode(&e->emitter, 1);
	yaml_emitter_set_indent(&e->emitter, 2);
	yaml_emitter_set_break(&e->emitter, YAML_LN_BREAK);
	yaml_emitter_set_output(&e->emitter, write_out, out);
	if (begin_document(e) != 0) {
		yaml_encoder_destroy(e);
		return -1;
	}
	return 0;
}

int yaml_encoder_finish(struct yaml_encoder *e)
{
	yaml_event_t ev;

	if (emit(e, &ev, yaml_document_end_event_initialize(&ev, 0)) != 0 ||
	    emit(e, &ev, yaml_stream_end_event_initialize(&ev)) != 0)
		return -1;
	return yaml_emitter_flush(&e->emitter) ? 0 : no_memory(e);
}

void yaml_encoder_destroy(struct yaml_encoder *e)
{
	yaml_emitter_delete(&e->emitter);
	buf_destroy(&e->text);
}
