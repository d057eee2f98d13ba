/* HTTP/2: requests in, answers out, and what holds back whom. */
#include "http2_fixture.h"

#include "runtime/cond.h"

static char large[1 << 20];

static int start(void **state)
{
	struct http_limits limits = { .body_bytes = 400000, .send_ms = 200 };

	(void)state;
	memset(large, 'x', sizeof(large));
	return fixture_start(&limits);
}

/* An answer has come before the request's end: a moment later its stream ends. */
static void expect_reset(uint32_t id)
{
	assert_true(stream(id)->ended);
	assert_int_equal(stream(id)->reset, PEER_NEVER);
	for (int i = 0; stream(id)->reset == PEER_NEVER && i < 5000; i++)
		peer_read(&peer);
	assert_int_equal(stream(id)->reset, NGHTTP2_NO_ERROR);
}

static struct http_text text_of(const char *s)
{
	return (struct http_text){ s, strlen(s) };
}

static struct http_request *take_kept(void)
{
	assert_in_range(rig.kept_count, 1, RIG_KEPT);
	return rig.kept[--rig.kept_count];
}

static int begin(struct http_request *req, int64_t length)
{
	struct http_response resp = { .status = 200 };

	return http_request_begin(req, &resp, length);
}

static void test_plain(void **state)
{
	(void)state;
	peer_ask(&peer, 1, "GET", "/a?b=c", true);
	peer_go(&peer);
	assert_string_equal(rig.last, "GET /a?b=c ");
	assert_int_equal(peer.settings, 1);
	assert_int_equal(stream(1)->status, 200);
	assert_string_equal(stream(1)->text, "ok 1");
	assert_true(stream(1)->ended);
	assert_non_null(strstr(stream(1)->fields, "server: neap\ndate: "));
	assert_non_null(strstr(stream(1)->fields, " GMT\n"));
	assert_non_null(strstr(stream(1)->fields, "content-length: 4\n"));
	peer_ask(&peer, 3, "POST", "/", false);
	peer_data(&peer, 3, "hel", 3, false);
	peer_data(&peer, 3, "lo", 2, true);
	peer_ask(&peer, 5, "HEAD", "/", true);
	peer_go(&peer);
	assert_string_equal(stream(3)->text, "hello");
	assert_int_equal(stream(5)->status, 200);
	assert_int_equal(stream(5)->body, 0);
	assert_non_null(strstr(stream(5)->fields, "content-length: 4\n"));
	assert_true(stream(5)->ended);
	assert_int_equal(rig_stat(&rig).http2, 1);
	assert_int_equal(rig_stat(&rig).http2_resets, 0);
	assert_int_equal(peer.goaway, PEER_NEVER);
}

/* However its bytes come, a session is one. */
static void test_split(void **state)
{
	struct buf bytes = { 0 };

	(void)state;
	peer_ask(&peer, 1, "POST", "/a", false);
	peer_data(&peer, 1, "body", 4, true);
	assert_int_equal(buf_append(&bytes, peer.out.data, peer.out.size), 0);
	peer_close(&peer);
	for (size_t at = 1; at < bytes.size; at++) {
		peer_open(&peer, &rig);
		peer.out.size = 0;
		assert_true(rig_send(&rig, peer.fd, bytes.data, at));
		rig_turn(&rig, 3);
		buf_append(&peer.out, bytes.data + at, bytes.size - at);
		peer_send(&peer);
		for (int i = 0; i < 1000 && !stream(1)->ended; i++)
			peer_read(&peer);
		assert_int_equal(stream(1)->status, 200);
		assert_string_equal(stream(1)->text, "body");
		assert_int_equal(rig.handled, at);
		peer_close(&peer);
	}
	peer_open(&peer, &rig);
	for (size_t at = 0; at < bytes.size; at++) {
		assert_true(rig_send(&rig, peer.fd, bytes.data + at, 1));
		rig_turn(&rig, 2);
	}
	peer.out.size = 0;
	peer_read(&peer);
	assert_string_equal(stream(1)->text, "body");
	buf_destroy(&bytes);
}

