/* What is told of requests that are over: each once, with what has really left. */
#include "http2_peer.h"

#include "net/http_access.h"
#include "net/http_websocket.h"

enum { LINES = 64 };

static struct rig rig;
static struct peer peer;
static char text[1 << 20];

/** What was told: "METHOD target protocol status sent received" and a "!" when it
 * was not complete. */
static char lines[LINES][300];
static unsigned count;
static struct http_access last;

static void on_access(const struct http_access *a, void *arg)
{
	assert_ptr_equal(arg, &rig);
	assert_in_range(count, 0, LINES - 1);
	assert_true(a->head_ns <= a->duration_ns);
	assert_int_equal(a->remote.size, 9);
	assert_memory_equal(a->remote.data, "127.0.0.1", 9);
	assert_true(a->port > 0);
	snprintf(lines[count++], sizeof(lines[0]), "%.*s %.*s %.*s %u %u %u%s",
		 (int)a->method.size, a->method.data, (int)a->target.size,
		 a->target.data, (int)a->protocol.size, a->protocol.data,
		 a->status, (unsigned)a->sent, (unsigned)a->received,
		 a->complete ? "" : "!");
	last = *a;
}

static int start(void **state)
{
	struct http_limits limits = { .send_ms = 200,
				      .header_ms = 200,
				      .body_ms = 200,
				      .uri_bytes = 100,
				      .header_bytes = 500,
				      .body_bytes = 1 << 20 };

	(void)state;
	rig_start(&rig, &limits);
	http_server_set_access(rig.server, on_access);
	assert_int_equal(http_server_set_http2(rig.server, true), 0);
	count = 0;
	return 0;
}

static int stop(void **state)
{
	(void)state;
	rig_stop(&rig);
	return 0;
}

static bool was_told(const char *line)
{
	for (unsigned i = 0; i < count; i++) {
		if (strcmp(lines[i], line) == 0)
			return true;
	}
	for (unsigned i = 0; i < count; i++)
		print_message("told: %s\n", lines[i]);
	return false;
}

static void check(unsigned i, const char *line)
{
	assert_in_range(i, 0, count - 1);
	assert_string_equal(lines[i], line);
}

/* The body that came, in bytes. */
static unsigned body_size(void)
{
	const char *end = strstr(text, "\r\n\r\n");

	return end != NULL ? strlen(end + 4) : 0;
}

/* The server's own answer to @a start is told, with what has come of it. */
static void check_refusal(const char *start, int status, unsigned received)
{
	char line[300];

	snprintf(line, sizeof(line), "%s %d %u %u", start, status, body_size(),
		 received);
	assert_int_equal(count, 1);
	check(0, line);
	assert_true(last.sent > 0);
	assert_int_equal(atoi(text + strlen("HTTP/1.1 ")), status);
}

/* Send, look, and be gone; @a line is all that is told. */
static void row(const char *bytes, const char *line)
{
	int fd = rig_connect(&rig);

	count = 0;
	rig_puts(&rig, fd, bytes);
	rig_settle(&rig, fd, text, sizeof(text));
	close(fd);
	rig_until_open(&rig, 0);
	assert_int_equal(count, line != NULL);
	if (line != NULL)
		check(0, line);
}

static void refusal(const char *bytes, const char *start, int status)
{
	int fd = rig_connect(&rig);

	count = 0;
	rig_puts(&rig, fd, bytes);
	rig_settle(&rig, fd, text, sizeof(text));
	close(fd);
	rig_until_open(&rig, 0);
	check_refusal(start, status, 0);
}

#define HOST "Host: a\r\n"

static void test_answered(void **state)
{
	(void)state;
	row("GET /a?b HTTP/1.1\r\n" HOST "\r\n", "GET /a?b HTTP/1.1 200 4 0");
	row("GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.0 200 4 0");
	row("HEAD / HTTP/1.1\r\n" HOST "\r\n", "HEAD / HTTP/1.1 200 0 0");
	row("POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello",
	    "POST / HTTP/1.1 200 5 5");
	row("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
	    "3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
	    "POST / HTTP/1.1 200 5 5");
	rig.answer = (struct http_response){ .status = 204 };
	row("GET / HTTP/1.1\r\n" HOST "\r\n", "GET / HTTP/1.1 204 0 0");
}

static void test_fields(void **state)
{
	(void)state;
	row("GET / HTTP/1.1\r\n" HOST
	    "REFERER: http://b/\r\nuser-agent: me \x80\r\n\r\n",
	    "GET / HTTP/1.1 200 4 0");
	assert_int_equal(last.referer.size, 9);
	assert_int_equal(last.agent.size, 4);
	assert_true(last.began_ns > 1500000000ull * 1000000000);
	assert_true(last.head_ns > 0);
}

