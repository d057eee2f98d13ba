/*
 * Connections that do nothing, for `make bench`:
 *
 *	idle PORT COUNT
 *
 * Opens as many keep-alive connections to 127.0.0.1 as the descriptor limits of
 * both sides allow, COUNT at most, and asks once for / on each, a few at a time.
 * When all of them wait it prints "held N" and holds them until it is killed.
 * Exit 1 if an answer was not right.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum {
	COUNT_MAX = 1000000,
	AT_A_TIME = 32,     /* no more than the load before */
	OF_ADDRESS = 20000, /* connections that share a source: its ports */
	ANSWER_MAX = 4096,
	PATIENCE = 3, /* seconds for an answer */
};

static int fds[COUNT_MAX];

/* Connection @a i, by the system's own choice of a port; -1: no more. */
static int open_one(int port, long i)
{
	struct sockaddr_in to = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	struct sockaddr_in from = { .sin_family = AF_INET };
	struct timeval patience = { .tv_sec = PATIENCE };
	int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	from.sin_addr.s_addr =
		htonl(INADDR_LOOPBACK + (uint32_t)(i / OF_ADDRESS));
	setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (bind(fd, (struct sockaddr *)&from, sizeof(from)) != 0 ||
	    connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static bool ask(int fd)
{
	static const char request[] = "GET / HTTP/1.1\r\n"
				      "Host: 127.0.0.1\r\n\r\n";

	return send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL) ==
	       sizeof(request) - 1;
}

/* 1: the right answer, 0: nothing, or none for one too many; -1: a wrong one. */
static int hear(int fd)
{
	static const char body[] = "\r\n\r\nHello, world!";
	const size_t tail = sizeof(body) - 1;
	char answer[ANSWER_MAX];
	size_t size = 0;

	while (size < sizeof(answer)) {
		ssize_t n = recv(fd, answer + size, sizeof(answer) - size, 0);

		if (n <= 0)
			return 0;
		size += (size_t)n;
		if (size > 12 && memcmp(answer, "HTTP/1.1 503", 12) == 0)
			return 0;
		if (size > 12 && memcmp(answer, "HTTP/1.1 200", 12) != 0)
			return -1;
		if (size > tail &&
		    memcmp(answer + size - tail, body, tail) == 0)
			return 1;
	}
	return -1;
}

/* How many connections are open and had their answer; -1: a wrong one. */
static long hold(int port, long count)
{
	long done = 0;

	while (done < count) {
		long opened = done, most = done + AT_A_TIME;

		while (opened < count && opened < most &&
		       (fds[opened] = open_one(port, opened)) >= 0)
			opened++;
		if (opened == done)
			return done;
		for (long i = done; i < opened; i++)
			ask(fds[i]);
		while (done < opened) {
			int right = hear(fds[done]);

			if (right <= 0)
				return right < 0 ? -1 : done;
			done++;
		}
	}
	return done;
}

/* Of so many, those that the server has not closed. */
static long still_open(long count)
{
	long open = 0;
	char byte;

	for (long i = 0; i < count; i++)
		open += recv(fds[i], &byte, 1, MSG_DONTWAIT) < 0 &&
			errno == EAGAIN;
	return open;
}

int main(int argc, char **argv)
{
	long count = argc == 3 ? strtol(argv[2], NULL, 10) : 0;
	struct rlimit files;

	if (count < 1 || count > COUNT_MAX) {
		fprintf(stderr, "usage: idle PORT COUNT\n");
		return 2;
	}
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	count = hold((int)strtol(argv[1], NULL, 10), count);
	if (count < 0) {
		fprintf(stderr, "idle: a wrong answer\n");
		return 1;
	}
	printf("held %ld\n", still_open(count));
	fflush(stdout);
	pause();
	return 0;
}
