/*
 * What comes on a connection: requests are served one after the other, in
 * order.
 *
 * Input comes in batches, one read each. The requests of a batch are parsed
 * where they were read and given to the handler; the answers that come at once
 * are gathered and leave in one write at the batch's end. What cannot be
 * served now is kept in c->in: a request that is not complete, or whole ones
 * because
 *
 *   - a handler waits (busy): answers keep their order,
 *   - the peer does not read its answers (unsent above HTTP1_OUT_HIGH),
 *   - the batch took too long: the other connections come first (TURN).
 *
 * While c->in is full the connection is not read, and TCP holds the peer.
 *
 * Nothing here runs inside itself: an answer that comes late is sent, and what
 * was held meanwhile is served from the loop.
 */
#include <assert.h>
#include <string.h>

#include "base/inject.h"
#include "net/http2.h"

enum { CLOCK_EVERY = 32 }; /* requests between two looks at the clock */

static bool may_serve(const struct http1_conn *c)
{
	return !c->closing && !c->busy && !c->last &&
	       stream_unsent(&c->stream) <= HTTP1_OUT_HIGH;
}

static void flush_all(struct http1_conn *c)
{
	/* What was gathered for one client is never another's. */
	assert(http1__server_of(c)->current == NULL ||
	       http1__server_of(c)->current == c);
	http1__flush(c, 0, (struct http_text){ NULL, 0 }, false);
}

/* Refuse what comes in, now and from now on. */
static void refuse(struct http1_conn *c, int status, const char *reason)
{
	struct http_request *req = c->req;
	size_t sent;

	http1__server_of(c)->stat.refused_requests++;
	c->last = true;
	c->linger = true;
	http__trace_number(HTTP_TRACE_REFUSED, c, req, (unsigned)status,
			   reason);
	sent = http1__write_refusal(http1__server_of(c), status, reason);
	if (req == NULL) {
		http1__access_refused(c, status, sent);
		return;
	}
	http1__access_answer(req, status);
	req->sent = sent;
	http1__access_end(req, true);
	c->req = NULL;
	if (c->busy) {
		http1__unwatch(req);
		req->conn = NULL; /* its handler finds out */
	} else {
		http1__request_release(req);
	}
	c->busy = false;
}

void http1__find_request(struct http1_conn *c)
{
	struct http_request *req = c->req;

	if (c->in.size > 0)
		req->base = c->in.data;
	if (req->head_size == 0)
		req->line = (struct http_text){ c->in.data, c->in.size };
}

void http1__turn_away(struct http1_conn *c, int status, const char *reason)
{
	/* A handler's drain may bring it here in the middle of another
	 * connection's batch, whose answers lie before the mark. */
	size_t mark = http1__server_of(c)->out.size;

	refuse(c, status, reason);
	http1__flush(c, mark, (struct http_text){ NULL, 0 }, false);
	http1__settle(c);
}

void http1__refuse_body(struct http1_conn *c, int status, const char *reason)
{
	struct http_request *req = c->req;

	http1__refuse(req, status, reason);
	if (req->framing != HTTP1_NOT_BEGUN) {
		http1__close(c);
		return;
	}
	http1__turn_away(c, status, reason);
	cond_broadcast(&req->ready);
}

/* The handler keeps the request: it needs its bytes, too. */
static void detach(struct http_request *req)
{
	struct http1_conn *c = req->conn;

	req->own = mem_alloc(req->parsed);
	if (req->own != NULL) {
		req->own_size = req->parsed;
		memcpy(req->own, req->base, req->parsed);
		req->base = req->own;
		return;
	}
	/* Without memory it loses its contents and its connection. That no body is
	 * there is not to be taken for an empty one. */
	req->base = "";
	req->target = req->path = req->query = req->body =
		(struct http1_span){ 0, 0 };
	req->field_count = req->line_count = 0;
	req->taken = req->parsed = 0;
	req->receiving = true;
	req->phase = HTTP1_BODY;
	req->refusal = 503;
	req->reason = "not enough memory";
	if (c != NULL)
		http1__close(c);
}

