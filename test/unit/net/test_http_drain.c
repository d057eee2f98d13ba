/* The way down: nobody who was promised an answer goes without. */
#include "http_rig.h"

#include <sys/stat.h>
#include <sys/un.h>

#define HOST "Host: a\r\n"

static struct rig rig;
static char text[1 << 16];

static int start(void **state)
{
	(void)state;
	rig_start(&rig, NULL);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	rig_stop(&rig);
	return 0;
}

static void begin_drain(uint64_t ms)
{
	assert_int_equal(
		http_server_drain(rig.server, ms, rig_on_drained, &rig), 0);
}

static void test_nobody(void **state)
{
	(void)state;
	begin_drain(UINT64_MAX);
	assert_int_equal(rig.drained, 0); /* from the loop, not from here */
	rig_drain(&rig, UINT64_MAX);
	assert_int_equal(rig.drained, 1);
	assert_int_equal(http_server_drain(rig.server, 0, NULL, NULL),
			 UV_ENOTCONN);
}

static void test_again(void **state)
{
	struct listen_options opts = { 0 };
	struct listen_address addr;
	int fd;

	(void)state;
	assert_int_equal(http_server_address(rig.server, &addr), 0);
	assert_int_equal(http_server_listen(rig.server, &addr, &opts),
			 UV_EALREADY);
	rig_drain(&rig, 0);
	assert_int_equal(http_server_listen(rig.server, &addr, &opts), 0);
	fd = rig_connect(&rig);
	rig_puts(&rig, fd, "GET / HTTP/1.1\r\n" HOST "\r\n");
	rig_settle(&rig, fd, text, sizeof(text));
	assert_int_equal(rig_count(text, "HTTP/1.1 200"), 1);
	close(fd);
}

/* Idle ones are closed, the others end with their answer. */
static void test_each_state(void **state)
{
	int idle = rig_connect(&rig), busy = rig_connect(&rig);
	int partial = rig_connect(&rig), unread, fresh;

	(void)state;
	rig_puts(&rig, idle, "GET / HTTP/1.1\r\n" HOST "\r\n");
	rig_settle(&rig, idle, text, sizeof(text));
	rig.keep = true;
	rig_puts(&rig, busy,
		 "GET /1 HTTP/1.1\r\n" HOST "\r\n"
		 "GET /2 HTTP/1.1\r\n" HOST "\r\n");
	rig_puts(&rig, partial, "GET / HT");
	rig_until_handled(&rig, 2);
	rig_quiet(&rig);
	rig.keep = false;
	unread = rig_connect(&rig);
	rig_puts(&rig, unread, "GET / HTTP/1.1\r\n" HOST "\r\n");
	rig_settle(&rig, unread, text, sizeof(text));
	/* in the socket and the listener's queue: nobody has looked yet */
	send(unread, "GET /u HTTP/1.1\r\n" HOST "\r\n", 28, 0);
	fresh = rig_connect(&rig);
	send(fresh, "GET /f HTTP/1.1\r\n" HOST "\r\n", 28, 0);
	usleep(5000);

	begin_drain(UINT64_MAX);
	assert_true(rig_settle(&rig, idle, text, sizeof(text)));
	assert_string_equal(text, "");
	assert_true(rig_settle(&rig, unread, text, sizeof(text)));
	assert_int_equal(rig_count(text, "Connection: close"), 1);
	assert_true(rig_settle(&rig, fresh, text, sizeof(text)));
	assert_int_equal(rig_count(text, "Connection: close"), 1);
	assert_int_equal(rig.drained, 0);

	rig_puts(&rig, partial, "TP/1.1\r\n" HOST "\r\n");
	assert_true(rig_settle(&rig, partial, text, sizeof(text)));
	assert_int_equal(rig_count(text, "Connection: close"), 1);

	assert_int_equal(rig_answer(&rig, rig.kept[0]), 0);
	assert_true(rig_settle(&rig, busy, text, sizeof(text)));
	assert_int_equal(rig_count(text, "HTTP/1.1 200"), 1);
	assert_int_equal(rig_count(text, "Connection: close"), 1);
	rig_drain(&rig, UINT64_MAX);
	assert_int_equal(rig.drained, 1);
	close(idle), close(busy), close(partial), close(unread), close(fresh);
}

