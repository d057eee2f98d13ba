/*
 * WebSockets on connections of the HTTP/1 server: between the connection's bytes and the
 * protocol (websocket.h), with the time that limits it.
 *
 * The connection stays the server's, with its limits and deadlines: it is BUSY with
 * the request that was upgraded until either ends. Frames are gathered in the server's
 * output buffer as answers are. What the protocol does not take, because nobody takes
 * its messages, stays in c->in, and the connection is not read.
 *
 * One timer each: for the next ping, for the end of one that does not answer, or
 * for the peer's Close.
 */
#include "base/inject.h"
#include "net/http1.h"
#include "net/http_websocket.h"

struct http1_websocket {
	struct websocket ws;
	struct http_request *req;
	struct timer timer;
	uint64_t heard_ms; /* when anything came last */
	uint64_t received; /* bytes that the protocol took */
	uint32_t heartbeat_ms;
	uint32_t close_ms;
	bool pinged; /* since then */
	bool ended;  /* the handler is done with it */
};

static const struct http_text nothing = { NULL, 0 };

static void on_timer(struct timer *t);

static void start_timer(struct http1_websocket *w, uint64_t due_ms)
{
	timer_start(w->req->server->timers, &w->timer, due_ms * 1000000,
		    on_timer);
}

/* Both have said that it ends, or the peer has broken a rule. */
static void part(struct http1_conn *c)
{
	struct http_request *req = c->req;
	struct http1_websocket *w = req->websocket;

	timer_stop(req->server->timers, &w->timer);
	http1__part(c, !w->ws.by_peer);
	if (w->ended)
		http1__request_release(req);
}

/* What was gathered from @a mark on, @a size bytes of a message among it, leaves, or
 * waits for the end of its batch; or the connection, if it is over, ends behind it.
 * Returns 0 or UV_E*; the request may have gone. */
static int leave(struct http1_conn *c, size_t mark, size_t size)
{
	struct http_server *server = http1__server_of(c);
	struct websocket *ws = &c->req->websocket->ws;
	bool at_once = server->current == c;
	int rc = 0;

	if (ws->out_failed) {
		server->out.size = mark;
		http1__close(c);
		return UV_ENOMEM;
	}
	c->req->sent += server->out.size - mark;
	if (!at_once || server->out.size >= HTTP1_OUT_FLUSH)
		rc = http1__flush(c, at_once ? 0 : mark, nothing, false);
	if (rc != 0)
		return rc;
	if (size > 0)
		http1__count_unsent(c, size);
	if (ws->state == WEBSOCKET_CLOSED)
		part(c);
	else if (!at_once)
		http1__settle(c);
	return 0;
}

int http_websocket_accept(struct http_request *req,
			  const struct http_field *fields, size_t count,
			  const struct http_websocket_options *options)
{
	struct http_server *server = req->server;
	struct http1_conn *c = req->conn;
	size_t mark = server->out.size;
	struct http1_websocket *w;
	int rc;

	if (req->framing != HTTP1_NOT_BEGUN)
		return UV_EALREADY;
	if (c == NULL)
		return UV_ECONNRESET;
	if (server->draining)
		return UV_ESHUTDOWN;
	w = mem_zalloc(sizeof(*w));
	if (w == NULL)
		return UV_ENOMEM;
	if (websocket_create(&w->ws, WEBSOCKET_SERVER, options->message_bytes,
			     &server->out) != 0)
		goto fail_create;
	if (http1__websocket_answer(req, fields, count, options->deflate,
				    &w->ws.deflate) != 0)
		goto fail_answer;
	w->req = req;
	w->heartbeat_ms = options->heartbeat_ms;
	w->close_ms = options->close_ms;
	w->heard_ms = http1__now_ms();
	req->websocket = w;
	req->framing = HTTP1_UPGRADED;
	http1__access_answer(req, 101);
	if (w->heartbeat_ms > 0)
		start_timer(w, w->heard_ms + w->heartbeat_ms);
	rc = leave(c, mark, 0);
	req->sent = 0;                                 /* that was the head */
	if (req->conn != NULL && server->current != c) /* else at its end */
		http1__websocket_read(c, NULL, 0);
	return rc;

fail_answer:
	websocket_destroy(&w->ws);
fail_create:
	mem_free(w);
	return UV_ENOMEM;
}

