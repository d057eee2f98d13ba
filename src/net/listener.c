/* Listening sockets. See listener.h. */
#include "net/listener.h"

#include <errno.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "net/listen_share.h"

enum { BACKLOG = 4096 };

static atomic_uint sharers = 1;

void listener_set_sharers(unsigned count)
{
	sharers = count;
}

unsigned listener_sharers(void)
{
	return sharers;
}

static int parse_unix(struct listen_address *ret_addr, const char *path)
{
	struct sockaddr_un *un = (struct sockaddr_un *)&ret_addr->addr;
	size_t size = strlen(path);

	if (size == 0)
		return UV_EINVAL;
	if (size >= sizeof(un->sun_path))
		return UV_ENAMETOOLONG;
	un->sun_family = AF_UNIX;
	memcpy(un->sun_path, path, size + 1);
	ret_addr->size = sizeof(*un);
	return 0;
}

int listen_address_parse(struct listen_address *ret_addr, const char *host,
			 unsigned port)
{
	struct sockaddr_in *in = (struct sockaddr_in *)&ret_addr->addr;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&ret_addr->addr;
	char plain[64];
	size_t size;

	memset(&ret_addr->addr, 0, sizeof(ret_addr->addr)); /* compared */
	if (host != NULL && strncmp(host, "unix/:", 6) == 0)
		return parse_unix(ret_addr, host + 6);
	if (port > 65535)
		return UV_EINVAL;
	if (host == NULL || host[0] == '\0' || strcmp(host, "*") == 0)
		host = "0.0.0.0";
	else if (strcmp(host, "localhost") == 0)
		host = "127.0.0.1";
	if (uv_ip4_addr(host, port, in) == 0) {
		ret_addr->size = sizeof(*in);
		return 0;
	}
	size = strlen(host);
	if (size >= sizeof(plain))
		return UV_EINVAL;
	if (host[0] == '[' && host[size - 1] == ']') {
		memcpy(plain, host + 1, size - 2);
		plain[size - 2] = '\0';
		host = plain;
	}
	if (uv_ip6_addr(host, port, in6) != 0)
		return UV_EINVAL;
	ret_addr->size = sizeof(*in6);
	return 0;
}

void listen_address_format(const struct listen_address *addr, char *text,
			   size_t size)
{
	const struct sockaddr *sa = (const struct sockaddr *)&addr->addr;
	char host[64] = "";

	switch (sa->sa_family) {
	case AF_INET:
		uv_ip4_name((const struct sockaddr_in *)sa, host, sizeof(host));
		snprintf(text, size, "%s:%d", host,
			 ntohs(((const struct sockaddr_in *)sa)->sin_port));
		break;
	case AF_INET6:
		uv_ip6_name((const struct sockaddr_in6 *)sa, host,
			    sizeof(host));
		snprintf(text, size, "[%s]:%d", host,
			 ntohs(((const struct sockaddr_in6 *)sa)->sin6_port));
		break;
	default:
		snprintf(text, size, "unix/:%s",
			 ((const struct sockaddr_un *)sa)->sun_path);
		break;
	}
}

void listener_set_keepalive(int fd)
{
	int one = 1, idle_s = 60, every_s = 15, times = 4;

	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every_s, sizeof(every_s));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &times, sizeof(times));
}

static int set_reuse_port(int fd)
{
	int one = 1;

	return setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
}

/* @a joins: others of this process, or of the one before, listen there. */
static int open_socket(const struct listen_address *addr,
		       const struct listen_options *opts, bool joins)
{
	int family = addr->addr.ss_family;
	bool tcp = family != AF_UNIX;
	int one = 1;
	int fd, rc;

	fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (tcp &&
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) != 0)
		goto fail_fd;
	if (tcp && (opts->reuse_port || joins) && set_reuse_port(fd) != 0)
		goto fail_fd;
	if (tcp)
		listener_set_keepalive(fd);
	/* The file gets the socket's own mode: nobody comes in before. */
	if (!tcp && opts->mode != 0 && fchmod(fd, opts->mode) != 0)
		goto fail_fd;
	rc = unix_file_bind(fd, (const struct sockaddr *)&addr->addr,
			    addr->size, joins);
	if (rc != 0)
		goto fail_bind;
	/* Now that nobody else has the address, others of this process may
	 * join: not so another program that does not share. */
	if (tcp && sharers > 1 && set_reuse_port(fd) != 0)
		goto fail_fd;
	return fd;
fail_fd:
	rc = -errno;
