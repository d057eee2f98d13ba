/*
 * What is known of a request when it is over, for access logs.
 *
 * A request is over when the last byte of its answer has been handed to the
 * kernel, or its connection or stream has ended before that; a WebSocket, when
 * its connection is. Requests that the server refuses are told of, too, whether
 * they could be read or not. Who has sent no whole header, and went without an
 * answer, has made no request.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "net/http_request.h"

struct http_server;

enum {
	/* The status of a request whose peer has gone before an answer was begun;
	 * on the wire there is no such answer. */
	HTTP_ACCESS_GONE = 499,
	HTTP_ACCESS_TARGET_MAX = 8192, /* bytes; what is cut ends in "..." */
	HTTP_ACCESS_TEXT_MAX = 2048,   /* of the other texts */
};

/** One request. Texts come from the peer as they are; "" is none. When the
 * request line cannot be told apart it is all in the target. */
struct http_access {
	struct http_text remote; /* the address; "unix:" */
	struct http_text method;
	struct http_text target;
	struct http_text protocol; /* "HTTP/1.1" */
	struct http_text referer;
	struct http_text agent;
	uint64_t began_ns;    /* since the epoch: its first byte was read */
	uint64_t duration_ns; /* to its end */
	uint64_t head_ns;     /* to the head of its answer; 0: it has none */
	uint64_t sent;        /* bytes of the answer's body that have left */
	uint64_t received;    /* bytes of the request's body */
	uint32_t label;       /* see http_request_set_label() */
	uint16_t port;        /* the peer's; 0: it has none */
	uint16_t status;
	bool complete; /* the answer has left, all of it */
};

/** Called on the loop's thread. It must not touch the server, nor any request;
 * texts are good until it returns. */
typedef void (*http_access_f)(const struct http_access *access, void *arg);

/** Have @a fn told of every request, with the server's argument; before it
 * listens. NULL: nobody, which costs nothing. */
void http_server_set_access(struct http_server *server, http_access_f fn);

/** A number of the handler's, which comes back with what is told of @a req. */
void http_request_set_label(struct http_request *req, uint32_t label);

/** Append a copy, to be kept. Returns 0 or UV_ENOMEM with nothing appended. */
int http_access_put(struct buf *b, const struct http_access *access);

/** The copy that begins at @a at; its texts lie in @a b. Returns where it ends. */
size_t http_access_get(const struct buf *b, size_t at,
		       struct http_access *ret_access);
