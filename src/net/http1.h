/*
 * The inside of the HTTP/1 server: what its files share, and nobody else sees.
 *
 * A connection is small: while it is idle it is its handle, a place in a list
 * of timeouts and a few counters. Parser, spans and bytes of a request are in
 * struct http_request, which comes from the server's pool when the first byte
 * of a request arrives and goes back with the answer.
 */
#pragma once

#include <llhttp.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/list.h"
#include "net/http_access.h"
#include "net/http_request.h"
#include "net/http_server.h"
#include "net/http_trace.h"
#include "net/stream.h"
#include "net/websocket_deflate.h"
#include "runtime/cond.h"
#include "runtime/fd_watch.h"
#include "runtime/timer.h"

struct http1_access;
struct http1_conn;
struct http1_websocket;
struct http2;
struct http2_shared;
struct http2_stream;

enum {
	HTTP1_READ_SIZE = 65536,       /* the shared read buffer */
	HTTP1_HELD_MAX = 65536,        /* input kept while a fiber works */
	HTTP1_WHOLE_MAX = 1 << 30,     /* of a body in memory */
	HTTP1_OUT_FLUSH = 65536,       /* answers gathered before a write */
	HTTP1_OUT_HIGH = 262144,       /* unsent answers: serve no more */
	HTTP1_BODY_DIRECT = 16384,     /* bodies from here are not gathered */
	HTTP1_BATCH_MS = 2,            /* then the other connections' turn */
	HTTP1_LINGER_MS = 2000,        /* wait for the peer's end, refused */
	HTTP1_LINGER_BYTES = 16777216, /* and read at most that much */
	HTTP1_CHUNK_EXCESS = 16384,    /* of chunk extensions and the like */
	HTTP1_CHUNK_FRAMING = 16,      /* framing that a chunk may cost */
	HTTP1_STREAM_HIGH = 65536,     /* unsent of a streamed answer: wait */
	HTTP1_STREAM_PIECE = 65536,    /* of a body taken at once */
	HTTP1_STREAM_COST = 256,       /* what an unsent piece costs besides */
	HTTP1_CONNECTIONS_MAX = 1 << 20,
};

/** A range of the message, from its first byte. */
struct http1_span {
	uint32_t start;
	uint32_t size;
};

struct http1_field {
	struct http1_span name;
	struct http1_span value;
};

enum http1_phase {
	HTTP1_HEAD,
	HTTP1_BODY,   /* Content-Length */
	HTTP1_CHUNKS, /* Transfer-Encoding, until the last chunk */
	HTTP1_TRAILERS,
	HTTP1_COMPLETE,
};

/** How the end of an answer's body is told. */
enum http1_framing {
	HTTP1_NOT_BEGUN, /* not streamed, or not begun yet */
	HTTP1_NO_BODY,   /* to HEAD, 204 and 304: what is written is dropped */
	HTTP1_LENGTH,    /* Content-Length */
	HTTP1_CHUNKED,
	HTTP1_TO_THE_END, /* of the connection: to HTTP/1.0 */
	HTTP1_UPGRADED,   /* no answer any more: a WebSocket */
};

