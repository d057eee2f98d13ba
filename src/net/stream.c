/*
 * Byte streams over libuv. See stream.h.
 *
 * libuv tells when a socket is ready and keeps what does not leave at once. The
 * bytes themselves are received and sent here: it would read() and write(), whose
 * way into a socket is the longer one, by some hundreds of instructions.
 */
#include "net/stream.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

#include "base/inject.h"
#include "net/stream_batch.h"
#include "net/stream_proxy.h"
#include "net/stream_tls.h"

enum {
	WRITE_BUFS = 4,
	PROBE_S = 5, /* of silence; a kernel forgets what was closed in 60 */
};

/** Bytes on their way, copied: the caller's may be gone by then. */
struct stream_rest {
	uv_write_t req;
	char data[];
};

static struct stream *stream_of(void *handle)
{
	return (struct stream *)handle; /* the union comes first */
}

static int stream_fd(const struct stream *s)
{
	uv_os_fd_t fd;

	if (uv_fileno(&s->uv.handle, &fd) != 0)
		return -1;
	return fd;
}

/* Bytes that were received, 0: none are there, UV_EOF or another UV_E*. */
static ssize_t receive(const struct stream *s, uv_buf_t room)
{
	ssize_t n;

	do {
		n = recv(stream_fd(s), room.base, room.len, 0);
	} while (n < 0 && errno == EINTR);
	if (n == 0)
		return UV_EOF;
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	return n;
}

/* Where libuv asks for room it is told that there is none: so it does not read,
 * and goes on to on_ready(). */
static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	(void)handle;
	(void)suggested;
	*buf = uv_buf_init(NULL, 0);
}

static void deliver(struct stream *s, char *data, ssize_t size)
{
	if (s->tls != NULL)
		stream__tls_read(s, data, size);
	else
		s->group->on_read(s, data, size);
}

/* Of the PROXY header, which comes before all else, and maybe what follows. */
static void read_proxied(struct stream *s, char *data, ssize_t size)
{
	int rc = stream__proxy_read(s, &data, &size);

	if (rc == 0)
		return;
	if (rc < 0 || s->tls == NULL)
		s->group->on_greeted(s, rc == UV_EPROTO ? UV_EPROTOTYPE
					: rc < 0        ? rc
							: 0);
	if (rc > 0 && size > 0 && !uv_is_closing(&s->uv.handle))
		deliver(s, data, size);
}

void stream__deliver(struct stream *s, char *data, ssize_t size)
{
	if (stream__proxy_is_waiting(s))
		read_proxied(s, data, size);
	else
		deliver(s, data, size);
}

static void on_ready(uv_stream_t *handle, ssize_t status, const uv_buf_t *none)
{
	struct stream *s = stream_of(handle);
	struct stream_group *group = s->group;
	uv_buf_t room = uv_buf_init(group->buffer, group->buffer_size);
	ssize_t size = status;

	(void)none;
	if (group->batch != NULL)
		room = stream__batch_room(s);
	if (room.len == 0)
		return;
	if (status == UV_ENOBUFS)
		size = receive(s, room);
	if (size == 0)
		return;
	if (size < 0)
		uv_read_stop(handle);
	if (size > 0) {
		group->reads++;
		group->bytes_in += size;
	}
	if (group->batch != NULL)
		stream__batch_read(s, room.base, size);
	else
		stream__deliver(s, room.base, size);
}

static void on_closed(uv_handle_t *handle)
{
	struct stream *s = stream_of(handle);

	stream__tls_free(s);
	stream__proxy_free(s);
	s->group->on_closed(s);
}

/* What can fail for want of memory, before anything is taken over. */
static int stream_init(struct stream *s, struct stream_group *group,
		       bool unix_socket, bool *ret_opened)
{
	int rc;

	s->group = group;
	s->tls = NULL;
	s->proxy = NULL;
	s->uv.handle.data = NULL;
	if (unix_socket)
		rc = uv_pipe_init(group->loop, &s->uv.pipe, 0);
	else
		rc = uv_tcp_init(group->loop, &s->uv.tcp);
	*ret_opened = rc == 0;
	if (rc == 0)
		rc = stream__proxy_begin(s);
	return rc == 0 && group->tls != NULL ? stream__tls_begin(s) : rc;
}

