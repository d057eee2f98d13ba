/*
 * Addresses that workers share: who may join, which port is whose, what is left
 * when the last one goes.
 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/inject.h"
#include "net/listen_share.h"
#include "net/listener.h"

enum { WORKERS = 3 };

static uv_loop_t loops[WORKERS];
static unsigned closed;

static void on_connection(struct listener *l, int status)
{
	(void)l;
	(void)status;
}

static void on_closed(struct listener *l)
{
	(void)l;
	closed++;
}

static int setup(void **state)
{
	(void)state;
	for (int i = 0; i < WORKERS; i++) {
		uv_tcp_t first; /* has the loop open what it keeps */

		assert_int_equal(uv_loop_init(&loops[i]), 0);
		assert_int_equal(uv_tcp_init(&loops[i], &first), 0);
		uv_close((uv_handle_t *)&first, NULL);
		uv_run(&loops[i], UV_RUN_DEFAULT);
	}
	listener_set_sharers(WORKERS);
	return 0;
}

/* Of a test that has failed: all of them are static, so that they are still
 * there. */
static void close_left(uv_handle_t *handle, void *arg)
{
	(void)arg;
	if (!uv_is_closing(handle))
		listener_close((struct listener *)handle);
}

static int teardown(void **state)
{
	(void)state;
	inject_reset();
	listener_set_sharers(1);
	listen_share_set_generation(0);
	for (int i = 0; i < WORKERS; i++) {
		uv_walk(&loops[i], close_left, NULL);
		uv_run(&loops[i], UV_RUN_DEFAULT);
		assert_int_equal(uv_loop_close(&loops[i]), 0);
	}
	return 0;
}

/* Returns what listener_open() does; when that failed it is closed. */
static int open_at(struct listener *l, int worker, const char *host,
		   unsigned port)
{
	struct listen_options opts = { .backlog = 16 };
	struct listen_address addr;
	bool opened;
	int rc;

	memset(&addr, 0xa5, sizeof addr); /* what is compared is all set */
	assert_int_equal(listen_address_parse(&addr, host, port), 0);
	*l = (struct listener){ .on_connection = on_connection,
				.on_closed = on_closed };
	rc = listener_open(l, &loops[worker], &addr, &opts, &opened);
	assert_int_equal(opened, rc == 0);
	return rc;
}

static void shut(struct listener *l)
{
	uv_loop_t *loop = l->uv.handle.loop;
	unsigned before = closed;

	listener_close(l);
	uv_run(loop, UV_RUN_NOWAIT);
	assert_int_equal(closed, before + 1);
}

static unsigned port_of(const struct listener *l)
{
	struct listen_address addr;

	assert_int_equal(listener_address(l, &addr), 0);
	return ntohs(((struct sockaddr_in *)&addr.addr)->sin_port);
}

/* A socket of another program's. */
static int stranger(unsigned port, bool shares)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (shares)
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
	if (bind(fd, (struct sockaddr *)&addr, sizeof addr) == 0 &&
	    listen(fd, 1) == 0)
		return fd;
	close(fd);
	return -1;
}

/* One that refuses is not closed yet: a younger generation, which comes too late to take its
 * socket over, has one of its own beside it, and so has the same worker. */
static void test_beside_one_that_refuses(void **state)
{
	static struct listener old, next, again;
	unsigned port;

	(void)state;
	listen_share_set_generation(1);
	assert_int_equal(open_at(&old, 0, "127.0.0.1", 0), 0);
	port = port_of(&old);
	assert_false(listener_refuse(&old));
	listen_share_set_generation(2);
	assert_int_equal(open_at(&next, 1, "127.0.0.1", port), 0);
	assert_int_equal(open_at(&again, 0, "127.0.0.1", port), 0);
	assert_int_equal(stranger(port, false), -1);
	shut(&old);
	assert_int_equal(port_of(&next), port);
	shut(&next);
	shut(&again);
}

