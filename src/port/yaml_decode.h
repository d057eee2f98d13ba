/* YAML in: tells the documents of a text to a sink. */
#pragma once

#include <yaml.h>

#include "base/buf.h"
#include "port/sink.h"

struct yaml_decode_opts {
	int max_depth;         /* containers inside each other, 1..128 */
	size_t max_size;       /* bytes of text; also of what aliases make of
				  it in a sink that has no aliases */
	bool refuse_nonfinite; /* NaN and infinities are errors */
};

extern const struct yaml_decode_opts yaml_decode_default;

struct yaml_anchor;

/** The decoder; fields are its own. */
struct yaml_decoder {
	struct yaml_decode_opts opts;
	yaml_parser_t parser;
	yaml_event_t event;
	bool has_event;
	unsigned documents; /* begun so far */
	unsigned anchors;   /* ids given out in this document */
	int depth;
	size_t weight;  /* bytes and values of this document, each alias
			       counted as what it stands for */
	size_t aliased; /* what of it came by aliases */
	struct yaml_anchor *names; /* hash table of this document's */
	struct yaml_anchor *open[PORT_DEPTH_MAX + 1]; /* each container's */
	bool map[PORT_DEPTH_MAX + 1];
	struct buf binary;  /* what a !!binary stands for */
	struct buf scratch; /* the document in msgpack */
};

/**
 * Prepare to read @a size bytes, which must stay. Returns 0, or -1 with diag
 * set: longer than allowed, out of memory. On success it must be destroyed.
 */
int yaml_decoder_create(struct yaml_decoder *d, const char *text, size_t size,
			const struct yaml_decode_opts *opts);

/**
 * Tell the next document to @a sink. Plain scalars are resolved as
 * yaml_scalar.h says, an empty one is an empty string; of tags !!str, !!int,
 * !!float, !!bool, !!null and !!binary are minded. Aliases are told to a sink
 * that knows them; for others the value is told again, within opts.max_size.
 * Returns 1; 0 at the end of the text; -1 with diag set (the place is named).
 */
int yaml_decode_next(struct yaml_decoder *d, struct port_sink *sink);

/**
 * Instead of that: the first document's %TAG, valid until the decoder is
 * destroyed; NULLs if it has none. Returns 0, or -1 with diag set.
 */
int yaml_decode_tag(struct yaml_decoder *d, const char **ret_handle,
		    const char **ret_prefix);

void yaml_decoder_destroy(struct yaml_decoder *d);
