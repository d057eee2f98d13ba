/*
 * The inside of HTTP/2: what its files share, and nobody else sees.
 *
 * A connection of the HTTP/1 server becomes one of HTTP/2 when ALPN has chosen
 * that, or its first bytes are the preface: then it has a session, and what its
 * stream brings and takes goes through that. Everything around it, accepting,
 * TLS, the deadlines of the connection, draining, stays as it is. Each stream of
 * the session brings a struct http_request as HTTP/1 does; the functions of
 * http_request.h ask whether it has a stream.
 *
 * nghttp2 knows frames, header compression and windows. Nothing of ours that may
 * do anything runs inside its callbacks: they note what came, and the handlers
 * get their requests when the read is done.
 */
#pragma once

#include <nghttp2/nghttp2.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/list.h"
#include "net/http1.h"
#include "runtime/timer.h"

enum {
	HTTP2_STREAMS = 128, /* at once, of a connection */
	HTTP2_STREAMS_MAX = 65536,
	HTTP2_WINDOW = 1 << 20,      /* of a connection; a stream's is 64 KiB */
	HTTP2_HELD_MAX = 1 << 20,    /* of bodies that must be whole, besides
					one and the first window of each */
	HTTP2_QUEUE_MAX = 1000,      /* frames unsent: read no more */
	HTTP2_HEAD_EXCESS = 1 << 16, /* of a header that is refused */
	HTTP2_CALM_MS = 1000,        /* for who was told of our end */
	HTTP2_LINGER_MS = 500,       /* to read an answer, and stop sending */
	HTTP2_SPARE_KINDS = 8,
};

/** A head has begun in this read; most end in it, too, and need no deadline. */
#define HTTP2_HEAD_BEGUN UINT64_MAX

/** Free blocks of the sessions of a server; see http2_memory.c. */
struct http2_spare {
	struct list blocks[HTTP2_SPARE_KINDS]; /* by size */
	uint32_t count[HTTP2_SPARE_KINDS];
};

/** What the sessions of a server have in common. */
struct http2_shared {
	nghttp2_session_callbacks *callbacks;
	nghttp2_option *option;
	struct http2_spare spare;
};

/** What a stream waits for of its peer. */
enum http2_wait {
	HTTP2_WAIT_NONE,
	HTTP2_WAIT_BODY,
	HTTP2_WAIT_WINDOW, /* it has answers to send, and may not */
	HTTP2_WAIT_END,    /* it has its answer, and stops sending */
};

/** A stream: until nghttp2 has closed it, and its request is given up. */
struct http2_stream {
	struct list link;  /* in the session's streams, oldest first */
	struct list ready; /* in the session's ready */
	struct http2 *h2;
	struct http_request *req; /* NULL: given up */
	int32_t id;
	struct buf out; /* of the answer: not sent, from out_at on */
	size_t out_at;
	uint64_t sent;        /* of the answer's body */
	struct buf access;    /* what is to be told when it is closed */
	nghttp2_nv *trailers; /* one block with their bytes */
	size_t trailer_count;
	size_t unacked;    /* of the body: the peer's window lacks them */
	size_t held;       /* of the session's held */
	uint64_t due_ms;   /* of what it waits for */
	uint64_t mark;     /* progress then */
	uint8_t wait;      /* enum http2_wait, when last looked at */
	bool late : 1;     /* its deadline has passed once */
	bool handed : 1;   /* its handler has, or had, the request */
	bool answered : 1; /* the head of the answer was submitted */
	bool ended : 1;    /* nothing more comes into out */
	bool aborted : 1;  /* the end of out is no end: reset */
	bool trailing : 1; /* its trailers are coming in */
	bool whole : 1;    /* the peer has ended its side */
	bool sent_all : 1; /* we have ended ours */
	bool closed : 1;   /* nghttp2 has it no more */
};

/** A session. */
struct http2 {
	nghttp2_session *session;
	struct http1_conn *conn;
	struct http2_spare *spare;
	struct list blocks; /* of its memory */
	struct list streams;
	struct list ready;    /* requests for their handlers, in order */
	struct timer timer;   /* looks at what the streams wait for */
	uint32_t open;        /* streams of nghttp2's that we know */
	uint32_t busy;        /* requests with their handlers */
	uint32_t finished;    /* streams that were answered whole */
	uint32_t broken;      /* and those that were not */
	uint32_t noise;       /* frames in that bring nothing */
	uint32_t frames;      /* out that bring something */
	uint64_t bytes;       /* that were read */
	uint64_t known;       /* those of frames that nghttp2 knows */
	size_t held;          /* bytes of bodies that must be whole */
	size_t head_size;     /* of the header coming in */
	uint64_t head_due_ms; /* 0: none is */
	uint64_t began_ms;
	uint64_t end_due_ms; /* last call for the end; 0: it has been sent */
	size_t mark;         /* of the server's out: what is gathered begins */
	bool gathering;      /* something is, just now */
	bool deferred;       /* streams lack window until others are done */
	bool at_work;        /* what is to be sent leaves at the end of it */
	bool flooded;        /* ENHANCE_YOUR_CALM */
	bool ending;         /* the peer was told to open no more streams */
	bool dirty;          /* a window may be opened */
};