int stream_accept(struct stream *s, struct stream_group *group,
		  uv_stream_t *server, bool *ret_opened)
{
	bool unix_socket = server->type == UV_NAMED_PIPE;
	int rc = stream_init(s, group, unix_socket, ret_opened);

	if (rc != 0)
		return rc;
	rc = uv_accept(server, &s->uv.stream);
	if (rc == 0 && !unix_socket)
		uv_tcp_nodelay(&s->uv.tcp, 1); /* answers leave whole */
	return rc;
}

int stream_open(struct stream *s, struct stream_group *group, int fd,
		bool unix_socket, bool *ret_opened)
{
	int rc = stream_init(s, group, unix_socket, ret_opened);

	if (rc != 0)
		return rc;
	if (unix_socket)
		return uv_pipe_open(&s->uv.pipe, fd);
	rc = uv_tcp_open(&s->uv.tcp, fd);
	if (rc == 0)
		uv_tcp_nodelay(&s->uv.tcp, 1);
	return rc;
}

int stream_read_start(struct stream *s)
{
	int rc = uv_read_start(&s->uv.stream, on_alloc, on_ready);

	return rc == UV_EALREADY ? 0 : rc;
}

void stream_read_stop(struct stream *s)
{
	uv_read_stop(&s->uv.stream);
}

static void on_written(uv_write_t *req, int status)
{
	struct stream *s = stream_of(req->handle);

	mem_free(req->data);
	if (status == UV_ECANCELED) /* being closed */
		return;
	if (s->tls != NULL && stream__tls_is_greeting(s))
		return; /* what fails will fail the read */
	if (status != 0 || stream_unsent(s) == 0)
		s->group->on_drained(s, status);
}

/* Queue what is left of @a bufs after the first @a sent bytes. */
static int write_rest(struct stream *s, const uv_buf_t *bufs, unsigned count,
		      size_t sent, size_t total)
{
	struct stream_rest *rest;
	uv_buf_t buf;
	char *to;
	int rc;

	rest = mem_alloc(sizeof(*rest) + total - sent);
	if (rest == NULL)
		return UV_ENOMEM;
	to = rest->data;
	for (unsigned i = 0; i < count; i++) {
		size_t skip = sent < bufs[i].len ? sent : bufs[i].len;
		size_t size = bufs[i].len - skip;

		sent -= skip;
		if (size > 0)
			to = (char *)memcpy(to, bufs[i].base + skip, size) +
			     size;
	}
	rest->req.data = rest;
	buf = uv_buf_init(rest->data, to - rest->data);
	rc = uv_write(&rest->req, &s->uv.stream, &buf, 1, on_written);
	if (rc != 0)
		mem_free(rest);
	return rc;
}

