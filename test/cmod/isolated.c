/*
 * Functions that do what no function should: for tests of isolation. The first
 * argument, where there is one, is a small whole number.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "neap/module.h"

#define FUNCTION(name)                                            \
	NEAP_EXPORT int name(neap_call_t *call, const char *args, \
			     const char *args_end);               \
	int name(neap_call_t *call, const char *args, const char *args_end)
#define UNUSED (void)call, (void)args, (void)args_end

/* The first argument, 0..127, or -1. */
static int number(const char *args, const char *args_end)
{
	if (args_end - args < 2 || (unsigned char)args[1] > 127)
		return -1;
	return args[1];
}

static int return_u64(neap_call_t *call, uint64_t v)
{
	unsigned char b[9] = { 0xcf };

	for (int i = 0; i < 8; i++)
		b[1 + i] = (unsigned char)(v >> (56 - 8 * i));
	return neap_return_mp(call, (char *)b, (char *)b + 9);
}

/* --- well-behaved ones --- */

FUNCTION(pid)
{
	UNUSED;
	return return_u64(call, (uint64_t)getpid());
}

FUNCTION(parent)
{
	UNUSED;
	return return_u64(call, (uint64_t)getppid());
}

/* All arguments, as they are. */
FUNCTION(echo)
{
	return neap_return_mp(call, args, args_end);
}

/* Each byte of the first argument, a string of up to 31, is a result. */
FUNCTION(many)
{
	for (const char *p = args + 2; p < args_end; p++) {
		if (neap_return_mp(call, p, p + 1) != 0)
			return -1;
	}
	return 0;
}

FUNCTION(fails)
{
	UNUSED;
	return neap_error_set("place.c", 42, 1234, "it \"failed\": %d", 7);
}

FUNCTION(fails_bare)
{
	UNUSED;
	return -1;
}

FUNCTION(garbage_result)
{
	UNUSED;
	return neap_return_mp(call, "\xc1", (const char *)"\xc1" + 1);
}

/* How often this process has been here. */
FUNCTION(counter)
{
	static uint64_t n;

	UNUSED;
	return return_u64(call, ++n);
}

/* Sleeps so many hundredths of a second and returns the number. */
FUNCTION(nap)
{
	if (neap_fiber_sleep(number(args, args_end) / 100.0) != 0)
		return -1;
	return neap_return_mp(call, args + 1, args + 2);
}

FUNCTION(waits)
{
	int fds[2], got;

	UNUSED;
	if (pipe(fds) != 0)
		return NEAP_ERR("pipe");
	got = neap_wait_fd(fds[0], NEAP_READ, 0.01);
	if (got == 0 && write(fds[1], "x", 1) == 1)
		got = neap_wait_fd(fds[0], NEAP_READ, 10);
	close(fds[0]);
	close(fds[1]);
	neap_fiber_yield();
	return got == NEAP_READ ? return_u64(call, 1) : NEAP_ERR("%d", got);
}