struct http_request {
	llhttp_t parser;
	struct http_server *server;
	struct http1_conn *conn; /* NULL: the peer has gone */
	struct http2_stream *h2; /* NULL: of HTTP/1, or it has none any more */
	void *owner;             /* the handler's */
	char *base;              /* first byte of the message; valid while it
				    * is parsed, or from then on own */
	char *own;               /* the copy, once the handler waits */
	uint64_t began_ns;       /* if anybody is told of it */
	struct fd_watch watch;   /* see http1_gone.c */
	uint32_t slot;           /* its place in the server's table */
	uint32_t generation;     /* with the slot: the handle */
	uint32_t parsed;         /* bytes of the message looked at */
	uint32_t head_size;
	struct http1_span target;
	struct http1_span path;
	struct http1_span query;
	struct http1_span body;
	uint64_t length;   /* of the body, unless it comes in chunks */
	uint64_t raw_body; /* bytes of the body with its framing */
	uint64_t chunks;
	uint64_t timed_body;    /* body size when the deadline was set */
	uint32_t trailer_start; /* of the first trailer's name */
	uint16_t field_count;   /* header fields */
	uint16_t line_count;    /* with the trailers */
	uint16_t refusal;       /* status of a request that is refused */
	uint8_t phase;          /* enum http1_phase */
	uint8_t method;
	uint8_t minor;
	bool http2;
	bool in_value; /* the last span belongs to a value */
	bool keep_alive;
	bool expect;           /* 100-continue, not yet answered */
	bool timed;            /* its deadline runs */
	bool waiting;          /* with the handler */
	uint8_t framing;       /* enum http1_framing, of its answer */
	bool receiving;        /* its handler has it, not all of its body */
	uint32_t own_size;     /* of own, when receiving */
	uint32_t taken;        /* of the body, by the handler */
	uint32_t want;         /* bytes of it that the handler waits for */
	uint64_t consumed;     /* of the body, not in body any more */
	uint32_t backlog;      /* cost of the answer's unsent pieces */
	uint64_t left;         /* HTTP1_LENGTH: bytes not yet written */
	const char *reason;    /* why it is refused */
	char *phrase;          /* of its answer; NULL: that of the status */
	struct http_text line; /* of a head that is not whole, refused */
	uint64_t head_ns;      /* as began_ns, of its answer */
	uint64_t sent;         /* of the answer's body, given to the stream */
	uint32_t label;        /* the handler's */
	uint16_t status;       /* of the answer; 0: none is begun */
	bool told;             /* that it is over */
	bool abandoned; /* its peer has gone, maybe not all of its body */
	struct http1_websocket *websocket; /* HTTP1_UPGRADED */
	struct http_request *next;         /* in the pool */
	struct cond ready;                 /* see http_request_ready() */
	struct http1_field fields[HTTP_FIELDS_MAX];
};

/** What a connection waits for: one list each, in the order of deadlines. */
enum http1_wait {
	HTTP1_WAIT_IDLE, /* the first byte of a request */
	HTTP1_WAIT_HEAD,
	HTTP1_WAIT_BODY,
	HTTP1_WAIT_SEND,   /* a peer that reads */
	HTTP1_WAIT_LINGER, /* the peer's end, after our last word */
	HTTP1_WAIT_GREET,  /* the end of a PROXY header and a TLS handshake */
	HTTP1_WAIT_TIMED,  /* number of the above, which have deadlines */
	HTTP1_WAIT_HANDLER = HTTP1_WAIT_TIMED,
	HTTP1_WAIT_TURN, /* has input; others are served first */
	HTTP1_WAIT_COUNT,
};

/* Its server is where its stream's group is: see http1__server_of(). */
struct http1_conn {
	struct stream stream;     /* first: found from it by a cast */
	struct list link;         /* in the server's list of its wait */
	struct http_request *req; /* the one being received or handled */
	struct http2 *h2;         /* its session; NULL: it speaks HTTP/1 */
	struct http_kept *kept;   /* of the handler's side; NULL: nothing */
	struct buf in;            /* input that is not in the read buffer */
	uint32_t requests;        /* served so far */
	uint32_t progress;        /* SEND: unsent then; LINGER: bytes read */
	/* One word, to its last bit: what idles in tens of thousands is small. */
	uint64_t due_ms : 48; /* GCC computes with 48 bits: copy it first */
	uint8_t wait;         /* enum http1_wait */
	bool busy : 1;        /* req is with its handler */
	bool reading : 1;
	bool eof : 1;     /* the peer sends no more */
	bool last : 1;    /* no request is taken any more */
	bool linger : 1;  /* the peer may still be sending */
	bool late : 1;    /* its deadline has passed once */
	bool closing : 1; /* its handle is being closed */
	bool full : 1;    /* one too many: to be refused, once it has greeted */
};

struct http_server {
	struct list link; /* in the thread's; see http_look.h */
	uint32_t id;
	struct loop *loop;
	struct timers *timers;
	struct http_limits limits;
	http_request_f on_request;
	http_access_f on_access; /* NULL: nobody is told */
	void *arg;

	struct listener listener;
	bool listening; /* the listener's handle is open */
	struct list in_room;
	bool accept_paused; /* a connection waits to be accepted */
	bool running;
	bool draining;
	bool streaming; /* requests are handed over before they are whole */
	bool disposed;  /* frees itself when all has closed */
	uint8_t handles_open; /* of turn and polled */
	void (*on_drained)(struct http_server *server, void *arg);
	void *drained_arg;
	struct timer drain_timer;  /* the deadline of a drain */
	struct timer accept_timer; /* to accept again after a failure, or,
				      draining, for the last time */
	uint64_t accepted_ms;      /* when the last connection came; 0: none */

