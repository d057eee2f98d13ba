/* What the HTTP servers of this thread are at. See http_look.h. */
#include "net/http_look.h"

#include <stdio.h>
#include <string.h>

#include "net/http2.h"
#include "net/sock_address.h"

static struct http_server *find_server(uint32_t id)
{
	list_foreach(link, http1__servers()) {
		struct http_server *s =
			list_entry(link, struct http_server, link);

		if (s->id == id)
			return s;
	}
	return NULL;
}

static void look_at_server(const struct http_server *s,
			   struct http_server_look *ret)
{
	struct listen_address addr;

	*ret = (struct http_server_look){
		.id = s->id,
		.tls = s->group.tls != NULL,
		.http2 = s->h2 != NULL,
		.draining = s->draining,
	};
	http_server_stat(s, &ret->stat);
	if (s->listening && listener_address(&s->listener, &addr) == 0)
		listen_address_format(&addr, ret->address,
				      sizeof(ret->address));
}

bool http_look_server(uint32_t after, struct http_server_look *ret)
{
	/* They stand in the order of their ids. */
	list_foreach(link, http1__servers()) {
		struct http_server *s =
			list_entry(link, struct http_server, link);

		if (s->id <= after)
			continue;
		look_at_server(s, ret);
		return true;
	}
	return false;
}

/* --- connections --- */

static const char *state_of(const struct http1_conn *c)
{
	static const char *const names[HTTP1_WAIT_COUNT] = {
		[HTTP1_WAIT_IDLE] = "idle",
		[HTTP1_WAIT_HEAD] = "head",
		[HTTP1_WAIT_BODY] = "body",
		[HTTP1_WAIT_SEND] = "send",
		[HTTP1_WAIT_LINGER] = "linger",
		[HTTP1_WAIT_GREET] = "handshake",
		[HTTP1_WAIT_HANDLER] = "handler",
		[HTTP1_WAIT_TURN] = "turn",
	};

	return names[c->wait];
}

static int fd_of(const struct http1_conn *c)
{
	uv_os_fd_t fd;

	return uv_fileno(&c->stream.uv.handle, &fd) == 0 ? fd : -1;
}

static void look_at_connection(const struct http1_conn *c,
			       struct http_conn_look *ret)
{
	struct sock_address addr = { .size = sizeof(addr.addr) };
	struct sock_address_text text;

	*ret = (struct http_conn_look){
		.fd = fd_of(c),
		.state = state_of(c),
		.protocol = c->h2 != NULL           ? "http/2"
			    : http1__is_upgraded(c) ? "websocket"
						    : "http/1",
		.tls = c->stream.tls != NULL,
		.requests = c->requests,
		.held = c->in.size,
		.unsent = stream_unsent(&c->stream),
	};
	if (stream_peer(&c->stream, &addr.addr) != 0 ||
	    !sock_address_format(&addr, &text))
		return;
	if (addr.addr.ss_family == AF_UNIX)
		snprintf(ret->peer, sizeof(ret->peer), "unix/");
	else
		snprintf(ret->peer, sizeof(ret->peer),
			 strchr(text.host, ':') != NULL ? "[%s]:%d" : "%s:%d",
			 text.host, text.port);
}

/* The lowest @a max descriptors of all: a heap with the largest on top. */
struct lowest {
	const struct http1_conn **conns;
	int *fds;
	unsigned count, max;
};

static void swap(struct lowest *l, unsigned a, unsigned b)
{
	const struct http1_conn *c = l->conns[a];
	int fd = l->fds[a];

	l->conns[a] = l->conns[b];
	l->fds[a] = l->fds[b];
	l->conns[b] = c;
	l->fds[b] = fd;
}

static void sift_down(struct lowest *l, unsigned at, unsigned count)
{
	for (;;) {
		unsigned child = 2 * at + 1;

		if (child + 1 < count && l->fds[child + 1] > l->fds[child])
			child++;
		if (child >= count || l->fds[child] <= l->fds[at])
			return;
		swap(l, at, child);
		at = child;
	}
}

static void offer(struct lowest *l, const struct http1_conn *c, int fd)
{
	unsigned at = l->count;

	if (l->count == l->max) {
		if (fd >= l->fds[0])
			return;
		l->conns[0] = c;
		l->fds[0] = fd;
		sift_down(l, 0, l->count);
		return;
	}
	l->conns[at] = c;
	l->fds[at] = fd;
	l->count++;
	while (at > 0 && l->fds[(at - 1) / 2] < l->fds[at]) {
		swap(l, at, (at - 1) / 2);
		at = (at - 1) / 2;
	}
}

unsigned http_look_connections(uint32_t id, int after,
			       struct http_conn_look *ret, unsigned max)
{
	enum { MAX = 256 };
	const struct http1_conn *conns[MAX];
	int fds[MAX];
	struct lowest l = { conns, fds, 0, max < MAX ? max : MAX };
	const struct http_server *s = find_server(id);

	if (s == NULL)
		return 0;
	for (unsigned w = 0; w < HTTP1_WAIT_COUNT; w++) {
		list_foreach(link, &s->waits[w]) {
			const struct http1_conn *c =
				list_entry(link, struct http1_conn, link);
			int fd = fd_of(c);

			if (fd > after && !c->closing)
				offer(&l, c, fd);
		}
	}
	for (unsigned n = l.count; n > 1; n--) {
		swap(&l, 0, n - 1);
		sift_down(&l, 0, n - 1);
	}
	for (unsigned i = 0; i < l.count; i++)
		look_at_connection(l.conns[i], &ret[i]);
	return l.count;
}

bool http_look_shut(int fd)
{
	list_foreach(link, http1__servers()) {
		struct http_server *s =
			list_entry(link, struct http_server, link);

		for (unsigned w = 0; w < HTTP1_WAIT_COUNT; w++) {
			list_foreach_safe(pos, next, &s->waits[w]) {
				struct http1_conn *c = list_entry(
					pos, struct http1_conn, link);

				if (fd_of(c) != fd || c->closing)
					continue;
				http1__close(c);
				return true;
			}
		}
	}
	return false;
}

/* --- requests --- */

static const char *request_state(const struct http_request *req)
{
	if (req->conn == NULL && req->h2 == NULL)
		return "gone";
	if (req->framing == HTTP1_UPGRADED)
		return "websocket";
	if (req->framing != HTTP1_NOT_BEGUN)
		return "streaming";
	return req->receiving ? "receiving" : "handler";
}

static void look_at_request(struct http_request *req,
			    struct http_request_look *ret)
{
	struct http_text path = http_request_path(req);
	size_t size = path.size < sizeof(ret->path) - 1 ? path.size
							: sizeof(ret->path) - 1;

	*ret = (struct http_request_look){
		.handle = http_request_handle(req),
		.fd = req->conn != NULL ? fd_of(req->conn) : -1,
		.method = http_request_method(req),
		.state = request_state(req),
		.body = http1__body_total(req),
		.sent = req->sent,
		.owner = http_request_owner(req),
	};
	memcpy(ret->path, path.data, size);
}

bool http_look_request(uint32_t id, uint32_t *at, struct http_request_look *ret)
{
	const struct http_server *s = find_server(id);

	while (s != NULL && *at < s->slot_count) {
		struct http_request *req = s->slots[(*at)++];

		if (!req->waiting)
			continue;
		look_at_request(req, ret);
		return true;
	}
	return false;
}
