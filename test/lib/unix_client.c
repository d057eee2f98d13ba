/*
 * Talks to a unix socket: standard input goes there, what comes back goes to
 * standard output, until the other side ends.
 *
 *	unix_client [-v|-d] PATH
 *
 * -v: vanish when standard input ends, without waiting for anything.
 * -d: deaf until standard input ends: nothing is read before.
 * Exit code 0; 1 when there is no connection or it breaks.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int copy(int from, int to)
{
	char data[64 * 1024];
	ssize_t n = read(from, data, sizeof data);

	for (ssize_t done = 0; done < n;) {
		ssize_t sent = write(to, data + done, (size_t)(n - done));

		if (sent < 0)
			return -1;
		done += sent;
	}
	return (int)n;
}

int main(int argc, char **argv)
{
	bool vanish = argc > 2 && strcmp(argv[1], "-v") == 0;
	bool deaf = argc > 2 && strcmp(argv[1], "-d") == 0;
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct pollfd fds[2] = {
		{ .fd = STDIN_FILENO, .events = POLLIN },
		{ .events = POLLIN },
	};
	int fd, n;

	if (argc < 2)
		return 2;
	signal(SIGPIPE, SIG_IGN);
	snprintf(addr.sun_path, sizeof addr.sun_path, "%s", argv[argc - 1]);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	if (connect(fd, (struct sockaddr *)&addr, sizeof addr) != 0) {
		perror(argv[argc - 1]);
		return 1;
	}
	fds[1].fd = deaf ? -1 : fd;
	for (;;) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return 1;
		if (fds[1].revents != 0) {
			n = copy(fd, STDOUT_FILENO);
			if (n <= 0)
				return n < 0;
		}
		if (fds[0].revents != 0) {
			n = copy(STDIN_FILENO, fd);
			if (n < 0)
				return 1;
			if (n > 0)
				continue;
			if (vanish)
				return 0;
			shutdown(fd, SHUT_WR);
			fds[1].fd = fd;
			fds[0].fd = -1;
			fds[0].revents = 0;
		}
	}
}
