/* Sockets that get an address. See sock_bind.h. */
#include "net/sock_bind.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "base/inject.h"
#include "net/listen_share.h"
#include "net/listener.h"
#include "net/sock.h"
#include "net/unix_file.h"

int sock_bind(struct sock *s, const struct sock_address *addr)
{
	return bind(s->watch.fd, (const struct sockaddr *)&addr->addr,
		    addr->size) == 0
		       ? 0
		       : -errno;
}

static int set_reuse_port(int fd)
{
	int one = 1;

	return setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) == 0
		       ? 0
		       : -errno;
}

struct binding {
	struct sock *s;
	bool reuse_port;
	const char *name; /* NULL: none */
};

/* @a joins: others of this process, or of the one before, are bound there. */
static int bind_as(const struct binding *b, const struct listen_address *addr,
		   bool joins)
{
	bool ip = addr->addr.ss_family != AF_UNIX;
	int fd = b->s->watch.fd;
	int rc = 0;

	if (ip && (b->reuse_port || joins))
		rc = set_reuse_port(fd);
	if (rc == 0)
		rc = unix_file_bind(fd, (const struct sockaddr *)&addr->addr,
				    addr->size, joins);
	/* Now that nobody else has the address, others of this process may
	 * join: not so another program that does not share. */
	if (rc == 0 && ip && listener_sharers() > 1)
		rc = set_reuse_port(fd);
	return rc;
}

/* The one that is bound is a duplicate: whoever fails closes that. */
static int bind_shared(const struct listen_address *addr, bool joins, void *arg)
{
	const struct binding *b = arg;
	int rc = bind_as(b, addr, joins), fd;

	if (rc != 0)
		return rc;
	fd = fcntl(b->s->watch.fd, F_DUPFD_CLOEXEC, 3);
	return fd < 0 ? -errno : fd;
}

static int bind_or_join(const struct binding *b,
			const struct listen_address *addr)
{
	struct sock *s = b->s;
	int fd;

	fd = listen_share_join(addr, b->name,
			       listener_sharers() > 1 ? s->loop : NULL,
			       bind_shared, (void *)b, &s->hold);
	if (fd < 0)
		return fd;
	io_watch_destroy(&s->watch);
	close(s->watch.fd);
	s->watch.fd = fd;
	return 0;
}

int sock_bind_server(struct sock *s, const struct sock_address *addr,
		     bool reuse_port, const char *name)
{
	struct binding b = { s, reuse_port, name };
	struct listen_address wanted = { addr->addr, addr->size };
	int rc;

	if (addr->addr.ss_family == AF_UNIX) {
		s->file = mem_zalloc(sizeof *s->file);
		if (s->file == NULL)
			return UV_ENOMEM;
	}
	rc = bind_or_join(&b, &wanted);
	if (s->file == NULL)
		return rc;
	if (rc == 0) {
		unix_file_note(s->file, (const struct sockaddr *)&addr->addr,
			       addr->size);
	} else {
		mem_free(s->file);
		s->file = NULL;
	}
	return rc;
}

static void remove_file(void *arg)
{
	const struct sock *s = arg;

	if (s->file != NULL)
		unix_file_remove(s->file);
}

/* Returns whether nobody has the address any more. */
static bool give_up(struct sock *s, bool *ret_succeeded)
{
	bool last = true;

	*ret_succeeded = false;
	if (s->hold != NULL)
		last = listen_share_leave(s->hold, remove_file, s,
					  ret_succeeded);
	mem_free(s->file);
	s->file = NULL;
	s->hold = NULL;
	return last;
}

bool sock_bind_refuse(struct sock *s)
{
	bool succeeded, last;

	if (s->family != AF_UNIX && s->hold != NULL &&
	    listen_share_refuse(s->hold)) {
		listener_drop_knocks(s->watch.fd);
		return false;
	}
	last = give_up(s, &succeeded);
	if (s->family == AF_UNIX && last && !succeeded)
		shutdown(s->watch.fd, SHUT_RD);
	return succeeded;
}

void sock_bind_leave(struct sock *s)
{
	bool succeeded;

	give_up(s, &succeeded);
}