/* Several in one batch, and each is told. */
static void test_pipelined(void **state)
{
	int fd = rig_connect(&rig);

	(void)state;
	rig_puts(&rig, fd,
		 "GET /1 HTTP/1.1\r\n" HOST "\r\n"
		 "GET /2 HTTP/1.1\r\n" HOST "\r\n"
		 "BAD\r\n\r\n");
	rig_settle(&rig, fd, text, sizeof(text));
	close(fd);
	rig_until_open(&rig, 0);
	assert_int_equal(count, 3);
	check(0, "GET /1 HTTP/1.1 200 4 0");
	check(1, "GET /2 HTTP/1.1 200 4 0");
	assert_non_null(strstr(lines[2], " BAD  "));
}

#define ZEROS "00000000000000000000000000000000000000000000000000"

static void test_refused(void **state)
{
	char bytes[700];

	(void)state;
	refusal("GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1", 400);
	refusal("\x16\x03\x01 x\r\n\r\n", " \x16\x03\x01 x ", 501);
	refusal("\r\nBREW /pot HTTP/1.1\r\n" HOST "\r\n", "BREW /pot HTTP/1.1",
		501);
	refusal("GET / HTTP/3.1\r\n" HOST "\r\n", "GET / HTTP/3.1", 505);
	refusal("POST /p HTTP/1.1\r\n" HOST "Content-Length: 2000000\r\n\r\n",
		"POST /p HTTP/1.1", 413);
	snprintf(bytes, sizeof(bytes), "GET /%0100d HTTP/1.1\r\n" HOST "\r\n",
		 0);
	refusal(bytes, "GET /" ZEROS ZEROS " HTTP/1.1", 414);
	snprintf(bytes, sizeof(bytes),
		 "GET /h HTTP/1.1\r\n" HOST "A: %0500d\r\n\r\n", 0);
	refusal(bytes, "GET /h HTTP/1.1", 431);
	/* No request: nothing is told. */
	row("", NULL);
	row("GET / HT", NULL);
}

static void test_late(void **state)
{
	int fd = rig_connect(&rig);

	(void)state;
	rig_puts(&rig, fd, "GET /slow HTTP/1.1\r\nHos");
	text[0] = '\0';
	rig_wait_end(&rig, fd, text, sizeof(text));
	close(fd);
	rig_until_open(&rig, 0);
	check_refusal("GET /slow HTTP/1.1", 408, 0);
	count = 0;
	fd = rig_connect(&rig);
	rig_puts(&rig, fd,
		 "PUT /slow HTTP/1.1\r\n" HOST "Content-Length: 9\r\n\r\nabc");
	text[0] = '\0';
	rig_wait_end(&rig, fd, text, sizeof(text));
	close(fd);
	rig_until_open(&rig, 0);
	check_refusal("PUT /slow HTTP/1.1", 408, 3);
}

static void test_full(void **state)
{
	struct http_limits limits = { .connections = 1 };
	int fd, other;

	(void)state;
	rig_stop(&rig);
	rig_start(&rig, &limits);
	http_server_set_access(rig.server, on_access);
	fd = rig_connect(&rig);
	rig_until_open(&rig, 1);
	other = rig_connect(&rig);
	rig_settle(&rig, other, text, sizeof(text));
	assert_non_null(strstr(text, "503"));
	close(other);
	close(fd);
	rig_until_open(&rig, 0);
	check_refusal("  ", 503, 0);
}

