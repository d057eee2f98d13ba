/* JSON out: a sink that writes into a buffer. */
#pragma once

#include "port/sink.h"

struct buf;

/** What becomes of bytes that are not UTF-8. */
enum json_utf8 {
	JSON_UTF8_REPLACE, /* each is U+FFFD */
	JSON_UTF8_ERROR,
	JSON_UTF8_PASS, /* as they are: the text is no JSON then */
};

struct json_encode_opts {
	int precision; /* digits of fractions, 1..17 */
	enum json_utf8 utf8;
	bool refuse_nonfinite; /* NaN and infinities are errors, else they are
				  written as nan, inf and -inf */
};

extern const struct json_encode_opts json_encode_default;

/** Where the encoder stands inside a container. */
enum json_place {
	JSON_TOP,
	JSON_ARRAY_FIRST,
	JSON_ARRAY_NEXT,
	JSON_KEY_FIRST,
	JSON_KEY_NEXT,
	JSON_VALUE,
};

/** The encoder; fields are its own. */
struct json_encoder {
	struct port_sink sink;
	struct json_encode_opts opts;
	struct buf *out;
	unsigned depth;
	unsigned char place[PORT_DEPTH_MAX + 1]; /* enum json_place; [0]: top */
};

/**
 * Encode into @a out, behind what is there. Integer keys become strings.
 * An event fails when the buffer cannot grow (OutOfMemory) or JSON has no form
 * for it (IllegalParams): an extension value, a key that is neither string nor
 * integer. The buffer then ends in part of a value. Nothing to destroy.
 */
void json_encoder_create(struct json_encoder *e, struct buf *out,
			 const struct json_encode_opts *opts);
