/*
 * HTTP/2: peers that cost more than they bring, and those that do nothing. Each
 * loses what it is entitled to, and no other connection notices.
 */
#include "http2_fixture.h"

static char large[1 << 20];

enum { LIMIT_MS = 100 };

static int start(void **state)
{
	struct http_limits limits = {
		.header_bytes = 4096,
		.header_ms = LIMIT_MS,
		.body_ms = LIMIT_MS,
		.send_ms = LIMIT_MS,
		.idle_ms = 60000, /* a flood may take a while */
	};

	(void)state;
	memset(large, 'x', sizeof(large));
	return fixture_start(&limits);
}

/* The connection has been ended, and it was said why. */
static void expect_end(long code)
{
	peer_wait_end(&peer);
	assert_int_equal(peer.goaway, code);
}

static void expect_flood(void)
{
	expect_end(NGHTTP2_ENHANCE_YOUR_CALM);
	assert_int_equal(rig_stat(&rig).http2_floods, 1);
}

/* Requests that are taken back at once, and those whose handlers have begun. */
static void test_rapid_reset(void **state)
{
	(void)state;
	for (uint32_t id = 1; id < 3000; id += 2) {
		peer_ask(&peer, id, "GET", "/", true);
		peer_reset(&peer, id);
	}
	peer_send(&peer);
	expect_flood();
	assert_int_equal(rig.handled, 0);
}

static void test_slow_reset(void **state)
{
	uint32_t id = 1;

	(void)state;
	rig.keep = true;
	for (; id < 3000 && !peer.ended; id += 2) {
		peer_ask(&peer, id, "GET", "/", true);
		peer_go(&peer);
		peer_reset(&peer, id);
		peer_go(&peer);
		while (rig.kept_count > 0)
			rig_answer(&rig, rig.kept[--rig.kept_count]);
	}
	expect_flood();
	assert_in_range(rig.handled, 100, 110);
}

/* Who takes back no more than others do is left alone. */
static void test_some_resets(void **state)
{
	uint32_t id = 1;

	(void)state;
	for (int i = 0; i < 300; i++, id += 4) {
		peer_ask(&peer, id, "GET", "/", true);
		peer_ask(&peer, id + 2, "GET", "/", true);
		peer_reset(&peer, id + 2);
		peer_send(&peer);
	}
	peer_go(&peer);
	assert_false(peer.ended);
	assert_int_equal(rig_stat(&rig).http2_resets, 300);
}

/* The handlers of requests that were taken back count as if they were not. */
static void test_abandoned(void **state)
{
	enum { LIMIT = 10 };
	struct http_limits limits = { .streams = LIMIT };
	uint32_t id = 1;

	(void)state;
	stop(NULL);
	rig_start(&rig, &limits);
	assert_int_equal(http_server_set_http2(rig.server, true), 0);
	peer_open(&peer, &rig);
	rig.keep = true;
	for (; id < 80; id += 2) {
		peer_ask(&peer, id, "GET", "/", true);
		peer_go(&peer);
		if (id < 60)
			peer_reset(&peer, id);
	}
	assert_int_equal(rig.handled, LIMIT);
	assert_int_equal(rig_stat(&rig).waiting, LIMIT);
	/* As they end, those that wait have their turn. */
	for (unsigned n = LIMIT; n > 0; n--)
		rig_answer(&rig, rig.kept[--rig.kept_count]);
	peer_read(&peer);
	assert_int_equal(rig.handled, 2 * LIMIT);
	while (rig.kept_count > 0)
		rig_answer(&rig, rig.kept[--rig.kept_count]);
	peer_read(&peer);
	for (id = 61; id < 80; id += 2)
		assert_int_equal(stream(id)->status, 200);
	/* One more than there may be at once is refused. */
	for (unsigned i = 0; i <= LIMIT; i++)
		peer_ask(&peer, id + 2 * i, "GET", "/", true);
	peer_go(&peer);
	assert_true(stream(id + 2 * LIMIT)->reset == NGHTTP2_REFUSED_STREAM ||
		    peer.goaway == NGHTTP2_PROTOCOL_ERROR);
	if (!peer.ended) {
		while (rig.kept_count > 0)
			rig_answer(&rig, rig.kept[--rig.kept_count]);
		peer_read(&peer);
		assert_int_equal(stream(id)->status, 200);
		return;
	}
	while (rig.kept_count > 0)
		rig_answer(&rig, rig.kept[--rig.kept_count]);
}

/* --- frames that say nothing --- */

