/*
 * What happens to requests while somebody looks. See http_trace.h.
 *
 * Whether a request is meant is found at each event: nothing is kept in it. A
 * connection is followed to its end by its descriptor.
 */
#include "net/http_trace.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

#include "net/http1.h"

enum { TEXT_ROOM = 512 };

const char *const http_trace_names[HTTP_TRACE_COUNT] = {
	[HTTP_TRACE_ACCEPTED] = "accepted", [HTTP_TRACE_REQUEST] = "request",
	[HTTP_TRACE_ROUTE] = "route",       [HTTP_TRACE_RULE] = "rule",
	[HTTP_TRACE_BODY] = "body",         [HTTP_TRACE_ANSWER] = "answer",
	[HTTP_TRACE_REFUSED] = "refused",   [HTTP_TRACE_SENT] = "sent",
	[HTTP_TRACE_CUT] = "cut",           [HTTP_TRACE_DONE] = "done",
	[HTTP_TRACE_CLOSED] = "closed",
};

static __thread struct list traces_here;
__thread struct list *http__traces;

void http_trace_start(struct http_trace *t)
{
	if (traces_here.next == NULL)
		list_init(&traces_here);
	t->began_ns = uv_hrtime();
	list_add_tail(&traces_here, &t->link);
	http__traces = &traces_here;
}

void http_trace_stop(struct http_trace *t)
{
	if (t->link.next == NULL)
		return;
	list_del(&t->link);
	t->link.next = NULL;
	if (list_empty(&traces_here))
		http__traces = NULL;
}

void http_trace_stop_all(void)
{
	while (http__traces != NULL)
		http_trace_stop(list_entry(http__traces->next,
					   struct http_trace, link));
}

bool http_trace_is_on(void)
{
	return http__traces != NULL;
}

/* A request whose head is not whole has no path yet: it is one of those that are
 * asked for only where any is. */
static bool has_path(const struct http_trace *t, const struct http_request *req)
{
	size_t size = strlen(t->path);
	struct http_text path;

	if (size == 0)
		return true;
	if (req == NULL || req->phase == HTTP1_HEAD || req->base == NULL ||
	    req->head_size == 0)
		return false;
	path = http_request_path(req);
	return path.size >= size && memcmp(path.data, t->path, size) == 0;
}

static bool is_meant(const struct http_trace *t, const struct http_server *s,
		     const struct http_request *req)
{
	if (t->server != 0 && t->server != s->id)
		return false;
	if (t->by_handle &&
	    (req == NULL || t->handle != http_request_handle(req)))
		return false;
	return has_path(t, req);
}

/* Has anything been told of this connection? It is noted, or with @a forget not. */
static bool knows(struct http_trace *t, int fd, bool note, bool forget)
{
	uint8_t bit;
	bool was;

	if (fd < 0 || fd >= HTTP_TRACE_FDS)
		return false;
	bit = (uint8_t)(1u << (fd % 8));
	was = (t->told[fd / 8] & bit) != 0;
	if (note)
		t->told[fd / 8] |= bit;
	if (forget)
		t->told[fd / 8] &= (uint8_t)~bit;
	return was;
}

static void tell(struct http_trace *t, struct http_trace_note *n,
		 const struct http_server *server)
{
	const struct http_request *req = n->request;
	bool closes = n->event == HTTP_TRACE_CLOSED;

	if (closes) {
		if (!knows(t, n->fd, false, true))
			return;
	} else {
		if (!is_meant(t, server, req))
			return;
		knows(t, n->fd, true, false);
	}
	n->since_ns = 0;
	if (req != NULL &&
	    (server->on_access != NULL || req->began_ns >= t->began_ns))
		n->since_ns = req->began_ns;
	t->on_note(t, n);
}

static int fd_of(const struct http1_conn *c)
{
	uv_os_fd_t fd;

	return c != NULL && uv_fileno(&c->stream.uv.handle, &fd) == 0 ? fd : -1;
}

/* What an event that says nothing else is about. */
static const char *describe(enum http_trace_event event,
			    const struct http1_conn *c,
			    const struct http_request *req, char *to,
			    size_t room)
{
	struct listen_address addr;
	struct http_text target;

	if (event == HTTP_TRACE_REQUEST) {
		target = http_request_target(req);
		snprintf(to, room, "%s %.*s", http_request_method(req),
			 target.size < room ? (int)target.size : (int)room,
			 target.data);
		return to;
	}
	if (event != HTTP_TRACE_ACCEPTED)
		return NULL;
	if (stream_peer(&c->stream, &addr.addr) != 0 ||
	    addr.addr.ss_family == AF_UNIX)
		return "unix/";
	listen_address_format(&addr, to, room);
	return to;
}

void http__trace_tell(enum http_trace_event event, struct http1_conn *c,
		      struct http_request *req, bool has_number,
		      uint64_t number, const char *text)
{
	const struct http_server *server = req != NULL ? req->server
						       : http1__server_of(c);
	char about[TEXT_ROOM];
	struct http_trace_note n = {
		.event = event,
		.now_ns = uv_hrtime(),
		.server = server->id,
		.fd = fd_of(c),
		.handle = req != NULL ? http_request_handle(req) : 0,
		.has_number = has_number,
		.number = number,
		.text = text != NULL
				? text
				: describe(event, c, req, about, sizeof(about)),
		.request = req,
	};

	list_foreach(link, http__traces)
		tell(list_entry(link, struct http_trace, link), &n, server);
}

void http_trace_say(struct http_request *req, enum http_trace_event event,
		    const char *text)
{
	if (http__traces != NULL)
		http__trace_tell(event, req->conn, req, false, 0, text);
}
