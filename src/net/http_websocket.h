/*
 * Requests that become WebSockets: the handshake of a server, and messages of the
 * connection behind it.
 *
 * An upgraded request stays its handler's until http_request_end(), which says good
 * bye, or http_request_abort(), which says that something went wrong; also when the
 * connection has ended before. The connection is kept from then on until the peer has
 * said the same, for close_ms at most. Whoever waits for anything waits for
 * http_request_ready() and looks again.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "net/websocket.h"

struct http_field;
struct http_request;
struct http_text;

struct http_websocket_options {
	uint32_t message_bytes; /* the most of a message; else 1009 */
	/** With nothing heard for so long a ping is sent, and with nothing for as
	 * long again the connection is closed. 0: never. */
	uint32_t heartbeat_ms;
	uint32_t close_ms; /* for the peer's Close behind ours */
	struct websocket_deflate_wish deflate;
};

/**
 * Does @a req ask for a WebSocket, and rightly? Returns 0; or the status to refuse
 * it with, and *ret_why in words: 405, 426 (also: the answer names the version that
 * we speak) or 400.
 */
int http_websocket_check(const struct http_request *req, const char **ret_why);

/**
 * The answer that makes @a req, which was checked, a WebSocket, with those fields,
 * which http_response_check() has passed. Returns 0; UV_EALREADY: it was answered;
 * UV_ESHUTDOWN: the server stops, UV_ENOMEM: nothing has happened; UV_ECONNRESET:
 * the peer has gone.
 */
int http_websocket_accept(struct http_request *req,
			  const struct http_field *fields, size_t count,
			  const struct http_websocket_options *options);

/** To look at, and to take messages from; NULL: it was not upgraded. */
struct websocket *http_request_websocket(const struct http_request *req);

/** A message was taken: there may be room for more. */
void http_websocket_taken(struct http_request *req);

/**
 * Send of @a piece, the rest of a message of that kind, what is to be taken at once;
 * the kind is as websocket_send() has it.
 * Returns how many bytes; all of them: it is sent. UV_EAGAIN: wait until
 * http_request_is_full() is false; UV_EPIPE: it is closing, or closed; UV_ENOMEM.
 */
ssize_t http_websocket_write(struct http_request *req, unsigned kind,
			     struct http_text piece);

/** As websocket_ping() and websocket_close(). */
int http_websocket_ping(struct http_request *req, uint64_t *ret_number);
int http_websocket_close(struct http_request *req, unsigned code,
			 struct http_text reason);
