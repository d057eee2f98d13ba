/*
 * A session: what its connection reads goes to nghttp2, what nghttp2 has to send
 * goes to the connection, and between the two the handlers get their requests.
 *
 * Frames are asked for only while everything has left, and so many as make a
 * good write: what waits is with nghttp2, which knows whose turn it is, or in the
 * streams, which hold back their handlers.
 *
 * A session ends in two steps, so that no request is lost on the way: the peer
 * is told to open no more streams, and pinged; what it sent before it knew is
 * served; then it is told which was the last one.
 */
#include <assert.h>
#include <string.h>

#include "base/inject.h"
#include "net/http2.h"

enum {
	CLOCK_EVERY = 32, /* requests between two looks at the clock */
	/* Of fields as nghttp2 reckons them, and those of our own. */
	BLOCK_MAX = HTTP_FIELDS_SIZE_MAX + 65536,
};

static const char preface[] = NGHTTP2_CLIENT_MAGIC;

bool http2__is_preface(const struct http1_conn *c, const char *data,
		       size_t size)
{
	return http1__server_of(c)->h2 != NULL && c->requests == 0 &&
	       c->stream.tls == NULL && size >= NGHTTP2_CLIENT_MAGIC_LEN &&
	       memcmp(data, preface, NGHTTP2_CLIENT_MAGIC_LEN) == 0;
}

/* --- what sessions share --- */

void http2__shared_free(struct http_server *server)
{
	struct http2_shared *shared = server->h2;

	if (shared == NULL)
		return;
	nghttp2_session_callbacks_del(shared->callbacks);
	nghttp2_option_del(shared->option);
	http2__spare_free(&shared->spare);
	mem_free(shared);
	server->h2 = NULL;
}

int http_server_set_http2(struct http_server *server, bool on)
{
	struct http2_shared *shared;

	if (!on)
		http2__shared_free(server);
	if (!on || server->h2 != NULL)
		return 0;
	shared = mem_zalloc(sizeof(*shared));
	if (shared == NULL)
		return UV_ENOMEM;
	http2__spare_init(&shared->spare);
	server->h2 = shared;
	if (nghttp2_session_callbacks_new(&shared->callbacks) != 0 ||
	    nghttp2_option_new(&shared->option) != 0) {
		http2__shared_free(server);
		return UV_ENOMEM;
	}
	http2__receive_init(shared->callbacks);
	http2__answer_init(shared->callbacks);
	nghttp2_option_set_no_auto_window_update(shared->option, 1);
	nghttp2_option_set_no_closed_streams(shared->option, 1);
	/* What is larger it would drop, and let the peer wait for it. */
	nghttp2_option_set_max_send_header_block_length(shared->option,
							BLOCK_MAX);
	return 0;
}

/* --- beginning and end --- */

static int begin_session(struct http2 *h2)
{
	const struct http_server *server = http1__server_of(h2->conn);
	nghttp2_mem mem = http2__memory(h2);
	const nghttp2_settings_entry settings[] = {
		{ NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS,
		  server->limits.streams },
		{ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE,
		  server->limits.header_bytes },
		{ NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1 },
	};

	if (nghttp2_session_server_new3(&h2->session, server->h2->callbacks, h2,
					server->h2->option, &mem) != 0)
		return UV_ENOMEM;
	if (nghttp2_submit_settings(h2->session, NGHTTP2_FLAG_NONE, settings,
				    sizeof(settings) / sizeof(settings[0])) !=
		    0 ||
	    nghttp2_session_set_local_window_size(
		    h2->session, NGHTTP2_FLAG_NONE, 0, HTTP2_WINDOW) != 0)
		return UV_ENOMEM;
	return 0;
}

int http2__begin(struct http1_conn *c)
{
	struct http2 *h2 = mem_zalloc(sizeof(*h2));

	if (h2 == NULL)
		return UV_ENOMEM;
	h2->conn = c;
	h2->spare = &http1__server_of(c)->h2->spare;
	h2->began_ms = http1__now_ms();
	h2->known = NGHTTP2_CLIENT_MAGIC_LEN;
	list_init(&h2->streams);
	list_init(&h2->ready);
	list_init(&h2->blocks);
	if (begin_session(h2) != 0) {
		http2__free(h2);
		return UV_ENOMEM;
	}
	c->h2 = h2;
	http1__server_of(c)->stat.http2++;
	if (http1__server_of(c)->draining)
		http2__retire(c);
	return 0;
}

void http2__free(struct http2 *h2)
{
	if (h2 == NULL)
		return;
	http2__memory_free(h2);
	mem_free(h2);
}

void http2__stream_unref(struct http2_stream *s)
{
	if (!s->closed || s->req != NULL)
		return;
	list_del(&s->link);
	list_del(&s->ready);
	buf_destroy(&s->out);
	buf_destroy(&s->access);
	mem_free(s->trailers);
	http2__dealloc(s->h2, s);
}

