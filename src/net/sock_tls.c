/* TLS over a socket. See sock_tls.h. */
#include "net/sock_tls.h"

#include <assert.h>
#include <errno.h>
#include <sys/socket.h>
#include <uv.h>

#include "base/diag.h"
#include "net/sock.h"
#include "net/tls.h"

static ssize_t carrier_recv(void *arg, void *to, size_t size)
{
	return sock__recv(arg, to, size, 0);
}

static ssize_t carrier_send(void *arg, const void *data, size_t size)
{
	return sock__send(arg, data, size, 0);
}

int sock_tls_start(struct sock *s, struct tls_context *context,
		   const char *name)
{
	const struct tls_io io = { carrier_recv, carrier_send, s };
	struct tls *t;

	assert(s->tls == NULL);
	t = tls_new(context, name, &io);
	if (t == NULL)
		return -1;
	if (tls_feed(t, s->in.data + s->in.start, s->in.end - s->in.start) !=
	    0) {
		diag_set_oom(s->in.end - s->in.start, "a TLS connection");
		tls_delete(t);
		return -1;
	}
	s->in.start = s->in.end = s->in.seen = 0;
	if (!s->in.lent)
		sock_taken(s);
	s->tls = t;
	return 0;
}

int sock_tls_handshake(struct sock *s)
{
	return tls_handshake(s->tls);
}

void sock_tls_drop(struct sock *s)
{
	tls_delete(s->tls);
	s->tls = NULL;
}

ssize_t sock_tls_recv(struct sock *s, void *to, size_t size, int flags)
{
	if (flags & ~(MSG_PEEK | MSG_DONTWAIT | MSG_NOSIGNAL))
		return UV_EINVAL;
	return size == 0 ? 0 : tls_read(s->tls, to, size, flags & MSG_PEEK);
}

ssize_t sock_tls_send(struct sock *s, const void *data, size_t size, int flags)
{
	ssize_t n;

	if (flags & ~(MSG_DONTWAIT | MSG_NOSIGNAL))
		return UV_EINVAL;
	n = tls_write(s->tls, data, size);
	/* Who reads waits for room, too, from now on: somebody must send it. */
	if (n > 0 && tls_has_out(s->tls))
		io_watch_wake(&s->watch);
	return n;
}

int sock_tls_flush(struct sock *s)
{
	return tls_flush(s->tls);
}

int sock_tls_shutdown(struct sock *s)
{
	int rc = tls_shutdown(s->tls);

	if (rc != 0)
		return rc;
	return shutdown(s->watch.fd, SHUT_WR) == 0 || errno == ENOTCONN
		       ? 0
		       : -errno;
}

int sock_tls_ready(struct sock *s, int what)
{
	struct pollfd fd = { .fd = s->watch.fd, .events = POLLOUT };
	int now = 0;
	char one;

	if ((what & IO_IN) && tls_read(s->tls, &one, 1, true) != UV_EAGAIN)
		now |= IO_IN;
	if ((what & IO_OUT) && tls_flush(s->tls) != UV_EAGAIN &&
	    poll(&fd, 1, 0) == 1)
		now |= IO_OUT;
	return now;
}

int sock_tls_wants(const struct sock *s, int what)
{
	return tls_has_out(s->tls) ? what | IO_OUT : what;
}
