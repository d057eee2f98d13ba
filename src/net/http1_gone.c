/*
 * Peers that vanish while nothing is read of them: because they have ended their
 * side, or because there is no room for more of what they send. A read would have
 * told; so the descriptor is watched for the rest, a reset or the peer's close of a
 * unix socket. To have ended one's side is no reason: the answer may still be read.
 *
 * Only a request that waits in such a state costs a system call, or two.
 */
#include "net/http1.h"

static void on_gone(struct fd_watch *w)
{
	struct http_request *req = list_entry(w, struct http_request, watch);

	if (http1__is_upgraded(req->conn))
		return; /* what has come is read to its end first */
	if (!req->receiving) {
		http1__close(req->conn);
		return;
	}
	req->abandoned = true; /* its body may lie in the socket, all of it */
	cond_broadcast(&req->ready);
}

void http1__watch(struct http1_conn *c)
{
	struct http_request *req = c->req;

	if (req->watch.in != NULL || req->abandoned ||
	    req->framing == HTTP1_UPGRADED)
		return;
	/* When it cannot be, the peer is missed with the answer. */
	if (stream_watch_gone(&c->stream, http1__server_of(c)->loop,
			      &req->watch, on_gone) == 0)
		fd_watch_abandon(&req->watch);
}