/* One that connected and says nothing does not hold the drain up. */
static void test_silent(void **state)
{
	int fd = rig_connect(&rig);

	(void)state;
	rig_until_open(&rig, 1);
	begin_drain(UINT64_MAX);
	text[0] = '\0';
	rig_wait_end(&rig, fd, text, sizeof(text));
	assert_string_equal(text, "");
	rig_drain(&rig, UINT64_MAX);
	assert_int_equal(rig.drained, 1);
	assert_int_equal(rig_stat(&rig).cut, 0);
	close(fd);
}

/* Of all sockets the one that listens lets knocks in again. */
static void admit_knocks(void)
{
	socklen_t size = sizeof(int);
	int listens, none = 0;

	for (int fd = 3; fd < 64; fd++) {
		if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens,
			       &size) == 0 &&
		    listens)
			assert_int_equal(setsockopt(fd, SOL_SOCKET,
						    SO_DETACH_FILTER, &none,
						    sizeof none),
					 0);
	}
}

/* When it is over nobody comes in any more, who would have none. */
static void test_late_knock(void **state)
{
	int fd = rig_connect(&rig), late = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in addr;
	socklen_t size = sizeof addr;

	(void)state;
	rig_until_open(&rig, 1);
	assert_int_equal(getpeername(fd, (struct sockaddr *)&addr, &size), 0);
	begin_drain(UINT64_MAX);
	admit_knocks();
	assert_int_equal(http_server_drain(rig.server, 0, NULL, NULL),
			 UV_EALREADY);
	text[0] = '\0';
	rig_wait_end(&rig, fd, text, sizeof(text));
	assert_int_equal(connect(late, (struct sockaddr *)&addr, size), -1);
	rig_drain(&rig, UINT64_MAX);
	assert_int_equal(rig.drained, 1);
	close(late);
	close(fd);
}

static void test_deadline(void **state)
{
	int fd = rig_connect(&rig);

	(void)state;
	rig.keep = true;
	rig_puts(&rig, fd, "GET / HTTP/1.1\r\n" HOST "\r\n");
	rig_until_handled(&rig, 1);
	begin_drain(20);
	text[0] = '\0';
	rig_wait_end(&rig, fd, text, sizeof(text));
	rig_drain(&rig, UINT64_MAX);
	assert_int_equal(rig.drained, 1);
	assert_true(http_request_is_gone(rig.kept[0]));
	assert_int_equal(rig_answer(&rig, rig.kept[0]), UV_ECONNRESET);
	close(fd);
}

static void drain_inside(struct http_request *req, void *arg)
{
	uint64_t *deadline = arg;
	struct http_server *server = http_request_server(req);
	struct http_response resp = { .status = 200 };

	http_server_drain(server, *deadline, NULL, NULL);
	http_request_reply(req, &resp);
}

/* A handler may stop its own server, even at once. */
static void test_from_handler(void **state)
{
	static const struct http_limits limits;
	struct listen_options opts = { 0 };
	struct listen_address addr;

	(void)state;
	for (uint64_t deadline = 0; deadline < 2000; deadline += 1000) {
		struct rig inner = rig;
		int fd;

		inner.server = http_server_new(&rig.loop, &rig.timers, &limits,
					       drain_inside, &deadline);
		listen_address_parse(&addr, "127.0.0.1", 0);
		assert_int_equal(http_server_listen(inner.server, &addr, &opts),
				 0);
		fd = rig_connect(&inner);
		for (int i = 0; i < 3; i++)
			send(fd, "GET / HTTP/1.1\r\n" HOST "\r\n", 27, 0);
		text[0] = '\0';
		rig_wait_end(&rig, fd, text, sizeof(text));
		/* The one that stopped it is answered, no other. */
		assert_int_equal(rig_count(text, "HTTP/1.1 200"), 1);
		close(fd);
		while (http_server_is_running(inner.server))
			loop_run(&rig.loop, UV_RUN_ONCE);
		assert_int_equal(rig_stat(&inner).requests, 1);
		http_server_free(inner.server);
	}
}

