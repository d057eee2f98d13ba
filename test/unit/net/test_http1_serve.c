/* What is served, and how: keep-alive, pipelining, bodies, late answers. */
#include "http_rig.h"

#define HOST "Host: a\r\n"

static struct rig rig;
static char text[1 << 20];

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

/* One exchange on a connection of its own. Returns whether it was ended. */
static bool exchange(const char *bytes)
{
	int fd = rig_connect(&rig);
	bool ended;

	rig_puts(&rig, fd, bytes);
	ended = rig_settle(&rig, fd, text, sizeof(text));
	close(fd);
	rig_until_open(&rig, 0);
	return ended;
}

static void test_simple(void **state)
{
	(void)state;
	assert_false(exchange("GET /a/b?c=d&e HTTP/1.1\r\n" HOST "\r\n"));
	assert_string_equal(rig.last, "GET /a/b?c=d&e ");
	assert_non_null(strstr(text, "HTTP/1.1 200 OK\r\nServer: neap\r\n"
				     "Date: "));
	assert_non_null(strstr(text, " GMT\r\nContent-Length: 4\r\n\r\nok 1"));
	assert_int_equal(rig_stat(&rig).requests, 1);
	assert_int_equal(rig_stat(&rig).connections, 0);
}

static void test_targets(void **state)
{
	(void)state;
	exchange("GET http://h:1/x?y HTTP/1.1\r\n" HOST "\r\n");
	assert_string_equal(rig.last, "GET /x?y ");
	exchange("GET http://h HTTP/1.1\r\n" HOST "\r\n");
	assert_string_equal(rig.last, "GET /? ");
	exchange("GET http://h?q HTTP/1.1\r\n" HOST "\r\n");
	assert_string_equal(rig.last, "GET /?q ");
	exchange("OPTIONS * HTTP/1.1\r\n" HOST "\r\n");
	assert_string_equal(rig.last, "OPTIONS *? ");
	exchange("GET /%41%2f?a?b HTTP/1.1\r\n" HOST "\r\n");
	assert_string_equal(rig.last, "GET /%41%2f?a?b ");
	exchange("M-SEARCH /? HTTP/1.1\r\n" HOST "\r\n");
	assert_string_equal(rig.last, "M-SEARCH /? ");
	exchange("\r\n\r\nGET /after HTTP/1.1\r\n" HOST "\r\n");
	assert_string_equal(rig.last, "GET /after? ");
	assert_int_equal(rig.handled, 7);
}

static void test_keep_alive(void **state)
{
	static const struct {
		const char *bytes;
		bool ended;
		const char *connection;
	} rows[] = {
		{ "GET / HTTP/1.1\r\n" HOST "\r\n", false, NULL },
		{ "GET / HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n", true,
		  "close" },
		{ "GET / HTTP/1.1\r\n" HOST "Connection: x, CLOSE\r\n\r\n",
		  true, "close" },
		{ "GET / HTTP/1.0\r\n\r\n", true, "close" },
		{ "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", false,
		  "keep-alive" },
		{ "GET / HTTP/1.1\r\n" HOST
		  "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
		  false, NULL },
	};
	char want[64];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(exchange(rows[i].bytes), rows[i].ended);
		if (rows[i].connection == NULL) {
			assert_null(strstr(text, "Connection:"));
			continue;
		}
		snprintf(want, sizeof(want), "\r\nConnection: %s\r\n",
			 rows[i].connection);
		assert_non_null(strstr(text, want));
	}
}

static void test_requests_per_connection(void **state)
{
	struct http_limits limits = { .requests = 3 };

	(void)state;
	rig_stop(&rig);
	rig_start(&rig, &limits);
	assert_true(exchange("GET /1 HTTP/1.1\r\n" HOST "\r\n"
			     "GET /2 HTTP/1.1\r\n" HOST "\r\n"
			     "GET /3 HTTP/1.1\r\n" HOST "\r\n"
			     "GET /4 HTTP/1.1\r\n" HOST "\r\n"));
	assert_int_equal(rig.handled, 3);
	assert_int_equal(rig_count(text, "HTTP/1.1 200"), 3);
	assert_int_equal(rig_count(text, "Connection: close"), 1);
}