/* --- its life --- */

struct websocket *http_request_websocket(const struct http_request *req)
{
	return req->websocket != NULL ? &req->websocket->ws : NULL;
}

bool http1__websocket_has_room(const struct http1_conn *c)
{
	return websocket_has_room(&c->req->websocket->ws) &&
	       stream_unsent(&c->stream) <= HTTP1_OUT_HIGH;
}

bool http1__websocket_is_behind(const struct http1_conn *c)
{
	return c->req->websocket->ws.behind && http1__websocket_has_room(c);
}

/* Give the protocol what it takes of @a data. Returns how much that was. */
static size_t feed(struct http1_conn *c, const char *data, size_t size)
{
	struct websocket *ws = &c->req->websocket->ws;
	ssize_t n;

	if (!http1__websocket_has_room(c))
		return 0;
	n = websocket_feed(ws, data, size);
	if (n < 0)
		ws->out_failed = true;
	else
		c->req->websocket->received += (uint64_t)n;
	cond_broadcast(&c->req->ready);
	return n < 0 ? size : (size_t)n;
}

/* The same with what was kept, here or there. */
static void pump(struct http1_conn *c)
{
	size_t used;

	if (c->in.size == 0 && !c->req->websocket->ws.behind)
		return;
	used = feed(c, c->in.data, c->in.size);
	if (used == c->in.size)
		buf_destroy(&c->in);
	else
		buf_consume(&c->in, used);
}

void http1__websocket_read(struct http1_conn *c, const char *data, size_t size)
{
	struct http1_websocket *w = c->req->websocket;
	size_t mark = http1__server_of(c)->out.size, used = 0;

	if (size > 0) {
		w->heard_ms = http1__now_ms();
		w->pinged = false;
	}
	pump(c);
	if (c->in.size == 0 && size > 0)
		used = feed(c, data, size);
	if (used < size && buf_append(&c->in, data + used, size - used) != 0) {
		http1__server_of(c)->out.size = mark;
		http1__close(c);
		return;
	}
	leave(c, mark, 0);
}

void http_websocket_taken(struct http_request *req)
{
	struct http1_conn *c = req->conn;
	size_t mark = req->server->out.size;

	websocket_taken(&req->websocket->ws);
	if (c == NULL || c->reading || req->server->current == c)
		return;
	pump(c);
	leave(c, mark, 0);
}

ssize_t http_websocket_write(struct http_request *req, unsigned kind,
			     struct http_text piece)
{
	struct http_server *server = req->server;
	struct http1_conn *c = req->conn;
	size_t mark = server->out.size;
	bool last = piece.size <= HTTP1_STREAM_PIECE;
	int rc;

	if (c == NULL || req->websocket->ws.state != WEBSOCKET_OPEN)
		return UV_EPIPE;
	if (http_request_is_full(req))
		return UV_EAGAIN;
	if (!last)
		piece.size = HTTP1_STREAM_PIECE;
	rc = websocket_send(&req->websocket->ws, kind, piece.data, piece.size,
			    last);
	if (rc != UV_EPIPE)
		rc = leave(c, mark, piece.size);
	return rc != 0 ? rc : (ssize_t)piece.size;
}

int http_websocket_ping(struct http_request *req, uint64_t *ret_number)
{
	struct http1_conn *c = req->conn;
	size_t mark = req->server->out.size;
	int rc;

	if (c == NULL)
		return UV_EPIPE;
	rc = websocket_ping(&req->websocket->ws, ret_number);
	return rc == UV_EPIPE ? rc : leave(c, mark, 0);
}