	struct http2_shared *h2; /* NULL: HTTP/2 is not spoken */
	struct stream_group group;
	struct buf out;             /* answers of the batch at work */
	struct http1_conn *current; /* whose batch that is */
	uv_idle_t turn;             /* on while connections wait their turn */
	uv_check_t polled; /* what the loop's poll has read is served */
	struct list waits[HTTP1_WAIT_COUNT];
	uint32_t wait_ms[HTTP1_WAIT_TIMED];
	struct timer timer; /* the earliest deadline */

	struct http_request **slots;
	uint32_t slot_count;
	uint32_t slot_capacity;
	struct http_request *pool;
	llhttp_settings_t settings;

	int64_t date_second; /* what common was made for */
	char common[128];    /* "Server: ...\r\nDate: ...\r\n" */
	uint32_t common_size;
	char ok[160]; /* the same behind a status line of 200 */
	uint32_t ok_size;

	struct http_stat stat;
};

/** The servers of this thread. */
struct list *http1__servers(void);

static inline uint64_t http1__now_ms(void)
{
	return uv_hrtime() / 1000000;
}

/** Bytes of the body that have come, without its framing. */
static inline uint64_t http1__body_total(const struct http_request *req)
{
	return req->consumed + req->body.size;
}

static inline struct http1_conn *http1__conn_of(struct stream *s)
{
	return (struct http1_conn *)s;
}

static inline struct http_server *http1__server_of(const struct http1_conn *c)
{
	return (struct http_server *)((char *)c->stream.group -
				      offsetof(struct http_server, group));
}

static inline bool http1__is_upgraded(const struct http1_conn *c)
{
	return c->busy && c->req != NULL && c->req->framing == HTTP1_UPGRADED;
}

/* http1_parse.c */

enum http1_parsed {
	HTTP1_MORE,    /* all input was consumed, more is needed */
	HTTP1_DONE,    /* complete; req->parsed is its size */
	HTTP1_REFUSED, /* req->refusal and req->reason say why */
};

void http1__parse_init(struct http_server *server);

/** Make @a req ready for a message. */
void http1__parse_start(struct http_request *req);

/** Go on at req->parsed of the @a size bytes at req->base. */
enum http1_parsed http1__parse(struct http_request *req, size_t size);

/** The most that a body may have. */
uint64_t http1__body_limit(const struct http_request *req);

/** Mark as refused. Returns HTTP1_REFUSED. */
enum http1_parsed http1__refuse(struct http_request *req, int status,
				const char *reason);

/* http1_scan.c */

/** The @a size bytes at req->base begin with a whole, plain head: it is noted, and
 * right. False: it is for llhttp. */
bool http1__scan_head(struct http_request *req, size_t size);

/* http1_check.c: what llhttp lets through and we do not. */

/** A complete head. Returns false when refused. */
bool http1__check_head(struct http_request *req);

/** The lines after the last chunk. Returns false when refused. */
bool http1__check_trailers(struct http_request *req);

/** The target; its path and query are found. Returns false when refused. */
bool http1__check_target(struct http_request *req);

/** Bytes of a host and port; what they mean is the handler's business. */
bool http1__is_host(const char *p, size_t size);

/* http_request.c: the pool. */

/** NULL: out of memory. */
struct http_request *http1__request_take(struct http_server *server);

/** Its handler is done with it, its connection is not: its handle is void. */
void http1__request_forget(struct http_request *req);

/** Back to the pool; its handle is void from now on. */
void http1__request_release(struct http_request *req);

void http1__request_pool_free(struct http_server *server);

/* http1_response.c */

/** Append an answer to server->out, to HTTP/1.minor: its head, which says
 * @a framing, and of its body @a body; @a length is for HTTP1_LENGTH. When
 * *ret_direct the body was left out, to be sent from where it is.
 * Returns 0, UV_EINVAL or UV_ENOMEM. */
int http1__write_response(struct http_server *server,
			  const struct http_response *resp,
			  enum http1_framing framing, uint64_t length,
			  struct http_text body, unsigned minor,
			  bool keep_alive, bool *ret_direct);