static void test_head(void **state)
{
	(void)state;
	exchange("HEAD / HTTP/1.1\r\n" HOST "\r\n"
		 "GET / HTTP/1.1\r\n" HOST "\r\n");
	assert_int_equal(rig_count(text, "Content-Length: 4\r\n\r\n"), 2);
	assert_int_equal(rig_count(text, "ok "), 1);
}

static void test_no_body(void **state)
{
	(void)state;
	rig.answer.status = 204;
	exchange("GET / HTTP/1.1\r\n" HOST "\r\n");
	assert_null(strstr(text, "Content-Length"));
	rig.answer.status = 304;
	rig.answer.body = (struct http_text){ "gone", 4 };
	exchange("GET / HTTP/1.1\r\n" HOST "\r\n");
	assert_null(strstr(text, "gone"));
	assert_non_null(strstr(text, "304 Not Modified"));
}

/* A message in all ways it can be cut gives the same request and answer. */
static void every_split(const char *bytes, const char *last)
{
	size_t size = strlen(bytes);

	for (size_t cut = 1; cut < size; cut++) {
		int fd = rig_connect(&rig);

		rig.handled = 0;
		rig_send(&rig, fd, bytes, cut);
		rig_turn(&rig, 2);
		assert_int_equal(rig.handled, 0);
		rig_send(&rig, fd, bytes + cut, size - cut);
		assert_false(rig_settle(&rig, fd, text, sizeof(text)));
		assert_int_equal(rig.handled, 1);
		assert_string_equal(rig.last, last);
		assert_int_equal(rig_count(text, "HTTP/1.1 200"), 1);
		close(fd);
	}
	/* and byte by byte, with another one behind it */
	int fd = rig_connect(&rig);

	rig.handled = 0;
	for (size_t i = 0; i < size; i++)
		rig_send(&rig, fd, bytes + i, 1);
	rig_puts(&rig, fd, "GET /next HTTP/1.1\r\n" HOST "\r\n");
	assert_false(rig_settle(&rig, fd, text, sizeof(text)));
	assert_int_equal(rig.handled, 2);
	assert_string_equal(rig.last, "GET /next? ");
	close(fd);
}

static void test_bodies(void **state)
{
	(void)state;
	every_split("POST /p HTTP/1.1\r\n" HOST "A:\r\nB:  c d \t\r\n"
		    "Content-Length: 5\r\n\r\nhello",
		    "POST /p? hello");
	every_split("PUT /c HTTP/1.1\r\n" HOST "transfer-encoding: Chunked\r\n"
		    "\r\n2\r\nhe\r\n1;x=\"y;z\";w\r\nl\r\n0002\r\nlo\r\n"
		    "0\r\n\r\n",
		    "PUT /c? hello");
	every_split("PUT /c HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n"
		    "\r\nA\r\n0123456789\r\n0\r\nSum: 1\r\nB:\r\n\r\n",
		    "PUT /c? 0123456789");
	every_split("PUT /e HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n"
		    "\r\n0\r\n\r\n",
		    "PUT /e? ");
	every_split("GET /g HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n",
		    "GET /g? ");
}

static void check_field(struct http_request *req, size_t i, const char *name,
			const char *value)
{
	struct http_field f = http_request_field(req, i);

	assert_int_equal(f.name.size, strlen(name));
	assert_memory_equal(f.name.data, name, f.name.size);
	assert_int_equal(f.value.size, strlen(value));
	assert_memory_equal(f.value.data, value, f.value.size);
}

