/*
 * HTTP/2 on the way down: whoever was promised an answer gets it, whoever was
 * not is told which of his requests nobody has seen.
 */
#include "http2_fixture.h"

#include "base/inject.h"

static char large[300000];

enum { SHUTDOWN_NOTICE = INT32_MAX };

static int start(void **state)
{
	(void)state;
	return fixture_start(NULL);
}

static void begin_drain(uint64_t ms)
{
	assert_int_equal(
		http_server_drain(rig.server, ms, rig_on_drained, &rig), 0);
}

static void answer_ping(void)
{
	peer_frame(&peer, NGHTTP2_PING, NGHTTP2_FLAG_ACK, 0, peer.ping, 8);
}

static void expect_notice(void)
{
	peer_read(&peer);
	assert_false(peer.ended);
	assert_int_equal(peer.goaways, 1);
	assert_int_equal(peer.last_id, SHUTDOWN_NOTICE);
	assert_int_equal(peer.pings, 1);
}

static void expect_last_call(uint32_t last_id)
{
	assert_int_equal(peer.goaways, 2);
	assert_int_equal(peer.goaway, NGHTTP2_NO_ERROR);
	assert_int_equal(peer.last_id, last_id);
}

/* What was sent before the notice was seen is served. */
static void test_in_flight(void **state)
{
	(void)state;
	rig.keep = true;
	peer_ask(&peer, 1, "GET", "/", true);
	peer_go(&peer);
	begin_drain(UINT64_MAX);
	expect_notice();
	peer_ask(&peer, 3, "GET", "/", true);
	peer_go(&peer);
	assert_int_equal(rig.handled, 2);
	answer_ping();
	peer_go(&peer);
	expect_last_call(3);
	/* And behind it nothing. */
	peer_ask(&peer, 5, "GET", "/", true);
	peer_go(&peer);
	assert_int_equal(rig.handled, 2);
	assert_false(peer.ended);
	rig_answer(&rig, rig.kept[--rig.kept_count]);
	peer_read(&peer);
	assert_int_equal(stream(3)->status, 200);
	assert_false(peer.ended);
	rig_answer(&rig, rig.kept[--rig.kept_count]);
	shutdown(peer.fd, SHUT_WR);
	peer_wait_end(&peer);
	assert_int_equal(stream(1)->status, 200);
	assert_true(stream(1)->ended && stream(3)->ended);
	assert_int_equal(stream(5)->status, 0);
	rig_drain(&rig, UINT64_MAX);
	assert_int_equal(rig.drained, 1);
	assert_int_equal(rig_stat(&rig).cut, 0);
}

static void test_idle(void **state)
{
	(void)state;
	peer_ask(&peer, 1, "GET", "/", true);
	peer_go(&peer);
	begin_drain(UINT64_MAX);
	expect_notice();
	answer_ping();
	peer_go(&peer);
	expect_last_call(1);
	shutdown(peer.fd, SHUT_WR);
	peer_wait_end(&peer);
	rig_drain(&rig, UINT64_MAX);
}

/* One who does not answer is waited for no longer than a moment. */
static void test_silent(void **state)
{
	(void)state;
	peer_ask(&peer, 1, "GET", "/", true);
	peer_go(&peer);
	begin_drain(UINT64_MAX);
	expect_notice();
	peer_wait_end(&peer);
	expect_last_call(1);
	rig_drain(&rig, UINT64_MAX);
}

/* An answer that is long is sent to its end. */
static void test_long_answer(void **state)
{
	(void)state;
	rig.answer.status = 200;
	rig.answer.body = (struct http_text){ large, sizeof(large) };
	peer_ask(&peer, 1, "GET", "/", true);
	peer_go(&peer);
	begin_drain(UINT64_MAX);
	expect_notice();
	answer_ping();
	peer_go(&peer);
	assert_int_equal(stream(1)->body, 65535);
	peer_credit(&peer, 0, 1 << 20);
	peer_credit(&peer, 1, 1 << 20);
	peer_go(&peer);
	assert_int_equal(stream(1)->body, sizeof(large));
	assert_true(stream(1)->ended);
	shutdown(peer.fd, SHUT_WR);
	peer_wait_end(&peer);
	rig_drain(&rig, UINT64_MAX);
	assert_int_equal(rig_stat(&rig).cut, 0);
	rig.answer.status = 0;
}

/* The deadline cuts, and counts what. */
static void test_deadline(void **state)
{
	(void)state;
	rig.keep = true;
	peer_ask(&peer, 1, "GET", "/", true);
	peer_ask(&peer, 3, "GET", "/", true);
	peer_go(&peer);
	rig_drain(&rig, 50);
	peer_wait_end(&peer);
	assert_int_equal(rig_stat(&rig).cut, 2);
	while (rig.kept_count > 0)
		assert_int_equal(rig_answer(&rig, rig.kept[--rig.kept_count]),
				 UV_ECONNRESET);
}

