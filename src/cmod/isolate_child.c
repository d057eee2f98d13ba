/* What a helper process does from its start to its end. See isolate_child.h. */
#include "cmod/isolate_child.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>
#include <uv.h>

#include "base/diag.h"
#include "base/file.h"
#include "cmod/call.h"
#include "cmod/cmod.h"
#include "cmod/crash.h"
#include "cmod/isolate_frame.h"
#include "cmod/offload.h"

enum {
	EXIT_USAGE = 2,
	SCRATCH = 64 * 1024,
};

struct child {
	struct isolate_reader in;
	size_t from, to; /* of scratch: bytes that were read but not yet fed */
	struct buf out;  /* the body of an error */
	struct cmod *module;
	struct cmod_use use;
	char scratch[SCRATCH];
};

bool isolate_is_child(int argc, char **argv)
{
	return argc > 1 && strcmp(argv[1], ISOLATE_ARGUMENT) == 0;
}

/* Somebody may have typed the argument: there are no such descriptors then. */
static bool is_inherited(void)
{
	int type, seals;
	socklen_t size = sizeof type;

	if (getsockopt(ISOLATE_SOCKET_FD, SOL_SOCKET, SO_TYPE, &type, &size) !=
		    0 ||
	    type != SOCK_STREAM)
		return false;
	seals = fcntl(ISOLATE_LIBRARY_FD, F_GET_SEALS);
	return seals >= 0 && (seals & F_SEAL_WRITE) != 0;
}

/* The function's own children get none of ours either. */
static void close_others(void)
{
	fcntl(ISOLATE_SOCKET_FD, F_SETFD, FD_CLOEXEC);
	fcntl(ISOLATE_LIBRARY_FD, F_SETFD, FD_CLOEXEC);
	if (syscall(SYS_close_range, ISOLATE_LIBRARY_FD + 1, ~0u, 0) == 0)
		return;
	for (int fd = ISOLATE_LIBRARY_FD + 1; fd < 65536; fd++)
		close(fd);
}

/* The server dies: so does this, at once and whatever it does. It may have died
 * before this was said. */
static bool tie_to_server(void)
{
	struct pollfd p = { .fd = ISOLATE_SOCKET_FD };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	return poll(&p, 1, 0) <= 0 || !(p.revents & (POLLHUP | POLLERR));
}

/* In what the function forks: it dies with the one that forked it, down to the
 * last of them. The server ends the session of a helper, but only when it
 * lives. */
static pid_t forker;

static void note_forker(void)
{
	forker = getpid();
}

static void tie_to_parent(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* It may have died before this was said. (In a pid namespace of the
	 * child's own the parent is 0.) */
	if (getppid() != forker && getppid() != 0)
		raise(SIGKILL);
}

/* When memory runs out in the machine, the kernel shall take this process. */
static void be_the_victim(void)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	(void)file_write_all(fd, "1000", 4);
	close(fd);
}

/* @a memory bytes more than the program itself takes. */
static void limit_memory(uint64_t memory)
{
	unsigned long long pages = 0;
	struct rlimit limit;
	FILE *f = fopen("/proc/self/statm", "re");
	uint64_t bytes;

	if (f == NULL)
		return;
	if (fscanf(f, "%llu", &pages) != 1)
		pages = 0;
	fclose(f);
	if (pages == 0 || getrlimit(RLIMIT_AS, &limit) != 0)
		return;
	bytes = pages * (uint64_t)sysconf(_SC_PAGESIZE);
	if (__builtin_add_overflow(bytes, memory, &bytes))
		return;
	if (bytes < limit.rlim_cur)
		limit.rlim_cur = bytes;
	if (bytes < limit.rlim_max)
		limit.rlim_max = bytes;
	setrlimit(RLIMIT_AS, &limit);
}

/* Returns 1 with a frame in c->in, 0 at the end, or UV_E*. */
static int read_frame(struct child *c)
{
	bool complete = false;
	ssize_t n;

	while (!complete) {
		if (c->from == c->to) {
			n = read(ISOLATE_SOCKET_FD, c->scratch, SCRATCH);
			if (n < 0 && errno == EINTR)
				continue;
			if (n <= 0)
				return n == 0 ? 0 : -errno;
			c->from = 0;
			c->to = (size_t)n;
		}
		n = isolate_reader_feed(&c->in, c->scratch + c->from,
					c->to - c->from, &complete);
		if (n < 0)
			return (int)n;
		c->from += (size_t)n;
	}
	return 1;
}