static void flood(unsigned type, unsigned flags, uint32_t id, const char *data,
		  size_t size)
{
	for (int i = 0; i < 4000 && peer.goaway == PEER_NEVER; i++) {
		peer_frame(&peer, type, flags, id, data, size);
		if (i % 100 == 99) {
			peer_send(&peer);
			peer_read(&peer);
		}
	}
	expect_flood();
}

static void test_pings(void **state)
{
	(void)state;
	flood(NGHTTP2_PING, 0, 0, "12345678", 8);
	assert_in_range(peer.acks, 900, 1100); /* that many were allowed */
}

static void test_settings(void **state)
{
	(void)state;
	flood(NGHTTP2_SETTINGS, 0, 0, NULL, 0);
}

static void test_priorities(void **state)
{
	(void)state;
	flood(NGHTTP2_PRIORITY, 0, 1, "\0\0\0\3\1", 5);
}

static void test_unknown(void **state)
{
	(void)state;
	flood(0x77, 0, 0, large, 100);
}

static void test_credits(void **state)
{
	(void)state;
	flood(NGHTTP2_WINDOW_UPDATE, 0, 0, "\0\0\0\1", 4);
}

static void test_empty_data(void **state)
{
	(void)state;
	peer_ask(&peer, 1, "POST", "/", false);
	flood(NGHTTP2_DATA, 0, 1, NULL, 0);
}

static void test_padding(void **state)
{
	(void)state;
	peer_ask(&peer, 1, "POST", "/", false);
	flood(NGHTTP2_DATA, NGHTTP2_DATA_FLAG_NONE | NGHTTP2_FLAG_PADDED, 1,
	      "\3\0\0", 4);
}

static void test_empty_headers(void **state)
{
	struct http_limits limits = { .streams = 10 };

	(void)state;
	stop(NULL);
	rig_start(&rig, &limits);
	assert_int_equal(http_server_set_http2(rig.server, true), 0);
	peer_open(&peer, &rig);
	/* Streams over the limit: each is refused, and counts. */
	rig.keep = true;
	for (uint32_t id = 1; id < 6000 && peer.goaway == PEER_NEVER; id += 2) {
		peer_ask(&peer, id, "GET", "/", true);
		if (id % 100 == 99) {
			peer_send(&peer);
			peer_read(&peer);
		}
	}
	peer_wait_end(&peer);
	assert_true(peer.goaway != PEER_NEVER);
	while (rig.kept_count > 0)
		rig_answer(&rig, rig.kept[--rig.kept_count]);
}

/* Bytes that are one byte of body each are still a body. */
static void test_small_data(void **state)
{
	(void)state;
	peer_ask(&peer, 1, "POST", "/", false);
	for (int i = 0; i < 5000; i++)
		peer_data(&peer, 1, "x", 1, false);
	peer_data(&peer, 1, "x", 1, true);
	peer_go(&peer);
	assert_int_equal(stream(1)->status, 200);
	assert_int_equal(stream(1)->body, 5001);
}

/* One who makes us answer and reads nothing. */
static void test_unread_pings(void **state)
{
	struct http_stat stat;
	unsigned rounds = 0;

	(void)state;
	peer_close(&peer);
	peer_open_sized(&peer, &rig, 4096);
	rig.answer.status = 200;
	rig.answer.body = (struct http_text){ large, 60000 };
	for (uint32_t id = 1; id < 200; id += 2)
		peer_ask(&peer, id, "GET", "/", true);
	peer_credit(&peer, 0, 1 << 30);
	for (int i = 0; i < 100000; i++)
		peer_frame(&peer, NGHTTP2_PING, 0, 0, "12345678", 8);
	/* Nothing is read: it goes as far as it is let. */
	for (size_t at = 0; at < peer.out.size && rounds < 5000; rounds++) {
		ssize_t n = send(peer.fd, peer.out.data + at,
				 peer.out.size - at,
				 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno != EAGAIN)
			break;
		at += n > 0 ? (size_t)n : 0;
		rig_turn(&rig, 2);
		stat = rig_stat(&rig);
		if (stat.connections == 0)
			break;
		usleep(100);
	}
	rig_until_open(&rig, 0);
	rig.answer.status = 0;
}

/* --- headers --- */

