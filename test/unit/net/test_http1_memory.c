/*
 * Every allocation fails once, in turn, while a server does all it can do: a
 * request may be lost with its connection, never the server, nor a byte.
 */
#include "http_rig.h"

#include "base/inject.h"
#include "net/http_encoder.h"
#include "net/http_websocket.h"

#define HOST "Host: a\r\n"

static struct rig rig;
static char text[1 << 20];
static char large[300000];

static void answer_kept(void)
{
	while (rig.kept_count > 0)
		rig_answer(&rig, rig.kept[--rig.kept_count]);
}

/* Each kind of request once; what comes back is looked at by the caller. */
static void do_all(void)
{
	static const char *const all[] = {
		"GET / HTTP/1.1\r\n" HOST "\r\n"
		"GET / HTTP/1.1\r\n" HOST "\r\n",
		"POST / HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc",
		"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
		"3\r\nabc\r\n0\r\nA: b\r\n\r\n",
		"BAD / HTTP/1.1\r\n\r\n",
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		size_t size = strlen(all[i]), half = size / 2;

		for (int later = 0; later < 2; later++) {
			int fd = rig_connect(&rig);

			rig.keep = later;
			rig_send(&rig, fd, all[i], half);
			rig_turn(&rig, 2);
			rig_send(&rig, fd, all[i] + half, size - half);
			for (unsigned k = 0; k < 2; k++) {
				rig_turn(&rig, 3);
				answer_kept();
			}
			rig_settle(&rig, fd, text, sizeof(text));
			close(fd);
		}
	}
	rig.keep = false;
}

static void do_large(void)
{
	int fd = rig_connect_sized(&rig, 4096);

	rig.answer.status = 200;
	rig.answer.body = (struct http_text){ large, sizeof(large) };
	rig_puts(&rig, fd,
		 "GET / HTTP/1.1\r\n" HOST "\r\n"
		 "GET / HTTP/1.1\r\n" HOST "\r\n");
	rig_settle(&rig, fd, text, sizeof(text));
	close(fd);
	rig.answer.status = 0;
}

/* Bytes of @a size as a masked frame of a client. */
static void send_frame(int fd, unsigned first, const char *bytes, size_t size)
{
	static char frame[70000];
	size_t n = 2;

	frame[0] = (char)first;
	frame[1] = (char)(0x80 | (size < 126 ? size : 126));
	if (size >= 126) {
		frame[n++] = (char)(size >> 8);
		frame[n++] = (char)size;
	}
	memset(frame + n, 0, 4); /* a mask that changes nothing */
	memcpy(frame + n + 4, bytes, size);
	rig_send(&rig, fd, frame, n + 4 + size);
}

/* What a handler does: echo all that has come, deflated as it came. */
static void echo(http_handle handle, bool end)
{
	struct http_request *req = http_request_find(rig.server, handle);
	struct websocket_message m;
	uint64_t number;

	if (req == NULL)
		return;
	http_websocket_ping(req, &number);
	while (websocket_next(http_request_websocket(req), &m)) {
		struct buf out = { NULL, 0, 0, 0 };
		const char *why;
		struct http_encoder *e =
			http_encoder_new(HTTP_CODING_DEFLATE, 5, 12, &why);

		if (e != NULL &&
		    http_encoder_feed(e, m.data, m.size, true, &out) == 0)
			http_websocket_write(req, m.kind | WEBSOCKET_DEFLATED,
					     (struct http_text){ out.data,
								 out.size });
		http_encoder_delete(e);
		buf_destroy(&out);
		http_websocket_taken(req);
	}
	if (end)
		http_request_end(req, NULL, 0);
}

/* A WebSocket, compressed: messages both ways, and the end by @a how: the handler's, the
 * peer's, or neither's. */