void http2__released(struct http_request *req)
{
	struct http2_stream *s = req->h2;
	struct http2 *h2 = s->h2;

	req->h2 = NULL;
	s->req = NULL;
	h2->busy -= s->handed;
	http2__let_go(s);
	h2->dirty = true;
	http2__stream_unref(s);
}

bool http2__is_busy(const struct http1_conn *c)
{
	return c->h2 != NULL && c->h2->open > 0;
}

void http2__gone(struct http1_conn *c)
{
	struct http2 *h2 = c->h2;

	timer_stop(http1__server_of(c)->timers, &h2->timer);
	list_foreach_safe(link, next, &h2->streams) {
		struct http2_stream *s =
			list_entry(link, struct http2_stream, link);
		struct http_request *req = s->req;

		if (!s->closed) /* nghttp2 may still be at work */
			nghttp2_session_set_stream_user_data(h2->session, s->id,
							     NULL);
		s->closed = true;
		http1__access_stream_end(s, s->sent_all);
		if (req != NULL)
			http1__access_end(req, s->sent_all);
		if (req == NULL) {
			http2__stream_unref(s);
		} else if (!s->handed) {
			http1__request_release(req);
		} else {
			http1__server_of(c)->stat.gone += req->conn != NULL;
			req->conn = NULL; /* its handler will find out */
			req->h2 = NULL;
			s->req = NULL;
			http2__stream_unref(s);
			cond_broadcast(&req->ready);
		}
	}
	h2->open = 0;
}

/* --- sending --- */

/* Gather what nghttp2 has to send, up to a good write. Returns 0 or UV_E*. */
static int gather(struct http2 *h2, size_t mark)
{
	struct buf *out = &http1__server_of(h2->conn)->out;
	const uint8_t *data;
	ssize_t n;
	int rc = 0;

	h2->mark = mark;
	h2->gathering = true;
	do {
		/* Bodies are put behind out by a callback. */
		n = nghttp2_session_mem_send(h2->session, &data);
		if (n < 0 || (n > 0 && buf_append(out, data, n) != 0))
			rc = UV_ENOMEM;
	} while (rc == 0 && n > 0 && out->size - mark < HTTP1_OUT_FLUSH);
	h2->gathering = false;
	return rc;
}

static void flush(struct http1_conn *c)
{
	struct buf *out = &http1__server_of(c)->out;

	while (!c->closing && stream_unsent(&c->stream) == 0) {
		size_t mark = out->size;

		if (gather(c->h2, mark) != 0) {
			out->size = mark;
			http1__close(c);
			return;
		}
		if (out->size == mark)
			return;
		if (http1__flush(c, mark, (struct http_text){ NULL, 0 },
				 false) != 0)
			return;
	}
}

static bool is_over(struct http2 *h2)
{
	return nghttp2_session_want_read(h2->session) == 0 &&
	       nghttp2_session_want_write(h2->session) == 0;
}

/* What the connection waits for. */
static void wait_for(struct http1_conn *c, enum http1_wait wait)
{
	if (c->wait != wait)
		http1__wait(c, wait); /* or its deadline would never come */
}

void http2__settle(struct http1_conn *c)
{
	struct http2 *h2 = c->h2;

	if (c->closing || c->wait == HTTP1_WAIT_LINGER || h2->at_work)
		return;
	if (h2->dirty) {
		h2->dirty = false;
		http2__open_windows(h2);
	}
	flush(c);
	if (c->closing)
		return;
	http1__access_settle(c); /* streams that ended without a word of ours */
	c->last |= is_over(h2);
	if (c->last) {
		http1__finish(c);
		return;
	}
	if (c->wait != HTTP1_WAIT_TURN && !list_empty(&h2->ready) &&
	    h2->busy < http1__server_of(c)->limits.streams) {
		http1__wait(c, HTTP1_WAIT_TURN);
		http1__want_turn(http1__server_of(c));
	}
	if (c->wait == HTTP1_WAIT_TURN) {
		http1__set_reading(c, false);
		return;
	}
	if (stream_unsent(&c->stream) > 0)
		http1__wait_for_peer(c);
	else if (h2->open > 0 || h2->ending)
		wait_for(c, HTTP1_WAIT_HANDLER);
	else
		wait_for(c, HTTP1_WAIT_IDLE);
	/* Who reads no answers is not asked for more to answer. */
	http1__set_reading(c, nghttp2_session_get_outbound_queue_size(
				      h2->session) < HTTP2_QUEUE_MAX);
}

void http2__drained(struct http1_conn *c)
{
	if (c->wait == HTTP1_WAIT_SEND)
		http1__wait(c, HTTP1_WAIT_HANDLER); /* that was progress */
	http2__settle(c);
}

/* --- ending --- */

