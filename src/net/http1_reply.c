/* Whole answers: from their handler to the connection, and then the next
 * request. */
#include "net/http1.h"

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
		http1__want_turn(http1__server_of(c));
	}
	http1__settle(c);
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
	if (rc != 0)
		http1__close(c);
	else if (!at_once)
		rc = http1__flush(c, mark, (struct http_text){ NULL, 0 },
				  false);
	http1__request_release(req);
	return go_on(c, at_once, rc);
}

void http1__part(struct http1_conn *c, bool linger)
{
	struct http_request *req = c->req;

	http1__access_end(req, true);
	http1__unwatch(req);
	req->conn = NULL;
	c->req = NULL;
	c->busy = false;
	c->last = true;
	c->linger |= linger;
	buf_destroy(&c->in);
	cond_broadcast(&req->ready);
	if (http1__server_of(c)->current != c)
		http1__settle(c);
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
	http1__access_answer(req, resp->status);
	if (is_direct)
		direct = resp->body;
	if (rc == 0)
		req->sent = body.size;
	if (rc != 0)
		http1__close(c);
	else if (!at_once)
		rc = http1__flush(c, mark, direct, false);
	else if (is_direct)
		rc = http1__flush(c, 0, direct, false);
	http1__request_release(req); /* the body may have been part of it */
	return go_on(c, at_once, rc);
}