/* What is not quite the preface is HTTP/1, and refused as that. */
static void test_no_preface(void **state)
{
	static const char *const rows[] = {
		"PRI * HTTP/2.0\r\n\r\nSX\r\n\r\n",
		"PRI / HTTP/2.0\r\n\r\nSM\r\n\r\n",
		("GET / HTTP/1.1\r\nHost: a\r\n\r\n"
		 "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
	};
	char text[4096];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int fd = rig_connect(&rig);

		rig_puts(&rig, fd, rows[i]);
		shutdown(fd, SHUT_WR);
		text[0] = '\0';
		rig_wait_end(&rig, fd, text, sizeof(text));
		assert_int_equal(rig_count(text, "HTTP/1.1 505") +
					 rig_count(text, "HTTP/1.1 400"),
				 1);
		close(fd);
	}
	assert_int_equal(rig_stat(&rig).http2, 0);
	rig_until_open(&rig, 1);
}

static void test_off(void **state)
{
	char text[4096];
	int fd;

	(void)state;
	peer_close(&peer);
	rig_drain(&rig, 0);
	assert_int_equal(http_server_set_http2(rig.server, false), 0);
	rig_stop(&rig);
	rig_start(&rig, NULL); /* and so it is unless told otherwise */
	fd = rig_connect(&rig);
	rig_puts(&rig, fd, NGHTTP2_CLIENT_MAGIC);
	rig_settle(&rig, fd, text, sizeof(text));
	assert_int_equal(rig_count(text, "HTTP/1.1 505"), 1);
	close(fd);
	peer_open(&peer, &rig);
}

/* Many at once, answered the other way round. */
static void test_order(void **state)
{
	enum { COUNT = RIG_KEPT };
	struct http_response resp = { .status = 200 };

	(void)state;
	rig.keep = true;
	for (uint32_t i = 0; i < COUNT; i++)
		peer_ask(&peer, 2 * i + 1, "GET", "/", true);
	peer_go(&peer);
	assert_int_equal(rig.handled, COUNT);
	assert_int_equal(rig_stat(&rig).waiting, COUNT);
	for (uint32_t i = COUNT; i > 0; i--) {
		struct http_request *req = take_kept();

		resp.body = text_of("here");
		assert_int_equal(http_request_reply(req, &resp), 0);
		peer_read(&peer);
		assert_true(stream(2 * i - 1)->ended);
		assert_string_equal(stream(2 * i - 1)->text, "here");
		assert_true(i == 1 || !stream(2 * i - 3)->ended);
	}
}

static void test_fields(void **state)
{
	struct buf b = { 0 };
	struct http_request *req;
	struct http_field f;

	(void)state;
	rig.keep = true;
	peer_pseudo(&b, "GET", "/");
	peer_field(&b, "host", "A");
	peer_field(&b, "cookie", "a=1");
	peer_field(&b, "x-empty", "");
	peer_field(&b, "cookie", "b=2");
	peer_frame(&peer, NGHTTP2_HEADERS,
		   NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 1,
		   b.data, b.size);
	peer_go(&peer);
	req = take_kept();
	assert_int_equal(http_request_major(req), 2);
	assert_int_equal(http_request_minor(req), 0);
	assert_int_equal(http_request_field_count(req), 4);
	f = http_request_field(req, 0); /* the one host of both */
	assert_int_equal(f.name.size, 4);
	assert_memory_equal(f.name.data, "host", 4);
	assert_memory_equal(f.value.data, "a", 1);
	f = http_request_field(req, 3);
	assert_memory_equal(f.value.data, "b=2", 3);
	assert_int_equal(http_request_body_state(req), HTTP_BODY_WHOLE);
	assert_int_equal(http_request_body(req).size, 0);
	rig_answer(&rig, req);
	/* Fields of a connection are none of an answer. */
	rig.keep = false;
	rig.answer = (struct http_response){
		.status = 204,
		.fields =
			(struct http_field[]){
				{ text_of("Keep-Alive"), text_of("1") },
				{ text_of("X-Mixed"), text_of("Y") } },
		.field_count = 2,
	};
	peer_ask(&peer, 3, "GET", "/", true);
	peer_go(&peer);
	assert_int_equal(stream(3)->status, 204);
	assert_null(strstr(stream(3)->fields, "keep-alive"));
	assert_null(strstr(stream(3)->fields, "content-length"));
	assert_non_null(strstr(stream(3)->fields, "x-mixed: Y\n"));
	rig.answer.status = 0;
	buf_destroy(&b);
}

