/* msgpack in: tells the values of a byte string to a sink. */
#pragma once

#include "port/sink.h"

/**
 * Decode the one value at data..end into @a sink. Lengths and counts are
 * checked against the bytes that are left before they are believed, so that no
 * sink reserves memory for what is not there.
 * Returns 0 and the place behind the value, or -1 with diag set: not valid
 * msgpack, nested too deep, what the sink says.
 */
int mp_decode(const char *data, const char *end, struct port_sink *sink,
	      const char **ret_next);
