/* Answers in pieces: framing, order, and what holds back the one who writes. */
#include "http_rig.h"

#include "runtime/cond.h"

static struct rig rig;
static char text[1 << 20];

static int start(void **state)
{
	(void)state;
	rig_start(&rig, NULL);
	rig.keep = true;
	return 0;
}

static int stop(void **state)
{
	(void)state;
	rig_stop(&rig);
	return 0;
}

static struct http_text text_of(const char *s)
{
	return (struct http_text){ s, strlen(s) };
}

static int begin(struct http_request *req, int64_t length)
{
	struct http_response resp = { .status = 200 };

	return http_request_begin(req, &resp, length);
}

/* The request of @a bytes, sent on a connection of its own. */
static struct http_request *ask(const char *bytes, int *ret_fd)
{
	unsigned before = rig.handled;

	*ret_fd = rig_connect_sized(&rig, 4096);
	rig_puts(&rig, *ret_fd, bytes);
	rig_until_handled(&rig, before + 1);
	return rig.kept[--rig.kept_count];
}

#define GET(version) "GET / HTTP/1." version "\r\nHost: a\r\n\r\n"

static void finish(int fd)
{
	close(fd);
	rig_until_open(&rig, 0);
	assert_int_equal(rig_stat(&rig).waiting, 0);
}

static void test_chunked(void **state)
{
	static const struct http_field trailer = { { "a", 1 }, { "b", 1 } };
	static const struct http_field bad = { { "a", 1 }, { "\n", 1 } };
	struct http_request *req;
	int fd;

	(void)state;
	req = ask(GET("1") GET("1"), &fd);
	assert_int_equal(begin(req, HTTP_LENGTH_UNKNOWN), 0);
	assert_true(http_request_is_begun(req));
	assert_int_equal(begin(req, HTTP_LENGTH_UNKNOWN), UV_EALREADY);
	assert_int_equal(http_request_write(req, text_of("0123456789abcdef0")),
			 17);
	assert_int_equal(http_request_write(req, text_of("")), 0);
	assert_int_equal(http_request_end(req, &bad, 1), UV_EINVAL);
	assert_int_equal(http_request_end(req, &trailer, 1), 0);
	assert_false(rig_settle(&rig, fd, text, sizeof(text)));
	assert_non_null(strstr(text, "Transfer-Encoding: chunked\r\n\r\n"
				     "11\r\n0123456789abcdef0\r\n"
				     "0\r\na: b\r\n\r\n"));
	/* The next one was held back, and is served. */
	rig_until_handled(&rig, 2);
	req = rig.kept[--rig.kept_count];
	assert_int_equal(begin(req, 3), 0);
	assert_int_equal(http_request_write(req, text_of("ab")), 2);
	assert_int_equal(http_request_write(req, text_of("cd")), UV_EMSGSIZE);
	assert_int_equal(http_request_end(req, NULL, 0), UV_EMSGSIZE);
	assert_int_equal(http_request_write(req, text_of("c")), 1);
	assert_int_equal(http_request_end(req, NULL, 0), 0);
	assert_false(rig_settle(&rig, fd, text, sizeof(text)));
	assert_non_null(strstr(text, "Content-Length: 3\r\n\r\nabc"));
	finish(fd);
}

static void test_old_version(void **state)
{
	struct http_request *req;
	int fd;

	(void)state;
	req = ask(GET("0"), &fd);
	assert_int_equal(begin(req, HTTP_LENGTH_UNKNOWN), 0);
	assert_int_equal(http_request_write(req, text_of("abc")), 3);
	assert_int_equal(http_request_end(req, NULL, 0), 0);
	assert_true(rig_settle(&rig, fd, text, sizeof(text)));
	assert_non_null(strstr(text, "Connection: close\r\n\r\nabc"));
	assert_null(strstr(text, "chunked"));
	finish(fd);
	/* Only a reset says that it is not whole. */
	req = ask(GET("0"), &fd);
	assert_int_equal(begin(req, HTTP_LENGTH_UNKNOWN), 0);
	assert_int_equal(http_request_write(req, text_of("abc")), 3);
	http_request_abort(req);
	rig_quiet(&rig);
	while (recv(fd, text, sizeof(text), 0) > 0)
		;
	assert_int_equal(errno, ECONNRESET);
	finish(fd);
	assert_int_equal(rig_stat(&rig).gone, 0);
}