/* Head and body in one go. Returns 0 or UV_E*. */
static int write_frame(const struct isolate_head *head, const struct buf *body)
{
	struct iovec v[2] = { { (void *)head, sizeof *head },
			      { body->data, body->size } };
	ssize_t n;

	do {
		n = writev(ISOLATE_SOCKET_FD, v, body->size > 0 ? 2 : 1);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if ((size_t)n < sizeof *head)
		return UV_EIO;
	n -= (ssize_t)sizeof *head;
	if ((size_t)n == body->size)
		return 0;
	return file_write_all(ISOLATE_SOCKET_FD, body->data + n,
			      body->size - (size_t)n);
}

/* Takes over @a e. @a last: this process ends. */
static int answer_error(struct child *c, uint64_t serial, struct error *e,
			bool last)
{
	struct isolate_head head;
	int rc;

	buf_reset(&c->out, 0);
	rc = isolate_put_error(&c->out, e);
	error_unref(e);
	if (rc != 0)
		return rc;
	head = isolate_head(ISOLATE_ERROR, serial, c->out.size, last);
	return write_frame(&head, &c->out);
}

static int answer(struct child *c, uint64_t serial, struct neap_call *call)
{
	struct isolate_head head;

	if (!call_succeeded(call))
		return answer_error(c, serial, call_take_error(call), false);
	head = isolate_head(ISOLATE_RESULTS, serial, call->out.size,
			    call->results);
	return write_frame(&head, &call->out);
}

/* As on a thread of the server's pool: waits block, there is nobody else. */
static int call_once(struct child *c)
{
	struct offload *o = offload_new(c->use.func);
	uint64_t serial = c->in.head.serial;
	struct buf args = c->in.body;
	int rc;

	if (o == NULL)
		return answer_error(c, serial, diag_take(), false);
	/* The arguments change places with an empty buffer. */
	c->in.body = o->call.in;
	o->call.in = args;
	isolate_reader_next(&c->in);
	offload_run(o);
	rc = answer(c, serial, &o->call);
	offload_delete(o);
	/* This process seldom ends in a way that would write it out. */
	fflush(stdout);
	return rc;
}

static int serve(struct child *c)
{
	int rc;

	while ((rc = read_frame(c)) == 1) {
		if (c->in.head.kind != ISOLATE_CALL)
			return UV_EPROTO;
		rc = call_once(c);
		if (rc != 0)
			return rc;
	}
	/* The rest of the frame is still to come, so this is the end. */
	if (rc == UV_ENOMEM) {
		diag_set_oom(c->in.head.size,
			     "the arguments of an isolated call (option "
			     "'memory')");
		isolate_reader_destroy(&c->in);
		answer_error(c, c->in.head.serial, diag_take(), true);
	}
	return rc;
}

/* Returns 0, or -1 with diag set. */
static int load(struct child *c, const struct isolate_load *l,
		const struct isolate_names *names)
{
	size_t size = l->symbol_size - 1;

	limit_memory(l->memory);
	c->module =
		cmod_load_sealed(names->path, names->file, ISOLATE_LIBRARY_FD);
	if (c->module == NULL)
		return -1;
	return size == 0 ? 0
			 : cmod_use_create(&c->use, c->module, names->symbol,
					   size);
}

static int load_and_serve(struct child *c)
{
	const struct isolate_head ready = isolate_head(ISOLATE_READY, 0, 0, 0);
	struct isolate_names names;
	struct isolate_load l;
	int rc = read_frame(c);

	if (rc != 1)
		return rc;
	if (c->in.head.kind != ISOLATE_LOAD ||
	    !isolate_get_load(c->in.body.data, c->in.body.size, &l, &names))
		return UV_EPROTO;
	if (load(c, &l, &names) != 0)
		return answer_error(c, 0, diag_take(), true);
	isolate_reader_next(&c->in);
	c->out.size = 0;
	rc = write_frame(&ready, &c->out);
	return rc == 0 ? serve(c) : rc;
}

int isolate_child_run(void)
{
	static struct child child = { .in.size_max = (uint64_t)1 << 30 };
	int rc;

	if (!is_inherited()) {
		fputs("neap: " ISOLATE_ARGUMENT
		      " is for the program itself: it "
		      "runs isolated C functions\n",
		      stderr);
		return EXIT_USAGE;
	}
	close_others();
	if (!tie_to_server())
		return ISOLATE_EXIT_LOST;
	pthread_atfork(note_forker, NULL, tie_to_parent);
	prctl(PR_SET_NAME, "neap-helper");
	be_the_victim();
	crash_install();
	rc = load_and_serve(&child);
	cmod_use_destroy(&child.use);
	cmod_unref(child.module);
	buf_destroy(&child.out);
	isolate_reader_destroy(&child.in);
	return rc == 0 ? 0 : ISOLATE_EXIT_LOST;
}