static void hand_over(struct http1_conn *c)
{
	struct http_server *server = http1__server_of(c);
	struct http_request *req = c->req;
	http_handle handle = http_request_handle(req);

	c->busy = true;
	c->requests++;
	req->waiting = true;
	server->stat.waiting++;
	server->stat.requests++;
	http__trace_number(HTTP_TRACE_REQUEST, c, req,
			   req->head_size + http1__body_total(req), NULL);
	server->on_request(req, server->arg);
	/* It may be answered, waiting, or waiting without its connection. */
	if (http_request_find(server, handle) == req)
		detach(req);
}

/* "Go on", once, to a peer that waits for it before it sends a body. */
static void invite_body(struct http1_conn *c)
{
	static const char invitation[] = "HTTP/1.1 100 Continue\r\n\r\n";

	if (!c->req->expect || c->req->phase == HTTP1_HEAD)
		return;
	c->req->expect = false;
	buf_append(&http1__server_of(c)->out, invitation,
		   sizeof(invitation) - 1);
}

/* It was no request, but how HTTP/2 begins. */
static void change_protocol(struct http1_conn *c)
{
	http1__request_release(c->req);
	c->req = NULL;
	if (http2__begin(c) != 0)
		http1__close(c);
}

/* Serve the request at @a data. Returns its size, or 0 when it is not whole
 * or not to be served. */
static size_t serve(struct http1_conn *c, char *data, size_t size)
{
	struct http_request *req = c->req;

	if (req == NULL) {
		req = http1__request_take(http1__server_of(c));
		if (req == NULL) {
			refuse(c, 503, "not enough memory");
			return 0;
		}
		c->req = req;
		req->conn = c;
		http1__parse_start(req);
		http1__access_take(req);
	}
	req->base = data;
	switch (http1__parse(req, size)) {
	case HTTP1_MORE:
		if (http1__server_of(c)->streaming &&
		    req->phase != HTTP1_HEAD) {
			http1__receive_begin(req);
			hand_over(c);
			return size;
		}
		invite_body(c);
		return 0;
	case HTTP1_REFUSED:
		if (req->refusal == 505 && http2__is_preface(c, data, size)) {
			change_protocol(c);
			return 0;
		}
		if (req->head_size == 0)
			req->line = (struct http_text){ data, size };
		refuse(c, req->refusal, req->reason);
		return 0;
	case HTTP1_DONE:
		break;
	}
	size = req->parsed; /* the handler may end the request's life */
	hand_over(c);
	return size;
}

/* Keep what was not served: @a data from @a used on. */
static void keep(struct http1_conn *c, char *data, size_t size, size_t used)
{
	struct http_request *req = c->busy ? NULL : c->req;

	if (c->closing)
		return;
	if (c->last && !c->busy) {
		/* Nothing will be served, but that it came makes us linger. */
		c->linger |= used < size;
		used = size;
	}
	if (req != NULL && req->phase == HTTP1_CHUNKS) {
		/* Of a chunked body only the bytes are kept. */
		req->parsed = req->body.start + req->body.size;
		size = used + req->parsed;
	}
	if (used == size) {
		buf_destroy(&c->in); /* an idle connection stays small */
	} else if (data == c->in.data) {
		c->in.size = size;
		buf_consume(&c->in, used);
	} else if (buf_append(&c->in, data + used, size - used) != 0) {
		http1__close(c);
	}
}

/* What is there is the beginning of a session. */
static void begin_http2(struct http1_conn *c, char *data, size_t size)
{
	struct buf in = c->in;

	memset(&c->in, 0, sizeof(c->in)); /* which @a data may be */
	http2__read(c, data, size);
	buf_destroy(&in);
}

/* Serve what can be served of @a data: the read buffer's, or c->in's. */
static void feed(struct http1_conn *c, char *data, size_t size)
{
	struct http_server *server = http1__server_of(c);
	uint64_t end_ms = 0;
	size_t used = 0, step;

	assert(server->current == NULL);
	server->current = c;
	for (unsigned n = 1; used < size && may_serve(c); n++) {
		step = serve(c, data + used, size - used);
		used += step;
		if (step == 0)
			break;
		if (server->out.size >= HTTP1_OUT_FLUSH)
			flush_all(c);
		if (n % CLOCK_EVERY != 0 || !may_serve(c) || used == size)
			continue;
		if (end_ms == 0) {
			end_ms = http1__now_ms() + HTTP1_BATCH_MS;
		} else if (http1__now_ms() > end_ms) {
			http1__wait(c, HTTP1_WAIT_TURN);
			http1__want_turn(server);
			break;
		}
	}
	server->current = NULL;
	if (c->h2 != NULL) { /* since just now: nothing was used, or served */
		begin_http2(c, data, size);
		return;
	}
	keep(c, data, size, used);
	flush_all(c);
	if (http1__is_upgraded(c))
		http1__websocket_read(c, NULL, 0); /* what came behind it */
	http1__settle(c);
}

