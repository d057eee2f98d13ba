/*
 * An HTTP server on one worker: connections in, requests up, answers out.
 *
 *	new -> listen -> (on_request ... http_request_reply)* -> drain -> free
 *
 * Everything happens on the loop's thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/listener.h"

struct http_request;
struct http_server;
struct loop;
struct timers;
struct tls_context;

/** Limits; each has an answer of its own. 0 takes the default. */
struct http_limits {
	uint32_t header_bytes; /* 16 KiB; 431, also for 100 fields */
	uint32_t uri_bytes;    /* 8 KiB; 414 */
	uint64_t body_bytes;   /* 8 MiB; 413, also for more than 1 GiB that is
				* not taken in pieces */
	uint32_t requests;     /* per connection; then it is closed */
	uint32_t
		connections; /* what descriptors allow all servers of the worker; 503 */
	uint32_t streams;      /* 128 at once on a connection of HTTP/2 */
	uint32_t idle_ms;      /* 60 s without a request: closed */
	uint32_t header_ms;    /* 10 s from a request's first byte; 408 */
	uint32_t body_ms;      /* 60 s for each 64 KiB of body; 408 */
	uint32_t send_ms;      /* 60 s without progress: closed */
	uint32_t handshake_ms; /* 10 s for a PROXY header and a TLS handshake:
				  closed */
};

/** Counters since the server was made, and gauges. */
struct http_stat {
	uint64_t accepted;
	uint64_t refused_connections; /* over the limit: answered 503 */
	uint64_t accept_failed;
	uint64_t requests;         /* given to the handler */
	uint64_t refused_requests; /* answered 4xx, 5xx by the server */
	uint64_t timeouts;
	uint64_t gone;       /* left before they were answered */
	uint64_t cut;        /* requests and answers a drain's deadline ended */
	uint64_t handshakes; /* of TLS, done */
	uint64_t handshakes_failed;
	uint64_t unproxied; /* came without the PROXY header they should have */
	uint64_t truncated; /* TLS ended without saying so, in a request */
	uint64_t http2;     /* connections that spoke HTTP/2 */
	uint64_t http2_resets; /* streams of theirs that were broken off */
	uint64_t http2_floods; /* connections ended for what they cost */
	uint64_t reads;
	uint64_t writes;
	uint64_t bytes_in;
	uint64_t bytes_out;
	uint32_t connections; /* open now */
	uint32_t waiting;     /* requests without an answer now */
};

/**
 * A request is complete, or, if http_server_set_streaming(), its head is. The
 * handler answers with http_request_reply(), now or
 * later. It may start a drain; it must not free the server.
 */
typedef void (*http_request_f)(struct http_request *req, void *arg);

/** Returns NULL when out of memory. */
struct http_server *http_server_new(struct loop *loop, struct timers *timers,
				    const struct http_limits *limits,
				    http_request_f on_request, void *arg);

/** With @a on, on_request may come when only the head is there: see
 * http_request_body_state(). Without it, a request is whole. */
void http_server_set_streaming(struct http_server *server, bool on);

/** All connections that come from now on are with TLS of @a context, a server's,
 * which is held. Returns 0 or UV_ENOMEM. */
int http_server_set_tls(struct http_server *server,
			struct tls_context *context);

/** All connections that come from now on begin with a PROXY header, whose source
 * is their peer; others are closed. */
void http_server_set_proxied(struct http_server *server, bool on);

/** Connections that begin from now on may be of HTTP/2: by ALPN, or in plain text
 * when their first bytes are its preface. Not so until told. Returns 0 or
 * UV_ENOMEM. Off only while it is not running. */
int http_server_set_http2(struct http_server *server, bool on);

/** Listen, again after a drain. Returns 0, UV_EALREADY, or UV_E*. */
int http_server_listen(struct http_server *server,
		       const struct listen_address *addr,
		       const struct listen_options *opts);

/** Where it listens; UV_ENOTCONN when it does not. */
int http_server_address(const struct http_server *server,
			struct listen_address *ret_addr);

/**
 * Stop: accept no more (who waits in the queue is still served), close idle
 * connections, end the others with their next answer, and after
 * @a deadline_ms whatever they are at. @a on_drained is called from the loop,
 * once, when the last connection has closed. Returns 0; a second call can
 * only shorten the deadline and returns UV_EALREADY, its callback is not used.
 */
int http_server_drain(struct http_server *server, uint64_t deadline_ms,
		      void (*on_drained)(struct http_server *server, void *arg),
		      void *arg);

/** True from a successful listen to the end of its drain. */
bool http_server_is_running(const struct http_server *server);

/** Free; it must not be running. Unanswered requests end unanswered. */
void http_server_free(struct http_server *server);

/** Close everything at once, and free when that is done. Nothing is called
 * back; the timers are not used any more when this returns. NULL is fine. */
void http_server_dispose(struct http_server *server);

/** The argument of on_request. */
void *http_server_arg(const struct http_server *server);

void http_server_stat(const struct http_server *server, struct http_stat *ret);