/* A connection has had its share of requests, or a handler ends it. */
static void test_share(void **state)
{
	struct http_limits limits = { .requests = 3 };

	(void)state;
	stop(NULL);
	rig_start(&rig, &limits);
	assert_int_equal(http_server_set_http2(rig.server, true), 0);
	peer_open(&peer, &rig);
	for (uint32_t id = 1; id < 9; id += 2)
		peer_ask(&peer, id, "GET", "/", true);
	peer_go(&peer);
	assert_int_equal(stream(7)->status, 200); /* was on its way */
	expect_notice();
	answer_ping();
	peer_go(&peer);
	expect_last_call(7);
	shutdown(peer.fd, SHUT_WR);
	peer_wait_end(&peer);
	peer_close(&peer);
	peer_open(&peer, &rig);
	rig.close = true;
	peer_ask(&peer, 1, "GET", "/", true);
	peer_go(&peer);
	assert_int_equal(stream(1)->status, 200);
	expect_notice();
}

/* Who came in while the others left is served his first request. */
static void test_late(void **state)
{
	struct peer other;

	(void)state;
	rig.keep = true;
	peer_ask(&peer, 1, "GET", "/", true);
	peer_go(&peer);
	peer_open(&other, &rig); /* knocks, and is in the queue */
	begin_drain(UINT64_MAX);
	peer_ask(&other, 1, "GET", "/", true);
	peer_send(&other);
	rig_until_handled(&rig, 2);
	while (rig.kept_count > 0)
		rig_answer(&rig, rig.kept[--rig.kept_count]);
	peer_read(&other);
	peer_read(&peer);
	assert_int_equal(peer_at(&other, 1)->status, 200);
	assert_int_equal(stream(1)->status, 200);
	shutdown(other.fd, SHUT_WR);
	shutdown(peer.fd, SHUT_WR);
	peer_wait_end(&other);
	peer_wait_end(&peer);
	peer_close(&other);
	rig_drain(&rig, UINT64_MAX);
	assert_int_equal(rig_stat(&rig).cut, 0);
}

/* --- every allocation fails once, in turn --- */

static void answer_in_pieces(bool whole)
{
	static const struct http_field trailer = { { "a", 1 }, { "b", 1 } };
	struct http_response resp = { .status = 200 };
	struct http_request *req = rig.kept[--rig.kept_count];

	if (http_request_begin(req, &resp, HTTP_LENGTH_UNKNOWN) == 0)
		http_request_write(req, (struct http_text){ large, 70000 });
	if (!whole || http_request_end(req, &trailer, 1) == UV_EALREADY)
		http_request_abort(req);
}

/* The same bytes each time; what comes back is not looked at. */
static void do_all(const struct buf *bytes, bool later)
{
	static char text[1 << 20];
	int fd = rig_connect(&rig);

	rig.keep = later;
	rig_send(&rig, fd, bytes->data, bytes->size);
	for (int i = 0; i < 3; i++) {
		rig_turn(&rig, 3);
		while (rig.kept_count > 0)
			answer_in_pieces(rig.kept_count % 2);
	}
	rig_settle(&rig, fd, text, sizeof(text));
	close(fd);
	rig.keep = false;
}

static void test_each_allocation(void **state)
{
	struct buf bytes;
	long asked, n = 0;

	(void)state;
	if (inject_arm("none", 0, 0) != 0)
		skip();
	peer_ask(&peer, 1, "GET", "/", true);
	peer_ask(&peer, 3, "POST", "/", false);
	peer_data(&peer, 3, large, 10000, false);
	peer_data(&peer, 3, large, 10000, true);
	peer_ask(&peer, 5, "BREW", "/", true);
	bytes = peer.out;
	memset(&peer.out, 0, sizeof(peer.out));
	stop(NULL);
	for (int later = 0; later < 2; later++) {
		n = 0;
		do {
			rig_start(&rig, NULL);
			http_server_set_http2(rig.server, true);
			assert_int_equal(inject_arm("malloc", n++, 1), 0);
			do_all(&bytes, later);
			asked = inject_asked("malloc");
			inject_reset();
			rig_drain(&rig, 0);
			assert_int_equal(rig_stat(&rig).waiting, 0);
			rig_stop(&rig);
		} while (asked >= n);
		assert_in_range(n, 20, 1000);
	}
	buf_destroy(&bytes);
	rig_start(&rig, NULL);
	http_server_set_http2(rig.server, true);
	peer_open(&peer, &rig);
	peer_ask(&peer, 1, "GET", "/", true);
	peer_go(&peer);
	assert_int_equal(stream(1)->status, 200);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, start, stop)
	const struct CMUnitTest tests[] = {
		T(test_in_flight), T(test_idle),
		T(test_silent),    T(test_long_answer),
		T(test_deadline),  T(test_share),
		T(test_late),      T(test_each_allocation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
