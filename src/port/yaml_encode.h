/* YAML out: a sink over libyaml's emitter, as Tarantool's console prints. */
#pragma once

#include <yaml.h>

#include "base/buf.h"
#include "port/sink.h"

struct yaml_encode_opts {
	int precision;         /* digits of fractions, 1..17 */
	bool refuse_nonfinite; /* NaN and infinities are errors */
	bool as_console; /* byte for byte as Tarantool's console; else texts
				 * that other readers misread are quoted, too */
	const char *tag_handle; /* a %TAG before the document, or NULL */
	const char *tag_prefix; /* both or none */
};

extern const struct yaml_encode_opts yaml_encode_default;

/** The encoder; fields are its own. */
struct yaml_encoder {
	struct port_sink sink;
	struct yaml_encode_opts opts;
	struct buf *out;
	struct buf text; /* base64 of a binary string */
	yaml_emitter_t emitter;
	unsigned depth;
	unsigned flow_depth; /* of the outermost flow container; 0: none */
	bool map[PORT_DEPTH_MAX + 1];
	char anchor[16]; /* name for the next value, or "" */
};

/**
 * Begin a document in @a out, behind what is there: "---". Tell e->sink one
 * value, then yaml_encoder_finish().
 * Returns 0, or -1 with diag set. On success it must be destroyed.
 */
int yaml_encoder_create(struct yaml_encoder *e, struct buf *out,
			const struct yaml_encode_opts *opts);

/** End the document: "...". Returns 0, or -1 with diag set. */
int yaml_encoder_finish(struct yaml_encoder *e);

void yaml_encoder_destroy(struct yaml_encoder *e);
