/*
 * The PROXY protocol in front of a stream. See stream_proxy.h.
 *
 * The header nearly always comes in one read, and is read where that is; only
 * one that comes in pieces is copied.
 */
#include "net/stream_proxy.h"

#include <string.h>

#include "base/inject.h"
#include "net/proxy_protocol.h"

struct stream_proxy {
	struct buf head; /* what has come of it */
	bool done;
	struct sockaddr_storage source;
	struct sockaddr_storage target;
};

int stream__proxy_begin(struct stream *s)
{
	if (!s->group->proxied)
		return 0;
	s->proxy = mem_zalloc(sizeof(*s->proxy));
	return s->proxy != NULL ? 0 : UV_ENOMEM;
}

bool stream__proxy_is_waiting(const struct stream *s)
{
	return s->proxy != NULL && !s->proxy->done;
}

int stream__proxy_read(struct stream *s, char **data, ssize_t *size)
{
	struct stream_proxy *proxy = s->proxy;
	size_t had = proxy->head.size, room = PROXY_HEADER_MAX - had;
	struct proxy_header header;
	const char *head = *data;
	ssize_t n;

	if (*size < 0)
		return (int)*size;
	if (had > 0) {
		room = (size_t)*size < room ? (size_t)*size : room;
		if (buf_append(&proxy->head, *data, room) != 0)
			return UV_ENOMEM;
		head = proxy->head.data;
	}
	n = proxy_header_parse(head, had > 0 ? proxy->head.size : (size_t)*size,
			       &header);
	if (n < 0)
		return (int)n;
	if (n == 0 && had == 0)
		return buf_append(&proxy->head, *data, *size) == 0 ? 0
								   : UV_ENOMEM;
	if (n == 0) /* it is shorter than the most there may be */
		return 0;
	proxy->source = header.source;
	proxy->target = header.target;
	proxy->done = true;
	buf_destroy(&proxy->head);
	*data += (size_t)n - had;
	*size -= n - (ssize_t)had;
	return 1;
}

bool stream__proxy_peer(const struct stream *s,
			struct sockaddr_storage *ret_addr)
{
	if (s->proxy == NULL || s->proxy->source.ss_family == AF_UNSPEC)
		return false;
	*ret_addr = s->proxy->source;
	return true;
}

bool stream__proxy_own(const struct stream *s,
		       struct sockaddr_storage *ret_addr)
{
	if (s->proxy == NULL || s->proxy->target.ss_family == AF_UNSPEC)
		return false;
	*ret_addr = s->proxy->target;
	return true;
}

void stream__proxy_free(struct stream *s)
{
	if (s->proxy == NULL)
		return;
	buf_destroy(&s->proxy->head);
	mem_free(s->proxy);
	s->proxy = NULL;
}
