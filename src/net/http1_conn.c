/*
 * One connection: requests are served one after the other, in order.
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
 *   IDLE -> HEAD -> BODY -> HANDLER -> (SEND) -> IDLE
 *     any of them -> SEND -> LINGER -> closed, after a refusal
 *
 * With TLS a connection is in GREET before all that.
 *
 * Nothing here runs inside itself: an answer that comes late is sent, and what
 * was held meanwhile is served from the loop.
 */
#include <assert.h>
#include <string.h>
#include <unistd.h>

#include "base/inject.h"
#include "net/http2.h"

enum {
	CLOCK_EVERY = 32,     /* requests between two looks at the clock */
	OUT_KEEP = 1 << 20,   /* of the output buffer, after a large batch */
	SEND_PROGRESS = 4096, /* the least to be read in send_ms */
};

static void settle(struct http1_conn *c);

static uint32_t clamp(size_t size)
{
	return size < UINT32_MAX ? (uint32_t)size : UINT32_MAX;
}

static bool may_serve(const struct http1_conn *c)
{
	return !c->closing && !c->busy && !c->last &&
	       stream_unsent(&c->stream) <= HTTP1_OUT_HIGH;
}

static bool is_upgraded(const struct http1_conn *c)
{
	return c->busy && c->req != NULL && c->req->framing == HTTP1_UPGRADED;
}

void http1__set_reading(struct http1_conn *c, bool on)
{
	if (c->reading == on || c->eof)
		return;
	c->reading = on;
	if (!on)
		stream_read_stop(&c->stream);
	else if (stream_read_start(&c->stream) != 0)
		http1__close(c);
}

int http1__flush(struct http1_conn *c, size_t mark, struct http_text direct,
		 bool crlf)
{
	struct buf *out = &c->server->out;
	int rc = c->closing ? UV_ECONNRESET : 0;
	uv_buf_t bufs[3];

	if (rc == 0 && (out->size > mark || direct.size > 0)) {
		bufs[0] = uv_buf_init(out->data + mark, out->size - mark);
		bufs[1] = uv_buf_init((char *)direct.data, direct.size);
		if (crlf)
			bufs[2] = uv_buf_init((char *)"\r\n", 2);
		rc = stream_write(&c->stream, bufs,
				  1 + (direct.size > 0) + crlf);
	}
	out->size = mark;
	if (mark == 0)
		buf_reset(out, OUT_KEEP);
	if (rc != 0)
		http1__close(c);
	return rc;
}

static void flush_all(struct http1_conn *c)
{
	/* What was gathered for one client is never another's. */
	assert(c->server->current == NULL || c->server->current == c);
	http1__flush(c, 0, (struct http_text){ NULL, 0 }, false);
}

void http1__wait_for_peer(struct http1_conn *c)
{
	if (c->wait == HTTP1_WAIT_SEND)
		return;
	c->progress = clamp(stream_unsent(&c->stream));
	http1__wait(c, HTTP1_WAIT_SEND);
}

/* The peer gets the chance to read it: a close with input unread would reset. */
void http1__finish(struct http1_conn *c)
{
	bool over;

	if (stream_unsent(&c->stream) > 0) {
		http1__set_reading(c, false);
		http1__wait_for_peer(c);
		return;
	}
	over = c->eof ||
	       (!c->linger && c->in.size == 0 && !stream_has_input(&c->stream));
	if (over)
		stream_end(&c->stream);
	if (over || stream_shutdown(&c->stream) != 0) {
		http1__close(c);
		return;
	}
	buf_destroy(&c->in);
	c->progress = 0;
	http1__wait(c, HTTP1_WAIT_LINGER);
	http1__set_reading(c, true);
}

/* A request is on its way in: its deadlines run from its first byte, and
 * again from every 64 KiB of its body. */
static void wait_for_request(struct http1_conn *c)
{
	struct http_request *req = c->req;
	bool head = req->phase == HTTP1_HEAD;
	enum http1_wait wait = head ? HTTP1_WAIT_HEAD : HTTP1_WAIT_BODY;

	if (c->wait == wait && req->timed &&
	    http1__body_total(req) - req->timed_body < HTTP1_READ_SIZE)
		return;
	req->timed = true;
	req->timed_body = http1__body_total(req);
	http1__wait(c, wait);
}