/* Descriptors from 3 on that are open. */
FUNCTION(descriptors)
{
	uint64_t n = 0;

	UNUSED;
	for (int fd = 3; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return return_u64(call, n);
}

/* What a new program has: no signal is blocked, none is ignored. */
FUNCTION(signals)
{
	struct sigaction sa;
	sigset_t set;

	UNUSED;
	sigprocmask(SIG_BLOCK, NULL, &set);
	for (int n = 1; n < 32; n++) {
		if (sigismember(&set, n) == 1)
			return NEAP_ERR("signal %d is blocked", n);
		if (sigaction(n, NULL, &sa) == 0 && sa.sa_handler == SIG_IGN)
			return NEAP_ERR("signal %d is ignored", n);
	}
	if (sigaction(SIGTERM, NULL, &sa) != 0 || sa.sa_handler != SIG_DFL)
		return NEAP_ERR("SIGTERM is caught");
	if (sigaction(SIGPIPE, NULL, &sa) != 0 || sa.sa_handler != SIG_DFL)
		return NEAP_ERR("SIGPIPE is caught");
	return 0;
}

/* So many megabytes. */
FUNCTION(large)
{
	size_t size = (size_t)number(args, args_end) << 20;
	char *p = malloc(size + 5);
	int rc;

	if (p == NULL)
		return NEAP_ERR("no memory");
	p[0] = (char)0xc6;
	p[1] = (char)(size >> 24);
	p[2] = (char)(size >> 16);
	p[3] = (char)(size >> 8);
	p[4] = (char)size;
	memset(p + 5, 'x', size);
	rc = neap_return_mp(call, p, p + 5 + size);
	free(p);
	return rc;
}

/* --- the others --- */

static volatile int sink;
static int *volatile nowhere;

FUNCTION(null_write)
{
	UNUSED;
	*nowhere = 1;
	return 0;
}

FUNCTION(aborts)
{
	UNUSED;
	abort();
}

FUNCTION(divides)
{
	UNUSED;
	raise(SIGFPE);
	return 0;
}

FUNCTION(exits)
{
	exit(number(args, args_end));
	(void)call;
}

FUNCTION(kills_itself)
{
	UNUSED;
	kill(getpid(), SIGKILL);
	return 0;
}

/* A signal without a name. */
FUNCTION(raises_realtime)
{
	UNUSED;
	raise(40);
	return 0;
}

FUNCTION(stops_itself)
{
	UNUSED;
	kill(getpid(), SIGSTOP);
	return 0;
}

FUNCTION(loops)
{
	UNUSED;
	for (;;)
		sink++;
	return 0;
}

FUNCTION(sleeps)
{
	UNUSED;
	for (;;)
		sleep(1000);
	return 0;
}

FUNCTION(recurses);
static int deeper(int n)
{
	char room[256];

	memset(room, n, sizeof room);
	sink += room[n & 255];
	return n < 0 ? 0 : deeper(n + 1) + room[7];
}

FUNCTION(recurses)
{
	UNUSED;
	return deeper(1);
}

/* Takes memory until there is none; how many megabytes that were. */
FUNCTION(eats)
{
	uint64_t n = 0;
	void *p;

	UNUSED;
	while ((p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) != MAP_FAILED) {
		memset(p, 1, 1 << 20);
		n++;
	}
	return return_u64(call, n);
}

/* The same, minding nothing. */
FUNCTION(eats_and_dies)
{
	UNUSED;
	for (;;) {
		char *p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		*(p == MAP_FAILED ? (char *)nowhere : p) = 1;
	}
	return 0;
}

FUNCTION(closes_all)
{
	UNUSED;
	for (int fd = 0; fd < 1024; fd++)
		close(fd);
	return 0;
}

FUNCTION(closes_and_stays)
{
	UNUSED;
	for (int fd = 3; fd < 1024; fd++)
		close(fd);
	for (;;)
		sleep(1000);
	return 0;
}

/* Into whatever is open. */
FUNCTION(writes_all)
{
	char noise[64];
	ssize_t ignored;

	UNUSED;
	memset(noise, 'n', sizeof noise);
	for (int fd = 3; fd < 1024; fd++)
		ignored = write(fd, noise, sizeof noise);
	(void)ignored;
	return 0;
}

/* A head of frames as the server knows it, that promises more than there is. */
struct head {
	uint32_t magic, kind;
	uint64_t serial, size;
	uint32_t count, unused;
};

FUNCTION(promises)
{
	struct head h = { 0x46504c48, 4, 1, (uint64_t)1 << 60, 1, 0 };
	ssize_t ignored;

	UNUSED;
	if (number(args, args_end) == 1)
		h.size = (uint64_t)1 << 29;
	ignored = write(3, &h, sizeof h);
	(void)ignored;
	for (;;)
		sleep(1000);
	return 0;
}

/* Answers for itself, twice. */
FUNCTION(answers_twice)
{
	struct {
		struct head h;
		uint32_t size;
		char one;
	} __attribute__((packed)) f = { { 0x46504c48, 4, 1, 5, 1, 0 }, 1, 1 };
	ssize_t ignored;

	UNUSED;
	ignored = write(3, &f, sizeof f);
	ignored = write(3, &f, sizeof f);
	(void)ignored;
	return 0;
}

/* Results whose sizes are wrong. */
FUNCTION(lies)
{
	struct {
		struct head h;
		uint32_t size;
		char one;
	} __attribute__((packed))
	f = { { 0x46504c48, 4, 1, 5, 1, 0 }, 0xffffffff, 1 };
	ssize_t ignored;

	UNUSED;
	ignored = write(3, &f, sizeof f);
	(void)ignored;
	return 0;
}

/* Leaves children behind, which hold all that it has; the first's number. */
FUNCTION(breeds)
{
	uint64_t first = 0;

	UNUSED;
	for (int i = 0; i < 4; i++) {
		pid_t p = fork();

		if (p == 0) {
			fork();
			for (;;)
				pause();
		}
		if (first == 0)
			first = (uint64_t)p;
	}
	return return_u64(call, first);
}

/* Whether a child lives on that has left the session and lost its parent: it
 * would hold the pipe open. */
static int daemon_lives(void)
{
	int ends[2], lives;
	struct pollfd p;
	pid_t child;

	if (pipe(ends) != 0)
		return -1;
	child = fork();
	if (child == 0) {
		setsid();
		if (fork() == 0) {
			for (;;)
				pause();
		}
		_exit(0);
	}
	close(ends[1]);
	waitpid(child, NULL, 0);
	p = (struct pollfd){ .fd = ends[0] };
	lives = poll(&p, 1, 5000) == 0;
	close(ends[0]);
	return lives;
}

FUNCTION(daemonizes)
{
	UNUSED;
	for (int i = 0; i < 40; i++) {
		int lives = daemon_lives();

		if (lives != 0)
			return return_u64(call, (uint64_t)lives);
	}
	return return_u64(call, 0);
}

FUNCTION(breeds_and_dies)
{
	UNUSED;
	for (int i = 0; i < 4; i++) {
		if (fork() == 0) {
			for (;;)
				pause();
		}
	}
	abort();
}
