/*
 * YAML in. See yaml_decode.h.
 *
 * A sink without aliases gets what they stand for. A document with an alias
 * could then grow beyond measure, and its anchors end later than they begin; so
 * for such a sink every document is first written as msgpack into a limited
 * buffer, where an alias is a copy of bytes, and told from there.
 */
#include "port/yaml_decode.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "base/diag.h"
#include "base/inject.h"
#include "port/base64.h"
#include "port/mp_decode.h"
#include "port/mp_encode.h"
#include "port/yaml_scalar.h"

const struct yaml_decode_opts yaml_decode_default = {
	.max_depth = PORT_DEPTH_MAX,
	.max_size = 64 << 20,
};

/** A named value. */
struct yaml_anchor {
	UT_hash_handle hh;
	unsigned id;
	bool open;         /* its value has not ended yet */
	size_t start, end; /* the value's bytes, when written as msgpack */
	size_t weight;     /* until its end: the document's at its start */
	char name[];
};

/*
 * What aliases may add to a document, as its weight. A sink that shares values
 * tells an alias for nothing, but whoever walks the result, to print or to send
 * it, meets each value as often as it is meant: a few lines of aliases of
 * aliases would keep him busy for hours.
 */
enum { ALIAS_WEIGHT_MAX = 16 << 20 };

/* Where a document's events go. */
struct target {
	struct yaml_decoder *d;
	struct port_sink *sink;
	struct buf *bytes; /* NULL when the sink knows aliases */
};

static int fail_at(const struct yaml_decoder *d, const yaml_mark_t *mark,
		   const char *problem, const char *name)
{
	diag_set(ClientError,
		 "yaml: %s%s at document: %u, line: %zu, column: %zu", problem,
		 name, d->documents, mark->line + 1, mark->column + 1);
	return -1;
}

/* Fail at the event at hand. */
static int fail(const struct yaml_decoder *d, const char *problem)
{
	return fail_at(d, &d->event.start_mark, problem, "");
}

static int no_memory(void)
{
	diag_set(OutOfMemory, "yaml: not enough memory to read");
	return -1;
}

static void drop_event(struct yaml_decoder *d)
{
	if (d->has_event)
		yaml_event_delete(&d->event);
	d->has_event = false;
}

static int next_event(struct yaml_decoder *d)
{
	yaml_parser_t *p = &d->parser;

	drop_event(d);
	if (yaml_parser_parse(p, &d->event)) {
		d->has_event = true;
		return 0;
	}
	if (p->error == YAML_MEMORY_ERROR)
		return no_memory();
	if (p->error == YAML_READER_ERROR) {
		diag_set(ClientError, "yaml: %s at offset %zu of the text",
			 p->problem, p->problem_offset);
		return -1;
	}
	return fail_at(d, &p->problem_mark,
		       p->problem != NULL ? p->problem : "not YAML", "");
}

static void forget_anchors(struct yaml_decoder *d)
{
	struct yaml_anchor *a, *tmp;

	HASH_ITER(hh, d->names, a, tmp) {
		HASH_DEL(d->names, a);
		mem_free(a);
	}
	d->anchors = 0;
	d->weight = d->aliased = 0;
}

/* The anchor @a name, fresh: a name given again is another value's. */
static struct yaml_anchor *make_anchor(struct yaml_decoder *d, const char *name)
{
	size_t size = strlen(name);
	struct yaml_anchor *a;

	HASH_FIND(hh, d->names, name, size, a);
	if (a == NULL) {
		a = mem_zalloc(sizeof *a + size + 1);
		if (a == NULL)
			return NULL;
		memcpy(a->name, name, size + 1);
		HASH_ADD_KEYPTR(hh, d->names, a->name, size, a);
		if (a->hh.tbl == NULL) {
			mem_free(a);
			return NULL;
		}
	} else if (a->open) {
		/* An outer value of that name goes on without it. */
		for (int i = 1; i <= d->depth; i++) {
			if (d->open[i] == a)
				d->open[i] = NULL;
		}
	}
	a->id = d->anchors++;
	a->open = true;
	return a;
}

/* Begin the value of the anchor @a name, if there is one. */
static int begin_anchor(struct target *t, const yaml_char_t *name,
			struct yaml_anchor **ret)
{
	struct yaml_anchor *a;

	*ret = NULL;
	if (name == NULL)
		return 0;
	a = make_anchor(t->d, (const char *)name);
	if (a == NULL)
		return no_memory();
	*ret = a;
	a->weight = t->d->weight;
	if (t->bytes == NULL)
		return port_anchor(t->sink, a->id);
	a->start = t->bytes->size;
	return 0;
}

static void end_anchor(struct target *t, struct yaml_anchor *a)
{
	if (a == NULL)
		return;
	a->open = false;
	a->weight = t->d->weight - a->weight;
	if (t->bytes != NULL)
		a->end = t->bytes->size;
}