static void test_bare(void **state)
{
	struct http_response resp = { .status = 304 };
	struct http_request *req;
	int fd;

	(void)state;
	req = ask("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", &fd);
	assert_int_equal(begin(req, 5), 0);
	assert_int_equal(http_request_write(req, text_of("abcdefgh")), 8);
	assert_int_equal(http_request_end(req, NULL, 0), 0);
	assert_false(rig_settle(&rig, fd, text, sizeof(text)));
	assert_non_null(strstr(text, "Content-Length: 5\r\n\r\n"));
	assert_null(strstr(text, "abc"));
	finish(fd);
	req = ask(GET("1"), &fd);
	assert_int_equal(http_request_begin(req, &resp, HTTP_LENGTH_UNKNOWN),
			 0);
	assert_int_equal(http_request_write(req, text_of("abc")), 3);
	assert_int_equal(http_request_end(req, NULL, 0), 0);
	assert_false(rig_settle(&rig, fd, text, sizeof(text)));
	assert_null(strstr(text, "chunked"));
	assert_null(strstr(text, "abc"));
	finish(fd);
}

/* Write until it is full. Returns how much was taken. */
static size_t fill(struct http_request *req)
{
	static char piece[100000];
	size_t total = 0;
	ssize_t n;

	while ((n = http_request_write(
			req, (struct http_text){ piece, sizeof(piece) })) > 0)
		total += n;
	assert_int_equal(n, UV_EAGAIN);
	assert_true(http_request_is_full(req));
	return total;
}

static void test_back_pressure(void **state)
{
	struct http_request *req;
	size_t total, got = 0;
	ssize_t n;
	int fd;

	(void)state;
	req = ask(GET("1"), &fd);
	assert_int_equal(begin(req, HTTP_LENGTH_UNKNOWN), 0);
	total = fill(req);
	while (http_request_is_full(req)) {
		rig_turn(&rig, 1);
		n = recv(fd, text, sizeof(text), MSG_DONTWAIT);
		got += n > 0 ? n : 0;
	}
	assert_int_equal(http_request_write(req, text_of("end")), 3);
	assert_int_equal(http_request_end(req, NULL, 0), 0);
	while (got < total) {
		rig_turn(&rig, 1);
		n = recv(fd, text, sizeof(text), MSG_DONTWAIT);
		got += n > 0 ? n : 0;
	}
	finish(fd);
	assert_int_equal(rig_stat(&rig).timeouts, 0);
}

/* One who reads nothing is cut off in time, and the handler can tell. */
static void test_stalled(void **state)
{
	struct http_limits limits = { .send_ms = 100 };
	struct http_request *req;
	int fd;

	(void)state;
	rig_stop(&rig);
	rig_start(&rig, &limits);
	rig.keep = true;
	req = ask(GET("1"), &fd);
	assert_int_equal(begin(req, HTTP_LENGTH_UNKNOWN), 0);
	fill(req);
	while (!http_request_is_gone(req)) {
		rig_turn(&rig, 1);
		usleep(1000);
	}
	assert_int_equal(rig_stat(&rig).timeouts, 1);
	assert_false(http_request_is_full(req));
	assert_int_equal(http_request_write(req, text_of("x")), UV_ECONNRESET);
	assert_int_equal(http_request_end(req, NULL, 0), UV_ECONNRESET);
	finish(fd);
}

/* A drain ends the connection behind an answer that said nothing of it. */
static void test_drain(void **state)
{
	struct http_request *req;
	int fd;

	(void)state;
	req = ask(GET("1"), &fd);
	assert_int_equal(begin(req, HTTP_LENGTH_UNKNOWN), 0);
	assert_int_equal(http_server_drain(rig.server, 10000, NULL, NULL), 0);
	rig_quiet(&rig);
	assert_false(http_request_is_gone(req));
	assert_int_equal(http_request_write(req, text_of("x")), 1);
	assert_int_equal(http_request_end(req, NULL, 0), 0);
	assert_true(rig_settle(&rig, fd, text, sizeof(text)));
	assert_non_null(strstr(text, "1\r\nx\r\n0\r\n\r\n"));
	close(fd);
	while (http_server_is_running(rig.server))
		rig_turn(&rig, 1);
	assert_int_equal(rig_stat(&rig).cut, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_chunked, start, stop),
		cmocka_unit_test_setup_teardown(test_old_version, start, stop),
		cmocka_unit_test_setup_teardown(test_bare, start, stop),
		cmocka_unit_test_setup_teardown(test_back_pressure, start,
						stop),
		cmocka_unit_test_setup_teardown(test_stalled, start, stop),
		cmocka_unit_test_setup_teardown(test_drain, start, stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