/** Append a 101 with those fields, and @a extension if it is not "". Returns 0 or
 * UV_ENOMEM. */
int http1__write_switch(struct http_server *server,
			const struct http_field *fields, size_t count,
			const char *accept, const char *extension);

/** Write the digits of @a n, at most 20. Returns the place behind them. */
char *http1__put_number(char *to, uint64_t n);

/** What a Date field says now: 29 bytes. */
const char *http1__date(struct http_server *server);

/* Which of the fields that every answer has are among @a fields: these stand for
 * the server's own. */
enum { HTTP1_SERVER = 1, HTTP1_DATE = 2 };
unsigned http1__replaced(const struct http_field *fields, size_t count);

/** Append the last chunk and the trailers. Returns 0, UV_EINVAL or UV_ENOMEM.
 */
int http1__write_last_chunk(struct http_server *server,
			    const struct http_field *trailers, size_t count);

/** Append the answer to a request that is refused; nothing if no memory. Returns
 * the size of its body. */
size_t http1__write_refusal(struct http_server *server, int status,
			    const char *reason);

/* http1_conn.c */

/** What becomes of a stream's events. */
void http1__conn_init(struct stream_group *group);

/** Take the listener's next connection over, or the descriptor @a fd unless it
 * is -1; @a full: only to refuse it. Returns 0 or UV_E*. */
int http1__accept(struct http_server *server, int fd, bool full);

/** Close at once: no answer, no linger. */
void http1__close(struct http1_conn *c);

/** No more requests: an idle one closes, a busy one after its answer. */
void http1__retire(struct http1_conn *c);

/** A deadline has passed for good. */
void http1__expired(struct http1_conn *c);

/** Send what was gathered from @a mark on, @a direct behind it and, with
 * @a crlf, a line end. What it fails with closes @a c. Returns 0 or UV_E*. */
int http1__flush(struct http1_conn *c, size_t mark, struct http_text direct,
		 bool crlf);

/** The last word has been said: close when it is out, and was read. */
void http1__finish(struct http1_conn *c);

/** What it has been sent is still on its way. */
void http1__wait_for_peer(struct http1_conn *c);

void http1__set_reading(struct http1_conn *c, bool on);

/** After anything has happened outside a batch: what @a c waits for now. */
void http1__settle(struct http1_conn *c);

/* http1_serve.c */

/** As struct stream_group says. */
void http1__on_written(struct stream *s);
void http1__on_read(struct stream *s, char *data, ssize_t size);
void http1__on_drained(struct stream *s, int status);
void http1__on_stalled(struct stream *s);

/** Its turn has come: serve what was held. */
void http1__resume(struct http1_conn *c);

/** What is there of a request that no handler has. */
void http1__find_request(struct http1_conn *c);

/** Refuse what comes in, now and from now on. */
void http1__turn_away(struct http1_conn *c, int status, const char *reason);

/** What comes of a body whose handler has the request already goes wrong: the
 * answer is ours, unless the handler has begun another. */
void http1__refuse_body(struct http1_conn *c, int status, const char *reason);

/* http1_reply.c */

/** The answer of @a req's handler. As http_request_reply(). */
int http1__reply(struct http_request *req, const struct http_response *resp);

/** Whether the connection may go on after this answer. */
bool http1__keeps_alive(const struct http_request *req, bool close);

/** The answer of @a req, which has a connection, is complete: what is left of
 * it was gathered from @a mark on. @a rc: how that went. The request is given
 * up. Returns 0 or UV_E*. */
int http1__answered(struct http_request *req, size_t mark, int rc);

/** The last word to c->req, whose handler keeps it, is gathered or has left: the
 * connection ends behind it. @a linger: the peer may still be sending. */
void http1__part(struct http1_conn *c, bool linger);

/* http1_receive.c: bodies that come while their handler has the request. */

/** The whole head of c->req is there, of its body what is parsed. */
void http1__receive_begin(struct http_request *req);

/** Bytes for a request whose handler has it. Returns how many were taken; the
 * rest belongs to the next request: then it is whole. UV_ENOMEM; UV_EPROTO: it is
 * refused. */
ssize_t http1__receive(struct http_request *req, const char *data, size_t size);

