/*
 * Descriptors, threads and addresses as sources for Tarantool's module.h use
 * them: every name of the group, run by test_compat_coio.lua. Each function
 * gives 0, or the line at which something was not as expected.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "peer.h"

/* ---- descriptors ---- */

FUNCTION(wait)
{
	int fds[2];

	(void)args, (void)args_end;
	EXPECT(pipe(fds) == 0);
	EXPECT(coio_wait(fds[0], COIO_READ, 0.002) == 0);
	EXPECT(coio_wait(fds[0], COIO_READ, 0) == 0);
	EXPECT(coio_wait(fds[1], COIO_WRITE, 1) == COIO_WRITE);
	EXPECT(write(fds[1], "x", 1) == 1);
	EXPECT(coio_wait(fds[0], COIO_READ, 1) == COIO_READ);
	EXPECT(coio_close(fds[0]) == 0 && coio_close(fds[1]) == 0);
	EXPECT(coio_close(fds[0]) == -1 && errno == EBADF);
	EXPECT(coio_wait(fds[0], COIO_READ, 1) == 0);
	EXPECT(box_error_last() != NULL);
	return give(ctx, 0);
}

static int waiter(va_list ap)
{
	return coio_wait(va_arg(ap, int), COIO_READ, 100);
}

/* The wait ends, and the descriptor's next owner is waited for as usual. */
FUNCTION(close_wakes)
{
	struct fiber *f, *g;
	int fds[2], again[2], i;

	(void)args, (void)args_end;
	for (i = 0; i < 3; i++) {
		EXPECT(pipe(fds) == 0);
		f = fiber_new("waits", waiter);
		fiber_set_joinable(f, true);
		fiber_start(f, fds[0]);
		EXPECT(coio_close(fds[0]) == 0);
		EXPECT(pipe(again) == 0 && again[0] == fds[0]);
		g = fiber_new("waits for the next", waiter);
		fiber_set_joinable(g, true);
		fiber_start(g, again[0]);
		EXPECT(fiber_join(f) == 0);
		fiber_sleep(0.002);
		EXPECT(write(again[1], "x", 1) == 1);
		EXPECT(fiber_join(g) == COIO_READ);
		close(fds[1]);
		close(again[0]);
		close(again[1]);
	}
	return give(ctx, 0);
}

/* ---- threads ---- */

static ssize_t add(va_list ap)
{
	int a = va_arg(ap, int);
	double b = va_arg(ap, double);
	pthread_t *self = va_arg(ap, pthread_t *);

	*self = pthread_self();
	usleep(2000);
	errno = ENOTTY;
	return a + (ssize_t)b;
}

static ssize_t open_file(va_list ap)
{
	const char *path = va_arg(ap, const char *);

	return open(path, O_RDONLY);
}

static ssize_t fail(va_list ap)
{
	const char *text = va_arg(ap, const char *);

	box_error_set("t.c", 5, ER_TIMEOUT, "on a thread: %s", text);
	return -1;
}

static ssize_t large(va_list ap)
{
	(void)ap;
	return (ssize_t)1 << 40;
}

static ssize_t name_thread(va_list ap)
{
	char *name = va_arg(ap, char *);

	return pthread_getname_np(pthread_self(), name, 16);
}

FUNCTION(call)
{
	char name[16] = "";
	pthread_t thread;
	int i;

	(void)args, (void)args_end;
	for (i = 0; i < 20; i++) {
		errno = 0;
		EXPECT(coio_call(add, i, 2.5, &thread) == i + 2);
		EXPECT(errno == ENOTTY);
		EXPECT(!pthread_equal(thread, pthread_self()));
	}
	EXPECT(coio_call(open_file, "/nowhere/at/all") == -1);
	EXPECT(errno == ENOENT && box_error_last() == NULL);
	EXPECT(coio_call(fail, "no") == -1);
	EXPECT(strcmp(box_error_message(box_error_last()), "on a thread: no") ==
	       0);
	box_error_clear();
	EXPECT(coio_call(large) == (ssize_t)1 << 40);
	/* The threads are those of offloaded calls. */
	EXPECT(coio_call(name_thread, name) == 0);
	EXPECT(strcmp(name, "neap-pool") == 0);
	EXPECT(box_error_last() == NULL);
	return give(ctx, 0);
}

static ssize_t nap(va_list ap)
{
	usleep(va_arg(ap, unsigned));
	return 1;
}

static int napper(va_list ap)
{
	int *done = va_arg(ap, int *);
	ssize_t rc = coio_call(nap, 10000u);

	++*done;
	return rc == 1 ? 0 : -1;
}