/* After anything has happened: choose what the connection waits for now. */
static void settle(struct http1_conn *c)
{
	size_t unsent;

	if (c->closing || c->wait == HTTP1_WAIT_LINGER)
		return;
	unsent = stream_unsent(&c->stream);
	if (c->busy) {
		if (c->req->framing != HTTP1_NOT_BEGUN && unsent > 0)
			http1__wait_for_peer(c);
		else if (c->req->receiving && !c->req->expect &&
			 http1__has_room(c->req))
			wait_for_request(c);
		else if (c->wait != HTTP1_WAIT_HANDLER)
			http1__wait(c, HTTP1_WAIT_HANDLER);
		http1__set_reading(c, c->in.size < HTTP1_HELD_MAX &&
					      http1__has_room(c->req));
	} else if (c->last) {
		http1__finish(c);
	} else if (c->wait == HTTP1_WAIT_TURN) {
		http1__set_reading(c, false);
	} else if (unsent > HTTP1_OUT_HIGH) {
		http1__set_reading(c, false);
		http1__wait_for_peer(c);
	} else if (c->eof) {
		c->last = true; /* what is left is no whole request */
		http1__finish(c);
	} else {
		if (c->req != NULL)
			wait_for_request(c);
		else
			http1__wait(c, HTTP1_WAIT_IDLE);
		http1__set_reading(c, true);
	}
}

/* Refuse what comes in, now and from now on. */
static void refuse(struct http1_conn *c, int status, const char *reason)
{
	if (c->req != NULL && !c->busy) {
		http1__request_release(c->req);
		c->req = NULL;
	}
	c->server->stat.refused_requests++;
	c->last = true;
	c->linger = true;
	http1__write_refusal(c->server, status, reason);
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
	/* Without memory it loses its contents and its connection. */
	req->base = "";
	req->target = req->path = req->query = req->body =
		(struct http1_span){ 0, 0 };
	req->field_count = 0;
	if (c != NULL)
		http1__close(c);
}

