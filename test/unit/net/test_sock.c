/*
 * Sockets below scripts: addresses there and back, reads by size and marks in
 * every split, limits, what is read ahead, and how they are closed.
 */
#include "unit.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <uv.h>

#include "base/inject.h"
#include "net/listener.h"
#include "net/sock.h"
#include "net/sock_bind.h"
#include "runtime/loop.h"
#include "runtime/pool.h"

static struct loop loop;

static int setup(void **state)
{
	(void)state;
	assert_int_equal(loop_create(&loop), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	inject_reset();
	listener_set_sharers(1);
	assert_int_equal(loop_destroy(&loop, NULL, NULL), 0);
	pool_stop(5000000000u, NULL, NULL);
	return 0;
}

/* --- addresses --- */

static struct sock_text text(const char *s)
{
	return (struct sock_text){ s, strlen(s) };
}

static int parse(struct sock_address *a, const char *host, const char *port)
{
	return sock_address_parse(a, text(host), text(port));
}

static void addresses_of_ip(void **state)
{
	static const struct {
		const char *host, *port, *back;
		int number;
	} good[] = {
		{ "127.0.0.1", "80", "127.0.0.1", 80 },
		{ "0", "0", "0.0.0.0", 0 },
		{ "::1", "65535", "::1", 65535 },
		{ "0:0:0:0:0:0:0:1", "1", "::1", 1 },
		{ "::ffff:1.2.3.4", "1", "::ffff:1.2.3.4", 1 },
		{ "127.1", "1", "127.0.0.1", 1 },
	};
	static const char *const bad[][2] = {
		{ "localhost", "1" },
		{ "", "1" },
		{ "*", "1" },
		{ "1.2.3.4.5", "1" },
		{ "127.0.0.1", "65536" },
		{ "127.0.0.1", "-1" },
		{ "127.0.0.1", "1x" },
		{ "127.0.0.1", "" },
		{ "127.0.0.1", " 1" },
		{ "127.0.0.1", "no-service" },
		{ "::1::", "1" },
		{ "127.0.0.1", "99999999999999999" },
	};
	struct sock_address_text back;
	struct sock_address a;

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		assert_int_equal(parse(&a, good[i].host, good[i].port), 0);
		assert_true(sock_address_format(&a, &back));
		assert_string_equal(back.host, good[i].back);
		assert_int_equal(back.port, good[i].number);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(parse(&a, bad[i][0], bad[i][1]), UV_EINVAL);
	assert_int_equal(sock_address_parse(&a, (struct sock_text){ "1\0x", 3 },
					    text("1")),
			 UV_EINVAL);
}

static void addresses_of_unix(void **state)
{
	struct sock_address_text back;
	struct sock_address a;
	char name[200];

	(void)state;
	memset(name, 'n', sizeof name);
	for (size_t size = 0; size <= 120; size++) {
		int rc;

		name[size] = '\0';
		rc = sock_address_parse(&a, text("unix/"),
					(struct sock_text){ name, size });
		assert_int_equal(rc, size == 0    ? UV_EINVAL
				     : size > 107 ? UV_ENOBUFS
						  : 0);
		if (rc == 0) {
			assert_true(sock_address_format(&a, &back));
			assert_string_equal(back.host, "unix/");
			assert_int_equal(back.path_size, size);
			assert_memory_equal(back.path, name, size);
		}
		name[size] = 'n';
	}
	name[0] = '\0';
	for (size_t size = 1; size <= 120; size++) {
		int rc = sock_address_parse(&a, text("unix/"),
					    (struct sock_text){ name, size });

		assert_int_equal(rc, size == 1    ? UV_EINVAL
				     : size > 108 ? UV_ENOBUFS
						  : 0);
		if (rc == 0) {
			assert_true(sock_address_format(&a, &back));
			assert_int_equal(back.path_size, size);
			assert_memory_equal(back.path, name, size);
		}
	}
	/* Nobody's. */
	memset(&a, 0, sizeof a);
	((struct sockaddr *)&a.addr)->sa_family = AF_UNIX;
	a.size = sizeof(sa_family_t);
	assert_true(sock_address_format(&a, &back));
	assert_int_equal(back.path_size, 0);
	((struct sockaddr *)&a.addr)->sa_family = AF_APPLETALK;
	assert_false(sock_address_format(&a, &back));
}

/* --- reads --- */

static struct sock a, b;

static void open_two(void)
{
	sock_create(&a, &loop);
	sock_create(&b, &loop);
	assert_int_equal(sock_open_pair(&a, &b, AF_UNIX, SOCK_STREAM, 0), 0);
}

static void close_two(void)
{
	assert_int_equal(sock_close(&a), 0);
	assert_int_equal(sock_close(&a), 0);
	assert_int_equal(sock_close(&b), 0);
}

static void put(const char *data, size_t size)
{
	assert_int_equal(sock_send(&b, data, size, 0), (ssize_t)size);
}

static struct sock_want want(size_t limit, const char *m1, const char *m2)
{
	struct sock_want w = { .limit = limit,
			       .is_chunk = limit != SOCK_READ_MAX };

	if (m1 != NULL)
		w.marks[w.mark_count++] = text(m1);
	if (m2 != NULL)
		w.marks[w.mark_count++] = text(m2);
	w.identity = m1;
	return w;
}

/* As a fiber would: whenever it must wait, some more comes. */
static void reads(const struct sock_want *w, const char *expect,
		  const char **more, size_t step)
{
	struct sock_text got;
	unsigned how = SOCK_READ_LOOK;
	int rc;

	while ((rc = sock_read(&a, w, how, &got)) == UV_EAGAIN) {
		size_t size = strlen(*more) < step ? strlen(*more) : step;

		assert_true(size > 0);
		put(*more, size);
		*more += size;
		how = SOCK_READ_LOOK | SOCK_READ_AGAIN;
	}
	assert_int_equal(rc, 0);
	assert_int_equal(got.size, strlen(expect));
	assert_memory_equal(got.data, expect, got.size);
	sock_taken(&a);
}

static void reads_in_every_split(void **state)
{
	static const char all[] = "one\r\ntwo\r\n\r\nthree;four\nfive=END.";
	struct sock_want line = want(SOCK_READ_MAX, "\r\n", NULL);
	struct sock_want both = want(SOCK_READ_MAX, "\n", ";");
	struct sock_want chunk = want(3, "\n", NULL);
	struct sock_want bytes = want(2, NULL, NULL);
	struct sock_want end = want(100, "END.", "END");
	struct sock_want last = want(1, NULL, NULL);

	(void)state;
	for (size_t step = 1; step < sizeof all; step++) {
		const char *more = all;

		open_two();
		reads(&line, "one\r\n", &more, step);
		reads(&line, "two\r\n", &more, step);
		reads(&line, "\r\n", &more, step);
		reads(&both, "three;", &more, step);
		reads(&chunk, "fou", &more, step);
		reads(&chunk, "r\n", &more, step);
		reads(&bytes, "fi", &more, step);
		reads(&end, "ve=END", &more, step);
		reads(&last, ".", &more, step);
		assert_false(sock_has_ahead(&a));
		assert_null(a.in.data); /* nothing is kept */
		close_two();
	}
}

/* Against a plain search, with random data, marks and sizes. */
static void reads_as_a_plain_search(void **state)
{
	static char data[200000];
	struct sock_text got;
	unsigned seed = 7;

	(void)state;
	for (size_t i = 0; i < sizeof data; i++)
		data[i] = "abAB\n"[rand_r(&seed) % 5];
	open_two();
	for (size_t at = 0, sent = 0; at < sizeof data;) {
		static const char *const marks[] = { "\n", "aba", "BBBBAA",
						     "b" };
		const char *m1 = marks[rand_r(&seed) % 4];
		const char *m2 = marks[rand_r(&seed) % 4];
		size_t limit = 1 + rand_r(&seed) % 40000;
		struct sock_want w = want(limit, m1, m2);
		unsigned how = SOCK_READ_LOOK;
		const char *e1, *e2;
		size_t expect = limit;
		int rc;

		while ((rc = sock_read(&a, &w, how, &got)) == UV_EAGAIN) {
			size_t n = 1 + rand_r(&seed) % 20000;

			if (n > sizeof data - sent)
				n = sizeof data - sent;
			if (n == 0)
				shutdown(b.watch.fd, SHUT_WR);
			else
				put(data + sent, n);
			sent += n;
			how |= SOCK_READ_AGAIN;
		}
		assert_int_equal(rc, 0);
		if (expect > sizeof data - at)
			expect = sizeof data - at;
		e1 = memmem(data + at, expect, m1, strlen(m1));
		e2 = memmem(data + at, expect, m2, strlen(m2));
		if (e1 != NULL &&
		    (size_t)(e1 - data) + strlen(m1) - at < expect)
			expect = (size_t)(e1 - data) + strlen(m1) - at;
		if (e2 != NULL &&
		    (size_t)(e2 - data) + strlen(m2) - at < expect)
			expect = (size_t)(e2 - data) + strlen(m2) - at;
		assert_int_equal(got.size, expect);
		assert_memory_equal(got.data, data + at, expect);
		sock_taken(&a);
		at += expect;
	}
	close_two();
}

/* What two look for at the same time does not mix. */
static void two_readers(void **state)
{
	struct sock_want x = want(SOCK_READ_MAX, "X", NULL);
	struct sock_want y = want(SOCK_READ_MAX, "Y", NULL);
	struct sock_text got;

	(void)state;
	open_two();
	assert_int_equal(sock_read(&a, &x, SOCK_READ_LOOK, &got), UV_EAGAIN);
	assert_int_equal(sock_read(&a, &y, SOCK_READ_LOOK, &got), UV_EAGAIN);
	put("1Y2", 3);
	assert_int_equal(sock_read(&a, &x, SOCK_READ_LOOK | SOCK_READ_AGAIN,
				   &got),
			 UV_EAGAIN);
	assert_int_equal(sock_read(&a, &y, SOCK_READ_AGAIN, &got), 0);
	assert_memory_equal(got.data, "1Y", 2);
	sock_taken(&a);
	put("3X", 2);
	assert_int_equal(
		sock_read(&a, &x, SOCK_READ_LOOK | SOCK_READ_AGAIN, &got), 0);
	assert_int_equal(got.size, 3);
	assert_memory_equal(got.data, "23X", 3);
	sock_taken(&a);
	close_two();
}

static void an_end_and_errors(void **state)
{
	struct sock_want line = want(SOCK_READ_MAX, "\n", NULL);
	struct sock_text got;

	(void)state;
	open_two();
	put("rest", 4);
	assert_int_equal(sock_close(&b), 0);
	assert_int_equal(sock_read(&a, &line, SOCK_READ_LOOK, &got), 0);
	assert_int_equal(got.size, 4);
	sock_taken(&a);
	assert_int_equal(sock_read(&a, &line, SOCK_READ_LOOK, &got), 0);
	assert_int_equal(got.size, 0);
	assert_int_equal(sock_send(&a, "x", 1, 0), UV_EPIPE);
	close_two();
	sock_create(&a, &loop);
	assert_int_equal(sock_open(&a, AF_INET, SOCK_STREAM, 0), 0);
	assert_int_equal(sock_read(&a, &line, SOCK_READ_LOOK, &got),
			 UV_ENOTCONN);
	assert_int_equal(sock_close(&a), 0);
	if (inject_arm("sock.open", 0, 1) == 0)
		assert_int_equal(sock_open(&a, AF_INET, SOCK_STREAM, 0),
				 UV_EMFILE);
	assert_false(sock_is_open(&a));
}

static void no_memory(void **state)
{
	struct sock_want line = want(SOCK_READ_MAX, "\n", NULL);
	struct sock_text got;

	(void)state;
	if (inject_arm("malloc", 0, 1) != 0)
		skip();
	inject_reset();
	open_two();
	put("half", 4);
	assert_int_equal(inject_arm("malloc", 0, 1), 0);
	assert_int_equal(sock_read(&a, &line, SOCK_READ_LOOK, &got), UV_ENOMEM);
	put("line\nnext", 9);
	assert_int_equal(inject_arm("malloc", 0, 1), 0);
	assert_int_equal(sock_read(&a, &line, SOCK_READ_LOOK, &got), UV_ENOMEM);
	inject_reset();
	close_two();
}

/* The limit of a read that has none of its own; the bytes stay. */
static void too_much(void **state)
{
	static const char much[65536];
	struct sock_want line = want(SOCK_READ_MAX, "\n", NULL);
	struct sock_want some = want(10, NULL, NULL);
	struct sock_text got;
	size_t sent = 0;
	int rc;

	(void)state;
	open_two();
	while ((rc = sock_read(&a, &line, SOCK_READ_LOOK | SOCK_READ_AGAIN,
			       &got)) == UV_EAGAIN) {
		ssize_t n = sock_send(&b, much, sizeof much, 0);

		assert_true(n > 0);
		sent += (size_t)n;
	}
	assert_int_equal(rc, UV_EMSGSIZE);
	assert_true(sent >= SOCK_READ_MAX && sent < SOCK_READ_MAX + (1 << 20));
	assert_int_equal(sock_read(&a, &line, SOCK_READ_LOOK, &got),
			 UV_EMSGSIZE);
	assert_int_equal(sock_read(&a, &some, SOCK_READ_LOOK, &got), 0);
	assert_int_equal(got.size, 10);
	sock_taken(&a);
	close_two();
}

/* --- ends --- */

static void detach_and_adopt(void **state)
{
	int fd;

	(void)state;
	open_two();
	fd = sock_detach(&a);
	assert_false(sock_is_open(&a));
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	/* One that blocks is given back so. */
	assert_int_equal(fcntl(fd, F_SETFL, 0), 0);
	sock_adopt(&a, fd);
	assert_true(a.blocking);
	assert_int_equal(a.family, AF_UNIX);
	assert_int_equal(a.type, SOCK_STREAM);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_int_equal(sock_detach(&a), fd);
	assert_false(fcntl(fd, F_GETFL) & O_NONBLOCK);
	sock_adopt(&a, fd);
	close_two();
	sock_adopt(&a, 1000000);
	assert_int_equal(sock_close(&a), UV_EBADF);
	assert_false(sock_is_open(&a));
}

/* Closing one that lingers is left to a thread: the peer does not read. */
static void linger_does_not_block(void **state)
{
	static const char much[65536];
	struct sockaddr_in in = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof in;
	struct sock_address from, to;
	struct sock client, master, server;
	uint64_t begin;

	(void)state;
	sock_create(&client, &loop);
	sock_create(&master, &loop);
	sock_create(&server, &loop);
	assert_int_equal(sock_open(&master, AF_INET, SOCK_STREAM, 0), 0);
	assert_int_equal(bind(master.watch.fd, (struct sockaddr *)&in, size),
			 0);
	assert_int_equal(listen(master.watch.fd, 1), 0);
	assert_int_equal(
		getsockname(master.watch.fd, (struct sockaddr *)&in, &size), 0);
	memset(&to, 0, sizeof to);
	memcpy(&to.addr, &in, sizeof in);
	to.size = sizeof in;
	assert_int_equal(sock_open(&client, AF_INET, SOCK_STREAM, 0), 0);
	sock_connect(&client, &to);
	while (sock_accept(&master, &server, &from) == UV_EAGAIN)
		usleep(1000);
	assert_int_equal(sock_connected(&client), 0);
	assert_int_equal(sock_set_linger(&client, true, 30), 0);
	assert_true(client.lingers);
	while (sock_send(&client, much, sizeof much, 0) > 0)
		;
	begin = uv_hrtime();
	assert_int_equal(sock_close(&client), 0);
	assert_true(uv_hrtime() - begin < 10000000000u);
	assert_false(sock_is_open(&client));
	/* The peer resets: the thread is let go. */
	assert_int_equal(sock_set_linger(&server, true, 0), 0);
	assert_false(server.lingers);
	assert_int_equal(sock_close(&server), 0);
	assert_int_equal(sock_close(&master), 0);
	loop_run(&loop, UV_RUN_DEFAULT);
}

static void servers_of_one_address(void **state)
{
	struct sock_address addr;
	struct sock one, two, other;
	struct loop second;
	struct stat st;
	char path[64];

	(void)state;
	snprintf(path, sizeof path, "sock.%d", getpid());
	assert_int_equal(loop_create(&second), 0);
	assert_int_equal(parse(&addr, "unix/", path), 0);
	for (int sharers = 1; sharers <= 2; sharers++) {
		listener_set_sharers((unsigned)sharers);
		sock_create(&one, &loop);
		sock_create(&two, &second);
		sock_create(&other, &loop);
		assert_int_equal(sock_open(&one, AF_UNIX, SOCK_STREAM, 0), 0);
		assert_int_equal(sock_open(&two, AF_UNIX, SOCK_STREAM, 0), 0);
		assert_int_equal(sock_open(&other, AF_UNIX, SOCK_STREAM, 0), 0);
		assert_int_equal(sock_bind_server(&one, &addr, false, NULL), 0);
		assert_int_equal(listen(one.watch.fd, 1), 0);
		assert_int_equal(sock_bind_server(&two, &addr, false, NULL),
				 sharers == 1 ? UV_EADDRINUSE : 0);
		assert_int_equal(sock_bind_server(&other, &addr, false, NULL),
				 UV_EADDRINUSE);
		assert_null(other.file);
		assert_int_equal(sock_close(&one), 0);
		assert_int_equal(stat(path, &st), sharers == 1 ? -1 : 0);
		assert_int_equal(sock_close(&two), 0);
		assert_int_equal(sock_close(&other), 0);
		assert_int_equal(stat(path, &st), -1);
	}
	assert_int_equal(loop_destroy(&second, NULL, NULL), 0);
}

#define with_loop(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_of_ip),
		cmocka_unit_test(addresses_of_unix),
		with_loop(reads_in_every_split),
		with_loop(reads_as_a_plain_search),
		with_loop(two_readers),
		with_loop(an_end_and_errors),
		with_loop(no_memory),
		with_loop(too_much),
		with_loop(detach_and_adopt),
		with_loop(linger_does_not_block),
		with_loop(servers_of_one_address),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