static void check_fields(struct http_request *req)
{
	assert_int_equal(http_request_field_count(req), 4);
	check_field(req, 1, "A", "");
	check_field(req, 2, "B", "c d");
	check_field(req, 3, "Transfer-Encoding", "chunked");
}

/* Trailers are no header fields; blanks around values are cut; the bytes are
 * there still when the handler comes back later. */
static void test_fields_later(void **state)
{
	static const char bytes[] = "PUT /c HTTP/1.1\r\n" HOST
				    "A:\r\nB: \t c d \t\r\n"
				    "Transfer-Encoding: chunked\r\n\r\n"
				    "3\r\nabc\r\n0\r\nSum: 1\r\n\r\n";

	(void)state;
	for (size_t cut = 0; cut < sizeof(bytes) - 1; cut++) {
		int fd = rig_connect(&rig);
		unsigned handled = rig.handled;

		rig.keep = true;
		rig.kept_count = 0;
		rig_send(&rig, fd, bytes, cut);
		rig_turn(&rig, 2);
		rig_puts(&rig, fd, bytes + cut);
		rig_puts(&rig, fd, "GET /next HTTP/1.1\r\n" HOST "\r\n");
		rig_until_handled(&rig, handled + 1);
		assert_int_equal(rig.kept_count, 1);
		check_fields(rig.kept[0]);
		assert_memory_equal(http_request_body(rig.kept[0]).data, "abc",
				    3);
		rig.keep = false;
		rig_answer(&rig, rig.kept[0]);
		rig_settle(&rig, fd, text, sizeof(text));
		assert_int_equal(rig_count(text, "HTTP/1.1 200"), 2);
		close(fd);
	}
}

/* A thousand requests at once: in order, and in few writes. */
static void test_pipeline(void **state)
{
	static char bytes[200000];
	size_t size = 0;
	int fd = rig_connect(&rig);
	const char *at = text;
	char want[32];

	(void)state;
	for (int i = 0; i < 1000; i++)
		size += sprintf(bytes + size,
				"GET /%d HTTP/1.1\r\n" HOST "\r\n", i);
	/* All of it lies in the socket before the server looks. */
	assert_int_equal(send(fd, bytes, size, 0), size);
	rig_settle(&rig, fd, text, sizeof(text));
	for (int i = 1; i <= 1000; i++) {
		snprintf(want, sizeof(want), "\r\n\r\nok %d", i);
		at = strstr(at, want);
		assert_non_null(at);
		at += strlen(want);
	}
	assert_int_equal(rig.handled, 1000);
	assert_in_range(rig_stat(&rig).writes, 1, 5);
	close(fd);
}

static void test_pipeline_late(void **state)
{
	int fd = rig_connect(&rig);

	(void)state;
	rig.keep = true;
	rig_puts(&rig, fd,
		 "GET /1 HTTP/1.1\r\n" HOST "\r\n"
		 "GET /2 HTTP/1.1\r\n" HOST "\r\n"
		 "GET /3 HTTP/1.1\r\n" HOST "\r\nGET /4 HT");
	for (unsigned i = 1; i <= 3; i++) {
		rig_until_handled(&rig, i);
		rig_until_handled(&rig, i);
		rig_quiet(&rig);
		assert_int_equal(rig.handled, i); /* one at a time, in order */
		assert_int_equal(rig_stat(&rig).waiting, 1);
		rig_answer(&rig, rig.kept[i - 1]);
	}
	rig_puts(&rig, fd, "TP/1.1\r\n" HOST "\r\n");
	rig_until_handled(&rig, 4);
	assert_int_equal(rig.handled, 4);
	assert_string_equal(rig.last, "GET /4? ");
	rig_answer(&rig, rig.kept[3]);
	assert_false(rig_settle(&rig, fd, text, sizeof(text)));
	assert_int_equal(rig_count(text, "HTTP/1.1 200"), 4);
	close(fd);
}