fail_bind:
	close(fd);
	return rc;
}

static int bind_shared(const struct listen_address *addr, bool joins, void *arg)
{
	return open_socket(addr, arg, joins);
}

static int open_or_join(struct listener *l, const uv_loop_t *loop,
			const struct listen_address *addr,
			const struct listen_options *opts)
{
	l->hold = NULL;
	return listen_share_join(addr, opts->name, sharers > 1 ? loop : NULL,
				 bind_shared, (void *)opts, &l->hold);
}

static void remove_file(void *arg)
{
	struct listener *l = arg;

	unix_file_remove(&l->file);
}

/* The address is not this listener's any more; of those who share a file the
 * last one removes it. Returns whether this was the last, or the only one. */
static bool give_up(struct listener *l, bool *ret_succeeded)
{
	bool last = true;

	*ret_succeeded = false;
	if (l->hold != NULL)
		last = listen_share_leave(l->hold, remove_file, l,
					  ret_succeeded);
	l->hold = NULL;
	l->file.path[0] = '\0'; /* the file of others, if there are any */
	return last;
}

static void on_connection(uv_stream_t *handle, int status)
{
	struct listener *l = (struct listener *)handle;

	l->on_connection(l, status);
}

static void on_closed(uv_handle_t *handle)
{
	struct listener *l = (struct listener *)handle;

	l->on_closed(l);
}

int listener_open(struct listener *l, uv_loop_t *loop,
		  const struct listen_address *addr,
		  const struct listen_options *opts, bool *ret_opened)
{
	int backlog = opts->backlog > 0 ? opts->backlog : BACKLOG;
	bool succeeded;
	int rc;

	*ret_opened = false;
	l->unix_socket = addr->addr.ss_family == AF_UNIX;
	rc = open_or_join(l, loop, addr, opts);
	if (rc < 0)
		return rc;
	l->fd = rc;
	unix_file_note(&l->file, (const struct sockaddr *)&addr->addr,
		       addr->size);
	/* Listening before libuv has it: what can fail comes first. */
	if (listen(l->fd, backlog) != 0) {
		rc = -errno;
		goto fail_fd;
	}
	rc = l->unix_socket ? uv_pipe_init(loop, &l->uv.pipe, 0)
			    : uv_tcp_init(loop, &l->uv.tcp);
	if (rc != 0)
		goto fail_fd;
	rc = l->unix_socket ? uv_pipe_open(&l->uv.pipe, l->fd)
			    : uv_tcp_open(&l->uv.tcp, l->fd);
	*ret_opened = true;
	if (rc == 0) /* the handle owns the descriptor now */
		return uv_listen(&l->uv.stream, backlog, on_connection);
fail_fd:
	give_up(l, &succeeded);
	close(l->fd);
	l->fd = -1;
	return rc;
}

int listener_address(const struct listener *l, struct listen_address *ret_addr)
{
	memset(ret_addr, 0, sizeof(*ret_addr));
	ret_addr->size = sizeof(ret_addr->addr);
	if (getsockname(l->fd, (struct sockaddr *)&ret_addr->addr,
			&ret_addr->size) != 0)
		return -errno;
	return 0;
}

/* Drop who knocks; who is being let in already may come in. The offset is that
 * of the flags in a TCP header. */
void listener_drop_knocks(int fd)
{
	enum { TCP_FLAGS = 13, TCP_SYN = 2, ALL = 0xffff };
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, TCP_FLAGS),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, TCP_SYN, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0),
		BPF_STMT(BPF_RET | BPF_K, ALL),
	};
	struct sock_fprog program = { sizeof code / sizeof *code, code };

	/* Without it some of those who come just now are let in and thrown
	 * out again. */
	setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
}

bool listener_refuse(struct listener *l)
{
	bool succeeded, last;

	if (!l->unix_socket && l->hold != NULL &&
	    listen_share_refuse(l->hold)) {
		listener_drop_knocks(l->fd);
		return false;
	}
	last = give_up(l, &succeeded);
	if (l->unix_socket && last && !succeeded)
		shutdown(l->fd, SHUT_RD);
	return succeeded;
}

int listener_take(struct listener *l)
{
	int fd;

	do
		fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	while (fd < 0 && (errno == EINTR || errno == ECONNABORTED));
	return fd < 0 ? UV_EAGAIN : fd;
}

void listener_close(struct listener *l)
{
	bool succeeded;

	give_up(l, &succeeded);
	l->fd = -1;
	uv_close(&l->uv.handle, on_closed);
}
