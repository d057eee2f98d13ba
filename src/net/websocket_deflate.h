/*
 * The extension of WebSocket that makes messages smaller: permessage-deflate
 * (RFC 7692). What both sides agree on, and the way back of what was deflated; the way
 * there is http_encoder_new_deflate()'s.
 *
 * A side that keeps its context refers to messages it has sent before: it compresses
 * better, and both hold memory for it between messages.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;

enum {
	WEBSOCKET_BITS_MIN = 9, /* zlib has no window of 8 bits */
	WEBSOCKET_BITS_MAX = 15,
	WEBSOCKET_DEFLATE_TEXT = 160, /* an offer or an answer, and its NUL */
	WEBSOCKET_INFLATE_STEP = 4096,
};

/** What one side would like. */
struct websocket_deflate_wish {
	bool wanted;  /* to begin with */
	bool context; /* both may keep theirs */
	uint8_t bits; /* the largest window: its logarithm */
};

/** What was agreed on, as one side sees it. */
struct websocket_deflate {
	bool agreed;
	bool keep_ours;
	bool keep_theirs;
	uint8_t our_bits; /* 8 for 9, too: zlib does not use all of a window */
	uint8_t their_bits;
};

/**
 * A server: the first offer in @a value, a field of the request, that suits @a wish,
 * and the answer to it. False: there is none; those that are malformed, or ask for
 * what nobody knows, are passed over.
 */
bool websocket_deflate_answer(const char *value, size_t size,
			      struct websocket_deflate_wish wish,
			      struct websocket_deflate *ret,
			      char ret_text[static WEBSOCKET_DEFLATE_TEXT]);

/** A client: what it offers. */
void websocket_deflate_offer(struct websocket_deflate_wish wish,
			     char ret_text[static WEBSOCKET_DEFLATE_TEXT]);

/** A client: is @a value an answer to what it has offered? */
bool websocket_deflate_check(const char *value, size_t size,
			     struct websocket_deflate_wish wish,
			     struct websocket_deflate *ret);

struct websocket_inflater;

/** For a window of so many bits. NULL: out of memory, or zlib is not there. */
struct websocket_inflater *websocket_inflater_new(unsigned bits);

/** NULL is fine. */
void websocket_inflater_delete(struct websocket_inflater *in);

/** Forget the messages before. */
void websocket_inflater_reset(struct websocket_inflater *in);

/**
 * Inflate @a size bytes at @a data, or some of them, *ret_used: how many, behind what
 * @a out has; at most WEBSOCKET_INFLATE_STEP bytes: if it is as many, there may be more
 * to come. Returns 0; UV_EINVAL: behind that it is no deflated data; UV_ENOMEM.
 */
int websocket_inflate(struct websocket_inflater *in, const char *data,
		      size_t size, size_t *ret_used, struct buf *out);

/** What was inflated of this message ends with a last block: its sender has left
 * nothing out behind it. Told once. */
bool websocket_inflater_take_end(struct websocket_inflater *in);

/** Nothing was begun that has not ended: a message may end here. */
bool websocket_inflater_is_even(const struct websocket_inflater *in);