/* The copy of an anchor's bytes is one value of the open container. */
static int tell_copy(struct target *t, const struct yaml_anchor *a)
{
	struct mp_encoder *e = (struct mp_encoder *)t->sink;
	size_t size = a->end - a->start;
	char *to = buf_reserve(t->bytes, size);

	if (to == NULL)
		return fail(t->d, "the aliases up to here make a document "
				  "larger than the limit");
	memcpy(to, t->bytes->data + a->start, size);
	t->bytes->size += size;
	e->open[e->depth].count++;
	return 0;
}

static int tell_alias(struct target *t)
{
	const char *name = (const char *)t->d->event.data.alias.anchor;
	struct yaml_anchor *a;

	HASH_FIND(hh, t->d->names, name, strlen(name), a);
	if (a == NULL)
		return fail_at(t->d, &t->d->event.start_mark,
			       "invalid reference: ", name);
	if (t->bytes == NULL) {
		if (!a->open) {
			t->d->weight += a->weight;
			t->d->aliased += a->weight;
		}
		if (t->d->aliased > ALIAS_WEIGHT_MAX)
			return fail(t->d, "the aliases up to here make a "
					  "document larger than the limit");
		return port_alias(t->sink, a->id);
	}
	if (a->open)
		return fail(t->d, "a value that contains itself");
	return tell_copy(t, a);
}

static int tell_number(struct target *t, const struct number *n)
{
	if (t->d->opts.refuse_nonfinite && n->kind == NUMBER_REAL &&
	    !isfinite(n->real))
		return fail(t->d, "a number must not be NaN or infinite");
	return number_tell(n, t->sink);
}

static int tell_binary(struct target *t, const char *s, size_t size)
{
	struct buf *b = &t->d->binary;

	b->size = 0;
	switch (base64_decode(b, s, size)) {
	case 0:
		return port_bin(t->sink, b->size > 0 ? b->data : "", b->size);
	case -EINVAL:
		return fail(t->d, "not base64 behind !!binary");
	default:
		return no_memory();
	}
}

static int tell_plain(struct target *t, const char *s, size_t size)
{
	struct yaml_scalar v;

	yaml_resolve(s, size, &v);
	switch (v.kind) {
	case YAML_NIL:
		return port_nil(t->sink);
	case YAML_BOOLEAN:
		return port_boolean(t->sink, v.boolean);
	case YAML_NUMBER:
		return tell_number(t, &v.number);
	default:
		return port_str(t->sink, s, size);
	}
}

/* A scalar with one of the tags of YAML itself. Returns 1: no such tag. */
static int tell_tagged(struct target *t, const char *tag, const char *s,
		       size_t size)
{
	static const char prefix[] = "tag:yaml.org,2002:";
	struct yaml_scalar v;

	if (strncmp(tag, prefix, sizeof prefix - 1) != 0)
		return 1;
	tag += sizeof prefix - 1;
	if (strcmp(tag, "str") == 0)
		return port_str(t->sink, s, size);
	if (strcmp(tag, "binary") == 0)
		return tell_binary(t, s, size);
	if (strcmp(tag, "null") == 0)
		return port_nil(t->sink);
	yaml_resolve(s, size, &v);
	if (strcmp(tag, "bool") == 0) {
		if (v.kind != YAML_BOOLEAN)
			return fail(t->d, "no boolean behind !!bool");
		return port_boolean(t->sink, v.boolean);
	}
	if (strcmp(tag, "int") == 0) {
		if (v.kind != YAML_NUMBER || v.number.kind == NUMBER_REAL)
			return fail(t->d, "no 64-bit integer behind !!int");
		return tell_number(t, &v.number);
	}
	if (strcmp(tag, "float") == 0) {
		if (v.kind != YAML_NUMBER)
			return fail(t->d, "no number behind !!float");
		return tell_number(t, &v.number);
	}
	return 1;
}

