/* Sockets as scripts have them. See sock.h. */
#include "net/sock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "base/inject.h"
#include "net/sock_bind.h"
#include "net/sock_tls.h"
#include "net/tls.h"
#include "runtime/loop.h"
#include "runtime/pool.h"

/* --- open and close --- */

void sock_create(struct sock *s, struct loop *loop)
{
	memset(s, 0, sizeof *s);
	io_watch_create(&s->watch, -1);
	s->loop = loop;
}

static void enter(struct sock *s, int fd, int family, int type)
{
	io_watch_create(&s->watch, fd);
	s->family = family;
	s->type = type;
	s->blocking = s->lingers = false;
}

int sock_open(struct sock *s, int family, int type, int protocol)
{
	int fd = inject("sock.open")
			 ? (errno = EMFILE, -1)
			 : socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK,
				  protocol);

	if (fd < 0)
		return -errno;
	enter(s, fd, family, type);
	return 0;
}

int sock_open_pair(struct sock *a, struct sock *b, int family, int type,
		   int protocol)
{
	int fds[2];

	if (socketpair(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol,
		       fds) != 0)
		return -errno;
	enter(a, fds[0], family, type);
	enter(b, fds[1], family, type);
	return 0;
}

static int int_option(int fd, int name)
{
	int value = 0;
	socklen_t size = sizeof value;

	return getsockopt(fd, SOL_SOCKET, name, &value, &size) == 0 ? value : 0;
}

static bool is_lingering(int fd)
{
	struct linger l = { 0, 0 };
	socklen_t size = sizeof l;

	return getsockopt(fd, SOL_SOCKET, SO_LINGER, &l, &size) == 0 &&
	       l.l_onoff && l.l_linger > 0;
}

void sock_adopt(struct sock *s, int fd)
{
	int flags = fcntl(fd, F_GETFL);

	enter(s, fd, int_option(fd, SO_DOMAIN), int_option(fd, SO_TYPE));
	s->lingers = s->type != 0 && is_lingering(fd);
	if (flags >= 0 && !(flags & O_NONBLOCK)) {
		s->blocking = true;
		fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	}
}

/* Give up all but the descriptor. */
static int leave(struct sock *s)
{
	int fd = s->watch.fd;

	sock_tls_drop(s);
	io_watch_destroy(&s->watch);
	s->watch.fd = -1;
	sock_bind_leave(s);
	s->in.start = s->in.end = s->in.seen = 0;
	if (!s->in.lent)
		sock_taken(s);
	return fd;
}

/* A close that waits until all has left, or for as long as was said. */
struct closing {
	struct pool_job job;
	int fd;
};

static void close_in_pool(struct pool_job *job)
{
	struct closing *c = list_entry(job, struct closing, job);

	close(c->fd);
	c->fd = -1;
}