/* What HTTP/1 refuses, or nghttp2: status, or reset. */
static void test_refused(void **state)
{
	static const struct {
		const char *method, *path, *name, *value;
		int status; /* 0: PROTOCOL_ERROR */
	} rows[] = {
		{ "BREW", "/", NULL, NULL, 501 },
		{ "PRI", "/", NULL, NULL, 501 },
		{ "GET", "/%zz", NULL, NULL, 400 },
		{ "GET", "/%00", NULL, NULL, 400 },
		{ "GET", "/a#b", NULL, NULL, 400 },
		{ "GET", "/\xc3\xa4", NULL, NULL, 400 },
		{ "GET", "*", NULL, NULL, 0 },
		{ "OPTIONS", "*", NULL, NULL, 200 },
		{ "GET", "http://a/", NULL, NULL, 0 },
		{ "GET", "", NULL, NULL, 0 },
		{ "GET", "/", "host", "b", 400 },
		{ "GET", "/", "expect", "more", 417 },
		{ "POST", "/", "content-length", "400001", 413 },
		{ "POST", "/", "content-length", "18446744073709551616", 0 },
		{ "POST", "/", "content-length", "-1", 0 },
		{ "GET", "/", "connection", "close", 0 },
		{ "GET", "/", "transfer-encoding", "chunked", 0 },
		{ "GET", "/", "upgrade", "h2c", 0 },
		{ "GET", "/", "te", "gzip", 0 },
		{ "GET", "/", "te", "trailers", 200 },
		{ "GET", "/", "Upper", "case", 0 },
		{ "GET", "/", "x y", "space", 0 },
		{ "GET", "/", "", "no name", 0 },
		{ "GET", "/", "x", "a\rb", 0 },
		{ "GET", "/", "x", "a\nb", 0 },
		{ "GET", "/", ":path", "/b", 0 },
		{ "GET", "/", ":unknown", "b", 0 },
		{ "GET", "/", ":status", "200", 0 },
	};
	unsigned good = 0;
	uint32_t id = 1;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++, id += 2) {
		struct buf b = { 0 };

		peer_pseudo(&b, rows[i].method, rows[i].path);
		if (rows[i].name != NULL)
			peer_field(&b, rows[i].name, rows[i].value);
		peer_frame(&peer, NGHTTP2_HEADERS,
			   NGHTTP2_FLAG_END_HEADERS |
				   (rows[i].status == 413
					    ? 0
					    : NGHTTP2_FLAG_END_STREAM),
			   id, b.data, b.size);
		peer_go(&peer);
		buf_destroy(&b);
		if (stream(id)->status != rows[i].status ||
		    (rows[i].status == 0 &&
		     stream(id)->reset != NGHTTP2_PROTOCOL_ERROR))
			fail_msg("%s %s %s: %d, %ld", rows[i].method,
				 rows[i].path,
				 rows[i].name ? rows[i].name : "-",
				 stream(id)->status, stream(id)->reset);
		good += rows[i].status == 200;
		assert_int_equal(rig.handled, good);
		assert_int_equal(peer.goaway, PEER_NEVER);
	}
	/* No method, no path: a malformed request. */
	peer_frame(&peer, NGHTTP2_HEADERS,
		   NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, id,
		   "\x82", 1);
	peer_ask(&peer, id + 2, "GET", "/", true);
	peer_go(&peer);
	assert_int_equal(stream(id)->reset, NGHTTP2_PROTOCOL_ERROR);
	assert_int_equal(stream(id + 2)->status, 200);
}