static void test_too_large(void **state)
{
	struct buf b = { 0 };
	char value[5000];

	(void)state;
	memset(value, 'v', sizeof(value));
	value[sizeof(value) - 1] = '\0';
	peer_pseudo(&b, "GET", "/");
	peer_field(&b, "x", value);
	peer_frame(&peer, NGHTTP2_HEADERS,
		   NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 1,
		   b.data, b.size);
	buf_destroy(&b);
	peer_pseudo(&b, "GET", "/");
	for (int i = 0; i < HTTP_FIELDS_MAX; i++) /* and the host */
		peer_field(&b, "x", "");
	peer_frame(&peer, NGHTTP2_HEADERS,
		   NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 3,
		   b.data, b.size);
	buf_destroy(&b);
	peer_ask(&peer, 5, "GET", "/", true);
	peer_go(&peer);
	assert_int_equal(stream(1)->status, 431);
	assert_non_null(strstr(stream(1)->text, "the header is too large"));
	assert_int_equal(stream(3)->status, 431);
	assert_non_null(strstr(stream(3)->text, "too many header fields"));
	assert_int_equal(stream(5)->status, 200);
	assert_int_equal(rig.handled, 1);
	assert_int_equal(rig_stat(&rig).refused_requests, 2);
}

static void test_long_target(void **state)
{
	struct http_limits limits = { .uri_bytes = 10 };

	(void)state;
	stop(NULL);
	rig_start(&rig, &limits);
	assert_int_equal(http_server_set_http2(rig.server, true), 0);
	peer_open(&peer, &rig);
	peer_ask(&peer, 1, "GET", "/012345678", true);
	peer_ask(&peer, 3, "GET", "/0123456789", true);
	peer_go(&peer);
	assert_int_equal(stream(1)->status, 200);
	assert_int_equal(stream(3)->status, 414);
}

/* A field of 4,000 bytes that one byte repeats. */
static void test_bomb(void **state)
{
	struct buf b = { 0 };
	char value[4000];

	(void)state;
	memset(value, 'v', sizeof(value));
	value[sizeof(value) - 1] = '\0';
	peer_pseudo(&b, "GET", "/");
	buf_append(&b, "\x40\1x", 3); /* into the table */
	peer_number(&b, strlen(value));
	buf_puts(&b, value);
	for (int i = 0; i < 10000; i++)
		buf_append(&b, "\xbe", 1);
	peer_frame(&peer, NGHTTP2_HEADERS,
		   NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 1,
		   b.data, b.size);
	buf_destroy(&b);
	peer_send(&peer);
	expect_flood();
	assert_int_equal(rig.handled, 0);
}

static void test_continuations(void **state)
{
	struct buf b = { 0 };

	(void)state;
	peer_pseudo(&b, "GET", "/");
	peer_frame(&peer, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_STREAM, 1, b.data,
		   b.size);
	buf_destroy(&b);
	for (int i = 0; i < 2000; i++)
		peer_frame(&peer, NGHTTP2_CONTINUATION, 0, 1, "\0\1x\1y", 5);
	peer_send(&peer);
	peer_wait_end(&peer);
	assert_true(peer.goaway != PEER_NEVER);
	assert_int_equal(rig.handled, 0);
}

/* --- those that do nothing --- */

static void test_slow_header(void **state)
{
	struct buf b = { 0 };

	(void)state;
	peer_pseudo(&b, "GET", "/");
	peer_frame(&peer, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_STREAM, 1, b.data,
		   b.size);
	buf_destroy(&b);
	peer_send(&peer);
	expect_end(NGHTTP2_PROTOCOL_ERROR);
	assert_int_equal(rig_stat(&rig).timeouts, 1);
}

/* A header that was refused is waited for no longer. */
static void test_bad_header(void **state)
{
	struct buf b = { 0 };

	(void)state;
	peer_pseudo(&b, "GET", "/");
	peer_field(&b, "Bad", "name");
	peer_frame(&peer, NGHTTP2_HEADERS,
		   NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 1,
		   b.data, b.size);
	buf_destroy(&b);
	peer_pseudo(&b, "GET", "/");
	peer_field(&b, ":bad", "name");
	peer_frame(&peer, NGHTTP2_HEADERS,
		   NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 3,
		   b.data, b.size);
	buf_destroy(&b);
	peer_go(&peer);
	for (int i = 0; i < 50; i++) {
		usleep(LIMIT_MS * 1000 / 10);
		rig_turn(&rig, 5);
	}
	peer_ask(&peer, 5, "GET", "/", true);
	peer_go(&peer);
	assert_int_equal(stream(5)->status, 200);
	assert_int_equal(rig_stat(&rig).timeouts, 0);
}

static void wait_for_reset(uint32_t id)
{
	for (int i = 0; stream(id)->reset == PEER_NEVER && i < 5000; i++) {
		peer_read(&peer);
		assert_false(peer.ended);
		usleep(500);
	}
}