/* Unix sockets: served, stale files replaced, live ones not, removed after. */
static void test_unix(void **state)
{
	struct listen_options opts = { 0 };
	struct listen_address addr;
	struct http_server *second;
	static const struct http_limits limits;
	char name[128], host[200];
	struct stat st;
	int fd;

	(void)state;
	rig_drain(&rig, 0);
	snprintf(name, sizeof(name), "rig-%d.sock", getpid());
	snprintf(host, sizeof(host), "unix/:%s", name);
	assert_int_equal(listen_address_parse(&addr, host, 0), 0);
	fd = socket(AF_UNIX, SOCK_STREAM, 0); /* leaves a stale file */
	assert_int_equal(bind(fd, (struct sockaddr *)&addr.addr, addr.size), 0);
	close(fd);
	assert_int_equal(http_server_listen(rig.server, &addr, &opts), 0);
	second = http_server_new(&rig.loop, &rig.timers, &limits,
				 rig_on_request, &rig);
	assert_int_equal(http_server_listen(second, &addr, &opts),
			 UV_EADDRINUSE);
	http_server_free(second);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr.addr, addr.size),
			 0);
	rig_puts(&rig, fd, "GET /unix HTTP/1.1\r\n" HOST "\r\n");
	rig_settle(&rig, fd, text, sizeof(text));
	assert_int_equal(rig_count(text, "HTTP/1.1 200"), 1);
	assert_string_equal(rig.last, "GET /unix? ");
	close(fd);
	rig_drain(&rig, 0);
	assert_int_equal(stat(name, &st), -1);
}

static void test_addresses(void **state)
{
	static const struct {
		const char *host;
		unsigned port;
		int rc;
		const char *text;
	} rows[] = {
		{ "127.0.0.1", 80, 0, "127.0.0.1:80" },
		{ "localhost", 0, 0, "127.0.0.1:0" },
		{ NULL, 65535, 0, "0.0.0.0:65535" },
		{ "*", 1, 0, "0.0.0.0:1" },
		{ "::1", 80, 0, "[::1]:80" },
		{ "[::1]", 80, 0, "[::1]:80" },
		{ "unix/:/a/b", 0, 0, "unix/:/a/b" },
		{ "127.0.0.1", 65536, UV_EINVAL, NULL },
		{ "127.0.0.256", 80, UV_EINVAL, NULL },
		{ "[", 80, UV_EINVAL, NULL },
		{ "example.test", 80, UV_EINVAL, NULL },
		{ "unix/:", 80, UV_EINVAL, NULL },
	};
	struct listen_address addr;
	char long_path[300] = "unix/:/";

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(listen_address_parse(&addr, rows[i].host,
						      rows[i].port),
				 rows[i].rc);
		if (rows[i].rc != 0)
			continue;
		listen_address_format(&addr, text, sizeof(text));
		assert_string_equal(text, rows[i].text);
	}
	memset(long_path + 7, 'x', 200);
	assert_int_equal(listen_address_parse(&addr, long_path, 0),
			 UV_ENAMETOOLONG);
}

static void test_reuse_port(void **state)
{
	struct listen_options opts = { .reuse_port = true };
	static const struct http_limits limits;
	struct listen_address addr;
	struct http_server *second;

	(void)state;
	rig_drain(&rig, 0);
	listen_address_parse(&addr, "127.0.0.1", 0);
	assert_int_equal(http_server_listen(rig.server, &addr, &opts), 0);
	assert_int_equal(http_server_address(rig.server, &addr), 0);
	second = http_server_new(&rig.loop, &rig.timers, &limits,
				 rig_on_request, &rig);
	assert_int_equal(http_server_listen(second, &addr, &opts), 0);
	http_server_drain(second, 0, NULL, NULL);
	while (http_server_is_running(second))
		loop_run(&rig.loop, UV_RUN_ONCE);
	opts.reuse_port = false;
	assert_int_equal(http_server_listen(second, &addr, &opts),
			 UV_EADDRINUSE);
	http_server_free(second);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_nobody),     TEST(test_again),
		TEST(test_each_state), TEST(test_silent),
		TEST(test_deadline),   TEST(test_from_handler),
		TEST(test_unix),       TEST(test_addresses),
		TEST(test_reuse_port), TEST(test_late_knock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
