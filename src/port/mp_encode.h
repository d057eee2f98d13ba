/* msgpack out: a sink that writes into a buffer. */
#pragma once

#include "port/sink.h"

struct buf;

/** A container whose head is written when it ends. */
struct mp_open {
	size_t at;      /* where its head stands in the buffer */
	uint32_t count; /* elements so far */
	bool late;      /* the count was unknown: the head is to be mended */
	bool map;
};

/** The encoder; fields are its own. */
struct mp_encoder {
	struct port_sink sink;
	struct buf *out;
	unsigned depth;
	bool wide; /* heads of unknown count stay 5 bytes long */
	struct mp_open open[PORT_DEPTH_MAX + 1]; /* [0]: outside all */
};

/**
 * Encode into @a out, behind what is there. Every value told to e->sink is
 * appended. Numbers, heads and lengths take the shortest form. An event fails
 * when the buffer cannot grow (OutOfMemory) or something is longer than
 * msgpack can say (IllegalParams); the buffer then ends in part of a value.
 * Nothing to destroy.
 */
void mp_encoder_create(struct mp_encoder *e, struct buf *out);
