/* The running server is replaced by a new process. See upgrade.h. */
#include "app/upgrade.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/diag.h"
#include "base/inject.h"
#include "net/inherit.h"
#include "net/listen_share.h"
#include "runtime/process.h"

static const char variable[] = "NEAP_UPGRADE=";

/* In the new process: standard files, the pair, then the sockets. */
enum { PAIR_THERE = 3, WORDS_MAX = 4096 };

/* What is said: a byte, and what belongs to it. */
enum {
	SAY_READY = 'R',  /* '1' or '0' for each socket: has it been taken? */
	SAY_FAILED = 'F', /* why */
	SAY_ALONE = 'A',
};

/* What the new one says, and its end. */
struct polls {
	uv_poll_t said, end;
	unsigned open;
};

/* Of the process that is replaced. */
static struct {
	struct polls *polls; /* NULL: none is under way */
	int fd;
	struct process process;
	struct listen_pass *list;
	unsigned count;
	upgrade_f fn; /* NULL: nobody is told any more */
	char *why;
	bool expired;
} old;

/* Of the one that replaces it. */
static struct {
	uv_poll_t said;
	int fd;
	bool is_new, polls;
	void (*alone)(void);
} new = { .fd = -1 };

static void say(int fd, const char *text, size_t size)
{
	while (send(fd, text, size, MSG_NOSIGNAL) < 0 && errno == EINTR)
		;
}

/* Bytes of what has been said; 0: nobody is there any more; negative: nothing yet. */
static ssize_t hear(int fd, char *text, size_t size)
{
	ssize_t n;

	do
		n = recv(fd, text, size, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	return n < 0 && errno != EAGAIN ? 0 : n;
}

/* --- the process that is replaced --- */

pid_t upgrade_pid(void)
{
	return old.process.pid;
}

static void on_poll_closed(uv_handle_t *handle)
{
	struct polls *p = handle->data;

	if (--p->open == 0)
		mem_free(p);
}

/* The process is nobody's from here on, or has been reaped. */
static void close_old(void)
{
	if (old.polls == NULL)
		return;
	uv_close((uv_handle_t *)&old.polls->said, on_poll_closed);
	uv_close((uv_handle_t *)&old.polls->end, on_poll_closed);
	old.polls = NULL;
	close(old.fd);
	if (old.process.pid != 0)
		process_disown(&old.process);
	old.process.pid = 0;
	mem_free(old.why);
	mem_free(old.list);
	old.why = NULL;
	old.list = NULL;
}

static void note_taken(const char *marks, size_t size)
{
	for (unsigned i = 0; i < old.count && i < size; i++) {
		if (marks[i] != '1')
			old.list[i].id = 0; /* it has closed it */
	}
}

/* True: it is ready. */
static bool listen_to(void)
{
	char text[WORDS_MAX];
	ssize_t n;

	while ((n = hear(old.fd, text, sizeof text - 1)) > 0) {
		text[n] = '\0';
		if (text[0] == SAY_READY) {
			note_taken(text + 1, (size_t)n - 1);
			return true;
		}
		if (text[0] == SAY_FAILED && old.why == NULL)
			old.why = mem_strdup(text + 1);
	}
	if (n == 0)
		uv_poll_stop(&old.polls->said); /* its end tells the rest */
	return false;
}

static void on_said(uv_poll_t *poll, int status, int events)
{
	(void)poll;
	(void)status;
	(void)events;
	if (listen_to() && old.fn != NULL && !old.expired)
		old.fn(NULL);
}

static void describe_end(char *text, size_t size)
{
	int status = old.process.status;

	if (WIFSIGNALED(status))
		snprintf(text, size, "the new process was ended by signal %d",
			 WTERMSIG(status));
	else
		snprintf(text, size,
			 "the new process has ended with code %d before it "
			 "served",
			 WEXITSTATUS(status));
}

static void on_end(uv_poll_t *poll, int status, int events)
{
	upgrade_f fn = old.fn;
	char *why, text[80];

	(void)status;
	(void)events;
	listen_to();
	uv_poll_stop(poll); /* its descriptor closes */
	process_reap(&old.process, true);
	describe_end(text, sizeof text);
	why = old.why;
	old.why = NULL;
	close_old();
	if (fn != NULL)
		fn(why == NULL ? text : why);
	mem_free(why);
}

/* The variable's text. Returns 0 or -1. */
static int write_variable(struct buf *b)
{
	int rc = buf_printf(b, "%s1:%d", variable, PAIR_THERE);

	for (unsigned i = 0; i < old.count && rc == 0; i++) {
		const struct listen_pass *l = &old.list[i];

		rc = buf_printf(b, ":%u %s%s", PAIR_THERE + 1 + i,
				l->name != NULL ? "given "
				: l->any_port   ? "any"
						: "own",
				l->name != NULL ? l->name : "");
	}
	return rc == 0 ? buf_putc(b, '\0') : rc;
}

/* What was this process's alone, as the manager has said it. */
static bool is_own(const char *entry)
{
	static const char *const names[] = {
		variable,
		"LISTEN_PID=", "LISTEN_FDS=", "LISTEN_FDNAMES=", "WATCHDOG_PID="
	};

	for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
		if (strncmp(entry, names[i], strlen(names[i])) == 0)
			return true;
	}
	return false;
}

