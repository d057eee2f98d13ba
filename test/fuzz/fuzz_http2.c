/*
 * Fuzzes a session of HTTP/2: whatever bytes come behind the preface, every
 * request that a handler was given ends, no memory is left, and the server goes
 * on. What it sends is frames, whole ones, and nothing behind an end of theirs.
 *
 * The first bytes of the input say how it is cut, which requests are answered
 * later, and how: at once, in pieces, with a body that is read in pieces, or by
 * a cut.
 *
 * fuzz: layer net
 */
#include <assert.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/http2.h"
#include "runtime/loop.h"

enum { KEPT = 256, TURNS = 10000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct loop loop;
static struct timers timers;
static struct http_server *server;
static struct http_request *kept[KEPT];
static unsigned kept_count;
static unsigned handled;
static uint8_t late, how;
static char large[200000];

static void look_at(struct http_request *req)
{
	size_t size = http_request_target(req).size +
		      http_request_path(req).size +
		      http_request_query(req).size;

	assert(http_request_major(req) == 2 && http_request_minor(req) == 0);
	assert(size <= 3 * 500);
	for (size_t i = 0; i < http_request_field_count(req); i++) {
		struct http_field f = http_request_field(req, i);

		assert(f.name.size > 0 &&
		       memchr(f.name.data, 0, f.name.size) == NULL);
		assert(memchr(f.value.data, '\n', f.value.size) == NULL);
		size += f.name.size + f.value.size;
	}
	assert(size < 5000);
	assert(http_request_unread(req).size <= server->limits.body_bytes);
}

/* True: it is given up. */
static bool answer(struct http_request *req, unsigned way)
{
	static const struct http_field trailer = { { "a", 1 }, { "b", 1 } };
	struct http_response resp = { .status = 200 };
	struct http_text text = http_request_unread(req);

	switch (way % 4) {
	case 0:
		resp.body = text;
		http_request_reply(req, &resp);
		return true;
	case 1:
		if (!http_request_is_begun(req))
			http_request_begin(req, &resp, HTTP_LENGTH_UNKNOWN);
		if (http_request_write(req, (struct http_text){ large, 9000 }) >
		    0)
			return false;
		http_request_end(req, &trailer, 1);
		return true;
	case 2:
		http_request_consume(req, (text.size + 1) / 2);
		if (http_request_body_state(req) == HTTP_BODY_COMING) {
			http_request_want(req, 100);
			return false;
		}
		resp.body = (struct http_text){ large, sizeof(large) };
		http_request_reply(req, &resp);
		return true;
	default:
		http_request_abort(req);
		return true;
	}
}

static void on_request(struct http_request *req, void *arg)
{
	bool coming = http_request_body_state(req) == HTTP_BODY_COMING;
	unsigned n = handled++;

	(void)arg;
	look_at(req);
	if ((late & 1 << n % 8) || coming) {
		assert(kept_count < KEPT);
		kept[kept_count++] = req;
	} else {
		while (!answer(req, how + (unsigned)http_request_handle(req)))
			;
	}
}

static void pump(void)
{
	for (int i = 0; i < 3; i++)
		loop_run(&loop, UV_RUN_NOWAIT);
	for (unsigned i = kept_count; i > 0; i--) {
		struct http_request *req = kept[i - 1];

		look_at(req);
		if (answer(req, how + (unsigned)http_request_handle(req)))
			kept[i - 1] = kept[--kept_count];
	}
}

static void drain(int fd, struct buf *got)
{
	char bytes[65536];
	ssize_t n;

	while ((n = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT)) > 0) {
		if (buf_append(got, bytes, (size_t)n) != 0)
			abort();
	}
}

static void check_frames(const struct buf *got)
{
	const uint8_t *p = (const uint8_t *)got->data;
	size_t left = got->size;

	while (left >= 9) {
		size_t size =
			9 + ((size_t)p[0] << 16 | (size_t)p[1] << 8 | p[2]);

		assert(size <= 9 + 16384 && p[3] <= NGHTTP2_CONTINUATION);
		if (size > left)
			break;
		p += size;
		left -= size;
	}
}

static void run(const uint8_t *data, size_t size, uint8_t cut)
{
	struct buf got = { 0 };
	int fds[2];

	handled = 0;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) != 0 ||
	    http1__accept(server, fds[0], false) != 0 ||
	    send(fds[1], NGHTTP2_CLIENT_MAGIC, NGHTTP2_CLIENT_MAGIC_LEN, 0) !=
		    NGHTTP2_CLIENT_MAGIC_LEN)
		abort();
	pump();
	while (size > 0) {
		size_t part = cut == 0 ? size : 1 + (size_t)cut % 61;
		ssize_t n;

		part = part < size ? part : size;
		n = send(fds[1], data, part, MSG_NOSIGNAL);
		if (n < 0 && errno != EAGAIN)
			break; /* it has ended the connection */
		if (n > 0) {
			data += n;
			size -= (size_t)n;
		}
		cut = cut == 0 ? 0 : (uint8_t)(cut * 5 + 1) | 1;
		pump();
		drain(fds[1], &got);
	}
	shutdown(fds[1], SHUT_WR);
	for (int i = 0;
	     i < TURNS && (server->stat.connections > 0 || kept_count > 0);
	     i++) {
		pump();
		drain(fds[1], &got);
	}
	assert(server->stat.connections == 0 && kept_count == 0 &&
	       server->stat.waiting == 0);
	drain(fds[1], &got);
	close(fds[1]);
	check_frames(&got);
	buf_destroy(&got);
}

static void start(void)
{
	static const struct http_limits limits = {
		.header_bytes = 2000,
		.uri_bytes = 500,
		.body_bytes = 100000,
		.streams = 20,
	};
	struct listen_options opts = { 0 };
	struct listen_address addr;
	char where[64];

	signal(SIGPIPE, SIG_IGN);
	snprintf(where, sizeof where, "unix/:/tmp/fuzz-http2-%d", getpid());
	if (loop_create(&loop) != 0 || timers_create(&timers, &loop) != 0)
		abort();
	server = http_server_new(&loop, &timers, &limits, on_request, NULL);
	listen_address_parse(&addr, where, 0);
	if (http_server_set_http2(server, true) != 0 ||
	    http_server_listen(server, &addr, &opts) != 0)
		abort();
	unlink(where + strlen("unix/:"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (server == NULL)
		start();
	if (size < 3 || size > 60000)
		return 0;
	late = data[0];
	how = data[1];
	http_server_set_streaming(server, data[1] & 4);
	run(data + 3, size - 3, 0);
	run(data + 3, size - 3, data[2] | 1);
	return 0;
}
