/*
 * An HTTP server and its clients in one thread: a test sends raw bytes, lets
 * the loop run, and looks at what came back.
 */
#pragma once

#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/http_request.h"
#include "net/http_server.h"
#include "runtime/loop.h"
#include "runtime/timer.h"

enum { RIG_KEPT = 64 };

struct rig {
	struct loop loop;
	struct timers timers;
	struct http_server *server;
	int fds;          /* open descriptors before */
	unsigned handled; /* requests the handler saw */
	unsigned drained; /* calls of the drain's callback */
	bool keep;        /* the handler keeps requests for later */
	bool close;       /* answers end the connection */
	struct http_request *kept[RIG_KEPT];
	unsigned kept_count;
	char last[256];   /* "METHOD path?query body" of the last one */
	size_t body_size; /* of the last one */
	struct http_response answer; /* status 0: the body echoed, or "ok N" */
};

static inline int rig_answer(struct rig *rig, struct http_request *req)
{
	struct http_response resp = rig->answer;
	char text[32];

	if (resp.status == 0) {
		resp.status = 200;
		resp.body = http_request_body(req);
		if (resp.body.size == 0) {
			snprintf(text, sizeof(text), "ok %u", rig->handled);
			resp.body = (struct http_text){ text, strlen(text) };
		}
	}
	resp.close = rig->close;
	return http_request_reply(req, &resp);
}

static inline void rig_on_request(struct http_request *req, void *arg)
{
	struct rig *rig = arg;
	struct http_text path = http_request_path(req);
	struct http_text query = http_request_query(req);
	struct http_text body = http_request_body(req);

	rig->handled++;
	rig->body_size = body.size;
	snprintf(rig->last, sizeof(rig->last), "%s %.*s?%.*s %.*s",
		 http_request_method(req), (int)path.size, path.data,
		 (int)query.size, query.data,
		 (int)(body.size < 100 ? body.size : 100), body.data);
	if (!rig->keep)
		rig_answer(rig, req);
	else if (rig->kept_count < RIG_KEPT)
		rig->kept[rig->kept_count++] = req;
}

static inline void rig_start(struct rig *rig, const struct http_limits *limits)
{
	static const struct http_limits defaults;
	struct listen_options opts = { 0 };
	struct listen_address addr;

	memset(rig, 0, sizeof(*rig));
	signal(SIGPIPE, SIG_IGN);
	/* libuv opens a pipe for the process with the first loop. */
	assert_int_equal(loop_create(&rig->loop), 0);
	assert_int_equal(loop_destroy(&rig->loop, NULL, NULL), 0);
	rig->fds = unit_open_fds();
	assert_int_equal(loop_create(&rig->loop), 0);
	assert_int_equal(timers_create(&rig->timers, &rig->loop), 0);
	rig->server = http_server_new(&rig->loop, &rig->timers,
				      limits != NULL ? limits : &defaults,
				      rig_on_request, rig);
	assert_non_null(rig->server);
	assert_int_equal(listen_address_parse(&addr, "127.0.0.1", 0), 0);
	assert_int_equal(http_server_listen(rig->server, &addr, &opts), 0);
}

static inline void rig_turn(struct rig *rig, unsigned rounds)
{
	while (rounds-- > 0)
		loop_run(&rig->loop, UV_RUN_NOWAIT);
}

/* Run for a while: what was on its way has come. */
static inline void rig_quiet(struct rig *rig)
{
	for (int i = 0; i < 5; i++) {
		rig_turn(rig, 20);
		usleep(1000);
	}
}

/* Run until the handler has seen @a count requests. */
static inline void rig_until_handled(struct rig *rig, unsigned count)
{
	for (int i = 0; rig->handled < count && i < 50000; i++) {
		rig_turn(rig, 1);
		if (rig->handled < count)
			usleep(100);
	}
	assert_in_range(rig->handled, count, UINT_MAX);
}