static void reset(int fd)
{
	const struct linger none = { .l_onoff = 1 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
	close(fd);
}

/* The peer has gone: without an answer, with a part of one, with all of it. */
static void test_gone(void **state)
{
	struct http_response resp = { .status = 200 };
	struct http_request *req;
	size_t written = 0, taken = 0;
	unsigned sent;
	ssize_t n;
	int fd;

	(void)state;
	row("PUT /part HTTP/1.1\r\n" HOST "Content-Length: 9\r\n\r\nabc",
	    "PUT /part HTTP/1.1 499 0 3!");
	count = 0;
	rig.keep = true;
	fd = rig_connect(&rig);
	rig_puts(&rig, fd, "GET /none HTTP/1.1\r\n" HOST "\r\n");
	rig_until_handled(&rig, 1);
	reset(fd);
	rig_until_open(&rig, 0);
	assert_int_equal(count, 1);
	check(0, "GET /none HTTP/1.1 499 0 0!");
	req = rig.kept[--rig.kept_count];
	http_request_set_label(req, 7);
	assert_int_equal(http_request_reply(req, &resp), UV_ECONNRESET);
	assert_int_equal(count, 1);

	fd = rig_connect_sized(&rig, 4096);
	rig_puts(&rig, fd, "GET /big HTTP/1.1\r\n" HOST "\r\n");
	rig_until_handled(&rig, 2);
	req = rig.kept[--rig.kept_count];
	http_request_set_label(req, 7);
	assert_int_equal(http_request_begin(req, &resp, 1 << 26), 0);
	while ((n = http_request_write(req,
				       (struct http_text){ text, 65536 })) > 0)
		written += n;
	assert_int_equal(n, UV_EAGAIN);
	while (taken < 1000) {
		n = recv(fd, text, 1000, 0);
		taken += n > 0 ? n : 0;
		rig_turn(&rig, 1);
	}
	reset(fd);
	rig_until_open(&rig, 0);
	assert_int_equal(count, 2);
	assert_int_equal(last.status, 200);
	assert_int_equal(last.label, 7);
	assert_false(last.complete);
	sent = last.sent;
	/* At least what was read, and not what was never taken from us. */
	assert_in_range(sent, taken, written - 1);
	http_request_abort(req);
	assert_int_equal(count, 2);
}

/* An answer that waits for its reader is told when it has left. */
static void test_slow(void **state)
{
	static char body[1 << 24];
	size_t taken = 0;
	ssize_t n;
	int fd;

	(void)state;
	rig_stop(&rig); /* it may take longer than the others have */
	rig_start(&rig, NULL);
	http_server_set_access(rig.server, on_access);
	fd = rig_connect_sized(&rig, 4096);
	rig.answer = (struct http_response){ .status = 200,
					     .body = { body, sizeof(body) } };
	memset(body, 'x', sizeof(body));
	rig_puts(&rig, fd, "GET / HTTP/1.1\r\n" HOST "\r\n");
	rig_until_handled(&rig, 1);
	rig_turn(&rig, 10);
	assert_int_equal(count, 0);
	while (taken < sizeof(body)) {
		n = recv(fd, text, sizeof(text), 0);
		assert_true(n > 0 || (n < 0 && errno == EAGAIN));
		taken += n > 0 ? n : 0;
		rig_turn(&rig, 1);
	}
	rig_quiet(&rig);
	assert_int_equal(count, 1);
	check(0, "GET / HTTP/1.1 200 16777216 0");
	close(fd);
}

static void test_pieces(void **state)
{
	struct http_response resp = { .status = 201 };
	struct http_request *req;
	int fd = rig_connect(&rig);

	(void)state;
	rig.keep = true;
	rig_puts(&rig, fd, "GET /p HTTP/1.1\r\n" HOST "\r\n");
	rig_until_handled(&rig, 1);
	req = rig.kept[--rig.kept_count];
	assert_int_equal(http_request_begin(req, &resp, HTTP_LENGTH_UNKNOWN),
			 0);
	assert_int_equal(
		http_request_write(req, (struct http_text){ "abc", 3 }), 3);
	assert_int_equal(count, 0);
	assert_int_equal(http_request_end(req, NULL, 0), 0);
	assert_int_equal(count, 1);
	check(0, "GET /p HTTP/1.1 201 3 0");
	rig_puts(&rig, fd, "GET /cut HTTP/1.1\r\n" HOST "\r\n");
	rig_until_handled(&rig, 2);
	req = rig.kept[--rig.kept_count];
	assert_int_equal(http_request_begin(req, &resp, HTTP_LENGTH_UNKNOWN),
			 0);
	assert_int_equal(
		http_request_write(req, (struct http_text){ "abc", 3 }), 3);
	http_request_abort(req);
	assert_int_equal(count, 2);
	check(1, "GET /cut HTTP/1.1 201 3 0!");
	close(fd);
}

static void test_websocket(void **state)
{
	static const struct http_websocket_options options = {
		.message_bytes = 1000,
	};
	struct http_request *req;
	int fd = rig_connect(&rig);

	(void)state;
	rig.keep = true;
	rig_puts(&rig, fd,
		 "GET /ws HTTP/1.1\r\n" HOST
		 "Upgrade: websocket\r\nConnection: Upgrade\r\n"
		 "Sec-WebSocket-Version: 13\r\n"
		 "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n");
	rig_until_handled(&rig, 1);
	req = rig.kept[--rig.kept_count];
	assert_int_equal(http_websocket_accept(req, NULL, 0, &options), 0);
	assert_int_equal(http_websocket_write(req, WEBSOCKET_TEXT,
					      (struct http_text){ "hi", 2 }),
			 2);
	rig_send(&rig, fd, "\x81\x83\0\0\0\0abc", 9);
	rig_quiet(&rig);
	assert_int_equal(count, 0);
	assert_int_equal(http_request_end(req, NULL, 0), 0);
	assert_int_equal(count, 1);
	/* A text of two bytes and a Close with its code. */
	check(0, "GET /ws HTTP/1.1 101 8 9");
	close(fd);
}

static void test_http2(void **state)
{
	struct http_response resp = { .status = 200 };
	struct http_request *req;

	char refused[100];

	(void)state;
	peer_open(&peer, &rig);
	peer_ask(&peer, 1, "GET", "/a", true);
	peer_ask(&peer, 3, "POST", "/b", false);
	peer_data(&peer, 3, "hello", 5, true);
	peer_ask(&peer, 5, "HEAD", "/c", true);
	peer_ask(&peer, 7, "BREW", "/d", true);
	peer_go(&peer);
	assert_int_equal(count, 4);
	/* Behind a method that nobody knows no more is looked at. */
	snprintf(refused, sizeof(refused), "  HTTP/2.0 501 %zu 0",
		 peer_at(&peer, 7)->body);
	assert_true(was_told(refused));
	assert_true(was_told("GET /a HTTP/2.0 200 4 0"));
	assert_true(was_told("POST /b HTTP/2.0 200 5 5"));
	assert_true(was_told("HEAD /c HTTP/2.0 200 0 0"));
	/* Taken back: before an answer, and in the middle of one. */
	rig.keep = true;
	peer_ask(&peer, 9, "GET", "/e", true);
	peer_ask(&peer, 11, "GET", "/f", true);
	peer_go(&peer);
	assert_int_equal(rig.kept_count, 2);
	req = rig.kept[1];
	assert_int_equal(http_request_begin(req, &resp, HTTP_LENGTH_UNKNOWN),
			 0);
	assert_int_equal(
		http_request_write(req, (struct http_text){ "abc", 3 }), 3);
	peer_go(&peer);
	peer_reset(&peer, 9);
	peer_reset(&peer, 11);
	peer_go(&peer);
	assert_int_equal(count, 6);
	check(4, "GET /e HTTP/2.0 499 0 0!");
	check(5, "GET /f HTTP/2.0 200 3 0!");
	assert_int_equal(http_request_end(req, NULL, 0), UV_ECONNRESET);
	assert_int_equal(http_request_reply(rig.kept[0], &resp), UV_ECONNRESET);
	rig.kept_count = 0;
	/* And the connection ends. */
	peer_ask(&peer, 13, "GET", "/g", true);
	peer_go(&peer);
	req = rig.kept[--rig.kept_count];
	close(peer.fd);
	rig_until_open(&rig, 0);
	assert_int_equal(count, 7);
	check(6, "GET /g HTTP/2.0 499 0 0!");
	http_request_abort(req);
	assert_int_equal(count, 7);
	peer.fd = open("/dev/null", O_RDONLY);
	peer_close(&peer);
}

/* Answered whole, but the peer's window has held it back. */
static void test_http2_slow(void **state)
{
	static char body[100000];

	(void)state;
	rig.answer = (struct http_response){ .status = 200,
					     .body = { body, sizeof(body) } };
	peer_open(&peer, &rig);
	peer_ask(&peer, 1, "GET", "/a", true);
	peer_go(&peer);
	assert_int_equal(count, 0);
	peer_credit(&peer, 0, 100000);
	peer_credit(&peer, 1, 100000);
	peer_go(&peer);
	assert_int_equal(count, 1);
	check(0, "GET /a HTTP/2.0 200 100000 0");
	peer_ask(&peer, 3, "GET", "/b", true);
	peer_go(&peer);
	assert_int_equal(count, 1);
	peer_close(&peer);
	assert_int_equal(count, 2);
	check(1, "GET /b HTTP/2.0 200 65535 0!");
}

/* Who sends much is cut short. */
static void test_long(void **state)
{
	struct http_access a = { .target = { text, 100000 },
				 .agent = { text, 5000 } };
	struct http_access copy;
	struct buf b = { 0 };

	(void)state;
	memset(text, 'x', 100000);
	assert_int_equal(http_access_put(&b, &a), 0);
	assert_int_equal(http_access_put(&b, &a), 0);
	assert_int_equal(http_access_get(&b, b.size / 2, &copy), b.size);
	assert_int_equal(copy.target.size, HTTP_ACCESS_TARGET_MAX);
	assert_memory_equal(copy.target.data + copy.target.size - 4, "x...", 4);
	assert_int_equal(copy.agent.size, HTTP_ACCESS_TEXT_MAX);
	assert_int_equal(copy.referer.size, 0);
	buf_destroy(&b);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_answered),
		TEST(test_fields),
		TEST(test_pipelined),
		TEST(test_refused),
		TEST(test_late),
		TEST(test_full),
		TEST(test_gone),
		TEST(test_slow),
		TEST(test_pieces),
		TEST(test_websocket),
		TEST(test_http2),
		TEST(test_http2_slow),
		cmocka_unit_test(test_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