static char **make_environment(char **env, char *added)
{
	size_t n = 0, count = 0;
	char **all;

	while (env[n] != NULL)
		n++;
	all = mem_alloc((n + 2) * sizeof *all);
	if (all == NULL)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		if (!is_own(env[i]))
			all[count++] = env[i];
	}
	all[count++] = added;
	all[count] = NULL;
	return all;
}

/* Returns 0 or UV_E*. */
static int spawn(char **argv, char **env, int pair)
{
	struct process_spec spec = {
		.path = argv[0],
		.argv = argv,
		.fds = { STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO },
		.flags = PROCESS_EMPTY_MASK | PROCESS_CLOSE_FDS |
			 PROCESS_SEARCH,
	};
	struct buf text = { 0 };
	int *fds = mem_alloc((old.count + 1) * sizeof *fds);
	int rc = UV_ENOMEM;

	if (fds == NULL || write_variable(&text) != 0)
		goto out;
	spec.env = make_environment(env, text.data);
	if (spec.env == NULL)
		goto out;
	fds[0] = pair;
	for (unsigned i = 0; i < old.count; i++)
		fds[i + 1] = old.list[i].fd;
	spec.more = fds;
	spec.more_count = old.count + 1;
	rc = process_spawn(&spec, &old.process);
	mem_free((void *)spec.env);
out:
	buf_destroy(&text);
	mem_free(fds);
	return rc;
}

/* Above all numbers that the new process will have. Returns 0 or UV_E*. */
static int lift(int *fd)
{
	int lowest = PAIR_THERE + (int)old.count + 1;
	int high = *fd;

	if (*fd >= lowest)
		return 0;
	high = fcntl(*fd, F_DUPFD_CLOEXEC, lowest);
	if (high < 0)
		return -errno;
	close(*fd);
	*fd = high;
	return 0;
}

/* With the descriptors of old.list. Returns 0 or UV_E*. */
static int start_there(char **argv, char **env)
{
	int fds[2], rc;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0)
		return -errno;
	rc = lift(&fds[1]);
	for (unsigned i = 0; i < old.count && rc == 0; i++)
		rc = lift(&old.list[i].fd);
	if (rc == 0)
		rc = spawn(argv, env, fds[1]);
	close(fds[1]);
	if (rc != 0)
		close(fds[0]);
	else
		old.fd = fds[0];
	return rc;
}

static int start(char **argv, char **env)
{
	int rc = listen_share_pass(old.list, INHERIT_MAX);

	if (rc < 0)
		return rc;
	old.count = (unsigned)rc;
	rc = start_there(argv, env);
	for (unsigned i = 0; i < old.count; i++)
		close(old.list[i].fd);
	return rc;
}

static void watch(uv_loop_t *loop, struct polls *p)
{
	old.polls = p;
	p->open = 2;
	p->said.data = p->end.data = p;
	/* Neither fails: these are descriptors that can be waited for. */
	uv_poll_init(loop, &p->said, old.fd);
	uv_poll_init(loop, &p->end, old.process.pidfd);
	uv_poll_start(&p->said, UV_READABLE, on_said);
	uv_poll_start(&p->end, UV_READABLE, on_end);
}

int upgrade_begin(uv_loop_t *loop, char **argv, char **env, upgrade_f fn)
{
	struct polls *polls = mem_zalloc(sizeof *polls);
	int rc = UV_ENOMEM;

	old.list = mem_alloc(INHERIT_MAX * sizeof *old.list);
	if (polls != NULL && old.list != NULL)
		rc = start(argv, env);
	if (rc == 0) {
		old.fn = fn;
		old.expired = false;
		watch(loop, polls);
		return 0;
	}
	mem_free(polls);
	mem_free(old.list);
	old.list = NULL;
	diag_set_system(rc, "cannot start '%s'", argv[0]);
	return -1;
}