/* Others run meanwhile; neither a cancel nor a wakeup ends it. */
FUNCTION(call_in_fibers)
{
	struct fiber *f[8];
	int done = 0, i;

	(void)args, (void)args_end;
	for (i = 0; i < 8; i++) {
		f[i] = fiber_new("napper", napper);
		fiber_set_joinable(f[i], true);
		fiber_start(f[i], &done);
		EXPECT(done == 0);
	}
	for (i = 0; i < 8; i++) {
		fiber_wakeup(f[i]);
		if (i % 2 == 0)
			fiber_cancel(f[i]);
	}
	fiber_reschedule();
	EXPECT(done == 0);
	for (i = 0; i < 8; i++)
		EXPECT(fiber_join(f[i]) == 0);
	EXPECT(done == 8);
	return give(ctx, 0);
}

/* Argument: milliseconds. Given up at the end of the program. */
FUNCTION(call_long)
{
	mp_decode_array(&args);
	(void)args_end;
	EXPECT(coio_call(nap, (unsigned)mp_decode_uint(&args) * 1000u) == 1);
	return give(ctx, 0);
}

static ssize_t nap_and_fail(va_list ap)
{
	usleep(va_arg(ap, unsigned));
	box_error_set("t.c", 6, ER_TIMEOUT, "late");
	return -1;
}

/* The same, with an error that nobody takes. */
FUNCTION(call_fail_late)
{
	mp_decode_array(&args);
	(void)args_end;
	EXPECT(coio_call(nap_and_fail,
			 (unsigned)mp_decode_uint(&args) * 1000u) == -1);
	return give(ctx, 0);
}

static volatile int is_open = 0, entered = 0;

static ssize_t gate(va_list ap)
{
	(void)ap;
	__atomic_add_fetch(&entered, 1, __ATOMIC_SEQ_CST);
	while (!__atomic_load_n(&is_open, __ATOMIC_SEQ_CST))
		usleep(1000);
	return 5;
}

/* Blocks a thread until the gate is opened. */
FUNCTION(call_gate)
{
	ssize_t n = coio_call(gate);

	(void)args, (void)args_end;
	if (n != -1)
		return give(ctx, n);
	EXPECT(errno == ENOMEM && box_error_last() != NULL);
	return -1;
}

FUNCTION(count_entered)
{
	(void)args, (void)args_end;
	return give(ctx, __atomic_load_n(&entered, __ATOMIC_SEQ_CST));
}

FUNCTION(open_gate)
{
	(void)args, (void)args_end;
	__atomic_store_n(&is_open, 1, __ATOMIC_SEQ_CST);
	return give(ctx, 0);
}

static ssize_t overflow(va_list ap)
{
	volatile char room[4096];

	room[0] = (char)(ap != NULL);
	return room[0] == 0 ? 0 : overflow(ap) + room[0];
}

FUNCTION(call_overflow)
{
	(void)args, (void)args_end;
	return give(ctx, coio_call(overflow));
}

/* ---- addresses ---- */

static int lookup(va_list ap)
{
	struct addrinfo *res = NULL;
	int rc = coio_getaddrinfo("127.0.0.1", "80", NULL, &res, 100);

	(void)ap;
	if (rc == 0)
		freeaddrinfo(res);
	return rc;
}

FUNCTION(addresses)
{
	struct addrinfo hints = { .ai_family = AF_INET,
				  .ai_socktype = SOCK_STREAM };
	struct addrinfo *res = NULL, *none = NULL;
	const struct sockaddr_in *in;
	struct fiber *f[5];
	int i;

	(void)args, (void)args_end;
	EXPECT(coio_getaddrinfo("127.0.0.1", "8080", &hints, &res, 30) == 0);
	EXPECT(res != NULL && res->ai_family == AF_INET);
	in = (const struct sockaddr_in *)(const void *)res->ai_addr;
	EXPECT(in->sin_port == htons(8080));
	EXPECT(in->sin_addr.s_addr == htonl(INADDR_LOOPBACK));
	freeaddrinfo(res);
	hints.ai_flags = AI_NUMERICHOST;
	EXPECT(coio_getaddrinfo("not a number", "1", &hints, &none, 30) == -1);
	EXPECT(none == NULL && box_error_last() != NULL);
	EXPECT(strcmp(box_error_type(box_error_last()), "SystemError") == 0);
	EXPECT(coio_getaddrinfo(NULL, NULL, NULL, &none, 30) == -1);
	EXPECT(none == NULL);
	/* Its time is over at once, or it has been very quick. */
	res = NULL;
	if (coio_getaddrinfo("127.0.0.1", "80", NULL, &res, 0) == 0)
		freeaddrinfo(res);
	else
		EXPECT(strcmp(box_error_type(box_error_last()), "TimedOut") ==
		       0);
	for (i = 0; i < 5; i++) {
		f[i] = fiber_new("looks up", lookup);
		fiber_set_joinable(f[i], true);
		fiber_start(f[i]);
	}
	for (i = 0; i < 5; i++)
		EXPECT(fiber_join(f[i]) == 0);
	/* Cancelled in the middle: it fails, or has been quick. */
	f[0] = fiber_new("cancelled", lookup);
	fiber_set_joinable(f[0], true);
	fiber_start(f[0]);
	fiber_cancel(f[0]);
	fiber_join(f[0]);
	return give(ctx, 0);
}
