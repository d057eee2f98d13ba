/* The example from outside; see server.h. */
#include "server.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE_S = 60, ANSWER_MAX = 64 << 10 };

static struct server *current; /* for fail() */

void fail(const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	fputs("FAILED: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	if (current != NULL) {
		char command[512];

		if (current->pid > 0) {
			kill(current->pid, SIGKILL);
			waitpid(current->pid, NULL, 0);
		}
		unlink(current->socket_path);
		fputs("the end of the server's log:\n", stderr);
		snprintf(command, sizeof(command), "tail -n 40 '%s' >&2",
			 current->log);
		if (system(command) != 0)
			fputs("(no log)\n", stderr);
	}
	exit(1);
}

const char *need_env(const char *name)
{
	const char *value = getenv(name);

	if (value == NULL || *value == '\0')
		fail("%s is not set", name);
	return value;
}

double clock_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void nap(void)
{
	usleep(10000);
}

static struct sockaddr_in loopback(int port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
}

/* A port that was free a moment ago. */
static int free_port(void)
{
	struct sockaddr_in addr = loopback(0);
	socklen_t size = sizeof(addr);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, size) != 0 ||
	    getsockname(fd, (struct sockaddr *)&addr, &size) != 0)
		fail("no free port: %s", strerror(errno));
	close(fd);
	return ntohs(addr.sin_port);
}

/* The child's half of server_start(). */
static void exec_server(const struct server *s, const char *script)
{
	char port[16];
	int log = open(s->log, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	snprintf(port, sizeof(port), "%d", s->port);
	setenv("CONSOLE", s->socket_path, 1);
	if (log >= 0 && dup2(log, 1) == 1 && dup2(log, 2) == 2) {
		close(log);
		execl(need_env("NEAP_BIN"), "neap", script, port, NULL);
	}
	perror("cannot start the server");
	_exit(127);
}

static bool has_ended(struct server *s, int *ret_code)
{
	int status;

	if (waitpid(s->pid, &status, WNOHANG) != s->pid)
		return false;
	s->pid = 0;
	*ret_code = WIFEXITED(status) ? WEXITSTATUS(status)
				      : 128 + WTERMSIG(status);
	return true;
}

static bool try_http(int port)
{
	struct sockaddr_in addr = loopback(port);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool ok = connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0;

	close(fd);
	return ok;
}

static bool try_console(struct server *s)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (strlen(s->socket_path) >= sizeof(addr.sun_path))
		fail("the path of the console is too long: %s", s->socket_path);
	memcpy(addr.sun_path, s->socket_path, strlen(s->socket_path));
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0) {
		close(fd);
		return false;
	}
	s->console = fd;
	return true;
}

void server_start(struct server *s, const char *script, const char *log)
{
	double end = clock_s() + PATIENCE_S;
	int code;

	memset(s, 0, sizeof(*s));
	s->log = log;
	s->console = -1;
	s->port = free_port();
	snprintf(s->socket_path, sizeof(s->socket_path), "%s/console",
		 need_env("TMPDIR"));
	current = s;
	fflush(NULL);
	s->pid = fork();
	if (s->pid < 0)
		fail("fork: %s", strerror(errno));
	if (s->pid == 0)
		exec_server(s, script);
	while (!try_http(s->port) || !try_console(s)) {
		if (has_ended(s, &code))
			fail("the server ended with %d at its start", code);
		if (clock_s() > end)
			fail("the server does not listen");
		nap();
	}
}

int server_stop(struct server *s)
{
	double end = clock_s() + PATIENCE_S;
	int code;

	if (s->console >= 0)
		close(s->console);
	s->console = -1;
	kill(s->pid, SIGTERM);
	while (!has_ended(s, &code)) {
		if (clock_s() > end)
			fail("the server does not end after SIGTERM");
		nap();
	}
	return code;
}

/*
 * The prompt and the greeting are none of this test's business: each line is
 * followed by one that prints a number never seen before.
 */