/* Answers wait for windows, each stream for its own. */
static void test_windows(void **state)
{
	(void)state;
	rig.answer.status = 200;
	rig.answer.body = (struct http_text){ large, 100000 };
	peer_ask(&peer, 1, "GET", "/", true);
	peer_go(&peer);
	assert_int_equal(stream(1)->body, 65535);
	peer_ask(&peer, 3, "GET", "/", true);
	peer_go(&peer);
	assert_int_equal(stream(3)->status, 200);
	assert_int_equal(stream(3)->body, 0); /* the connection's is used up */
	peer_credit(&peer, 0, 1000);
	peer_go(&peer);
	assert_int_equal(stream(1)->body + stream(3)->body, 66535);
	peer_credit(&peer, 0, 1000000);
	peer_go(&peer);
	assert_int_equal(stream(1)->body, 65535);
	assert_int_equal(stream(3)->body, 65535);
	peer_credit(&peer, 3, 50000);
	peer_credit(&peer, 1, 50000);
	peer_go(&peer);
	assert_int_equal(stream(1)->body, 100000);
	assert_int_equal(stream(3)->body, 100000);
	assert_true(stream(1)->ended && stream(3)->ended);
	assert_int_equal(stream(1)->reset, PEER_NEVER);
	rig.answer.status = 0;
}

/* A peer that does not read holds back who writes, in pieces of any size. */
static void back_pressure(size_t size)
{
	struct http_request *req;
	size_t taken = 0;
	ssize_t n;

	peer_ask(&peer, 1, "GET", "/", true);
	peer_go(&peer);
	req = take_kept();
	assert_int_equal(begin(req, HTTP_LENGTH_UNKNOWN), 0);
	do {
		n = http_request_write(req, (struct http_text){ large, size });
		taken += n > 0 ? (size_t)n : 0;
	} while (n > 0);
	assert_int_equal(n, UV_EAGAIN);
	assert_true(http_request_is_full(req));
	assert_false(http_request_is_sent(req));
	peer_read(&peer);
	assert_int_equal(stream(1)->body, 65535);
	assert_in_range(taken, 131070, 65535 + 131072);
	/* All of it, and then there is room. */
	peer_credit(&peer, 0, (uint32_t)taken);
	peer_credit(&peer, 1, (uint32_t)taken);
	peer_go(&peer);
	assert_int_equal(stream(1)->body, taken);
	assert_false(http_request_is_full(req));
	assert_true(http_request_is_sent(req));
	assert_false(stream(1)->ended);
	assert_int_equal(http_request_end(req, NULL, 0), 0);
	peer_read(&peer);
	assert_true(stream(1)->ended);
}

static void test_back_pressure(void **state)
{
	static const size_t sizes[] = { 1, 1000, 200000 };

	(void)state;
	rig.keep = true;
	for (size_t i = 0; i < 3; i++) {
		back_pressure(sizes[i]);
		peer_close(&peer);
		peer_open(&peer, &rig);
	}
}

