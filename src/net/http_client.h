/*
 * Requests to other servers: libcurl's multi interface driven by a loop.
 *
 * A client has the pool of connections; a call is one request with its response.
 * What has come is kept in the call until somebody takes it, up to its window; then
 * the peer is held back. So is the other direction: what is to be sent is handed over
 * in pieces, and room() says whether more is wanted.
 *
 * All functions are for the loop's thread. Fibers wait at call->changed for anything
 * to change, and look again.
 */
#pragma once

#include <curl/curl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/buf.h"
#include "base/list.h"
#include "runtime/cond.h"

struct http_client;
struct loop;

enum {
	HTTP_CALL_WINDOW = 256 * 1024, /* bytes that wait to be taken */
	HTTP_CALL_HEAD_MAX = 256 * 1024,
	/* Bytes that are decoded at once: libcurl keeps all that becomes of them,
	 * held back or not, up to 64 MiB. */
	HTTP_CALL_DECODED = 2048,
	/* More than the largest head that libcurl 7.88 takes by HTTP/2: what does not
	 * fit into its buffer at once it loses, or waits for. */
	HTTP_CALL_HTTP2_HEAD = 132 * 1024,
	HTTP_CALL_KEPT_MAX = 64 * 1024 * 1024,
	HTTP_TALK_KEPT = 256,
};

struct http_client_limits {
	long connections;       /* kept for later requests */
	long host_connections;  /* to one host at once; 0: no limit */
	long total_connections; /* at once; 0: no limit */
};

struct http_client_stat {
	unsigned active; /* calls that have not ended */
	uint64_t opened; /* sockets */
	uint64_t closed;
	uint64_t total;  /* calls so far */
	uint64_t ok;     /* with status 200 */
	uint64_t other;  /* with another one */
	uint64_t failed; /* with none */
};

/** The last connections of a kind. */
struct http_talk_ring {
	long numbers[HTTP_TALK_KEPT]; /* libcurl's, + 1; 0: none */
	unsigned next;
};

/** What the calls of a client hear of libcurl: see http_client_talk.c. */
struct http_client_talk {
	struct list
		ended; /* calls that libcurl is done with, and end() is not */
	struct http_talk_ring leaving; /* whose server has said GOAWAY */
	struct http_talk_ring broken;  /* closed without any such reason */
	bool hears_tls;                /* its messages: of OpenSSL it does */
	bool ends_idle; /* the next one that is closed was nobody's */
};

/** How it stands with a call. */
enum http_call_state {
	HTTP_CALL_NEW,
	HTTP_CALL_STARTED,
	HTTP_CALL_HEADERS, /* the response's headers are there */
	HTTP_CALL_ENDED,   /* well or not: result */
};

struct http_call {
	struct http_client *client;
	CURL *easy;
	struct curl_slist *headers;
	struct curl_slist *connect_to; /* NULL: the URL's host */
	char *ca_file; /* whom it trusts: see http_client_trust.c */
	char *ca_path;
	struct cond changed;
	struct list unwatched;         /* in the client's */
	struct list ended;             /* in talk->ended */
	struct http_client_talk *talk; /* the client's */
	long connection; /* libcurl's number of it; -1: none yet, or left */
	enum http_call_state state;
	CURLcode result;    /* when it has ended */
	int error;          /* UV_E*: what made us end it; 0 */
	bool streams_in;    /* the body is taken while it comes */
	bool streams_out;   /* the request's is given in pieces */
	bool decodes;       /* encodings of the body are undone */
	bool follows;       /* redirects */
	bool http2;         /* may it be? */
	bool secure;        /* its URL is one of https */
	bool held_in;       /* the peer waits until something is taken */
	bool held_out;      /* libcurl waits for more to send */
	bool out_ended;     /* there will be no more to send */
	bool is_trailer;    /* headers that come now are */
	bool parts;         /* is its connection left, and ended by us? */
	bool trusts_nobody; /* its file could not be read */
	bool is_verbose;    /* what libcurl says is shown */
	bool has_location;  /* one of the headers of this response */
	uint64_t turn;      /* of the client, at the last update */
	unsigned updates;   /* of libcurl's progress in it */
	size_t junk;        /* bytes of TLS in it since some were of use */
	bool listens;       /* to what libcurl says of it */
	bool heard_end;     /* of its connection, which TLS announces */
	bool is_chunked;    /* its body comes in chunks */
	bool has_length;    /* one of its headers */
	uint64_t length;    /* it says */
	size_t window;      /* of the body, when it streams */
	size_t limit;       /* bytes of the body, decoded; 0: none */
	size_t got;         /* bytes of the body that have come */
	size_t out_sent;    /* of a body that is not given in pieces */
	struct buf head;    /* status line and headers, as they came */
	struct buf trailers;
	struct buf body;
	struct buf out;   /* to be sent */
	const char *sent; /* a body that is not given in pieces: its owner */
	size_t sent_size; /*   keeps it until the end */
	char problem[CURL_ERROR_SIZE];
};