void http1__resume(struct http1_conn *c)
{
	if (c->h2 != NULL) {
		http2__resume(c);
		return;
	}
	http1__wait(c, HTTP1_WAIT_HANDLER); /* any that is not TURN */
	if (http1__is_upgraded(c))
		http1__websocket_read(c, NULL, 0);
	else if (may_serve(c))
		feed(c, c->in.data, c->in.size);
	else
		http1__settle(c);
}

/* More of the body of a request that its handler has. */
static void receive(struct http1_conn *c, char *data, size_t size)
{
	struct http_request *req = c->req;
	ssize_t n = http1__receive(req, data, size);

	if (n == UV_EPROTO) {
		http1__refuse_body(c, req->refusal, req->reason);
		return;
	}
	if (n < 0 ||
	    ((size_t)n < size && buf_append(&c->in, data + n, size - n) != 0)) {
		http1__close(c);
		return;
	}
	cond_broadcast(&req->ready);
	http1__settle(c);
}

/* No more will come: @a why is UV_EOF, or what went wrong. */
static void on_input_end(struct http1_conn *c, int why)
{
	if (why != UV_EOF) {
		http1__server_of(c)->stat.truncated +=
			why == UV_ECONNABORTED &&
			(c->req != NULL || http2__is_busy(c));
		http1__close(c);
		return;
	}
	c->eof = true; /* it may still read our answers */
	c->reading = false;
	if (c->wait == HTTP1_WAIT_LINGER || c->h2 != NULL ||
	    http1__is_upgraded(c) || (c->busy && c->req->receiving))
		http1__close(c);
	else
		http1__settle(c);
}

void http1__on_read(struct stream *s, char *data, ssize_t size)
{
	struct http1_conn *c = http1__conn_of(s);

	if (c->closing)
		return;
	if (size < 0) {
		on_input_end(c, (int)size);
		return;
	}
	if (c->wait == HTTP1_WAIT_LINGER) {
		c->progress += size;
		if (c->progress > HTTP1_LINGER_BYTES)
			http1__close(c);
		return;
	}
	if (c->h2 != NULL) {
		http2__read(c, data, size);
		return;
	}
	if (may_serve(c) && c->wait != HTTP1_WAIT_TURN && c->in.size == 0) {
		feed(c, data, size);
		return;
	}
	if (c->busy && c->req->receiving) {
		receive(c, data, size);
		return;
	}
	if (http1__is_upgraded(c)) {
		http1__websocket_read(c, data, size);
		return;
	}
	if (buf_append(&c->in, data, size) != 0) {
		http1__close(c);
		return;
	}
	if (may_serve(c) && c->wait != HTTP1_WAIT_TURN)
		feed(c, c->in.data, c->in.size);
	else
		http1__settle(c);
}

void http1__on_drained(struct stream *s, int status)
{
	struct http1_conn *c = http1__conn_of(s);

	if (status != 0)
		http1__access_write_failed(c);
	if (c->closing)
		return;
	if (status == 0)
		http1__access_settle(c);
	if (status == 0 && c->h2 != NULL) {
		http2__drained(c);
		return;
	}
	if (status == 0 && c->busy && c->req->framing != HTTP1_NOT_BEGUN) {
		c->req->backlog = 0;
		cond_broadcast(&c->req->ready);
	}
	if (status != 0)
		http1__close(c);
	else if (http1__is_upgraded(c))
		http1__websocket_read(c, NULL, 0);
	else if (may_serve(c) && c->wait == HTTP1_WAIT_SEND && c->in.size > 0)
		feed(c, c->in.data, c->in.size);
	else
		http1__settle(c);
}

void http1__on_written(struct stream *s)
{
	http1__access_settle(http1__conn_of(s));
}

void http1__on_stalled(struct stream *s)
{
	struct http1_conn *c = http1__conn_of(s);

	if (c->closing || c->wait == HTTP1_WAIT_GREET)
		return;
	if (c->h2 != NULL)
		http2__settle(c);
	else
		http1__settle(c);
}