static void test_pieces(void **state)
{
	static const struct http_field trailer = { { "A", 1 }, { "b", 1 } };
	static const struct http_field bad = { { "a", 1 }, { "\n", 1 } };
	struct http_request *req;

	(void)state;
	rig.keep = true;
	peer_ask(&peer, 1, "GET", "/", true);
	peer_go(&peer);
	req = take_kept();
	assert_int_equal(begin(req, HTTP_LENGTH_UNKNOWN), 0);
	assert_int_equal(begin(req, HTTP_LENGTH_UNKNOWN), UV_EALREADY);
	assert_int_equal(http_request_write(req, text_of("one")), 3);
	peer_read(&peer);
	assert_string_equal(stream(1)->text, "one");
	assert_int_equal(http_request_write(req, text_of("two")), 3);
	assert_int_equal(http_request_end(req, &bad, 1), UV_EINVAL);
	assert_int_equal(http_request_end(req, &trailer, 1), 0);
	peer_read(&peer);
	assert_string_equal(stream(1)->text, "onetwo");
	assert_non_null(strstr(stream(1)->fields, "a: b\n"));
	assert_true(stream(1)->ended);
	/* A length is kept, or the stream is cut. */
	peer_ask(&peer, 3, "GET", "/", true);
	peer_go(&peer);
	req = take_kept();
	assert_int_equal(begin(req, 3), 0);
	assert_int_equal(http_request_write(req, text_of("ab")), 2);
	assert_int_equal(http_request_write(req, text_of("cd")), UV_EMSGSIZE);
	assert_int_equal(http_request_end(req, NULL, 0), UV_EMSGSIZE);
	http_request_abort(req);
	peer_read(&peer);
	assert_string_equal(stream(3)->text, "ab");
	assert_non_null(strstr(stream(3)->fields, "content-length: 3\n"));
	assert_false(stream(3)->ended);
	assert_int_equal(stream(3)->reset, NGHTTP2_INTERNAL_ERROR);
	/* To HEAD no byte; its request lives until the end. */
	peer_ask(&peer, 5, "HEAD", "/", true);
	peer_go(&peer);
	req = take_kept();
	assert_int_equal(begin(req, 10), 0);
	peer_read(&peer);
	assert_true(stream(5)->ended);
	assert_int_equal(http_request_write(req, text_of("0123456789")), 10);
	assert_false(http_request_is_gone(req));
	assert_int_equal(http_request_end(req, NULL, 0), 0);
	/* Nothing at all is an answer, and a cut without one is a cut. */
	peer_ask(&peer, 7, "GET", "/", true);
	peer_ask(&peer, 9, "GET", "/", true);
	peer_go(&peer);
	http_request_abort(take_kept());
	req = take_kept();
	assert_int_equal(begin(req, HTTP_LENGTH_UNKNOWN), 0);
	assert_int_equal(http_request_end(req, NULL, 0), 0);
	peer_read(&peer);
	assert_true(stream(7)->ended);
	assert_int_equal(stream(7)->body, 0);
	assert_int_equal(stream(9)->status, 0);
	assert_int_equal(stream(9)->reset, NGHTTP2_INTERNAL_ERROR);
	assert_int_equal(rig_stat(&rig).http2_resets, 0);
	assert_int_equal(rig_stat(&rig).gone, 0);
}

/* What a handler does not read holds back its peer, and nobody else. */
static void test_body_in_pieces(void **state)
{
	struct http_request *req;
	struct buf b = { 0 };
	struct http_field f;
	size_t sent = 0, read = 0;

	(void)state;
	rig.keep = true;
	http_server_set_streaming(rig.server, true);
	peer_ask(&peer, 1, "POST", "/", false);
	peer_go(&peer);
	req = take_kept();
	assert_int_equal(http_request_body_state(req), HTTP_BODY_COMING);
	assert_null(http_request_body(req).data);
	/* As much as its windows let it. */
	for (size_t n; (n = 65535 + stream(1)->window - sent) > 0; sent += n) {
		n = n < 16000 ? n : 16000;
		peer_data(&peer, 1, large, n, false);
		peer_go(&peer);
	}
	assert_int_equal(http_request_unread(req).size, sent);
	assert_in_range(sent, 65536, 131070);
	peer_ask(&peer, 3, "GET", "/", true);
	peer_go(&peer);
	rig_answer(&rig, take_kept());
	peer_read(&peer);
	assert_true(stream(3)->ended);
	/* Taken, and more may come. */
	while (http_request_unread(req).size > 0) {
		size_t left = http_request_unread(req).size;

		http_request_consume(req, left < 5 ? left : 5);
		read += left < 5 ? left : 5;
	}
	peer_read(&peer);
	assert_int_equal(read, sent);
	assert_in_range(65535 + stream(1)->window - sent, 32768, 65535);
	/* Who waits for much gets it. */
	http_request_want(req, 300000);
	for (size_t n; sent < 350000; sent += n) {
		n = 65535 + stream(1)->window - sent;
		assert_in_range(n, 1, 65535);
		n = n < 16000 ? n : 16000;
		peer_data(&peer, 1, large, n, false);
		peer_go(&peer);
	}
	http_request_consume(req, http_request_unread(req).size);
	peer_data(&peer, 1, "last", 4, false);
	peer_field(&b, "x", "y");
	peer_frame(&peer, NGHTTP2_HEADERS,
		   NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 1,
		   b.data, b.size);
	peer_go(&peer);
	assert_int_equal(http_request_body_state(req), HTTP_BODY_WHOLE);
	assert_int_equal(http_request_unread(req).size, 4);
	assert_int_equal(http_request_trailer_count(req), 1);
	f = http_request_trailer(req, 0);
	assert_memory_equal(f.name.data, "x", 1);
	assert_memory_equal(f.value.data, "y", 1);
	rig_answer(&rig, req);
	buf_destroy(&b);
}