static void do_websocket(int how)
{
	static const char greeting[] =
		"GET / HTTP/1.1\r\n" HOST "Upgrade: websocket\r\n"
		"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
		"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n";
	static const struct http_websocket_options options = {
		.message_bytes = 100000,
		.heartbeat_ms = 100000,
		.close_ms = 100000,
		.deflate = { true, true, 12 },
	};
	struct http_request *req;
	http_handle handle;
	int fd = rig_connect(&rig);

	rig.keep = true;
	rig_puts(&rig, fd, greeting);
	rig_quiet(&rig);
	rig.keep = false;
	if (rig.kept_count == 0) {
		close(fd);
		return;
	}
	req = rig.kept[--rig.kept_count];
	handle = http_request_handle(req);
	if (http_websocket_accept(req, NULL, 0, &options) != 0) {
		if (http_request_find(rig.server, handle) != NULL)
			rig_answer(&rig, req);
		close(fd);
		return;
	}
	for (int i = 0; i < 2; i++) {
		send_frame(fd, 0xc2, "\xf2\x48\xcd\xc9\xc9\x07\x00", 7);
		send_frame(fd, 0x89, "p", 1);
		send_frame(fd, 0x02, large, 30000);
		send_frame(fd, 0x80, large, 1000);
		rig_quiet(&rig);
		echo(handle, false);
	}
	if (how == 0)
		echo(handle, true);
	if (how != 2)
		send_frame(fd, 0x88, "", 0);
	rig_quiet(&rig);
	close(fd);
	rig_quiet(&rig);
	echo(handle, true);
}

static void test_each_allocation(void **state)
{
	long asked, n = 0;
	unsigned handled;
	int fd;

	(void)state;
	if (inject_arm("none", 0, 0) != 0)
		skip();
	do {
		rig_start(&rig, NULL);
		assert_int_equal(inject_arm("malloc", n, 1), 0);
		do_all();
		do_large();
		asked = inject_asked("malloc");
		inject_reset();
		/* The server has survived. */
		handled = rig.handled;
		fd = rig_connect(&rig);
		rig_puts(&rig, fd, "GET / HTTP/1.1\r\n" HOST "\r\n");
		rig_until_handled(&rig, handled + 1);
		rig_settle(&rig, fd, text, sizeof(text));
		assert_non_null(strstr(text, "HTTP/1.1 200"));
		close(fd);
		answer_kept(); /* of those that were accepted late */
		rig_until_open(&rig, 0);
		assert_int_equal(rig_stat(&rig).waiting, 0);
		rig_stop(&rig);
	} while (asked > n++); /* until there was none left to fail */
	assert_true(n > 10);
}

static void test_each_allocation_of_websockets(void **state)
{
	long asked, n;

	(void)state;
	if (inject_arm("none", 0, 0) != 0)
		skip();
	for (int how = 0; how < 3; how++) {
		n = 0;
		do {
			rig_start(&rig, NULL);
			assert_int_equal(inject_arm("malloc", n, 1), 0);
			do_websocket(how);
			asked = inject_asked("malloc");
			inject_reset();
			rig_until_open(&rig, 0);
			assert_int_equal(rig_stat(&rig).waiting, 0);
			rig_stop(&rig);
		} while (asked > n++);
		assert_true(n > 20);
	}
}

/* Answers that the kernel does not take at once. */
static void test_writes_wait(void **state)
{
	int fd;

	(void)state;
	if (inject_arm("none", 0, 0) != 0)
		skip();
	rig_start(&rig, NULL);
	assert_int_equal(inject_arm("stream_write", 0, -1), 0);
	for (int i = 0; i < 3; i++) {
		fd = rig_connect(&rig);
		rig_puts(&rig, fd,
			 "GET /1 HTTP/1.1\r\n" HOST "\r\n"
			 "GET /2 HTTP/1.1\r\n" HOST
			 "Connection: close\r\n\r\n");
		assert_true(rig_settle(&rig, fd, text, sizeof(text)));
		assert_int_equal(rig_count(text, "HTTP/1.1 200"), 2);
		close(fd);
	}
	inject_reset();
	rig_stop(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_allocation),
		cmocka_unit_test(test_each_allocation_of_websockets),
		cmocka_unit_test(test_writes_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