static void test_tcp(void **state)
{
	static struct listener l[WORKERS], again;
	unsigned port;

	(void)state;
	assert_int_equal(open_at(&l[0], 0, "127.0.0.1", 0), 0);
	port = port_of(&l[0]);
	/* As it was asked for, and as it is. */
	assert_int_equal(open_at(&l[1], 1, "127.0.0.1", 0), 0);
	assert_int_equal(open_at(&l[2], 2, "127.0.0.1", port), 0);
	assert_int_equal(port_of(&l[1]), port);
	assert_int_equal(port_of(&l[2]), port);
	assert_int_equal(stranger(port, false), -1);
	assert_int_equal(open_at(&again, 1, "127.0.0.1", port), UV_EADDRINUSE);
	/* The first one may go and come back, while it is the others'. */
	shut(&l[0]);
	assert_int_equal(stranger(port, false), -1);
	assert_int_equal(open_at(&l[0], 0, "127.0.0.1", port), 0);
	for (int i = 0; i < WORKERS; i++)
		shut(&l[i]);
	close(stranger(port, false));
}

/* A second program of the same kind is a stranger, too. */
static void test_stranger(void **state)
{
	static struct listener l;
	unsigned port;
	int fd;

	(void)state;
	assert_int_equal(open_at(&l, 0, "127.0.0.1", 0), 0);
	port = port_of(&l);
	shut(&l);
	fd = stranger(port, true);
	assert_true(fd >= 0);
	assert_int_equal(open_at(&l, 0, "127.0.0.1", port), UV_EADDRINUSE);
	assert_int_equal(open_at(&l, 1, "127.0.0.1", port), UV_EADDRINUSE);
	close(fd);
	assert_int_equal(open_at(&l, 1, "127.0.0.1", port), 0);
	shut(&l);
}

/* The n-th free port of a worker is the n-th of the others. */
static void test_free_ports(void **state)
{
	static struct listener first[WORKERS], second[WORKERS];
	unsigned port;

	(void)state;
	for (int i = 0; i < WORKERS; i++) {
		assert_int_equal(open_at(&first[i], i, "127.0.0.1", 0), 0);
		assert_int_equal(open_at(&second[i], i, "127.0.0.1", 0), 0);
	}
	assert_int_not_equal(port_of(&first[0]), port_of(&second[0]));
	for (int i = 1; i < WORKERS; i++) {
		assert_int_equal(port_of(&first[i]), port_of(&first[0]));
		assert_int_equal(port_of(&second[i]), port_of(&second[0]));
	}
	port = port_of(&first[0]);
	shut(&first[1]);
	assert_int_equal(open_at(&first[1], 1, "127.0.0.1", 0), 0);
	assert_int_equal(port_of(&first[1]), port);
	for (int i = 0; i < WORKERS; i++) {
		shut(&first[i]);
		shut(&second[i]);
	}
}

static void test_unix(void **state)
{
	const char *tmp = getenv("TMPDIR");
	static struct listener l[WORKERS], again;
	char host[120];
	const char *path = host + strlen("unix/:");

	(void)state;
	snprintf(host, sizeof host, "unix/:%s/share.%d",
		 tmp == NULL ? "/tmp" : tmp, (int)getpid());
	for (int i = 0; i < WORKERS; i++)
		assert_int_equal(open_at(&l[i], i, host, 0), 0);
	assert_int_equal(open_at(&again, 1, host, 0), UV_EADDRINUSE);
	/* Also when it is told to refuse first. */
	listener_refuse(&l[0]);
	shut(&l[0]);
	assert_int_equal(access(path, F_OK), 0);
	shut(&l[1]);
	assert_int_equal(access(path, F_OK), 0);
	assert_int_equal(open_at(&l[0], 0, host, 0), 0);
	shut(&l[2]);
	assert_int_equal(access(path, F_OK), 0);
	listener_refuse(&l[0]);
	assert_int_not_equal(access(path, F_OK), 0);
	shut(&l[0]);
	/* Nothing of it is left. */
	listener_set_sharers(1);
	assert_int_equal(open_at(&l[0], 0, host, 0), 0);
	shut(&l[0]);
	listener_set_sharers(WORKERS);
}

