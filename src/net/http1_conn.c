/*
 * One connection: how it begins, what it waits for, how it ends. What is served
 * of its input is http1_serve.c's.
 *
 *   IDLE -> HEAD -> BODY -> HANDLER -> (SEND) -> IDLE
 *     any of them -> SEND -> LINGER -> closed, after a refusal
 *
 * With TLS a connection is in GREET before all that.
 */
#include <string.h>

#include "base/inject.h"
#include "net/http2.h"
#include "net/http_request.h"

enum {
	OUT_KEEP = 1 << 20,   /* of the output buffer, after a large batch */
	SEND_PROGRESS = 4096, /* the least to be read in send_ms */
};

static uint32_t clamp(size_t size)
{
	return size < UINT32_MAX ? (uint32_t)size : UINT32_MAX;
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
	struct buf *out = &http1__server_of(c)->out;
	int rc = c->closing ? UV_ECONNRESET : 0;
	uv_buf_t bufs[3];
	size_t size;

	if (rc == 0 && (out->size > mark || direct.size > 0)) {
		bufs[0] = uv_buf_init(out->data + mark, out->size - mark);
		bufs[1] = uv_buf_init((char *)direct.data, direct.size);
		if (crlf)
			bufs[2] = uv_buf_init((char *)"\r\n", 2);
		rc = stream_write(&c->stream, bufs,
				  1 + (direct.size > 0) + crlf);
	}
	size = out->size - mark + direct.size + (crlf ? 2 : 0);
	out->size = mark;
	http1__access_handed(c, size, rc != 0);
	if (mark == 0)
		buf_reset(out, OUT_KEEP);
	if (rc != 0)
		http1__close(c);
	return rc;
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

	stream_flush(&c->stream);
	if (c->closing)
		return;
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

void http1__settle(struct http1_conn *c)
{
	size_t unsent;

	if (c->closing || c->wait == HTTP1_WAIT_LINGER)
		return;
	unsent = stream_unsent(&c->stream);
	if (http1__is_upgraded(c) && http1__websocket_is_behind(c)) {
		http1__set_reading(c, false);
		http1__wait(c, HTTP1_WAIT_TURN);
		http1__want_turn(http1__server_of(c));
	} else if (c->busy) {
		if (c->req->framing != HTTP1_NOT_BEGUN && unsent > 0)
			http1__wait_for_peer(c);
		else if (c->req->receiving && !c->req->expect &&
			 http1__has_room(c->req))
			wait_for_request(c);
		else if (c->wait != HTTP1_WAIT_HANDLER)
			http1__wait(c, HTTP1_WAIT_HANDLER);
		http1__set_reading(c, c->in.size < HTTP1_HELD_MAX &&
					      http1__has_room(c->req));
		if (!c->reading && !c->closing)
			http1__watch(c);
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

static void refuse_full(struct http1_conn *c)
{
	http1__server_of(c)->stat.refused_connections++;
	http1__turn_away(c, 503, "too many connections");
}

static void greet_http2(struct http1_conn *c)
{
	if (http2__begin(c) != 0) {
		http1__close(c);
	} else if (c->full) {
		http1__server_of(c)->stat.refused_connections++;
		http2__fail(c, NGHTTP2_NO_ERROR);
	} else {
		http2__settle(c);
	}
}

static void on_greeted(struct stream *s, int status)
{
	struct http1_conn *c = http1__conn_of(s);
	struct http_stat *stat = &http1__server_of(c)->stat;

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
		if (http1__server_of(c)->h2 != NULL &&
		    stream_tls_speaks(s, "h2"))
			greet_http2(c);
		else if (c->full)
			refuse_full(c);
		else
			http1__settle(c);
		return;
	case UV_EPROTONOSUPPORT:
		http1__turn_away(c, 400,
				 "this port speaks TLS: ask by https://");
		return;
	case UV_EPROTO:
	case UV_EACCES:
		/* It has been sent an alert, which a reset would take away. */
		c->last = c->linger = true;
		http1__settle(c);
		return;
	default:
		http1__close(c);
		return;
	}
}

static void on_closed(struct stream *s)
{
	struct http1_conn *c = http1__conn_of(s);
	struct http_server *server = http1__server_of(c);

	buf_destroy(&c->in);
	http1__access_free(c);
	http2__free(c->h2);
	if (c->kept != NULL)
		c->kept->drop(c->kept);
	mem_free(c);
	http1__forget(server);
}

void http1__conn_init(struct stream_group *group)
{
	group->on_read = http1__on_read;
	group->on_greeted = on_greeted;
	group->on_drained = http1__on_drained;
	group->on_stalled = http1__on_stalled;
	group->on_closed = on_closed;
}

void http1__close(struct http1_conn *c)
{
	if (c->closing)
		return;
	c->closing = true;
	stream_flush(&c->stream); /* what was sent is known then */
	list_del(&c->link);
	if (c->busy)
		http1__unwatch(c->req);
	if (http1__is_upgraded(c)) {
		http1__websocket_lost(c->req);
	} else if (c->req != NULL && c->busy) {
		http1__server_of(c)->stat.gone++;
		http1__access_end(c->req, false);
		c->req->conn = NULL; /* its handler will find out */
		cond_broadcast(&c->req->ready);
	} else if (c->req != NULL) {
		http1__find_request(c);
		http1__request_release(c->req);
	}
	c->req = NULL;
	if (c->h2 != NULL)
		http2__gone(c);
	http1__access_settle(c);
	http__trace(HTTP_TRACE_CLOSED, c, NULL);
	stream_close(&c->stream);
}

void http1__retire(struct http1_conn *c)
{
	if (http1__is_upgraded(c)) {
		http1__websocket_retire(c);
		return;
	}
	if (c->h2 != NULL) {
		http2__retire(c);
		return;
	}
	if (c->req != NULL)
		cond_broadcast(&c->req->ready); /* it has no end, perhaps */
	if (c->busy || c->req != NULL || c->in.size > 0 || c->last)
		return; /* what it is at is its last */
	stream_flush(&c->stream);
	if (c->closing)
		return;
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
		http1__server_of(c)->stat.timeouts++;
		if (c->busy) {
			http1__refuse_body(c, 408,
					   "the body did not come in time");
			return;
		}
		http1__find_request(c);
		http1__turn_away(c, 408, "the request did not come in time");
		buf_destroy(&c->in);
		return;
	case HTTP1_WAIT_LINGER:
		http1__close(c);
		return;
	case HTTP1_WAIT_IDLE:
		if (c->h2 != NULL) {
			http1__server_of(c)->stat.timeouts++;
			http2__fail(c, NGHTTP2_NO_ERROR);
			return;
		}
		stream_end(&c->stream);
		break;
	default:
		break;
	}
	http1__server_of(c)->stat.timeouts++;
	http1__close(c);
}

int http1__accept(struct http_server *server, int fd, bool full)
{
	struct http1_conn *c =
		mem_zalloc(sizeof(*c) + http1__access_size(server));
	bool opened, greets, unix_socket = server->listener.unix_socket;
	int rc;

	if (c == NULL)
		return UV_ENOMEM;
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
	http1__room_enter(server);
	if (rc != 0) {
		http1__close(c);
		return rc;
	}
	server->stat.accepted++;
	server->accepted_ms = http1__now_ms();
	http__trace(HTTP_TRACE_ACCEPTED, c, NULL);
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