/* Run until @a count connections are open. */
static inline void rig_until_open(struct rig *rig, unsigned count)
{
	struct http_stat stat = { .connections = UINT32_MAX };

	for (int i = 0; stat.connections != count && i < 50000; i++) {
		rig_turn(rig, 1);
		http_server_stat(rig->server, &stat);
		if (stat.connections != count)
			usleep(100);
	}
	assert_int_equal(stat.connections, count);
}

static inline struct http_stat rig_stat(struct rig *rig)
{
	struct http_stat stat;

	http_server_stat(rig->server, &stat);
	return stat;
}

static inline void rig_on_drained(struct http_server *server, void *arg)
{
	struct rig *rig = arg;

	assert_ptr_equal(server, rig->server);
	rig->drained++;
}

/* Run until the drain is over. */
static inline void rig_drain(struct rig *rig, uint64_t deadline_ms)
{
	int rc = http_server_drain(rig->server, deadline_ms, rig_on_drained,
				   rig);

	assert_true(rc == 0 || rc == UV_EALREADY || rc == UV_ENOTCONN);
	while (http_server_is_running(rig->server))
		loop_run(&rig->loop, UV_RUN_ONCE);
}

/* Everything closed, nothing leaked, or the test fails. */
static inline void rig_stop(struct rig *rig)
{
	rig_drain(rig, 0);
	http_server_free(rig->server);
	timers_close(&rig->timers);
	assert_int_equal(loop_run(&rig->loop, UV_RUN_DEFAULT), 0);
	assert_int_equal(loop_destroy(&rig->loop, NULL, NULL), 0);
	assert_int_equal(unit_open_fds(), rig->fds);
}

static inline int rig_connect_sized(struct rig *rig, int receive_buffer)
{
	struct listen_address addr;
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (receive_buffer > 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer,
			   sizeof(receive_buffer));
	assert_int_equal(http_server_address(rig->server, &addr), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr.addr, addr.size),
			 0);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

static inline int rig_connect(struct rig *rig)
{
	return rig_connect_sized(rig, 0);
}

/* Send all, letting the server read meanwhile. False: the peer is gone. */
static inline bool rig_send(struct rig *rig, int fd, const void *data,
			    size_t size)
{
	const char *p = data;

	while (size > 0) {
		ssize_t n = send(fd, p, size, MSG_NOSIGNAL);

		if (n < 0 && errno != EAGAIN)
			return false;
		if (n > 0) {
			p += n;
			size -= n;
		}
		rig_turn(rig, 1);
	}
	return true;
}

static inline bool rig_puts(struct rig *rig, int fd, const char *text)
{
	return rig_send(rig, fd, text, strlen(text));
}

/*
 * Read what comes until the end of the stream (true), or until a few rounds of
 * the loop have brought nothing (false). The text gets a NUL.
 */
static inline bool rig_settle(struct rig *rig, int fd, char *to, size_t size)
{
	size_t have = 0;

	to[0] = '\0';
	for (int quiet = 0; quiet < 5;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		ssize_t n;

		rig_turn(rig, 2);
		assert_true(have < size - 1);
		n = recv(fd, to + have, size - 1 - have, MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno == ECONNRESET))
			return true;
		if (n > 0) {
			have += n;
			to[have] = '\0';
			quiet = 0;
		} else if (poll(&p, 1, 1) == 0) {
			quiet++; /* bytes may take a moment, even here */
		}
	}
	return false;
}

/* Run until the stream ends, a deadline of the server's among the reasons. */
static inline void rig_wait_end(struct rig *rig, int fd, char *to, size_t size)
{
	size_t have = strlen(to);

	while (!rig_settle(rig, fd, to + have, size - have)) {
		have += strlen(to + have);
		usleep(1000);
	}
}

static inline unsigned rig_count(const char *text, const char *what)
{
	unsigned n = 0;

	for (; (text = strstr(text, what)) != NULL; text += strlen(what))
		n++;
	return n;
}