/* Whatever allocation fails, nothing is left behind. */
static void test_no_memory(void **state)
{
	static struct listener l[2];
	int fds = unit_open_fds(), failed = 0, rc;

	(void)state;
	if (inject_arm("malloc", 0, 0) != 0)
		skip();
	inject_reset();
	for (int skipped = 0;; skipped++) {
		inject_arm("malloc", skipped, 1);
		rc = open_at(&l[0], 0, "127.0.0.1", 0);
		inject_reset();
		if (rc == 0)
			break;
		assert_int_equal(rc, UV_ENOMEM);
		assert_int_equal(unit_open_fds(), fds);
		failed++;
	}
	assert_int_equal(failed, 2);
	inject_arm("malloc", 0, 1);
	assert_int_equal(open_at(&l[1], 1, "127.0.0.1", 0), UV_ENOMEM);
	inject_reset();
	assert_int_equal(open_at(&l[1], 1, "127.0.0.1", 0), 0);
	assert_int_equal(port_of(&l[1]), port_of(&l[0]));
	shut(&l[0]);
	shut(&l[1]);
	assert_int_equal(unit_open_fds(), fds);
}

/* Who is not let in has waited long enough after a while. */
static int knock(const struct listen_address *addr)
{
	int fd = socket(addr->addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct timeval patience = { .tv_sec = 5 };

	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
	assert_int_equal(connect(fd, (const struct sockaddr *)&addr->addr,
				 addr->size),
			 0);
	return fd;
}

/* Who is in the queue may be taken; who comes then is not let in. */
static void refuse(const char *host)
{
	static struct listener l;
	struct listen_address addr;
	struct timeval moment = { .tv_usec = 100000 };
	int in, out, taken;

	assert_int_equal(open_at(&l, 0, host, 0), 0);
	assert_int_equal(listener_address(&l, &addr), 0);
	in = knock(&addr);
	out = socket(addr.addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	listener_refuse(&l);
	setsockopt(out, SOL_SOCKET, SO_SNDTIMEO, &moment, sizeof moment);
	assert_int_equal(connect(out, (struct sockaddr *)&addr.addr, addr.size),
			 -1);
	taken = listener_take(&l);
	assert_true(taken >= 0);
	assert_int_equal(write(in, "x", 1), 1);
	assert_int_equal(listener_take(&l), UV_EAGAIN);
	shut(&l);
	close(in);
	close(out);
	close(taken);
}

static void test_refuse(void **state)
{
	const char *tmp = getenv("TMPDIR");
	char host[120];

	(void)state;
	refuse("127.0.0.1");
	snprintf(host, sizeof host, "unix/:%s/refuse.%d",
		 tmp == NULL ? "/tmp" : tmp, (int)getpid());
	refuse(host);
}

/* A younger generation takes the socket over, with who waits in its queue; the older
 * one may refuse and close as ever. */
static void hand_over(const char *host)
{
	static struct listener older, heir, other;
	struct listen_address addr;
	int early, late, taken[2];

	listen_share_set_generation(1);
	assert_int_equal(open_at(&older, 0, host, 0), 0);
	assert_int_equal(listener_address(&older, &addr), 0);
	early = knock(&addr);
	listen_share_set_generation(2);
	/* One that fails gives it back as it was. */
	assert_int_equal(open_at(&heir, 1, host, 0), 0);
	listener_refuse(&heir);
	shut(&heir);
	assert_int_equal(open_at(&heir, 1, host, 0), 0);
	/* Two cannot have the one; over TCP the second has a socket of its own. */
	assert_int_equal(open_at(&other, 2, host, 0), 0);
	shut(&other);
	listener_refuse(&older);
	shut(&older);
	late = knock(&addr);
	for (int i = 0; i < 2; i++) {
		taken[i] = listener_take(&heir);
		assert_true(taken[i] >= 0);
		close(taken[i]);
	}
	close(early);
	close(late);
	shut(&heir);
}

static void test_hand_over(void **state)
{
	const char *tmp = getenv("TMPDIR");
	int fds = unit_open_fds();
	char host[120];

	(void)state;
	hand_over("127.0.0.1");
	snprintf(host, sizeof host, "unix/:%s/over.%d",
		 tmp == NULL ? "/tmp" : tmp, (int)getpid());
	hand_over(host);
	assert_int_not_equal(access(host + 6, F_OK), 0);
	assert_int_equal(unit_open_fds(), fds);
	listen_share_set_generation(0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_tcp),        TEST(test_stranger),
		TEST(test_free_ports), TEST(test_unix),
		TEST(test_no_memory),  TEST(test_refuse),
		TEST(test_hand_over),  TEST(test_beside_one_that_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