static void last_call(struct http1_conn *c)
{
	struct http2 *h2 = c->h2;

	h2->end_due_ms = 0;
	if (nghttp2_submit_goaway(
		    h2->session, NGHTTP2_FLAG_NONE,
		    nghttp2_session_get_last_proc_stream_id(h2->session),
		    NGHTTP2_NO_ERROR, NULL, 0) != 0)
		http1__close(c);
}

/* What has no end by itself can have one. */
static void tell_of_end(struct http2 *h2)
{
	list_foreach(link, &h2->streams) {
		struct http2_stream *s =
			list_entry(link, struct http2_stream, link);

		if (s->req != NULL)
			cond_broadcast(&s->req->ready);
	}
}

void http2__retire(struct http1_conn *c)
{
	static const uint8_t mark[8] = "the end";
	struct http2 *h2 = c->h2;

	if (c->closing || c->last)
		return;
	if (h2->ending) {
		if (h2->end_due_ms != 0 && h2->end_due_ms < http1__now_ms()) {
			/* Who has not answered may be asking on: a reset would
			 * keep from it that this was in vain. */
			c->linger = true;
			last_call(c);
		}
	} else {
		h2->ending = true;
		tell_of_end(h2);
		h2->end_due_ms = http1__now_ms() + HTTP2_CALM_MS;
		http2__watch(h2);
		if (nghttp2_submit_shutdown_notice(h2->session) != 0 ||
		    nghttp2_submit_ping(h2->session, NGHTTP2_FLAG_NONE, mark) !=
			    0)
			http1__close(c);
	}
	http2__settle(c);
}

void http2__fail(struct http1_conn *c, uint32_t code)
{
	struct http2 *h2 = c->h2;

	if (h2->flooded) {
		code = NGHTTP2_ENHANCE_YOUR_CALM;
		http1__server_of(c)->stat.http2_floods++;
	}
	if (nghttp2_session_terminate_session(h2->session, code) != 0) {
		http1__close(c);
		return;
	}
	flush(c);
	if (c->closing)
		return;
	c->last = c->linger = true;
	http1__finish(c);
}

/* --- reading --- */

static void hand_over(struct http1_conn *c, struct http2_stream *s)
{
	struct http_server *server = http1__server_of(c);
	struct http_request *req = s->req;

	if (req->phase != HTTP1_COMPLETE) {
		req->receiving = true;
		http2__let_go(s);
	}
	s->handed = true;
	c->h2->busy++;
	c->requests++;
	req->waiting = true;
	server->stat.waiting++;
	server->stat.requests++;
	http__trace_number(HTTP_TRACE_REQUEST, c, req,
			   req->head_size + http1__body_total(req), NULL);
	server->on_request(req, server->arg);
}

/* Give the requests that are ready to their handlers, or as many as is fair to
 * the other connections; the streams that a peer has taken back count until
 * their handlers have noticed. */
static void serve(struct http1_conn *c)
{
	struct http2 *h2 = c->h2;
	uint32_t limit = http1__server_of(c)->limits.streams;
	uint64_t end_ms = 0;

	assert(!h2->at_work);
	h2->at_work = true;
	for (unsigned n = 1;
	     !c->closing && h2->busy < limit && !list_empty(&h2->ready); n++) {
		hand_over(c, list_entry(list_shift(&h2->ready),
					struct http2_stream, ready));
		if (n % CLOCK_EVERY != 0 || list_empty(&h2->ready))
			continue;
		if (end_ms == 0)
			end_ms = http1__now_ms() + HTTP1_BATCH_MS;
		else if (http1__now_ms() > end_ms)
			break;
	}
	h2->at_work = false;
	if (!c->closing && http1__server_of(c)->limits.requests != 0 &&
	    c->requests >= http1__server_of(c)->limits.requests && !h2->ending)
		http2__retire(c);
	http2__settle(c);
}

void http2__read(struct http1_conn *c, const char *data, size_t size)
{
	struct http2 *h2 = c->h2;
	ssize_t n;

	assert(!h2->at_work);
	h2->at_work = true;
	n = nghttp2_session_mem_recv(h2->session, (const uint8_t *)data, size);
	h2->at_work = false;
	if (c->closing)
		return;
	if (h2->head_due_ms == HTTP2_HEAD_BEGUN)
		h2->head_due_ms =
			http1__now_ms() + http1__server_of(c)->limits.header_ms;
	http2__count_bytes(h2, size);
	if (n < 0 || h2->flooded) {
		http2__fail(c, n == NGHTTP2_ERR_NOMEM ? NGHTTP2_INTERNAL_ERROR
						      : NGHTTP2_PROTOCOL_ERROR);
		return;
	}
	h2->dirty = true;
	if (h2->end_due_ms == 1) {
		last_call(c);
		if (c->closing)
			return;
	}
	serve(c);
}

void http2__resume(struct http1_conn *c)
{
	http1__wait(c, HTTP1_WAIT_HANDLER); /* any that is not TURN */
	serve(c);
}