static void test_slow_body(void **state)
{
	struct http_request *req;

	(void)state;
	peer_ask(&peer, 1, "POST", "/", false);
	peer_data(&peer, 1, "abc", 3, false);
	peer_send(&peer);
	wait_for_reset(1);
	assert_int_equal(stream(1)->status, 408);
	assert_int_equal(stream(1)->reset, NGHTTP2_NO_ERROR);
	assert_int_equal(rig_stat(&rig).timeouts, 1);
	/* Its handler has it: that finds out. */
	rig.keep = true;
	http_server_set_streaming(rig.server, true);
	peer_ask(&peer, 3, "POST", "/", false);
	peer_send(&peer);
	wait_for_reset(3);
	assert_int_equal(stream(3)->status, 408);
	req = rig.kept[--rig.kept_count];
	assert_int_equal(http_request_body_state(req), HTTP_BODY_BROKEN);
	assert_int_equal(rig_answer(&rig, req), UV_ECONNRESET);
	assert_int_equal(rig_stat(&rig).timeouts, 2);
}

/* A handler that does not read is no reason to blame its peer. */
static void test_slow_handler(void **state)
{
	struct http_request *req;
	size_t sent = 0;

	(void)state;
	rig.keep = true;
	http_server_set_streaming(rig.server, true);
	peer_ask(&peer, 1, "POST", "/", false);
	peer_go(&peer);
	/* As much as fits at once, for it must be there within the limit. */
	while (sent < 65535 + stream(1)->window) {
		for (size_t n; (n = 65535 + stream(1)->window - sent) > 0;
		     sent += n) {
			n = n < 16000 ? n : 16000;
			peer_data(&peer, 1, large, n, false);
		}
		peer_go(&peer);
	}
	for (int i = 0; i < 50; i++) {
		usleep(LIMIT_MS * 1000 / 10);
		rig_turn(&rig, 5);
	}
	assert_int_equal(rig_stat(&rig).timeouts, 0);
	req = rig.kept[--rig.kept_count];
	assert_false(http_request_is_gone(req));
	rig_answer(&rig, req);
}

/* A window that never opens, of the stream or of the connection. */
static void test_no_window(void **state)
{
	(void)state;
	rig.answer.status = 200;
	rig.answer.body = (struct http_text){ large, 100000 };
	peer_credit(&peer, 0, 100);
	peer_ask(&peer, 1, "GET", "/", true);
	peer_send(&peer);
	wait_for_reset(1);
	assert_int_equal(stream(1)->reset, NGHTTP2_CANCEL);
	assert_int_equal(rig_stat(&rig).timeouts, 1);
	peer_ask(&peer, 3, "GET", "/", true);
	peer_send(&peer);
	wait_for_reset(3);
	assert_int_equal(stream(3)->reset, NGHTTP2_CANCEL);
	assert_int_equal(rig_stat(&rig).timeouts, 2);
	rig.answer.status = 0;
}

/* Nor one that opens by a byte now and then; a steady reader is no such. */
static void test_dribble(void **state)
{
	struct http_limits limits = { .send_ms = 1000 };

	(void)state;
	stop(NULL);
	rig_start(&rig, &limits);
	assert_int_equal(http_server_set_http2(rig.server, true), 0);
	peer_open(&peer, &rig);
	rig.answer.status = 200;
	rig.answer.body = (struct http_text){ large, 200000 };
	peer_credit(&peer, 0, 1 << 20);
	peer_ask(&peer, 1, "GET", "/", true);
	peer_go(&peer);
	while (!stream(1)->ended) {
		peer_credit(&peer, 1, 8192);
		for (int i = 0; i < 4; i++)
			peer_go(&peer);
		assert_int_equal(stream(1)->reset, PEER_NEVER);
	}
	peer_ask(&peer, 3, "GET", "/", true);
	for (int i = 0; i < 3000 && stream(3)->reset == PEER_NEVER; i++) {
		peer_credit(&peer, 3, 1);
		peer_go(&peer);
	}
	assert_int_equal(stream(3)->reset, NGHTTP2_CANCEL);
	rig.answer.status = 0;
}

