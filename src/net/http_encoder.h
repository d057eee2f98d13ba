/*
 * Bodies made smaller: gzip, brotli and zstd. The libraries are loaded when they are
 * first wanted, for who does not compress shall not wait for them at the start.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct buf;
struct http_encoder;

enum http_coding {
	HTTP_CODING_GZIP,
	HTTP_CODING_BROTLI,
	HTTP_CODING_ZSTD,
	HTTP_CODING_DEFLATE, /* of no header's: messages of WebSocket */
};

/**
 * One body's encoder; with HTTP_CODING_DEFLATE one for messages: each feed is one,
 * without the four bytes that all end with, and refers to those before. @a level: 1
 * (fast) to 9; @a bits: of its window, 8 to 15, which no other coding asks for. Returns
 * NULL: out of memory, or the library is not there: *ret_why says so, a static text.
 */
struct http_encoder *http_encoder_new(enum http_coding coding, int level,
				      int bits, const char **ret_why);

/**
 * Append to @a out what @a size bytes more become, all of them, so that the peer
 * can read them at once; @a last: no more will come. On any thread. Returns 0 or
 * UV_ENOMEM, and it is over. Its memory, up to a megabyte, is held from the first one
 * to the last.
 */
int http_encoder_feed(struct http_encoder *e, const char *data, size_t size,
		      bool last, struct buf *out);

/** NULL is fine. */
void http_encoder_delete(struct http_encoder *e);
