/* Where one reply ends and the next begins, for each protocol of the load client. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "http_load.h"

enum {
	/** Room that HTTP/2 takes in a batch: for each request, and once. */
	LOAD_FRAME_HEAD = 9,
	LOAD_CONTROL_ROOM = 1024,
};

/** A request of HTTP/2 whose reply has not come whole. */
struct load_stream {
	bool open;
	int status;
	size_t size;
	char body[LOAD_SMALL_MAX];
};

/** What one connection's framing keeps. */
struct load_framing {
	enum load_protocol protocol;
	size_t same_size; /* LOAD_ECHO, LOAD_WEBSOCKET: bytes of each reply */
	/* LOAD_HTTP2: */
	struct load_stream *streams; /* of the batch, depth of them */
	unsigned count;
	uint32_t first,
		next; /* stream numbers: of the batch, of the one after */
	size_t control_size; /* answers to control frames, to be sent */
	char control[LOAD_CONTROL_ROOM];
};

/** The connection is a new one. */
void load_framing_reset(struct load_framing *f);

/**
 * A batch of @a count requests of HTTP/2, each with the same header block, and
 * before it what is owed; returns its size.
 */
size_t load_http2_batch(struct load_framing *f, const char *block, size_t size,
			unsigned count, char *out);

/**
 * Take what is at the front of data. Returns the bytes it takes, 0 when there
 * is more to come, or -1 with *ret_why set; *ret_whole tells whether that ends
 * a reply.
 */
ssize_t load_frame(struct load_framing *f, const char *data, size_t size,
		   struct load_reply *ret_reply, bool *ret_whole,
		   const char **ret_why);
