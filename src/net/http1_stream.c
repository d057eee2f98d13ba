/*
 * Answers in pieces: how the body's end is told, and that a peer which does
 * not read holds back the one who writes.
 *
 * What the kernel does not take is queued in the stream. A piece is taken only
 * while the queued ones cost less than HTTP1_STREAM_HIGH, and no more of it
 * than HTTP1_STREAM_PIECE, so that a connection never has more than both. When
 * all has left, the one who waits is told.
 */
#include <string.h>

#include "net/http2.h"
#include "net/websocket.h"

static bool has_body(const struct http_request *req, int status)
{
	return req->method != HTTP_HEAD && status != 204 && status != 304;
}

static enum http1_framing framing_of(const struct http_request *req,
				     int64_t length)
{
	if (length >= 0)
		return HTTP1_LENGTH;
	return req->minor == 0 ? HTTP1_TO_THE_END : HTTP1_CHUNKED;
}

int http_request_begin(struct http_request *req,
		       const struct http_response *resp, int64_t length)
{
	struct http_server *server = req->server;
	struct http1_conn *c = req->conn;
	enum http1_framing framing = framing_of(req, length);
	bool body = has_body(req, resp->status);
	const struct http_text none = { NULL, 0 };
	size_t mark = server->out.size;
	bool direct;
	int rc;

	if (req->h2 != NULL)
		return http2__answer_begin(req, resp, length);
	if (req->framing != HTTP1_NOT_BEGUN)
		return UV_EALREADY;
	if (c == NULL)
		return UV_ECONNRESET;
	if (resp->status == 204 || resp->status == 304)
		framing = HTTP1_NO_BODY;
	req->keep_alive = http1__keeps_alive(req, resp->close) &&
			  (framing != HTTP1_TO_THE_END || !body);
	rc = http1__write_response(server, resp, framing, length, none,
				   req->minor, req->keep_alive, &direct);
	if (rc == UV_EINVAL)
		return rc;
	req->framing = body ? framing : HTTP1_NO_BODY;
	req->left = length >= 0 ? length : 0;
	http1__access_answer(req, resp->status);
	if (rc != 0) {
		http1__close(c);
	} else if (server->current != c) {
		rc = http1__flush(c, mark, (struct http_text){ NULL, 0 },
				  false);
		http1__settle(c);
	}
	return rc;
}

bool http_request_is_begun(const struct http_request *req)
{
	return req->framing != HTTP1_NOT_BEGUN;
}

bool http_request_is_full(const struct http_request *req)
{
	return req->conn != NULL && req->backlog > HTTP1_STREAM_HIGH;
}

/* Gather the piece with its framing; *ret_direct is what is better sent from
 * where it is. Returns 0 or UV_ENOMEM. */
static int gather(struct http_request *req, struct http_text piece,
		  struct http_text *ret_direct)
{
	struct buf *out = &req->server->out;
	bool chunked = req->framing == HTTP1_CHUNKED;

	*ret_direct = (struct http_text){ NULL, 0 };
	if (chunked && buf_printf(out, "%zx\r\n", piece.size) != 0)
		return UV_ENOMEM;
	if (piece.size >= HTTP1_BODY_DIRECT)
		*ret_direct = piece;
	else if (buf_append(out, piece.data, piece.size) != 0 ||
		 (chunked && buf_append(out, "\r\n", 2) != 0))
		return UV_ENOMEM;
	return 0;
}

void http1__count_unsent(struct http1_conn *c, size_t size)
{
	struct http_request *req = c->req;

	if (stream_unsent(&c->stream) == 0) {
		req->backlog = 0;
		return;
	}
	req->backlog += size + HTTP1_STREAM_COST;
	if (c->wait == HTTP1_WAIT_SEND) /* progress is what was read */
		c->progress += size;
}

ssize_t http_request_write(struct http_request *req, struct http_text piece)
{
	struct http_server *server = req->server;
	struct http1_conn *c = req->conn;
	struct http_text direct;
	size_t mark;
	int rc;

	if (req->h2 != NULL)
		return http2__write(req, piece);
	if (c == NULL)
		return UV_ECONNRESET;
	if (req->framing == HTTP1_NO_BODY || piece.size == 0)
		return piece.size;
	if (req->framing == HTTP1_LENGTH && piece.size > req->left)
		return UV_EMSGSIZE;
	if (http_request_is_full(req))
		return UV_EAGAIN;
	if (piece.size > HTTP1_STREAM_PIECE)
		piece.size = HTTP1_STREAM_PIECE;
	mark = server->current == c ? 0 : server->out.size;
	rc = gather(req, piece, &direct);
	if (rc != 0) {
		server->out.size = mark;
		http1__close(c);
		return rc;
	}
	req->left -= req->framing == HTTP1_LENGTH ? piece.size : 0;
	req->sent += piece.size;
	if (server->current == c && direct.size == 0 &&
	    server->out.size < HTTP1_OUT_FLUSH)
		return piece.size; /* it leaves with the batch */
	rc = http1__flush(c, mark, direct,
			  direct.size > 0 && req->framing == HTTP1_CHUNKED);
	if (rc != 0)
		return rc;
	http1__count_unsent(c, piece.size);
	if (server->current != c)
		http1__settle(c);
	return piece.size;
}

int http_request_end(struct http_request *req,
		     const struct http_field *trailers, size_t trailer_count)
{
	struct http_server *server = req->server;
	size_t mark = server->out.size;
	int rc = 0;

	if (req->framing == HTTP1_UPGRADED)
		return http1__websocket_end(req, WEBSOCKET_NORMAL);
	if (req->h2 != NULL)
		return http2__end(req, trailers, trailer_count);
	if (req->conn == NULL) {
		http1__request_release(req);
		return UV_ECONNRESET;
	}
	if (req->framing == HTTP1_LENGTH && req->left > 0)
		return UV_EMSGSIZE;
	if (req->framing == HTTP1_CHUNKED)
		rc = http1__write_last_chunk(server, trailers, trailer_count);
	if (rc == UV_EINVAL)
		return rc;
	return http1__answered(req, mark, rc);
}

void http_request_abort(struct http_request *req)
{
	struct http1_conn *c = req->conn;

	if (req->framing == HTTP1_UPGRADED) {
		http1__websocket_end(req, WEBSOCKET_SERVER_ERROR);
		return;
	}
	if (req->h2 != NULL) {
		http2__abort(req);
		return;
	}
	if (c != NULL) {
		/* What was written is sent: it may help to see why. */
		if (req->server->current == c)
			http1__flush(c, 0, (struct http_text){ NULL, 0 },
				     false);
		if (req->framing == HTTP1_TO_THE_END && !c->closing)
			stream_set_reset(&c->stream);
		http1__access_end(req, false);
		c->busy = false;
		if (!c->closing)
			c->req = NULL;
		http1__close(c);
	}
	http1__request_release(req);
}