static inline struct http2_stream *http2__stream_of(struct http2 *h2,
						    int32_t id)
{
	return nghttp2_session_get_stream_user_data(h2->session, id);
}

/** Bytes of the answer that nghttp2 has not taken. */
static inline size_t http2__pending(const struct http2_stream *s)
{
	return s->out.size - s->out_at;
}

/* http2_session.c */

/** @a c is of HTTP/2 from now on. Returns 0 or UV_ENOMEM. */
int http2__begin(struct http1_conn *c);

/** Is it to be one, by its first bytes, which end at the preface's end or
 * behind it? */
bool http2__is_preface(const struct http1_conn *c, const char *data,
		       size_t size);

void http2__read(struct http1_conn *c, const char *data, size_t size);

/** Its turn has come. */
void http2__resume(struct http1_conn *c);

/** What is to be sent is, and the connection waits for what it has to. */
void http2__settle(struct http1_conn *c);

/** All that was written has left. */
void http2__drained(struct http1_conn *c);

/** No more streams: it closes when those that are open have ended. */
void http2__retire(struct http1_conn *c);

/** Has it streams that are open? */
bool http2__is_busy(const struct http1_conn *c);

/** Tell the peer of the end, with nghttp2's @a code; then close. */
void http2__fail(struct http1_conn *c, uint32_t code);

/** The connection is being closed: its requests find out. */
void http2__gone(struct http1_conn *c);

/** After that. NULL is fine. */
void http2__free(struct http2 *h2);

/** A request is given up. */
void http2__released(struct http_request *req);

/** nghttp2 has no more to do with @a s, or its request is given up. */
void http2__stream_unref(struct http2_stream *s);

void http2__shared_free(struct http_server *server);

/* http2_memory.c */

/** As malloc() and free(), for @a h2 alone. NULL: out of memory. */
void *http2__alloc(struct http2 *h2, size_t size);
void http2__dealloc(struct http2 *h2, void *data);

/** That for nghttp2. */
nghttp2_mem http2__memory(struct http2 *h2);

/** Free all that a session has of it. */
void http2__memory_free(struct http2 *h2);

void http2__spare_init(struct http2_spare *spare);
void http2__spare_free(struct http2_spare *spare);

/* http2_receive.c: nghttp2's callbacks, from frames to requests. */

void http2__receive_init(nghttp2_session_callbacks *callbacks);

/** Give @a s the window it lacks, if there is room for so much. */
void http2__open_window(struct http2_stream *s);

/** As that for all that wait until others are done. */
void http2__open_windows(struct http2 *h2);

/** Nothing of the body counts for the session any more. */
void http2__let_go(struct http2_stream *s);

/** A body goes wrong: answered for the handler, or reset. */
void http2__refuse_body(struct http2_stream *s, int status, const char *why);

/* http2_answer.c */

void http2__answer_init(nghttp2_session_callbacks *callbacks);

/** The server's own answer to @a s, whose request is given up if its handler
 * has not got it. */
void http2__refuse(struct http2_stream *s, int status, const char *reason);

/** End the stream, with nghttp2's @a code. */
void http2__reset(struct http2_stream *s, uint32_t code);

/** As the functions of http_request.h. */
int http2__reply(struct http_request *req, const struct http_response *resp);
int http2__answer_begin(struct http_request *req,
			const struct http_response *resp, int64_t length);
ssize_t http2__write(struct http_request *req, struct http_text piece);
int http2__end(struct http_request *req, const struct http_field *trailers,
	       size_t count);
void http2__abort(struct http_request *req);

/** The handler reads, or waits for, more of the body. */
void http2__read_on(struct http_request *req);

/** "Go on" to a peer that waits for it. */
void http2__invite(struct http2_stream *s);

/* http2_guard.c: peers that cost more than they bring. */

/** A frame has come; there may have been too many like it. */
void http2__count_frame(struct http2 *h2, uint8_t type, size_t size);

/** So many bytes were read. */
void http2__count_bytes(struct http2 *h2, size_t size);

/** A stream was closed: @a finished, or broken off. */
void http2__count_end(struct http2 *h2, bool finished);

/** Look at the streams' deadlines from now on. */
void http2__watch(struct http2 *h2);