static void no_linger(int fd)
{
	struct linger l = { 0, 0 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
}

static void on_closed(struct pool_job *job)
{
	struct closing *c = list_entry(job, struct closing, job);

	if (c->fd >= 0) { /* the loop has ended before */
		no_linger(c->fd);
		close(c->fd);
	}
	mem_free(c);
}

static void describe(struct pool_job *job, char *buf, size_t size)
{
	(void)job;
	snprintf(buf, size, "close of a socket that lingers");
}

static bool close_later(struct sock *s, int fd)
{
	struct closing *c = mem_zalloc(sizeof *c);

	if (c == NULL)
		return false;
	c->fd = fd;
	c->job = (struct pool_job){ .run = close_in_pool,
				    .done = on_closed,
				    .describe = describe };
	if (pool_submit(&s->loop->port, &s->loop->uv, &c->job) == 0)
		return true;
	mem_free(c);
	return false;
}

int sock_close(struct sock *s)
{
	bool lingers = s->lingers;
	int fd;

	if (!sock_is_open(s))
		return 0;
	if (s->tls != NULL)
		tls_shutdown(s->tls);
	fd = leave(s);
	if (lingers) {
		if (close_later(s, fd))
			return 0;
		no_linger(fd);
	}
	/* After EINTR it is closed, too. */
	return close(fd) == 0 || errno == EINTR ? 0 : -errno;
}

void sock_dispose(struct sock *s)
{
	sock_close(s);
	s->in.start = s->in.end = 0;
	sock_taken(s);
}

int sock_detach(struct sock *s)
{
	bool blocking = s->blocking;
	int fd = leave(s);
	int flags = blocking ? fcntl(fd, F_GETFL) : -1;

	if (flags >= 0)
		fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
	return fd;
}

/* --- bytes --- */

/* A TCP socket gives all there is: when that is less than was asked for, a look
 * at it would find nothing, unless the end follows, which is told once. */
static void note_short(struct sock *s)
{
	bool tcp = s->type == SOCK_STREAM &&
		   (s->family == AF_INET || s->family == AF_INET6);

	if (tcp && !s->watch.ended && !s->watch.urgent)
		io_watch_idle(&s->watch, IO_IN);
}

/* Reads that tell nothing of the bytes that have come. */
enum { MSG_ELSEWHERE = MSG_ERRQUEUE | MSG_OOB };

void sock_note_empty(struct sock *s, int flags)
{
	if (!(flags & MSG_ELSEWHERE))
		io_watch_idle(&s->watch, IO_IN);
}

ssize_t sock_recv(struct sock *s, void *to, size_t size, int flags)
{
	if (__builtin_expect(s->tls != NULL, 0))
		return sock_tls_recv(s, to, size, flags);
	return sock__recv(s, to, size, flags);
}

ssize_t sock__recv(struct sock *s, void *to, size_t size, int flags)
{
	ssize_t n;

	do {
		n = s->type == 0
			    ? read(s->watch.fd, to, size)
			    : recv(s->watch.fd, to, size, flags | MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN)
		sock_note_empty(s, flags);
	else if (n >= 0 && (size_t)n < size &&
		 !(flags & (MSG_PEEK | MSG_ELSEWHERE)))
		note_short(s);
	return n >= 0 ? n : -errno;
}

ssize_t sock_send(struct sock *s, const void *data, size_t size, int flags)
{
	if (__builtin_expect(s->tls != NULL, 0))
		return sock_tls_send(s, data, size, flags);
	return sock__send(s, data, size, flags);
}

ssize_t sock__send(struct sock *s, const void *data, size_t size, int flags)
{
	ssize_t n;

	do {
		n = s->type == 0 ? write(s->watch.fd, data, size)
				 : send(s->watch.fd, data, size,
					flags | MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (n >= 0)
		return n;
	if (errno == EAGAIN)
		io_watch_idle(&s->watch, IO_OUT);
	return -errno;
}

/* --- connections --- */

int sock_connect(struct sock *s, const struct sock_address *addr)
{
	int rc;

	do {
		rc = connect(s->watch.fd, (const struct sockaddr *)&addr->addr,
			     addr->size);
	} while (rc != 0 && errno == EINTR);
	if (rc == 0)
		return 0;
	if (errno == EINPROGRESS)
		io_watch_idle(&s->watch, IO_OUT);
	return -errno;
}

int sock_connected(struct sock *s)
{
	struct pollfd fd = { .fd = s->watch.fd, .events = POLLOUT };
	int err = 0;
	socklen_t size = sizeof err;

	if (poll(&fd, 1, 0) == 0) {
		io_watch_idle(&s->watch, IO_OUT);
		return -EINPROGRESS;
	}
	if (getsockopt(s->watch.fd, SOL_SOCKET, SO_ERROR, &err, &size) != 0)
		return -errno;
	return -err;
}

int sock_accept(struct sock *s, struct sock *ret_s,
		struct sock_address *ret_from)
{
	int fd;

	memset(ret_from, 0, sizeof *ret_from);
	ret_from->size = sizeof ret_from->addr;
	do {
		fd = inject("sock.accept")
			     ? (errno = EMFILE, -1)
			     : accept4(s->watch.fd,
				       (struct sockaddr *)&ret_from->addr,
				       &ret_from->size,
				       SOCK_CLOEXEC | SOCK_NONBLOCK);
	} while (fd < 0 && (errno == EINTR || errno == ECONNABORTED));
	if (fd < 0) {
		if (errno == EAGAIN)
			io_watch_idle(&s->watch, IO_IN);
		return -errno;
	}
	enter(ret_s, fd, s->family, s->type);
	ret_s->lingers = s->lingers; /* as the option is inherited */
	return 0;
}

int sock_set_linger(struct sock *s, bool on, int seconds)
{
	struct linger l = { on, seconds };

	if (setsockopt(s->watch.fd, SOL_SOCKET, SO_LINGER, &l, sizeof l) != 0)
		return -errno;
	s->lingers = on && seconds > 0;
	return 0;
}

int sock_wait(struct sock *s, struct fiber *self, int what, uint64_t timeout_ns)
{
	return io_watch_wait(&s->watch, s->loop, self, what, timeout_ns);
}
