/*
 * Starts a program as a service manager does that has its sockets, by LISTEN_FDS, so many
 * times, one after the other; the sockets stay the same.
 *
 *	activate TIMES [KIND:]NAME=ADDRESS.. -- PROGRAM [ARGUMENTS]
 *
 * ADDRESS: a port of 127.0.0.1, 0 for a free one; "*PORT", of all addresses of IPv6 and
 * IPv4; "@NAME", abstract; the path of a unix socket. KIND: "shared", one of several of its
 * address; or what is wrong: "bound" does not listen, "datagram". Said on standard output: each TCP socket's port, by
 * itself in a line. The exit code is the last one's; 2: it could not be started.
 */
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FIRST = 3, NAMES_SIZE = 1024 };

static char names[NAMES_SIZE];
static int count;

static void fail(const char *what)
{
	perror(what);
	exit(2);
}

union address {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	struct sockaddr_un un;
};

static socklen_t parse(const char *text, union address *a)
{
	memset(a, 0, sizeof *a);
	if (*text == '*') {
		a->in6.sin6_family = AF_INET6;
		a->in6.sin6_port = htons((uint16_t)atoi(text + 1));
		return sizeof a->in6;
	}
	if (strspn(text, "0123456789") == strlen(text)) {
		a->in.sin_family = AF_INET;
		a->in.sin_port = htons((uint16_t)atoi(text));
		a->in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		return sizeof a->in;
	}
	a->un.sun_family = AF_UNIX;
	if (strlen(text) >= sizeof a->un.sun_path)
		exit(2);
	strcpy(a->un.sun_path, text);
	if (*text == '@')
		a->un.sun_path[0] = '\0';
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) +
			   strlen(text) + (*text != '@'));
}

static void tell_port(int fd)
{
	union address a;
	socklen_t size = sizeof a;

	if (getsockname(fd, &a.any, &size) != 0)
		fail("getsockname");
	if (a.any.sa_family == AF_INET)
		printf("%d\n", ntohs(a.in.sin_port));
	else if (a.any.sa_family == AF_INET6)
		printf("%d\n", ntohs(a.in6.sin6_port));
	fflush(stdout);
}

/* The one at @a spec becomes the next descriptor. */
static void open_one(char *spec)
{
	char *address = strchr(spec, '='), *name = strchr(spec, ':');
	bool datagram = strncmp(spec, "datagram:", 9) == 0;
	union address a;
	socklen_t size;
	int fd, one = 1;

	if (address == NULL)
		exit(2);
	*address++ = '\0';
	name = name == NULL ? spec : name + 1;
	size = parse(address, &a);
	fd = socket(a.any.sa_family, datagram ? SOCK_DGRAM : SOCK_STREAM, 0);
	if (fd < 0)
		fail("socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (strncmp(spec, "shared:", 7) == 0)
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
	if (bind(fd, &a.any, size) != 0)
		fail(address);
	if (!datagram && strncmp(spec, "bound:", 6) != 0 && listen(fd, 64) != 0)
		fail("listen");
	tell_port(fd);
	if (fd != FIRST + count) {
		if (dup2(fd, FIRST + count) < 0)
			fail("dup2");
		close(fd);
	}
	if (count++ > 0)
		strcat(names, ":");
	strncat(names, name, sizeof names - strlen(names) - 2);
}

static int run(char **argv)
{
	char text[16];
	int status;
	pid_t pid = fork();

	if (pid < 0)
		fail("fork");
	if (pid == 0) {
		snprintf(text, sizeof text, "%d", getpid());
		setenv("LISTEN_PID", text, 1);
		snprintf(text, sizeof text, "%d", count);
		setenv("LISTEN_FDS", text, 1);
		setenv("LISTEN_FDNAMES", names, 1);
		execv(argv[0], argv);
		perror(argv[0]);
		_exit(2);
	}
	while (waitpid(pid, &status, 0) != pid)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int main(int argc, char **argv)
{
	int times = argc > 1 ? atoi(argv[1]) : 0, i = 2, code = 2;

	for (int fd = FIRST; fd < 64;
	     fd++) /* whatever the caller has left open */
		close(fd);
	for (; i < argc && strcmp(argv[i], "--") != 0; i++)
		open_one(argv[i]);
	if (i + 1 >= argc)
		return 2;
	while (times-- > 0)
		code = run(argv + i + 1);
	return code;
}
