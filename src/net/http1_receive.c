/*
 * Bodies in pieces: what comes while the handler has the request.
 *
 * The message has memory of its own by then: the head, and behind it what has
 * come of the body and was not taken. Before more comes what was taken is moved
 * away, so that the memory is bounded by what is let in unread; the parser,
 * whose spans are offsets, goes on as if the body had just begun. Trailers are
 * spans, too: from the first one on nothing moves, and they are bounded anyway.
 */
#include <string.h>

#include "base/inject.h"
#include "net/http2.h"

void http1__receive_begin(struct http_request *req)
{
	req->receiving = true;
	if (req->phase == HTTP1_CHUNKS)
		req->parsed = req->body.start + req->body.size;
}

static size_t unread(const struct http_request *req)
{
	return req->body.size - req->taken;
}

bool http1__has_room(const struct http_request *req)
{
	if (req->framing == HTTP1_UPGRADED)
		return http1__websocket_has_room(req->conn);
	return !req->receiving || unread(req) < HTTP1_HELD_MAX ||
	       unread(req) < req->want;
}

void http1__compact(struct http_request *req)
{
	char *body = req->base + req->body.start;

	if (req->taken == 0 || req->phase == HTTP1_TRAILERS)
		return;
	memmove(body, body + req->taken, unread(req));
	req->consumed += req->taken;
	req->body.size -= req->taken;
	req->parsed -= req->taken;
	req->taken = 0;
}

int http1__reserve(struct http_request *req, size_t size)
{
	char *own;

	if (size <= req->own_size)
		return 0;
	size += size / 2;
	own = size <= UINT32_MAX ? mem_realloc(req->own, size) : NULL;
	if (own == NULL)
		return UV_ENOMEM;
	req->own = req->base = own;
	req->own_size = size;
	return 0;
}

ssize_t http1__receive(struct http_request *req, const char *data, size_t size)
{
	uint32_t before;

	http1__compact(req);
	before = req->parsed;
	if (unread(req) + size > HTTP1_WHOLE_MAX) {
		http1__refuse(req, 413, "so large a body is taken in pieces");
		return UV_EPROTO;
	}
	if (http1__reserve(req, before + size) != 0)
		return UV_ENOMEM;
	memcpy(req->own + before, data, size);
	switch (http1__parse(req, before + size)) {
	case HTTP1_REFUSED:
		return UV_EPROTO;
	case HTTP1_MORE:
		http1__receive_begin(req);
		return size;
	default:
		break;
	}
	req->receiving = false;
	http__trace_number(HTTP_TRACE_BODY, req->conn, req,
			   http1__body_total(req), NULL);
	return req->parsed - before;
}

enum http_body_state http_request_body_state(const struct http_request *req)
{
	if (req->phase == HTTP1_COMPLETE)
		return HTTP_BODY_WHOLE;
	return req->conn != NULL ? HTTP_BODY_COMING : HTTP_BODY_BROKEN;
}

struct http_text http_request_unread(const struct http_request *req)
{
	return (struct http_text){ req->base + req->body.start + req->taken,
				   unread(req) };
}

void http_request_consume(struct http_request *req, size_t size)
{
	req->taken += size;
	req->want = 0;
	if (req->h2 != NULL)
		http2__read_on(req);
	else if (req->receiving && req->conn != NULL &&
		 req->server->current != req->conn)
		http1__settle(req->conn);
}

void http_request_want(struct http_request *req, uint32_t size)
{
	static const char invitation[] = "HTTP/1.1 100 Continue\r\n\r\n";
	struct http_server *server = req->server;
	struct http1_conn *c = req->conn;
	size_t mark = server->out.size;
	bool invite = req->expect && req->framing == HTTP1_NOT_BEGUN;

	req->want = size;
	if (req->h2 != NULL) {
		http2__read_on(req);
		return;
	}
	req->expect = false;
	if (c == NULL || !req->receiving)
		return;
	if (invite)
		buf_append(&server->out, invitation, sizeof(invitation) - 1);
	if (server->current == c)
		return;
	if (invite)
		http1__flush(c, mark, (struct http_text){ NULL, 0 }, false);
	http1__settle(c);
}

const char *http_request_broken(const struct http_request *req)
{
	return req->refusal != 0 ? req->reason : "the peer has gone";
}

size_t http_request_trailer_count(const struct http_request *req)
{
	return req->line_count - req->field_count;
}

struct http_field http_request_trailer(const struct http_request *req, size_t i)
{
	return http_request_field(req, req->field_count + i);
}