/** Let go of what was taken of the body. */
void http1__compact(struct http_request *req);

/** Memory of its own for @a size bytes of message. Returns 0 or UV_ENOMEM. */
int http1__reserve(struct http_request *req, size_t size);

/** Room for more of the body? */
bool http1__has_room(const struct http_request *req);

/* http1_stream.c */

/** @a size bytes more of c->req's answer were handed over. */
void http1__count_unsent(struct http1_conn *c, size_t size);

/* http1_gone.c */

/** Nothing is read of @a c, whose handler waits: notice when its peer goes. */
void http1__watch(struct http1_conn *c);

/** @a req is about to lose its connection. */
static inline void http1__unwatch(struct http_request *req)
{
	if (req->watch.in != NULL)
		fd_watch_stop(&req->watch);
}

/* http1_handshake.c */

/** Append the answer that makes @a req, which was checked, a WebSocket; *ret: what was
 * agreed on of compression. Returns 0 or UV_ENOMEM. */
int http1__websocket_answer(struct http_request *req,
			    const struct http_field *fields, size_t count,
			    struct websocket_deflate_wish wish,
			    struct websocket_deflate *ret);

/* http1_websocket.c: connections that were upgraded. */

/** What has come for c->req's, of which c->in is the rest. */
void http1__websocket_read(struct http1_conn *c, const char *data, size_t size);

/** Is there something to do without more to read? */
bool http1__websocket_is_behind(const struct http1_conn *c);

/** May more be read? */
bool http1__websocket_has_room(const struct http1_conn *c);

/** The server stops. */
void http1__websocket_retire(struct http1_conn *c);

/** Its connection has ended. */
void http1__websocket_lost(struct http_request *req);

/** The handler is done with it: a Close with that code, if it has none yet. The
 * connection keeps the request until the peer has answered, or its time is over.
 * Returns 0 or UV_E*. */
int http1__websocket_end(struct http_request *req, unsigned code);

/** @a req is given up. */
void http1__websocket_free(struct http_request *req);

/** Bytes of frames that have come. */
uint64_t http1__websocket_received(const struct http_request *req);

/* http1_access.c: what is told of requests that are over. */

/** What a connection has more in its memory, if anybody is told. */
size_t http1__access_size(const struct http_server *server);

/** The connection is about to go. */
void http1__access_free(struct http1_conn *c);

/** So many bytes were given to the stream, or, @a failed, went nowhere. */
void http1__access_handed(struct http1_conn *c, size_t size, bool failed);

/** The stream has given up what it had. */
void http1__access_write_failed(struct http1_conn *c);

/** Tell of what is over by now. */
void http1__access_settle(struct http1_conn *c);

/** The first byte of @a req is there. */
void http1__access_take(struct http_request *req);

/** Its answer is begun. */
void http1__access_answer(struct http_request *req, int status);

/** It is over, or, with HTTP/2, given up; what was told already is not told
 * again. @a complete: with the whole of an answer. */
void http1__access_end(struct http_request *req, bool complete);

/** Somebody was refused without a request. */
void http1__access_refused(struct http1_conn *c, int status, uint64_t sent);

/** The stream of a request that was given up is closed. */
void http1__access_stream_end(struct http2_stream *s, bool complete);

/* http1_timeout.c */

void http1__timeouts_init(struct http_server *server);
void http1__timeouts_stop(struct http_server *server);

/** Put @a c into the list of @a wait, its deadline counted from now. */
void http1__wait(struct http1_conn *c, enum http1_wait wait);

/* http_room.c: how many connections there may be. */

/** It listens, or runs no more. */
void http1__room_join(struct http_server *server);
void http1__room_leave(struct http_server *server);

/** Who comes now is only let in to be refused; or not even that. */
bool http1__room_is_full(const struct http_server *server);
bool http1__room_is_over(const struct http_server *server);

/** There is one connection more. */
void http1__room_enter(struct http_server *server);

/** A connection's memory is about to go: room for another. */
void http1__forget(struct http_server *server);

/* http_server.c */

/** There may be room to accept again. */
void http1__room_given(struct http_server *server);

/** A connection of its own has gone: @a server may be freed. */
void http1__left(struct http_server *server);

/** Have http1__resume() called for those that wait their turn. */
void http1__want_turn(struct http_server *server);