static void hand_over(struct http1_conn *c)
{
	struct http_server *server = c->server;
	struct http_request *req = c->req;
	http_handle handle = http_request_handle(req);

	c->busy = true;
	c->requests++;
	req->waiting = true;
	server->stat.waiting++;
	server->stat.requests++;
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
	buf_append(&c->server->out, invitation, sizeof(invitation) - 1);
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
		req = http1__request_take(c->server);
		if (req == NULL) {
			refuse(c, 503, "not enough memory");
			return 0;
		}
		c->req = req;
		req->conn = c;
		http1__parse_start(req);
	}
	req->base = data;
	switch (http1__parse(req, size)) {
	case HTTP1_MORE:
		if (c->server->streaming && req->phase != HTTP1_HEAD) {
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
	struct http_server *server = c->server;
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
	if (is_upgraded(c))
		http1__websocket_read(c, NULL, 0); /* what came behind it */
	settle(c);
}

void http1__resume(struct http1_conn *c)
{
	if (c->h2 != NULL) {
		http2__resume(c);
		return;
	}
	http1__wait(c, HTTP1_WAIT_HANDLER); /* any that is not TURN */
	if (may_serve(c))
		feed(c, c->in.data, c->in.size);
	else
		settle(c);
}

void http1__settle(struct http1_conn *c)
{
	settle(c);
}

bool http1__keeps_alive(const struct http_request *req, bool close)
{
	const struct http_server *server = req->server;

	return req->keep_alive && !close && !server->draining &&
	       (server->limits.requests == 0 ||
		req->conn->requests < server->limits.requests);
}

/* An answer is on its way, or, with @a rc, is not: the next one. */
static int go_on(struct http1_conn *c, bool at_once, int rc)
{
	if (at_once)
		return rc; /* the batch goes on */
	if (!c->closing && !c->last && c->in.size > 0) {
		http1__wait(c, HTTP1_WAIT_TURN);
		http1__want_turn(c->server);
	}
	settle(c);
	return rc;
}

int http1__answered(struct http_request *req, size_t mark, int rc)
{
	struct http_server *server = req->server;
	struct http1_conn *c = req->conn;
	bool at_once = server->current == c;

	c->busy = false;
	c->req = NULL;
	c->last |= !req->keep_alive || server->draining || req->receiving;
	c->linger |= req->receiving;
	http1__request_release(req);
	if (rc != 0)
		http1__close(c);
	else if (!at_once)
		rc = http1__flush(c, mark, (struct http_text){ NULL, 0 },
				  false);
	return go_on(c, at_once, rc);
}

void http1__part(struct http1_conn *c, bool linger)
{
	struct http_request *req = c->req;

	req->conn = NULL;
	c->req = NULL;
	c->busy = false;
	c->last = true;
	c->linger |= linger;
	buf_destroy(&c->in);
	cond_broadcast(&req->ready);
	if (c->server->current != c)
		settle(c);
}

int http1__reply(struct http_request *req, const struct http_response *resp)
{
	struct http_server *server = req->server;
	struct http1_conn *c = req->conn;
	struct http_text body = { NULL, 0 }, direct = body;
	enum http1_framing framing = resp->status == 204 || resp->status == 304
					     ? HTTP1_NO_BODY
					     : HTTP1_LENGTH;
	bool at_once = c != NULL && server->current == c;
	bool keep_alive, is_direct = false;
	size_t mark = server->out.size;
	int rc;

	if (req->framing != HTTP1_NOT_BEGUN)
		return UV_EALREADY;
	if (c == NULL) {
		http1__request_release(req);
		return UV_ECONNRESET;
	}
	keep_alive = http1__keeps_alive(req, resp->close | req->receiving);
	if (framing == HTTP1_LENGTH && req->method != HTTP_HEAD)
		body = resp->body;
	rc = http1__write_response(server, resp, framing, resp->body.size, body,
				   req->minor, keep_alive, &is_direct);
	if (rc == UV_EINVAL)
		return rc;
	c->busy = false;
	c->req = NULL;
	c->last |= !keep_alive;
	c->linger |= req->receiving; /* who sends on would see a reset */
	if (is_direct)
		direct = resp->body;
	if (rc != 0)
		http1__close(c);
	else if (!at_once)
		rc = http1__flush(c, mark, direct, false);
	else if (is_direct)
		rc = http1__flush(c, 0, direct, false);
	http1__request_release(req); /* the body may have been part of it */
	return go_on(c, at_once, rc);
}

/* What comes of a body whose handler has the request already goes wrong: the
 * answer is ours, unless the handler has begun another. */
static void refuse_body(struct http1_conn *c, int status, const char *reason)
{
	struct http_request *req = c->req;

	http1__refuse(req, status, reason);
	if (req->framing != HTTP1_NOT_BEGUN) {
		http1__close(c);
		return;
	}
	req->conn = NULL;
	c->req = NULL;
	c->busy = false;
	cond_broadcast(&req->ready);
	refuse(c, status, reason);
	flush_all(c);
	settle(c);
}

/* More of the body of a request that its handler has. */
static void receive(struct http1_conn *c, char *data, size_t size)
{
	struct http_request *req = c->req;
	ssize_t n = http1__receive(req, data, size);

	if (n == UV_EPROTO) {
		refuse_body(c, req->refusal, req->reason);
		return;
	}
	if (n < 0 ||
	    ((size_t)n < size && buf_append(&c->in, data + n, size - n) != 0)) {
		http1__close(c);
		return;
	}
	cond_broadcast(&req->ready);
	settle(c);
}

/* No more will come: @a why is UV_EOF, or what went wrong. */
static void on_input_end(struct http1_conn *c, int why)
{
	if (why != UV_EOF) {
		c->server->stat.truncated +=
			why == UV_ECONNABORTED &&
			(c->req != NULL || http2__is_busy(c));
		http1__close(c);
		return;
	}
	c->eof = true; /* it may still read our answers */
	c->reading = false;
	if (c->wait == HTTP1_WAIT_LINGER || c->h2 != NULL || is_upgraded(c) ||
	    (c->busy && c->req->receiving))
		http1__close(c);
	else
		settle(c);
}

static void on_read(struct stream *s, char *data, ssize_t size)
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
	if (is_upgraded(c)) {
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
		settle(c);
}

static void refuse_full(struct http1_conn *c)
{
	/* A handler's drain may bring it here in the middle of another
	 * connection's batch, whose answers lie before the mark. */
	size_t mark = c->server->out.size;

	c->server->stat.refused_connections++;
	refuse(c, 503, "too many connections");
	http1__flush(c, mark, (struct http_text){ NULL, 0 }, false);
	settle(c);
}

static void greet_http2(struct http1_conn *c)
{
	if (http2__begin(c) != 0) {
		http1__close(c);
	} else if (c->full) {
		c->server->stat.refused_connections++;
		http2__fail(c, NGHTTP2_NO_ERROR);
	} else {
		http2__settle(c);
	}
}

static void on_greeted(struct stream *s, int status)
{
	struct http1_conn *c = http1__conn_of(s);
	struct http_stat *stat = &c->server->stat;

	if (c->closing)
		return;
	if (status == UV_EPROTOTYPE)
		stat->unproxied++;
	else if (status != 0)
		stat->handshakes_failed++;
	else if (s->tls != NULL)
		stat->handshakes++;
	switch (status) {
	case 0:
		if (c->server->h2 != NULL && stream_tls_speaks(s, "h2"))
			greet_http2(c);
		else if (c->full)
			refuse_full(c);
		else
			settle(c);
		return;
	case UV_EPROTONOSUPPORT:
		refuse(c, 400, "this port speaks TLS: ask by https://");
		flush_all(c);
		settle(c);
		return;
	case UV_EPROTO:
	case UV_EACCES:
		/* It has been sent an alert, which a reset would take away. */
		c->last = c->linger = true;
		settle(c);
		return;
	default:
		http1__close(c);
		return;
	}
}

static void on_drained(struct stream *s, int status)
{
	struct http1_conn *c = http1__conn_of(s);

	if (c->closing)
		return;
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
	else if (is_upgraded(c))
		http1__websocket_read(c, NULL, 0);
	else if (may_serve(c) && c->wait == HTTP1_WAIT_SEND && c->in.size > 0)
		feed(c, c->in.data, c->in.size);
	else
		settle(c);
}

static void on_closed(struct stream *s)
{
	struct http1_conn *c = http1__conn_of(s);
	struct http_server *server = c->server;

	buf_destroy(&c->in);
	http2__free(c->h2);
	mem_free(c);
	http1__forget(server);
}

void http1__conn_init(struct stream_group *group)
{
	group->on_read = on_read;
	group->on_greeted = on_greeted;
	group->on_drained = on_drained;
	group->on_closed = on_closed;
}

void http1__close(struct http1_conn *c)
{
	if (c->closing)
		return;
	c->closing = true;
	list_del(&c->link);
	if (is_upgraded(c)) {
		http1__websocket_lost(c->req);
	} else if (c->req != NULL && c->busy) {
		c->server->stat.gone++;
		c->req->conn = NULL; /* its handler will find out */
		cond_broadcast(&c->req->ready);
	} else if (c->req != NULL) {
		http1__request_release(c->req);
	}
	c->req = NULL;
	if (c->h2 != NULL)
		http2__gone(c);
	stream_close(&c->stream);
}

void http1__retire(struct http1_conn *c)
{
	if (is_upgraded(c)) {
		http1__websocket_retire(c);
		return;
	}
	if (c->h2 != NULL) {
		http2__retire(c);
		return;
	}
	if (c->busy || c->req != NULL || c->in.size > 0 || c->last)
		return; /* what it is at is its last */
	if (c->wait == HTTP1_WAIT_GREET) {
		http1__wait(c, HTTP1_WAIT_GREET); /* a chance, and less time */
	} else if (stream_unsent(&c->stream) > 0) {
		c->last = true;
		http1__finish(c);
	} else if (c->requests == 0) {
		http1__wait(c,
			    HTTP1_WAIT_IDLE); /* it came just now: a chance */
	} else if (!stream_has_input(&c->stream)) {
		stream_end(&c->stream);
		http1__close(c);
	}
}

void http1__expired(struct http1_conn *c)
{
	size_t unsent = stream_unsent(&c->stream);

	switch ((enum http1_wait)c->wait) {
	case HTTP1_WAIT_SEND:
		if (unsent + SEND_PROGRESS <= c->progress) {
			c->progress = clamp(unsent);
			http1__wait(c, HTTP1_WAIT_SEND);
			return;
		}
		break;
	case HTTP1_WAIT_HEAD:
	case HTTP1_WAIT_BODY:
		c->server->stat.timeouts++;
		if (c->busy) {
			refuse_body(c, 408, "the body did not come in time");
			return;
		}
		refuse(c, 408, "the request did not come in time");
		buf_destroy(&c->in);
		flush_all(c);
		settle(c);
		return;
	case HTTP1_WAIT_LINGER:
		http1__close(c);
		return;
	case HTTP1_WAIT_IDLE:
		if (c->h2 != NULL) {
			c->server->stat.timeouts++;
			http2__fail(c, NGHTTP2_NO_ERROR);
			return;
		}
		stream_end(&c->stream);
		break;
	default:
		break;
	}
	c->server->stat.timeouts++;
	http1__close(c);
}

int http1__accept(struct http_server *server, int fd, bool full)
{
	struct http1_conn *c = mem_zalloc(sizeof(*c));
	bool opened, greets, unix_socket = server->listener.unix_socket;
	int rc;

	if (c == NULL)
		return UV_ENOMEM;
	c->server = server;
	list_init(&c->link);
	if (fd < 0)
		rc = stream_accept(&c->stream, &server->group,
				   &server->listener.uv.stream, &opened);
	else
		rc = stream_open(&c->stream, &server->group, fd, unix_socket,
				 &opened);
	if (!opened) {
		mem_free(c);
		return rc;
	}
	server->stat.connections++;
	if (rc != 0) {
		http1__close(c);
		return rc;
	}
	server->stat.accepted++;
	server->accepted_ms = http1__now_ms();
	c->full = full;
	greets = stream_is_greeting(&c->stream);
	if (full && !greets) {
		refuse_full(c);
		return 0;
	}
	http1__wait(c, greets ? HTTP1_WAIT_GREET : HTTP1_WAIT_IDLE);
	http1__set_reading(c, true);
	return 0;
}