/* Bytes that the kernel took, or UV_E*; UV_EAGAIN: none, now. */
static ssize_t send_now(struct stream *s, const uv_buf_t *bufs, unsigned count)
{
	/* libuv promises that its buffers are the system's. */
	struct msghdr m = { .msg_iov = (struct iovec *)bufs,
			    .msg_iovlen = count };
	ssize_t n;

	if (stream_unsent(s) > 0 || inject("stream_write"))
		return UV_EAGAIN;
	do {
		n = count == 1 ? send(stream_fd(s), bufs->base, bufs->len,
				      MSG_NOSIGNAL)
			       : sendmsg(stream_fd(s), &m, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == ENOBUFS ? UV_EAGAIN : -errno;
	return n;
}

/* What the kernel takes leaves, the rest is queued. Returns 0 or UV_E*. */
static int write_through(struct stream *s, const uv_buf_t *bufs, unsigned count,
			 size_t total)
{
	ssize_t n;

	s->group->writes++;
	n = send_now(s, bufs, count);
	if (n < 0 && n != UV_EAGAIN)
		return (int)n;
	if (n > 0 && (size_t)n == total)
		return 0;
	return write_rest(s, bufs, count, n > 0 ? (size_t)n : 0, total);
}

void stream__write_now(struct stream *s, uv_buf_t buf)
{
	int rc = write_through(s, &buf, 1, buf.len);

	if (uv_is_closing(&s->uv.handle) ||
	    (s->tls != NULL && stream__tls_is_greeting(s)))
		return;
	if (rc != 0)
		s->group->on_drained(s, rc);
	else if (stream_unsent(s) > 0)
		s->group->on_stalled(s);
	else if (s->group->on_written != NULL)
		s->group->on_written(s);
}

int stream__write_raw(struct stream *s, const uv_buf_t *bufs, unsigned count)
{
	size_t total = 0;

	for (unsigned i = 0; i < count; i++)
		total += bufs[i].len;
	if (total == 0)
		return 0;
	s->group->bytes_out += total;
	if (s->group->batch != NULL) {
		if (stream__batch_write(s, bufs, count, total))
			return 0;
		stream_flush(s); /* what comes first */
	}
	return write_through(s, bufs, count, total);
}

int stream_write(struct stream *s, const uv_buf_t *bufs, unsigned count)
{
	return s->tls != NULL ? stream__tls_write(s, bufs, count)
			      : stream__write_raw(s, bufs, count);
}

void stream_flush(struct stream *s)
{
	if (stream__batch_has(s, STREAM_WRITTEN))
		stream__batch_flush(s);
}

int stream_shutdown(struct stream *s)
{
	int rc = s->tls != NULL ? stream__tls_end(s) : 0;

	if (rc != 0)
		return rc;
	stream_flush(s);
	if (stream_unsent(s) > 0)
		return 0; /* TLS has told; the socket's end is its close */
	/* The queue is empty, so the request that uv_shutdown() takes for
	 * waiting behind it would only cost memory. */
	return shutdown(stream_fd(s), SHUT_WR) == 0 ? 0 : -errno;
}

void stream_end(struct stream *s)
{
	if (s->tls != NULL)
		stream__tls_end(s);
}

bool stream_has_input(const struct stream *s)
{
	char byte;
	ssize_t n;

	if (stream__batch_has(s, STREAM_READ))
		return true;
	n = recv(stream_fd(s), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
	return n >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK) ||
	       (s->tls != NULL && stream__tls_has_input(s));
}

bool stream_is_greeting(const struct stream *s)
{
	return stream__proxy_is_waiting(s) ||
	       (s->tls != NULL && stream__tls_is_greeting(s));
}

int stream_peer(const struct stream *s, struct sockaddr_storage *ret_addr)
{
	socklen_t size = sizeof(*ret_addr);

	if (stream__proxy_peer(s, ret_addr))
		return 0;
	memset(ret_addr, 0, sizeof(*ret_addr));
	if (getpeername(stream_fd(s), (struct sockaddr *)ret_addr, &size) != 0)
		return -errno;
	return 0;
}

int stream_own_address(const struct stream *s,
		       struct sockaddr_storage *ret_addr)
{
	socklen_t size = sizeof(*ret_addr);

	if (stream__proxy_own(s, ret_addr))
		return 0;
	memset(ret_addr, 0, sizeof(*ret_addr));
	if (getsockname(stream_fd(s), (struct sockaddr *)ret_addr, &size) != 0)
		return -errno;
	return 0;
}

int stream_watch_gone(const struct stream *s, struct loop *loop,
		      struct fd_watch *w, fd_watch_f fn)
{
	int fd = stream_fd(s), idle_s = PROBE_S;

	/* Of no socket but TCP's: never mind. */
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
	return fd_watch_start(loop, w, fd, 0, fn);
}

void stream_set_reset(struct stream *s)
{
	struct linger none = { .l_onoff = 1, .l_linger = 0 };

	setsockopt(stream_fd(s), SOL_SOCKET, SO_LINGER, &none, sizeof(none));
}

void stream_close(struct stream *s)
{
	stream_flush(s);
	uv_close(&s->uv.handle, on_closed);
}