/* Bodies that must be whole share what there is; none is shut out for good. */
static void test_whole_bodies(void **state)
{
	enum { COUNT = 100, SIZE = 100000 };
	size_t sent[COUNT] = { 0 }, credit = 65535;
	unsigned rounds = 0;

	(void)state;
	rig.answer.status = 204;
	for (uint32_t i = 0; i < COUNT; i++)
		peer_ask(&peer, 2 * i + 1, "POST", "/", false);
	peer_go(&peer);
	while (rig.handled < COUNT) {
		assert_in_range(++rounds, 0, 100000);
		for (uint32_t i = 0; i < COUNT; i++) {
			size_t may = 65535 + stream(2 * i + 1)->window,
			       all = credit + peer.window, n = 10000;

			may = may < SIZE ? may : SIZE;
			if (sent[i] == SIZE || all < n)
				continue;
			n = may - sent[i] < n ? may - sent[i] : n;
			if (n == 0)
				continue;
			sent[i] += n;
			credit -= n;
			peer_data(&peer, 2 * i + 1, large, n, sent[i] == SIZE);
		}
		peer_go(&peer);
	}
	for (uint32_t i = 0; i < COUNT; i++)
		assert_int_equal(stream(2 * i + 1)->status, 204);
	rig.answer.status = 0;
}

static void test_too_large(void **state)
{
	struct http_request *req;

	(void)state;
	peer_ask(&peer, 1, "POST", "/", false);
	peer_go(&peer);
	for (int i = 0; i < 41; i++) {
		peer_data(&peer, 1, large, 10000, false);
		peer_go(&peer);
	}
	assert_int_equal(rig.handled, 0);
	assert_int_equal(stream(1)->status, 413);
	expect_reset(1);
	/* In pieces: the handler finds out, and the peer is told for it. */
	rig.keep = true;
	http_server_set_streaming(rig.server, true);
	peer_ask(&peer, 3, "POST", "/", false);
	peer_go(&peer);
	req = take_kept();
	for (int i = 0; i < 41; i++) {
		peer_data(&peer, 3, large, 10000, false);
		peer_go(&peer);
		http_request_consume(req, http_request_unread(req).size);
	}
	assert_int_equal(stream(3)->status, 413);
	assert_int_equal(http_request_body_state(req), HTTP_BODY_BROKEN);
	assert_string_equal(http_request_broken(req), "the body is too large");
	assert_int_equal(rig_answer(&rig, req), UV_ECONNRESET);
	assert_int_equal(peer.goaway, PEER_NEVER);
	/* The window of the connection is whole again. */
	assert_in_range(peer.window, (1 << 20) - 65535 + 400000, 2 << 20);
}