void upgrade_finish(void)
{
	const char word = SAY_ALONE;

	for (unsigned i = 0; i < old.count; i++) {
		if (old.list[i].id != 0)
			listen_share_passed(old.list[i].id);
	}
	say(old.fd, &word, 1);
	close_old();
}

void upgrade_expire(const char *why, bool by_force)
{
	if (old.process.pid == 0)
		return;
	old.expired = true;
	if (old.why == NULL)
		old.why = mem_strdup(why);
	kill(old.process.pid, by_force ? SIGKILL : SIGTERM);
}

void upgrade_give_up(void)
{
	if (old.process.pid == 0)
		return;
	old.fn = NULL;
	kill(old.process.pid, SIGTERM);
}

/* --- the new process --- */

/* "4 own", "5 any", "6 given NAME". Returns 0, or -1 with diag set. */
static int read_entry(char *text)
{
	char *kind = strchr(text, ' ');
	char *name = kind == NULL ? NULL : strchr(kind + 1, ' ');
	bool given = name != NULL;

	if (kind == NULL)
		goto fail;
	*kind++ = '\0';
	if (given)
		*name++ = '\0';
	if (strspn(text, "0123456789") != strlen(text) || strlen(text) > 6 ||
	    strcmp(kind, given          ? "given"
			 : *kind == 'a' ? "any"
					: "own") != 0)
		goto fail;
	return inherit_add(atoi(text), name, given, *kind == 'a');
fail:
	diag_set(ClientError, "%.*s cannot be understood",
		 (int)sizeof variable - 2, variable);
	return -1;
}

static int read_all(char *text)
{
	char *rest, *entry = strtok_r(text, ":", &rest);

	if (entry == NULL || strcmp(entry, "1") != 0 ||
	    (entry = strtok_r(NULL, ":", &rest)) == NULL) {
		diag_set(ClientError,
			 "%.*s: a form that this program does not know",
			 (int)sizeof variable - 2, variable);
		return -1;
	}
	new.fd = atoi(entry);
	fcntl(new.fd, F_SETFD, FD_CLOEXEC);
	new.is_new = true;
	while ((entry = strtok_r(NULL, ":", &rest)) != NULL) {
		if (read_entry(entry) != 0)
			return -1;
	}
	return 0;
}

int upgrade_read_environment(void)
{
	const char *value = getenv("NEAP_UPGRADE");
	char *text;
	int rc;

	if (value == NULL)
		return 0;
	text = mem_strdup(value);
	unsetenv("NEAP_UPGRADE");
	if (text == NULL) {
		diag_set_oom(0, "inherited sockets");
		return -1;
	}
	rc = read_all(text);
	mem_free(text);
	return rc;
}

bool upgrade_is_new(void)
{
	return new.is_new;
}

static void close_new(void)
{
	if (new.polls)
		uv_close((uv_handle_t *)&new.said, NULL);
	new.polls = false;
	if (new.fd >= 0)
		close(new.fd);
	new.fd = -1;
}

/* The word, or the end of the old process without one: then nobody serves but this. */
static void on_word(uv_poll_t *poll, int status, int events)
{
	char text[WORDS_MAX];

	(void)poll;
	(void)status;
	(void)events;
	if (hear(new.fd, text, sizeof text) < 0)
		return;
	new.is_new = false;
	close_new();
	listen_share_commit();
	new.alone();
}

void upgrade_say_ready(uv_loop_t *loop, void (*alone)(void))
{
	char text[INHERIT_MAX + 1] = { SAY_READY };
	unsigned n = listen_share_close_untaken(text + 1);

	new.alone = alone;
	new.polls = true;
	uv_poll_init(loop, &new.said, new.fd);
	uv_unref((uv_handle_t *)&new.said);
	uv_poll_start(&new.said, UV_READABLE, on_word);
	say(new.fd, text, n + 1);
}

void upgrade_say_failed(const char *why)
{
	char text[WORDS_MAX];
	int size;

	if (!new.is_new || new.fd < 0)
		return;
	size = snprintf(text, sizeof text, "%c%s", SAY_FAILED, why);
	say(new.fd, text,
	    (size_t)size < sizeof text ? (size_t)size : sizeof text - 1);
	if (!new.polls) {
		close(new.fd);
		new.fd = -1;
	}
}

void upgrade_close(void)
{
	close_old();
	close_new();
}