/* A body and @a count trailers of @a size bytes each. */
static void ask_with_trailers(uint32_t id, unsigned count, size_t size)
{
	static char value[4096];
	struct buf b = { 0 };

	memset(value, 'v', size);
	value[size] = '\0';
	for (unsigned i = 0; i < count; i++)
		peer_field(&b, "x", value);
	peer_ask(&peer, id, "POST", "/", false);
	peer_data(&peer, id, "body", 4, false);
	peer_frame(&peer, NGHTTP2_HEADERS,
		   NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, id,
		   b.data, b.size);
	peer_go(&peer);
	buf_destroy(&b);
}

/* Trailers have the limits of a header, in bytes and in number. */
static void test_trailers(void **state)
{
	(void)state;
	ask_with_trailers(1, 1, 4000);
	assert_int_equal(stream(1)->status, 200);
	ask_with_trailers(3, 4, 1000);
	assert_int_equal(stream(3)->status, 431);
	ask_with_trailers(5, 60, 0);
	assert_int_equal(stream(5)->status, 200);
	ask_with_trailers(7, 110, 0);
	assert_int_equal(stream(7)->status, 431);
	assert_int_equal(rig.handled, 2);
}

/* Nobody asks for anything: the end, with a word. */
static void test_idle(void **state)
{
	struct http_limits limits = { .idle_ms = LIMIT_MS };

	(void)state;
	stop(NULL);
	rig_start(&rig, &limits);
	assert_int_equal(http_server_set_http2(rig.server, true), 0);
	peer_open(&peer, &rig);
	peer_ask(&peer, 1, "GET", "/", true);
	peer_go(&peer);
	for (int i = 0; i < 3000 && peer.goaway == PEER_NEVER; i++) {
		/* Which is what this is, too. */
		peer_frame(&peer, NGHTTP2_PING, 0, 0, "12345678", 8);
		peer_go(&peer);
	}
	shutdown(peer.fd, SHUT_WR);
	expect_end(NGHTTP2_NO_ERROR);
	assert_int_equal(peer.last_id, 1);
	assert_int_equal(rig_stat(&rig).timeouts, 1);
}

/* --- what is no HTTP/2 --- */

static void test_garbage(void **state)
{
	static const struct {
		unsigned type, flags, id, size;
	} rows[] = {
		{ NGHTTP2_DATA, 0, 0, 1 },          /* of no stream */
		{ NGHTTP2_DATA, 0, 1, 1 },          /* of an idle one */
		{ NGHTTP2_HEADERS, 4, 2, 1 },       /* of one of ours */
		{ NGHTTP2_HEADERS, 4, 1, 16385 },   /* too large */
		{ NGHTTP2_HEADERS, 4 | 8, 1, 0 },   /* no size of padding */
		{ NGHTTP2_CONTINUATION, 4, 1, 1 },  /* of no header */
		{ NGHTTP2_PING, 0, 0, 7 },          /* cut short */
		{ NGHTTP2_PING, 0, 1, 8 },          /* of a stream */
		{ NGHTTP2_SETTINGS, 0, 0, 5 },      /* half of one */
		{ NGHTTP2_SETTINGS, 1, 0, 6 },      /* an ack that says more */
		{ NGHTTP2_WINDOW_UPDATE, 0, 0, 3 }, /* cut short */
		{ NGHTTP2_RST_STREAM, 0, 1, 4 },    /* of an idle stream */
		{ NGHTTP2_PUSH_PROMISE, 4, 1, 10 }, /* clients do not */
		{ NGHTTP2_GOAWAY, 0, 1, 8 },        /* of a stream */
	};
	static char zeros[20000];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		peer_frame(&peer, rows[i].type, rows[i].flags, rows[i].id,
			   zeros, rows[i].size);
		peer_go(&peer);
		shutdown(peer.fd, SHUT_WR);
		peer_wait_end(&peer);
		if (peer.goaway <= 0)
			fail_msg("row %zu: %ld", i, peer.goaway);
		peer_close(&peer);
		peer_open(&peer, &rig);
	}
	assert_int_equal(rig.handled, 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, start, stop)
	const struct CMUnitTest tests[] = {
		T(test_rapid_reset), T(test_slow_reset),
		T(test_some_resets), T(test_abandoned),
		T(test_pings),       T(test_settings),
		T(test_priorities),  T(test_unknown),
		T(test_credits),     T(test_empty_data),
		T(test_padding),     T(test_empty_headers),
		T(test_small_data),  T(test_unread_pings),
		T(test_too_large),   T(test_long_target),
		T(test_bomb),        T(test_continuations),
		T(test_slow_header), T(test_bad_header),
		T(test_slow_body),   T(test_slow_handler),
		T(test_no_window),   T(test_dribble),
		T(test_idle),        T(test_garbage),
		T(test_trailers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