const char *server_console(struct server *s, const char *line)
{
	static char answer[ANSWER_MAX];
	double end = clock_s() + PATIENCE_S;
	char text[1024], mark[32];
	size_t size = 0;
	int n;

	s->asked++;
	n = snprintf(text, sizeof(text), "%s\n%u + 1000000\n", line, s->asked);
	snprintf(mark, sizeof(mark), "- %u\n", s->asked + 1000000);
	if (send(s->console, text, (size_t)n, MSG_NOSIGNAL) != n)
		fail("cannot write to the console: %s", strerror(errno));
	do {
		struct pollfd p = { .fd = s->console, .events = POLLIN };
		ssize_t got;

		if (clock_s() > end)
			fail("the console does not answer: %s", line);
		if (poll(&p, 1, 100) <= 0)
			continue;
		got = recv(s->console, answer + size, ANSWER_MAX - 1 - size, 0);
		if (got <= 0)
			fail("the console has closed: %s", line);
		size += (size_t)got;
		answer[size] = '\0';
	} while (size == 0 || strstr(answer, mark) == NULL);
	return answer;
}

static unsigned count_fds(pid_t pid, const char *name)
{
	char path[64], target[256];
	struct dirent *entry;
	unsigned count = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	dir = opendir(path);
	if (dir == NULL)
		fail("%s: %s", path, strerror(errno));
	while ((entry = readdir(dir)) != NULL) {
		ssize_t n = readlinkat(dirfd(dir), entry->d_name, target,
				       sizeof(target) - 1);

		if (n < 0)
			continue;
		target[n] = '\0';
		if (name == NULL || strstr(target, name) != NULL)
			count++;
	}
	closedir(dir);
	return count;
}

static unsigned count_lines(const char *path, const char *text)
{
	FILE *file = fopen(path, "r");
	unsigned count = 0;
	char *line = NULL;
	size_t size = 0;

	if (file == NULL)
		fail("%s: %s", path, strerror(errno));
	while (getline(&line, &size, file) >= 0)
		count += text == NULL || strstr(line, text) != NULL;
	free(line);
	fclose(file);
	return count;
}

/* Its ends of connections that it has not closed: established, or left by the
 * peer. */
static unsigned count_connections(int port)
{
	enum { ESTABLISHED = 1, CLOSE_WAIT = 8 }; /* of the kernel's table */
	FILE *file = fopen("/proc/net/tcp", "r");
	unsigned count = 0;
	char line[256];

	if (file == NULL)
		fail("/proc/net/tcp: %s", strerror(errno));
	while (fgets(line, sizeof(line), file) != NULL) {
		unsigned local, state;

		if (sscanf(line, "%*d: %*[^:]:%x %*[^:]:%*x %x", &local,
			   &state) == 2 &&
		    local == (unsigned)port &&
		    (state == ESTABLISHED || state == CLOSE_WAIT))
			count++;
	}
	fclose(file);
	return count;
}

void server_settle(const struct server *s)
{
	double end = clock_s() + PATIENCE_S;

	while (count_connections(s->port) > 0) {
		if (clock_s() > end)
			fail("the server does not close what its peers left");
		nap();
	}
}

static size_t read_rss(pid_t pid)
{
	char path[64];
	size_t pages;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
	file = fopen(path, "r");
	if (file == NULL || fscanf(file, "%*u %zu", &pages) != 1)
		fail("%s cannot be read", path);
	fclose(file);
	return pages * (size_t)sysconf(_SC_PAGESIZE);
}

void server_holdings(const struct server *s, const char *module,
		     struct holdings *ret)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)s->pid);
	ret->fds = count_fds(s->pid, NULL);
	ret->memfds = count_fds(s->pid, "memfd:");
	ret->maps = count_lines(path, NULL);
	ret->libraries = count_lines(path, module);
	ret->rss = read_rss(s->pid);
}

unsigned server_log_lines(const struct server *s, const char *text)
{
	return count_lines(s->log, text);
}