static void test_continue(void **state)
{
	struct http_request *req;
	struct buf b = { 0 };

	(void)state;
	peer_pseudo(&b, "POST", "/");
	peer_field(&b, "expect", "100-continue");
	peer_frame(&peer, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, b.data,
		   b.size);
	peer_go(&peer);
	assert_int_equal(stream(1)->continues, 1);
	peer_data(&peer, 1, "x", 1, true);
	peer_go(&peer);
	assert_int_equal(stream(1)->status, 200);
	/* In pieces: when the handler wants it. */
	rig.keep = true;
	http_server_set_streaming(rig.server, true);
	peer_frame(&peer, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 3, b.data,
		   b.size);
	peer_go(&peer);
	req = take_kept();
	assert_int_equal(stream(3)->continues, 0);
	http_request_want(req, 10);
	http_request_want(req, 10);
	peer_read(&peer);
	assert_int_equal(stream(3)->continues, 1);
	/* It may be answered before; then it is not asked for. */
	rig_answer(&rig, req);
	peer_frame(&peer, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 5, b.data,
		   b.size);
	peer_go(&peer);
	rig_answer(&rig, take_kept());
	peer_read(&peer);
	assert_int_equal(stream(5)->continues, 0);
	expect_reset(5);
	assert_int_equal(rig_stat(&rig).http2_resets, 0);
	buf_destroy(&b);
}

/* Who takes a request back is a peer that has gone. */
static void test_taken_back(void **state)
{
	struct http_request *req, *other;

	(void)state;
	rig.keep = true;
	http_server_set_streaming(rig.server, true);
	peer_ask(&peer, 1, "GET", "/", true);
	peer_ask(&peer, 3, "POST", "/", false);
	peer_go(&peer);
	other = take_kept();
	req = take_kept();
	assert_int_equal(begin(req, HTTP_LENGTH_UNKNOWN), 0);
	while (http_request_write(req, (struct http_text){ large, 10000 }) > 0)
		;
	assert_false(http_request_is_gone(req));
	peer_reset(&peer, 1);
	peer_reset(&peer, 3);
	peer_go(&peer);
	assert_true(http_request_is_gone(req));
	assert_false(http_request_is_full(req));
	assert_int_equal(http_request_write(req, text_of("x")), UV_ECONNRESET);
	assert_int_equal(http_request_end(req, NULL, 0), UV_ECONNRESET);
	assert_int_equal(http_request_body_state(other), HTTP_BODY_BROKEN);
	assert_int_equal(rig_answer(&rig, other), UV_ECONNRESET);
	assert_int_equal(rig_stat(&rig).gone, 2);
	assert_int_equal(rig_stat(&rig).http2_resets, 2);
	/* One that was not handed over yet is nobody's. */
	rig.handled = 0;
	peer_ask(&peer, 5, "GET", "/", true);
	peer_reset(&peer, 5);
	peer_ask(&peer, 7, "GET", "/", true);
	peer_go(&peer);
	assert_int_equal(rig.handled, 1);
	rig_answer(&rig, take_kept());
	/* And all at once, when the connection goes. */
	peer_ask(&peer, 9, "GET", "/", true);
	peer_ask(&peer, 11, "POST", "/", false);
	peer_go(&peer);
	shutdown(peer.fd, SHUT_RDWR);
	rig_until_open(&rig, 0);
	assert_int_equal(rig_stat(&rig).gone, 4);
	for (int i = 0; i < 2; i++) {
		req = take_kept();
		assert_true(http_request_is_gone(req));
		assert_int_equal(http_request_major(req), 2);
		assert_int_equal(rig_answer(&rig, req), UV_ECONNRESET);
	}
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, start, stop)
	const struct CMUnitTest tests[] = {
		T(test_plain),          T(test_split),
		T(test_no_preface),     T(test_off),
		T(test_order),          T(test_fields),
		T(test_refused),        T(test_windows),
		T(test_back_pressure),  T(test_pieces),
		T(test_body_in_pieces), T(test_whole_bodies),
		T(test_too_large),      T(test_continue),
		T(test_taken_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
