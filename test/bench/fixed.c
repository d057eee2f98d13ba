/*
 * The limit of the HTTP figures: what the kernel alone costs. An epoll server
 * that parses nothing: the first bytes of a connection tell how long its
 * requests are, and each so many bytes get the same answer, all answers of one
 * read in one send.
 *
 *	fixed PORT BODY-SIZE             HTTP with a body of that size
 *	fixed PORT BODY-SIZE websocket   messages of that size get such a message
 *	fixed PORT echo                  what comes goes back
 *
 * The port is bound on 127.0.0.1; 0 picks one. Prints "port N" when it listens.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	EVENTS = 512,
	READ_SIZE = 64 << 10,
	ANSWERS = 64, /* copies that stand ready; a read may hold more */
	BODY_MAX = 16 << 10,
	ANSWER_MAX = BODY_MAX + 512,
	CONNS_MAX = 8192,
};

/** What a connection's requests look like. */
struct conn {
	size_t request; /* bytes of each; 0: none seen */
	size_t rest;    /* of a request that has come in part */
	bool upgraded;  /* to a WebSocket */
};

static struct conn conns[CONNS_MAX]; /* by descriptor */
static char answers[ANSWERS * ANSWER_MAX];
static size_t answer_size, message_size;
static char input[READ_SIZE];
static bool echo, websocket;

static int make_head(size_t body)
{
	if (websocket && body < 126)
		return snprintf(answers, ANSWER_MAX, "\x81%c", (int)body);
	if (websocket)
		return snprintf(answers, ANSWER_MAX, "\x81\x7e%c%c",
				(int)(body >> 8), (int)(body & 0xff));
	return snprintf(answers, ANSWER_MAX,
			"HTTP/1.1 200 OK\r\n"
			"Date: Sat, 21 Nov 2026 19:15:45 GMT\r\n"
			"Content-Type: text/plain\r\n"
			"Content-Length: %zu\r\n\r\n",
			body);
}

static void make_answers(size_t body)
{
	int n = make_head(body);

	for (size_t i = 0; i < body; i++)
		answers[(size_t)n + i] = (char)('a' + i % 26);
	answer_size = (size_t)n + body;
	for (size_t i = 1; i < ANSWERS; i++)
		memcpy(answers + i * answer_size, answers, answer_size);
}

/* A client that does not read is not waited for: it is dropped. */
static int send_all(int fd, const char *data, size_t size)
{
	return send(fd, data, size, MSG_NOSIGNAL) == (ssize_t)size ? 0 : -1;
}

static size_t request_size(size_t size)
{
	static const char name[] = "Content-Length: ";
	char *end = memmem(input, size, "\r\n\r\n", 4);
	char *length = memmem(input, size, name, sizeof(name) - 1);
	size_t body = 0;

	if (websocket) /* with its mask */
		return message_size + (message_size < 126 ? 6 : 8);
	if (end == NULL)
		return 0;
	if (length != NULL && length < end)
		body = strtoul(length + sizeof(name) - 1, NULL, 10);
	return (size_t)(end + 4 - input) + body;
}

static int answer(int fd, size_t size)
{
	struct conn *c = &conns[fd];
	size_t count;

	if (echo)
		return send_all(fd, input, size);
	if (websocket && !c->upgraded) {
		/* The load client's key is always this one's. */
		static const char head[] =
			"HTTP/1.1 101 Switching Protocols\r\n"
			"Upgrade: websocket\r\nConnection: Upgrade\r\n"
			"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
			"\r\n\r\n";

		c->upgraded = true;
		return send_all(fd, head, sizeof(head) - 1);
	}
	if (c->request == 0 && (c->request = request_size(size)) == 0)
		return -1;
	count = (size + c->rest) / c->request;
	c->rest = (size + c->rest) % c->request;
	while (count > 0) {
		size_t now = count < ANSWERS ? count : ANSWERS;

		if (send_all(fd, answers, now * answer_size) != 0)
			return -1;
		count -= now;
	}
	return 0;
}

static void accept_all(int ep, int server)
{
	int on = 1, fd;

	while ((fd = accept4(server, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
		struct epoll_event e = { .events = EPOLLIN, .data.fd = fd };

		if (fd >= CONNS_MAX) {
			close(fd);
			continue;
		}
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		memset(&conns[fd], 0, sizeof(conns[fd]));
		epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
	}
}

static int serve(int server)
{
	struct epoll_event e = { .events = EPOLLIN, .data.fd = server };
	struct epoll_event events[EVENTS];
	int ep = epoll_create1(EPOLL_CLOEXEC);

	if (ep < 0 || epoll_ctl(ep, EPOLL_CTL_ADD, server, &e) != 0)
		return -1;
	for (;;) {
		int n = epoll_wait(ep, events, EVENTS, -1);

		if (n < 0 && errno != EINTR)
			return -1;
		for (int i = 0; i < n; i++) {
			int fd = events[i].data.fd;
			ssize_t got;

			if (fd == server) {
				accept_all(ep, server);
				continue;
			}
			got = recv(fd, input, sizeof(input), 0);
			if (got < 0 && errno == EAGAIN)
				continue;
			if (got <= 0 || answer(fd, (size_t)got) != 0)
				close(fd);
		}
	}
}

int main(int argc, char **argv)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t size = sizeof(addr);
	long body = 0;
	int on = 1, fd;

	websocket = argc == 4 && strcmp(argv[3], "websocket") == 0;
	if (argc != 3 && !websocket)
		goto usage;
	addr.sin_port = htons((uint16_t)strtoul(argv[1], NULL, 10));
	echo = strcmp(argv[2], "echo") == 0;
	if (!echo) {
		body = strtol(argv[2], NULL, 10);
		if (body < 0 || body > BODY_MAX)
			goto usage;
		message_size = (size_t)body;
		make_answers((size_t)body);
	}
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&addr, size) != 0 ||
	    listen(fd, 4096) != 0 ||
	    getsockname(fd, (struct sockaddr *)&addr, &size) != 0) {
		perror("fixed: cannot listen");
		return 1;
	}
	printf("port %d\n", ntohs(addr.sin_port));
	fflush(stdout);
	serve(fd);
	perror("fixed");
	return 1;
usage:
	fprintf(stderr,
		"usage: fixed PORT BODY-SIZE [websocket] | PORT echo\n");
	return 2;
}