static int tell_scalar(struct target *t)
{
	const char *s = (const char *)t->d->event.data.scalar.value;
	const char *tag = (const char *)t->d->event.data.scalar.tag;
	size_t size = t->d->event.data.scalar.length;
	struct yaml_anchor *a;
	int rc = 1;

	if (begin_anchor(t, t->d->event.data.scalar.anchor, &a) != 0)
		return -1;
	t->d->weight += size + 1;
	if (tag != NULL)
		rc = tell_tagged(t, tag, s, size);
	if (rc == 1) {
		if (t->d->event.data.scalar.plain_implicit &&
		    t->d->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
			rc = tell_plain(t, s, size);
		else
			rc = port_str(t->sink, s, size);
	}
	end_anchor(t, a);
	return rc;
}

static int tell_begin(struct target *t, bool map)
{
	struct yaml_decoder *d = t->d;
	yaml_char_t *name = map ? d->event.data.mapping_start.anchor
				: d->event.data.sequence_start.anchor;
	struct yaml_anchor *a;

	if (d->depth >= d->opts.max_depth)
		return fail(d, "nested too deep");
	if (begin_anchor(t, name, &a) != 0)
		return -1;
	d->weight++;
	d->open[++d->depth] = a;
	d->map[d->depth] = map;
	return map ? port_map(t->sink, PORT_COUNT_UNKNOWN, PORT_STYLE_BLOCK)
		   : port_array(t->sink, PORT_COUNT_UNKNOWN, PORT_STYLE_BLOCK);
}

static int tell_end(struct target *t)
{
	struct yaml_decoder *d = t->d;

	if (port_end(t->sink) != 0)
		return -1;
	end_anchor(t, d->open[d->depth--]);
	return 0;
}

/* The document that has begun, up to its end. */
static int tell_document(struct target *t)
{
	struct yaml_decoder *d = t->d;
	int rc = 0;

	for (;;) {
		if (next_event(d) != 0)
			return -1;
		switch (d->event.type) {
		case YAML_DOCUMENT_END_EVENT:
			return 0;
		case YAML_SCALAR_EVENT:
			rc = tell_scalar(t);
			break;
		case YAML_ALIAS_EVENT:
			rc = tell_alias(t);
			break;
		case YAML_SEQUENCE_START_EVENT:
			rc = tell_begin(t, false);
			break;
		case YAML_MAPPING_START_EVENT:
			rc = tell_begin(t, true);
			break;
		case YAML_SEQUENCE_END_EVENT:
		case YAML_MAPPING_END_EVENT:
			rc = tell_end(t);
			break;
		default:
			rc = fail(d, "not what belongs into a document");
		}
		if (rc != 0)
			return -1;
	}
}

/* For a sink that has no aliases: by way of msgpack. */
static int tell_expanded(struct yaml_decoder *d, struct port_sink *sink)
{
	struct mp_encoder e;
	struct target t = { .d = d, .sink = &e.sink, .bytes = &d->scratch };
	const char *next;

	d->scratch.size = 0;
	/* Five bytes a container is the most that a text grows by itself. */
	d->scratch.limit = 5 * d->opts.max_size + 64;
	mp_encoder_create(&e, &d->scratch);
	e.wide = true; /* anchors know their bytes by place */
	if (tell_document(&t) != 0)
		return -1;
	return mp_decode(d->scratch.data, d->scratch.data + d->scratch.size,
			 sink, &next);
}

/* To the begin of the next document. Returns 1, 0: there is none, or -1. */
static int begin_document(struct yaml_decoder *d)
{
	do {
		if (next_event(d) != 0)
			return -1;
	} while (d->event.type == YAML_STREAM_START_EVENT);
	if (d->event.type != YAML_DOCUMENT_START_EVENT)
		return 0;
	d->documents++;
	return 1;
}

int yaml_decode_next(struct yaml_decoder *d, struct port_sink *sink)
{
	struct target t = { .d = d, .sink = sink };
	int rc = begin_document(d);

	if (rc != 1)
		return rc;
	forget_anchors(d);
	d->depth = 0;
	rc = sink->flags & PORT_SINK_ALIASES ? tell_document(&t)
					     : tell_expanded(d, sink);
	return rc == 0 ? 1 : -1;
}

int yaml_decode_tag(struct yaml_decoder *d, const char **ret_handle,
		    const char **ret_prefix)
{
	yaml_tag_directive_t *first = NULL, *end = NULL;
	int rc = begin_document(d);

	if (rc < 0)
		return -1;
	if (rc == 1) {
		first = d->event.data.document_start.tag_directives.start;
		end = d->event.data.document_start.tag_directives.end;
	}
	if (end - first > 1)
		return fail(d, "can not decode multiple tags");
	*ret_handle = first < end ? (const char *)first->handle : NULL;
	*ret_prefix = first < end ? (const char *)first->prefix : NULL;
	return 0;
}

int yaml_decoder_create(struct yaml_decoder *d, const char *text, size_t size,
			const struct yaml_decode_opts *opts)
{
	assert(opts->max_depth <= PORT_DEPTH_MAX);
	if (size > opts->max_size) {
		diag_set(ClientError,
			 "yaml: a text of %zu bytes: the limit "
			 "is %zu",
			 size, opts->max_size);
		return -1;
	}
	memset(d, 0, sizeof *d);
	d->opts = *opts;
	if (!yaml_parser_initialize(&d->parser))
		return no_memory();
	yaml_parser_set_input_string(&d->parser, (const yaml_char_t *)text,
				     size);
	return 0;
}

void yaml_decoder_destroy(struct yaml_decoder *d)
{
	drop_event(d);
	forget_anchors(d);
	yaml_parser_delete(&d->parser);
	buf_destroy(&d->binary);
	buf_destroy(&d->scratch);
}