/** Returns 0, UV_ENOSYS (libcurl cannot be had: curl_library_load() says why) or
 * UV_ENOMEM. */
int http_client_new(struct loop *loop, const struct http_client_limits *limits,
		    struct http_client **ret);

/** No more calls are made; it is freed when those that are have been closed, and the
 * loop has run once more. */
void http_client_close(struct http_client *c);

const struct http_client_stat *http_client_stat(const struct http_client *c);

/** In the caller's memory; nothing happens before http_call_start(). Options of
 * libcurl may be set on call->easy meanwhile. Returns 0 or UV_ENOMEM. */
int http_call_create(struct http_call *call, struct http_client *c);

/** Trust those in the file and those in the folder, one of which may be NULL, and nobody
 * else, the system's least of all. What the file has is what it has now. Returns 0 or UV_ENOMEM. */
int http_call_trust(struct http_call *call, const char *file, const char *dir);

/** The same with whom the system trusts. Inside net only. */
int http__call_trust_system(struct http_call *call);

/** Take a line of a header for what we have to know of it. False: the response is none.
 * Inside net only. */
bool http__call_check_line(struct http_call *call, const char *line,
			   size_t size);

/** What is counted by turn of the loop begins anew if there is another one. Inside net only. */
void http__call_turn(struct http_call *call);

/** Hear what is said of it. Inside net only. */
void http__call_listen(struct http_call *call);

/** The response's last head is there. Inside net only. */
void http__call_begins_body(struct http_call *call);

/** It is over: end its connection if libcurl has been made to keep that. Inside net only. */
void http__call_part(struct http_call *call);

/** Has it ended, by libcurl's @a result, without a sign that it was whole? */
bool http__call_in_doubt(const struct http_call *call, CURLcode result);

/** Has it ended too early, whatever libcurl's @a result is? */
bool http__call_is_cut(const struct http_call *call, CURLcode result);

/** Has its body ended with the connection, and nobody has said so? */
bool http__call_is_truncated(const struct http_call *call, CURLcode result);

/** Connect there in place of the URL's host: "::HOST:PORT". Before the start. Returns 0 or
 * UV_ENOMEM. */
int http_call_connect_to(struct http_call *call, const char *text);

/** Add a header. Returns 0 or UV_ENOMEM. */
int http_call_add_header(struct http_call *call, const char *line);

/** Send it. Returns 0 or UV_ENOMEM. */
int http_call_start(struct http_call *call);

/** End it now, if it has not ended: the connection is closed. Those who wait are
 * told. */
void http_call_abort(struct http_call *call);

/** Abort it and free what it has. Nobody waits any more. */
void http_call_destroy(struct http_call *call);

/** Take @a size bytes of the body, which lie at body.data, away. */
void http_call_take(struct http_call *call, size_t size);

/** Somebody waits for more than there is: let it come, if the window has room. */
void http_call_want(struct http_call *call);

/** Is more wanted of a body that is given in pieces? */
static inline bool http_call_room(const struct http_call *call)
{
	return call->out.size < HTTP_CALL_WINDOW;
}

/** Send @a size bytes more. Returns 0 or UV_ENOMEM. */
int http_call_send(struct http_call *call, const void *data, size_t size);

/** That was all. */
void http_call_send_end(struct http_call *call);