/* A peer that sends more and more while its request is handled is stopped. */
static void test_held_input_is_bounded(void **state)
{
	static char noise[1 << 16];
	int fd = rig_connect(&rig);
	size_t sent = 0;
	uint64_t read;

	(void)state;
	memset(noise, '\n', sizeof(noise));
	rig.keep = true;
	rig_puts(&rig, fd, "GET /1 HTTP/1.1\r\n" HOST "\r\n");
	for (int i = 0; i < 1000; i++) {
		ssize_t n = send(fd, noise, sizeof(noise), 0);

		if (n > 0)
			sent += n;
		rig_turn(&rig, 1);
	}
	read = rig_stat(&rig).bytes_in;
	assert_true(sent > 200000);
	assert_in_range(read, 65536, 200000);
	rig_answer(&rig, rig.kept[0]);
	rig_wait_end(&rig, fd, text, sizeof(text)); /* bare LFs: refused */
	assert_non_null(strstr(text, "HTTP/1.1 200"));
	assert_int_equal(rig.handled, 1);
	close(fd);
}

static void test_expect(void **state)
{
	static const char invited[] = "HTTP/1.1 100 Continue\r\n\r\n";
	static const char head[] = "POST / HTTP/1.1\r\n" HOST
				   "Expect: 100-Continue\r\n"
				   "Content-Length: 3\r\n\r\n";
	int fd = rig_connect(&rig);

	(void)state;
	rig_send(&rig, fd, head, 20);
	rig_puts(&rig, fd, head + 20);
	rig_settle(&rig, fd, text, sizeof(text));
	assert_string_equal(text, invited);
	rig_puts(&rig, fd, "a");
	assert_false(rig_settle(&rig, fd, text, sizeof(text)));
	assert_string_equal(text, ""); /* once */
	rig_puts(&rig, fd, "bc");
	rig_settle(&rig, fd, text, sizeof(text));
	assert_string_equal(rig.last, "POST /? abc");
	/* the body came along: nobody waits for an invitation */
	snprintf(text, sizeof(text), "%sabc", head);
	rig_puts(&rig, fd, text);
	rig_settle(&rig, fd, text, sizeof(text));
	assert_null(strstr(text, "100 Continue"));
	/* chunked */
	rig_puts(&rig, fd,
		 "POST / HTTP/1.1\r\n" HOST "Expect: 100-continue\r\n"
		 "Transfer-Encoding: chunked\r\n\r\n");
	rig_settle(&rig, fd, text, sizeof(text));
	assert_string_equal(text, invited);
	rig_puts(&rig, fd, "0\r\n\r\n");
	rig_settle(&rig, fd, text, sizeof(text));
	assert_int_equal(rig.handled, 3);
	/* HTTP/1.0 knows no invitation */
	close(fd);
	fd = rig_connect(&rig);
	rig_puts(&rig, fd,
		 "POST / HTTP/1.0\r\nExpect: 100-continue\r\n"
		 "Content-Length: 3\r\n\r\n");
	rig_settle(&rig, fd, text, sizeof(text));
	assert_string_equal(text, "");
	close(fd);
}

/* The peer ends its side: what it asked for is still answered. */
static void test_half_close(void **state)
{
	int fd = rig_connect(&rig);

	(void)state;
	rig_puts(&rig, fd,
		 "GET /1 HTTP/1.1\r\n" HOST "\r\n"
		 "GET /2 HTTP/1.1\r\n" HOST "\r\nGET /half");
	shutdown(fd, SHUT_WR);
	assert_true(rig_settle(&rig, fd, text, sizeof(text)));
	assert_int_equal(rig.handled, 2);
	assert_int_equal(rig_count(text, "HTTP/1.1 200"), 2);
	close(fd);

	rig.keep = true; /* and when the answers come late */
	rig.kept_count = 0;
	fd = rig_connect(&rig);
	rig_puts(&rig, fd,
		 "GET /1 HTTP/1.1\r\n" HOST "\r\n"
		 "GET /2 HTTP/1.1\r\n" HOST "\r\n");
	shutdown(fd, SHUT_WR);
	rig_until_handled(&rig, 3);
	rig_quiet(&rig);
	assert_false(http_request_is_gone(rig.kept[0]));
	assert_int_equal(rig_answer(&rig, rig.kept[0]), 0);
	rig_until_handled(&rig, 4);
	assert_int_equal(rig_answer(&rig, rig.kept[1]), 0);
	assert_true(rig_settle(&rig, fd, text, sizeof(text)));
	assert_int_equal(rig_count(text, "HTTP/1.1 200"), 2);
	close(fd);
}