/* Begin to end. The peer has close_ms for its Close. */
static int begin_close(struct http1_conn *c, unsigned code,
		       struct http_text reason)
{
	struct http1_websocket *w = c->req->websocket;
	size_t mark = http1__server_of(c)->out.size;
	int rc = websocket_close(&w->ws, code, reason.data, reason.size);

	if (rc == UV_EPIPE)
		return rc;
	start_timer(w, http1__now_ms() + w->close_ms);
	cond_broadcast(&c->req->ready);
	return leave(c, mark, 0);
}

int http_websocket_close(struct http_request *req, unsigned code,
			 struct http_text reason)
{
	return req->conn == NULL ? UV_EPIPE
				 : begin_close(req->conn, code, reason);
}

void http1__websocket_retire(struct http1_conn *c)
{
	static const char why[] = "the server stops";

	begin_close(c, WEBSOCKET_GOING_AWAY,
		    (struct http_text){ why, sizeof(why) - 1 });
}

/* Nothing was heard for so long. */
static void beat(struct http1_websocket *w, uint64_t now)
{
	struct http1_conn *c = w->req->conn;
	size_t mark = http1__server_of(c)->out.size;
	uint64_t number;

	/* Who is held back by us, or reads slowly, is not silent: other deadlines
	 * are for that. */
	if (!c->reading || stream_unsent(&c->stream) > 0) {
		w->heard_ms = now;
		w->pinged = false;
	}
	if (now - w->heard_ms < w->heartbeat_ms) {
		start_timer(w, w->heard_ms + w->heartbeat_ms);
		return;
	}
	if (w->pinged) {
		http1__server_of(c)->stat.timeouts++;
		http1__close(c);
		return;
	}
	w->pinged = true;
	start_timer(w, now + w->heartbeat_ms);
	websocket_ping(&w->ws, &number);
	leave(c, mark, 0);
}

static void on_timer(struct timer *t)
{
	struct http1_websocket *w =
		list_entry(t, struct http1_websocket, timer);
	struct http1_conn *c = w->req->conn;

	if (w->ws.state == WEBSOCKET_OPEN) {
		beat(w, http1__now_ms());
		return;
	}
	/* Who still reads what came before our Close has the time from then on;
	 * whether it does is for another deadline. */
	if (stream_unsent(&c->stream) > 0) {
		start_timer(w, http1__now_ms() + w->close_ms);
		return;
	}
	/* There is no Close of the peer. */
	http1__server_of(c)->stat.timeouts++;
	stream_end(&c->stream);
	http1__close(c);
}

/* --- its end --- */

void http1__websocket_lost(struct http_request *req)
{
	struct http1_websocket *w = req->websocket;

	timer_stop(req->server->timers, &w->timer);
	websocket_lost(&w->ws);
	http1__access_end(req, false);
	req->conn = NULL;
	if (w->ended)
		http1__request_release(req);
	else
		cond_broadcast(&req->ready);
}

int http1__websocket_end(struct http_request *req, unsigned code)
{
	struct http1_conn *c = req->conn;
	int rc = 0;

	if (c == NULL) {
		http1__request_release(req);
		return UV_ECONNRESET;
	}
	req->websocket->ended = true;
	if (req->websocket->ws.state == WEBSOCKET_OPEN)
		rc = begin_close(c, code, nothing);
	if (c->closing)
		return rc;            /* and has let go of the request */
	http1__access_end(req, true); /* while it has its bytes */
	http1__request_forget(req);
	return rc;
}

uint64_t http1__websocket_received(const struct http_request *req)
{
	return req->websocket->received;
}

void http1__websocket_free(struct http_request *req)
{
	struct http1_websocket *w = req->websocket;

	if (w == NULL)
		return;
	/* Its connection has ended, and with it the timer. */
	websocket_destroy(&w->ws);
	mem_free(w);
	req->websocket = NULL;
}
