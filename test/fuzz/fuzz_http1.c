/*
 * Fuzzes the way of an HTTP request: bytes in, requests up, answers out.
 *
 * The first bytes of the input say how it is cut and when the handler answers;
 * the rest goes through a socket pair to a real server twice, in one piece and
 * in many. Both times the handler must see the same requests, and as many
 * answers as there were requests must come back, a refusal at most, at the end.
 * A third time the handler reads the bodies while they come.
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

#include "net/http1.h"
#include "runtime/loop.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/** What was seen in one run. */
struct run {
	uint32_t hash; /* over all that the handler could see */
	unsigned requests;
	unsigned answers;  /* of the handler */
	unsigned refusals; /* 4xx, 5xx */
	bool ended;
};

static struct loop loop;
static struct timers timers;
static struct http_server *server;
static struct run *now;
static struct http_request *kept;
static uint8_t late;   /* bits: which requests are answered later */
static bool in_pieces; /* the bodies are */

static void mix(const void *data, size_t size)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < size; i++)
		now->hash = (now->hash ^ p[i]) * 16777619u;
	now->hash = (now->hash ^ 0x100) * 16777619u;
}

static void mix_text(struct http_text t)
{
	mix(t.data, t.size);
}

static void look_at(struct http_request *req)
{
	size_t count = http_request_field_count(req);

	mix(http_request_method(req), strlen(http_request_method(req)));
	mix_text(http_request_target(req));
	mix_text(http_request_path(req));
	mix_text(http_request_query(req));
	for (size_t i = 0; i < count; i++) {
		mix_text(http_request_field(req, i).name);
		mix_text(http_request_field(req, i).value);
	}
	mix_text(http_request_body(req));
}

static void answer(struct http_request *req)
{
	struct http_response resp = {
		.status = 200,
		.body = http_request_body(req),
	};

	look_at(req);
	now->answers++;
	http_request_reply(req, &resp);
}

/* Take a part of the body; answer when it ends, or, if its bit says so, before:
 * what is not read ends the connection. */
static bool read_piece(struct http_request *req)
{
	struct http_response resp = { .status = 200 };
	struct http_text text = http_request_unread(req);
	bool coming = http_request_body_state(req) == HTTP_BODY_COMING;

	mix(text.data, text.size);
	http_request_consume(req, (text.size + 1) / 2);
	assert(http1__body_total(req) <= server->limits.body_bytes);
	if (coming && !(late & 1 << now->requests % 8)) {
		http_request_want(req, 100);
		return false;
	}
	for (size_t i = 0; !coming && i < http_request_trailer_count(req); i++)
		mix_text(http_request_trailer(req, i).value);
	now->answers += http_request_reply(req, &resp) == 0;
	return true;
}

static void on_request(struct http_request *req, void *arg)
{
	(void)arg;
	if (in_pieces) {
		assert(kept == NULL);
		now->requests++;
		kept = req;
		return;
	}
	if (late & 1 << now->requests++ % 8) {
		assert(kept == NULL); /* one at a time */
		kept = req;
	} else {
		answer(req);
	}
}

static void pump(void)
{
	for (int i = 0; i < 3; i++) {
		loop_run(&loop, UV_RUN_NOWAIT);
		if (kept != NULL && in_pieces) {
			if (read_piece(kept))
				kept = NULL;
		} else if (kept != NULL) {
			struct http_request *req = kept;

			kept = NULL;
			answer(req);
		}
	}
}

/* Read what has come; count the answers whole in it. */
static void drain(int fd, struct buf *got)
{
	char bytes[65536];
	ssize_t n;

	while ((n = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT)) > 0) {
		if (buf_append(got, bytes, (size_t)n) != 0)
			abort();
	}
	if (n == 0)
		now->ended = true;
}

static void count_answers(const struct buf *got)
{
	const char *p = got->data, *end = p == NULL ? p : p + got->size;
	unsigned statuses = 0;

	if (got->size == 0)
		end = p = "";
	while (p < end) {
		const char *head_end = memmem(p, end - p, "\r\n\r\n", 4);
		const char *length;

		assert(head_end != NULL && memcmp(p, "HTTP/1.1 ", 9) == 0);
		length = memmem(p, head_end - p, "Content-Length: ", 16);
		if (memcmp(p + 9, "100", 3) == 0) {
			p = head_end + 4;
			continue;
		}
		assert(length != NULL && now->refusals == 0);
		statuses++;
		if (memcmp(p + 9, "200", 3) != 0) {
			assert(p[9] == '4' || p[9] == '5');
			now->refusals++;
		}
		/* HEAD has a length and no body: find the next answer. */
		p = head_end + 4;
		if (p < end &&
		    memcmp(p, "HTTP/1.1 ", end - p < 9 ? end - p : 9) != 0)
			p += strtoul(length + 16, NULL, 10);
	}
	assert(p == end);
	assert(statuses == now->answers + now->refusals);
}

static struct run run(const uint8_t *data, size_t size, uint8_t cut)
{
	struct run result = { .hash = 2166136261u };
	struct buf got = { 0 };
	int fds[2];

	now = &result;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) != 0)
		abort();
	if (http1__accept(server, fds[0], false) != 0)
		abort();
	while (size > 0 && !result.ended) {
		size_t part = cut == 0 ? size : 1 + (size_t)cut % 61;
		ssize_t n;

		part = part < size ? part : size;
		n = send(fds[1], data, part, MSG_NOSIGNAL);
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
	     i < 10000 && (server->stat.connections > 0 || kept != NULL); i++) {
		pump();
		drain(fds[1], &got);
	}
	assert(server->stat.connections == 0 && server->stat.waiting == 0);
	drain(fds[1], &got);
	close(fds[1]);
	count_answers(&got);
	buf_destroy(&got);
	return result;
}

static void start(void)
{
	static const struct http_limits limits = {
		.header_bytes = 2000,
		.uri_bytes = 500,
		.body_bytes = 3000,
	};
	struct listen_options opts = { 0 };
	struct listen_address addr;
	char where[64];

	signal(SIGPIPE, SIG_IGN);
	snprintf(where, sizeof where, "unix/:/tmp/fuzz-http1-%d", getpid());
	if (loop_create(&loop) != 0 || timers_create(&timers, &loop) != 0)
		abort();
	server = http_server_new(&loop, &timers, &limits, on_request, NULL);
	listen_address_parse(&addr, where, 0);
	if (http_server_listen(server, &addr, &opts) != 0)
		abort();
	unlink(where + strlen("unix/:"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct run whole, cut;

	if (server == NULL)
		start();
	if (size < 2 || size > 12000)
		return 0;
	late = data[0];
	in_pieces = false;
	http_server_set_streaming(server, false);
	whole = run(data + 2, size - 2, 0);
	cut = run(data + 2, size - 2, data[1] | 1);
	in_pieces = true;
	http_server_set_streaming(server, true);
	run(data + 2, size - 2, data[1] | 1);
	assert(whole.requests == cut.requests);
	assert(whole.hash == cut.hash);
	assert(whole.refusals == cut.refusals);
	return 0;
}
