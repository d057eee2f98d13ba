/*
 * Many connections to a server whose answers are the number of the worker that
 * gave them:
 *
 *	client ADDRESS THREADS CONNECTIONS REQUESTS [TARGET]
 *
 * ADDRESS is a port of 127.0.0.1 or the path of a unix socket. Each thread opens
 * one connection after the other, with so many requests on each, until there
 * have been as many CONNECTIONS in all; 0: until the server refuses one, for a
 * minute at most, and "begun" is said at the first answer; "steady": the same, but
 * to be refused is a failure before a SIGUSR1, to which "told" is said and from
 * which on it is for a minute. Said in the end: a line for each worker, "worker N
 * ANSWERS"; "answers", "ended" (connections that the server closed between two
 * answers) and "failed" with their counts. A connection that was taken gets the
 * answer to its first request, and no answer is half of one: all else is a failure,
 * which is told and makes the exit code 1. So does a connection whose answers came
 * from two workers.
 */
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { THREADS_MAX = 64, WORKERS_MAX = 256, PATIENCE_S = 60 };

static union {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_un un;
} address;
static socklen_t address_size;
static long requests;
static char request[256];
static size_t request_size;
static atomic_long left; /* connections to open */
static bool forever;
static atomic_long end_time;
static atomic_bool may_end = true; /* the server */
static atomic_ulong answers, ended, failed;
static atomic_ulong by_worker[WORKERS_MAX + 1];

static void tell_failure(const char *fmt, ...)
{
	va_list ap;

	/* The first ones say enough. */
	if (atomic_fetch_add(&failed, 1) >= 5)
		return;
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

/* A connected socket; -1: nobody listens any more. */
static int connect_once(void)
{
	int fd = socket(address.any.sa_family, SOCK_STREAM, 0);
	int err;

	if (fd < 0) {
		perror("socket");
		exit(2);
	}
	while (connect(fd, &address.any, address_size) != 0) {
		err = errno;
		if (err == EINTR)
			continue;
		/* A unix socket's queue may be full. */
		if (err == EAGAIN && time(NULL) < end_time) {
			usleep(1000);
			continue;
		}
		close(fd);
		if (!may_end || (err != ECONNREFUSED && err != ENOENT))
			tell_failure("connect: %s", strerror(err));
		return -1;
	}
	return fd;
}

/* The worker that answered, 0: the connection has ended before the answer
 * began, -1: in it. */
static int read_answer(int fd, int *ret_errno)
{
	char text[4096];
	size_t size = 0;
	const char *body = NULL;
	ssize_t n;
	int worker;

	do {
		n = recv(fd, text + size, sizeof text - 1 - size, 0);
		if (n < 0 && errno == EINTR)
			continue;
		*ret_errno = n < 0 ? errno : 0;
		if (n <= 0)
			return size == 0 ? 0 : -1;
		size += (size_t)n;
		text[size] = '\0';
		body = strstr(text, "\r\n\r\n");
		if (body != NULL && strncmp(text, "HTTP/1.1 200 ", 13) != 0)
			return -1;
	} while (body == NULL || strchr(body + 4, '.') == NULL);
	worker = atoi(body + 4);
	return worker < 1 || worker > WORKERS_MAX ? -1 : worker;
}

/* One connection. Returns false when nobody listens any more. */
static bool serve_one(void)
{
	int fd = connect_once(), first = 0, err = 0;

	if (fd < 0)
		return false;
	for (long i = 0; i < requests; i++) {
		int worker = 0;

		if (send(fd, request, request_size, MSG_NOSIGNAL) > 0)
			worker = read_answer(fd, &err);
		if (worker == 0 && i > 0) {
			atomic_fetch_add(&ended, 1);
			break;
		}
		if (worker <= 0) {
			tell_failure("request %ld: %s: %s", i + 1,
				     worker == 0 ? "no answer"
						 : "not an answer",
				     strerror(err));
			break;
		}
		if (first == 0)
			first = worker;
		if (worker != first)
			tell_failure("worker %d, then %d", first, worker);
		if (atomic_fetch_add(&answers, 1) == 0 && forever) {
			puts("begun");
			fflush(stdout);
		}
		atomic_fetch_add(&by_worker[worker], 1);
	}
	close(fd);
	return true;
}

static void *run(void *arg)
{
	while (forever ? time(NULL) < end_time
		       : atomic_fetch_sub(&left, 1) > 0) {
		if (serve_one())
			continue;
		if (!forever)
			tell_failure("nobody listens");
		break;
	}
	return arg;
}

static void on_end(int signo)
{
	(void)signo;
	end_time = time(NULL) + PATIENCE_S;
	may_end = true;
	if (write(STDOUT_FILENO, "told\n", 5) != 5)
		abort();
}

/* Before there are threads, which are not disturbed by it. */
static void wait_for_signal(void)
{
	struct sigaction action = { .sa_handler = on_end };

	may_end = false;
	end_time = LONG_MAX;
	sigaction(SIGUSR1, &action, NULL);
}

static void mask(int how)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(how, &set, NULL);
}

static void set_address(const char *text)
{
	int port = atoi(text);

	if (port > 0) {
		address.in.sin_family = AF_INET;
		address.in.sin_port = htons((uint16_t)port);
		address.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		address_size = sizeof address.in;
		return;
	}
	address.un.sun_family = AF_UNIX;
	snprintf(address.un.sun_path, sizeof address.un.sun_path, "%s", text);
	address_size = sizeof address.un;
}

int main(int argc, char **argv)
{
	pthread_t threads[THREADS_MAX];
	int count;

	if (argc < 5 || argc > 6 || (count = atoi(argv[2])) > THREADS_MAX) {
		fputs("client ADDRESS THREADS CONNECTIONS REQUESTS [TARGET]\n",
		      stderr);
		return 2;
	}
	set_address(argv[1]);
	left = atol(argv[3]);
	forever = left == 0;
	requests = atol(argv[4]);
	end_time = time(NULL) + PATIENCE_S;
	if (strcmp(argv[3], "steady") == 0)
		wait_for_signal();
	request_size =
		(size_t)snprintf(request, sizeof request,
				 "GET %.100s HTTP/1.1\r\nHost: a\r\n\r\n",
				 argc == 6 ? argv[5] : "/");
	mask(SIG_BLOCK);
	for (int i = 0; i < count; i++)
		pthread_create(&threads[i], NULL, run, NULL);
	mask(SIG_UNBLOCK);
	for (int i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	for (int i = 1; i <= WORKERS_MAX; i++) {
		if (by_worker[i] > 0)
			printf("worker %d %lu\n", i, by_worker[i]);
	}
	printf("answers %lu\nended %lu\nfailed %lu\n", answers, ended, failed);
	return failed > 0;
}