static void reset(int fd)
{
	struct linger hard = { .l_onoff = 1, .l_linger = 0 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	close(fd);
}

/* The peer resets, in every state. */
static void test_reset(void **state)
{
	static const char *const before[] = {
		"",
		"G",
		"GET / HTTP/1.1\r\n" HOST,
		"POST / HTTP/1.1\r\n" HOST "Content-Length: 9\r\n\r\nabc",
		"POST / HTTP/1.1\r\n" HOST
		"Transfer-Encoding: chunked\r\n\r\n3\r\na",
		"GET / HTTP/1.1\r\n" HOST "\r\n",
		"BAD",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(before) / sizeof(before[0]); i++) {
		int fd = rig_connect(&rig);

		rig_until_open(&rig, 1);
		rig_puts(&rig, fd, before[i]);
		rig_quiet(&rig);
		reset(fd);
		rig_until_open(&rig, 0);
		assert_int_equal(rig_stat(&rig).connections, 0);
	}
}

static void test_gone(void **state)
{
	struct http_request *req;
	http_handle handle;
	int fd = rig_connect(&rig);

	(void)state;
	rig.keep = true;
	rig_puts(&rig, fd,
		 "GET /1 HTTP/1.1\r\n" HOST "\r\n"
		 "GET /2 HTTP/1.1\r\n" HOST "\r\n");
	rig_until_handled(&rig, 1);
	req = rig.kept[0];
	handle = http_request_handle(req);
	assert_ptr_equal(http_request_find(rig.server, handle), req);
	assert_false(http_request_is_gone(req));
	reset(fd);
	rig_until_open(&rig, 0);
	assert_true(http_request_is_gone(req));
	assert_int_equal(rig_stat(&rig).connections, 0);
	assert_int_equal(rig_stat(&rig).gone, 1);
	assert_memory_equal(http_request_path(req).data, "/1", 2);
	assert_ptr_equal(http_request_find(rig.server, handle), req);
	assert_int_equal(rig_answer(&rig, req), UV_ECONNRESET);
	assert_null(http_request_find(rig.server, handle));
	assert_int_equal(rig.handled, 1);
	assert_int_equal(rig_stat(&rig).waiting, 0);
}

/* A reader that does not read: answers wait in bounded memory. */
static void test_slow_reader(void **state)
{
	static char body[100000], bytes[100000];
	size_t size = 0, total = 0;
	int fd = rig_connect_sized(&rig, 4096);
	unsigned before;

	(void)state;
	memset(body, 'x', sizeof(body));
	rig.answer.status = 200;
	rig.answer.body = (struct http_text){ body, sizeof(body) };
	for (int i = 0; i < 300; i++)
		size += sprintf(bytes + size,
				"GET /%d HTTP/1.1\r\n" HOST "\r\n", i);
	rig_send(&rig, fd, bytes, size);
	rig_quiet(&rig);
	before = rig.handled;
	assert_in_range(before, 3, 250); /* 30 MB would be all of them */
	rig_quiet(&rig);
	assert_int_equal(rig.handled, before);
	while (total < 300 * sizeof(body)) {
		ssize_t n = recv(fd, text, sizeof(text), 0);

		if (n == 0)
			fail_msg("ended after %zu bytes", total);
		if (n > 0)
			total += n;
		rig_turn(&rig, 1);
	}
	assert_int_equal(rig.handled, 300);
	assert_false(rig_settle(&rig, fd, text, sizeof(text)));
	close(fd);
}

/* The answer is larger than the kernel takes, and the connection ends. */
static void test_large_then_close(void **state)
{
	size_t size = 20 << 20, total = 0;
	char *body = malloc(size);
	int fd = rig_connect_sized(&rig, 4096);
	ssize_t n;

	(void)state;
	memset(body, 'y', size);
	rig.answer.status = 200;
	rig.answer.body = (struct http_text){ body, size };
	rig.close = true;
	rig_puts(&rig, fd, "GET / HTTP/1.1\r\n" HOST "\r\n");
	rig_until_handled(&rig, 1);
	free(body); /* what is left of it is the server's */
	while ((n = recv(fd, text, sizeof(text), 0)) != 0) {
		if (n > 0)
			total += n;
		else if (errno != EAGAIN)
			fail();
		rig_turn(&rig, 1);
	}
	assert_in_range(total, size + 1, size + 300);
	close(fd);
}

static void test_answer_refused(void **state)
{
	static const struct http_field split = { { "A", 1 },
						 { "b\r\nC: d", 7 } };
	struct http_request *req;
	int fd = rig_connect(&rig);

	(void)state;
	rig.keep = true;
	rig_puts(&rig, fd, "GET / HTTP/1.1\r\n" HOST "\r\n");
	rig_until_handled(&rig, 1);
	req = rig.kept[0];
	rig.answer = (struct http_response){ .status = 200,
					     .fields = &split,
					     .field_count = 1 };
	assert_int_equal(rig_answer(&rig, req), UV_EINVAL);
	rig.answer.status = 99;
	rig.answer.field_count = 0;
	assert_int_equal(rig_answer(&rig, req), UV_EINVAL);
	rig.answer.status = 500;
	assert_int_equal(rig_answer(&rig, req), 0);
	assert_false(rig_settle(&rig, fd, text, sizeof(text)));
	assert_non_null(strstr(text, "500 Internal Server Error"));
	assert_int_equal(rig_count(text, "HTTP/1.1"), 1);
	close(fd);
}

/* Requests of many connections wait at once, and are answered backwards. */
static void test_many_waiting(void **state)
{
	int fds[RIG_KEPT];

	(void)state;
	rig.keep = true;
	for (int i = 0; i < RIG_KEPT; i++) {
		fds[i] = rig_connect(&rig);
		snprintf(text, sizeof(text),
			 "POST /%d HTTP/1.1\r\n" HOST
			 "Content-Length: 2\r\n\r\n%02d",
			 i, i);
		rig_puts(&rig, fds[i], text);
	}
	rig_until_handled(&rig, RIG_KEPT);
	assert_int_equal(rig.kept_count, RIG_KEPT);
	for (int i = RIG_KEPT - 1; i >= 0; i--)
		rig_answer(&rig, rig.kept[i]);
	for (int i = 0; i < RIG_KEPT; i++) {
		char want[16];

		rig_settle(&rig, fds[i], text, sizeof(text));
		snprintf(want, sizeof(want), "\r\n\r\n%02d", i);
		assert_non_null(strstr(text, want));
		close(fds[i]);
	}
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_simple),
		TEST(test_targets),
		TEST(test_keep_alive),
		TEST(test_requests_per_connection),
		TEST(test_head),
		TEST(test_no_body),
		TEST(test_bodies),
		TEST(test_fields_later),
		TEST(test_pipeline),
		TEST(test_pipeline_late),
		TEST(test_held_input_is_bounded),
		TEST(test_expect),
		TEST(test_half_close),
		TEST(test_reset),
		TEST(test_gone),
		TEST(test_slow_reader),
		TEST(test_large_then_close),
		TEST(test_answer_refused),
		TEST(test_many_waiting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
