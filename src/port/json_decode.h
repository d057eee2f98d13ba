/* JSON in: tells the value of a text to a sink. */
#pragma once

#include "port/sink.h"

struct buf;

struct json_decode_opts {
	int max_depth;         /* containers inside each other, 1..128 */
	bool refuse_nonfinite; /* nan, inf, -inf and infinity, which no
				   standard has, are errors; else numbers */
};

extern const struct json_decode_opts json_decode_default;

/**
 * Decode the JSON text data..end (RFC 8259), all of it, into @a sink. The
 * buffer @a scratch takes strings whose escapes are undone; it is the caller's,
 * so that a sink which jumps away loses nothing. Text
 * must be UTF-8; a byte order mark before it is skipped. Integers that 64 bits
 * hold are exact. Counts are unknown to the sink.
 * Returns 0, or -1 with diag set: no JSON (with line and character), nested
 * too deep, out of memory, what the sink says.
 */
int json_decode(const char *data, const char *end,
		const struct json_decode_opts *opts, struct buf *scratch,
		struct port_sink *sink);
