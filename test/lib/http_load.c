/* The closed-loop load client; see http_load.h. */
#include "http_load.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	EVENTS = 512,
	READ_SIZE = 256 << 10,
	/* Latencies: 64 steps in each power of two of nanoseconds. */
	STEP_BITS = 6,
	STEPS = 1 << STEP_BITS,
	EXPONENTS = 64,
};

/** One connection and the batch it has in flight. */
struct conn {
	int fd;
	unsigned inflight; /* requests sent and not yet answered */
	uint64_t next_id;  /* the one whose reply comes next */
	uint64_t sent_ns;  /* when the batch was */
	char *out;         /* what is left to send */
	size_t out_size;
	bool want_write; /* epoll watches for room */
	char *batch;     /* memory of the batch, unless all are the same */
	char *partial;   /* a reply of which a part has come */
	size_t partial_size;
};

/** A run. */
struct load {
	const struct load_cfg *cfg;
	struct load_result *result;
	struct conn *conns;
	int epoll;
	char *same; /* the batch, when all are the same */
	size_t same_size;
	char *read_buf; /* room for a partial reply before a read */
	uint64_t next_id;
	uint64_t now; /* refreshed after each epoll_wait */
	uint64_t warm_ns, end_ns, last_reply_ns;
	unsigned busy; /* connections with requests in flight */
	bool counting;
	bool ending; /* nothing more is sent */
	uint64_t max_ns;
	uint64_t histogram[EXPONENTS * STEPS];
};

static uint64_t clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void note_error(struct load *l, uint64_t count, const char *text,
		       int err)
{
	char *first = l->result->first_error;

	if (l->result->errors == 0)
		snprintf(first, LOAD_ERROR_SIZE, "%s%s%s", text,
			 err != 0 ? ": " : "", err != 0 ? strerror(err) : "");
	l->result->errors += count;
}

/* --- latencies --- */

static void note_latency(struct load *l, uint64_t ns)
{
	unsigned exponent = 63 - (unsigned)__builtin_clzll(ns | STEPS);
	unsigned step = (ns >> (exponent - STEP_BITS)) & (STEPS - 1);

	l->histogram[exponent * STEPS + step]++;
	if (ns > l->max_ns)
		l->max_ns = ns;
}

static double percentile_us(const struct load *l, double share)
{
	uint64_t want = (uint64_t)((double)l->result->counted * share);
	uint64_t seen = 0;

	for (unsigned i = 0; i < EXPONENTS * STEPS; i++) {
		seen += l->histogram[i];
		if (seen > want) {
			uint64_t top = STEPS + i % STEPS;
			return (double)(top << (i / STEPS - STEP_BITS)) / 1e3;
		}
	}
	return (double)l->max_ns / 1e3;
}

/* --- connections --- */

static int conn_watch(struct load *l, struct conn *c, bool write)
{
	struct epoll_event event = {
		.events = EPOLLIN | (write ? EPOLLOUT : 0),
		.data.ptr = c,
	};

	c->want_write = write;
	return epoll_ctl(l->epoll, EPOLL_CTL_MOD, c->fd, &event);
}

static int conn_open(struct load *l, struct conn *c)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)l->cfg->port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = c };
	int on = 1;

	/* Connected before it is non-blocking: on loopback the kernel alone
	 * answers, and a listen queue that overflows is waited for. */
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		return -1;
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(c->fd, (struct sockaddr *)&addr, sizeof(addr)) != 0 ||
	    epoll_ctl(l->epoll, EPOLL_CTL_ADD, c->fd, &event) != 0) {
		close(c->fd);
		c->fd = -1;
		return -1;
	}
	c->want_write = false;
	return 0;
}

static void conn_close(struct load *l, struct conn *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	if (c->inflight > 0)
		l->busy--;
	c->inflight = 0;
	c->out_size = 0;
	c->partial_size = 0;
}

static void conn_flush(struct load *l, struct conn *c);

/* Send the next batch, unless the run is ending. */
static void conn_kick(struct load *l, struct conn *c)
{
	const struct load_cfg *cfg = l->cfg;
	unsigned depth = cfg->depth;

	if (cfg->max_requests != 0 &&
	    cfg->max_requests - l->result->sent < depth)
		depth = (unsigned)(cfg->max_requests - l->result->sent);
	if (l->ending || depth == 0 || c->fd < 0)
		return;
	c->next_id = l->next_id;
	l->next_id += depth;
	l->result->sent += depth;
	l->busy++;
	c->inflight = depth;
	if (cfg->same_request) {
		c->out = l->same;
		c->out_size = l->same_size * depth;
	} else {
		c->out = c->batch;
		c->out_size = 0;
		for (unsigned i = 0; i < depth; i++)
			c->out_size += cfg->request(cfg->arg, c->next_id + i,
						    c->batch + c->out_size);
	}
	c->sent_ns = clock_ns();
	conn_flush(l, c);
}

/* The connection is of no use any more: its requests in flight are lost. */
static void conn_fail(struct load *l, struct conn *c, const char *text, int err)
{
	note_error(l, c->inflight > 0 ? c->inflight : 1, text, err);
	conn_close(l, c);
	if (l->ending || l->result->errors >= l->cfg->max_errors)
		return;
	if (conn_open(l, c) != 0)
		note_error(l, 1, "cannot connect again", errno);
	else
		conn_kick(l, c);
}

/* The other side has ended it, or the network (err). */
static void conn_ended(struct load *l, struct conn *c, int err)
{
	if (c->partial_size == 0 &&
	    (c->inflight == 0 || l->cfg->server_may_end)) {
		l->result->closed += c->inflight;
		conn_close(l, c);
	} else {
		conn_fail(l, c, "the server closed a connection", err);
	}
}

static void conn_flush(struct load *l, struct conn *c)
{
	while (c->out_size > 0) {
		ssize_t n = send(c->fd, c->out, c->out_size,
				 MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN) {
			conn_ended(l, c, errno);
			return;
		}
		if (n < 0) {
			if (!c->want_write)
				conn_watch(l, c, true);
			return;
		}
		c->out += n;
		c->out_size -= (size_t)n;
	}
	if (c->want_write)
		conn_watch(l, c, false);
}

/* --- replies --- */

/* Content-Length among the header lines that end at @end; -1: none, bad. */
static long content_length(const char *head, const char *end)
{
	static const char name[] = "content-length:";
	const char *line = memchr(head, '\n', (size_t)(end - head));

	while (line != NULL && ++line < end) {
		if ((*line | 0x20) == 'c' &&
		    (size_t)(end - line) >= sizeof(name) &&
		    strncasecmp(line, name, sizeof(name) - 1) == 0) {
			const char *p = line + sizeof(name) - 1;
			long n = 0;

			while (*p == ' ')
				p++;
			if (*p < '0' || *p > '9')
				return -1;
			for (; *p >= '0' && *p <= '9'; p++) {
				n = n * 10 + (*p - '0');
				if (n > LOAD_REPLY_MAX)
					return -1;
			}
			return *p == '\r' ? n : -1;
		}
		line = memchr(line, '\n', (size_t)(end - line));
	}
	return -1;
}

/*
 * The reply at the front of data. Returns the bytes it takes, 0 when there is
 * more to come, or -1 with *ret_why set.
 */
static ssize_t frame_reply(const struct load *l, const char *data, size_t size,
			   struct load_reply *ret_reply, const char **ret_why)
{
	const char *end;
	size_t head;
	long length;

	if (l->cfg->protocol == LOAD_ECHO) {
		if (size < l->same_size)
			return 0;
		*ret_reply = (struct load_reply){ 200, data, l->same_size };
		return (ssize_t)l->same_size;
	}
	end = memmem(data, size, "\r\n\r\n", 4);
	if (end == NULL) {
		*ret_why = "the header of a reply does not end";
		return size > LOAD_REPLY_MAX ? -1 : 0;
	}
	if (end - data < 12 || memcmp(data, "HTTP/1.1 ", 9) != 0) {
		*ret_why = "a reply does not begin with HTTP/1.1";
		return -1;
	}
	length = content_length(data, end + 2);
	if (length < 0) {
		*ret_why = "a reply without a usable Content-Length";
		return -1;
	}
	head = (size_t)(end + 4 - data);
	if (size - head < (size_t)length)
		return 0;
	ret_reply->status = (data[9] - '0') * 100 + (data[10] - '0') * 10 +
			    (data[11] - '0');
	ret_reply->body = data + head;
	ret_reply->size = (size_t)length;
	return (ssize_t)(head + (size_t)length);
}

static void take_reply(struct load *l, struct conn *c,
		       const struct load_reply *reply)
{
	const char *wrong = NULL;

	if (l->cfg->check != NULL)
		wrong = l->cfg->check(l->cfg->arg, c->next_id, reply);
	if (wrong != NULL) {
		char text[LOAD_ERROR_SIZE];

		snprintf(text, sizeof(text), "%s: status %d, body %.*s", wrong,
			 reply->status,
			 (int)(reply->size > 100 ? 100 : reply->size),
			 reply->body);
		note_error(l, 1, text, 0);
	} else {
		l->result->answered++;
		if (l->counting) {
			l->result->counted++;
			note_latency(l, l->now - c->sent_ns);
		}
	}
	c->next_id++;
	if (--c->inflight == 0)
		l->busy--;
}

/* All whole replies in data; what is left is kept for the next read. */
static void take_replies(struct load *l, struct conn *c, const char *data,
			 size_t size)
{
	const char *why = NULL;
	struct load_reply reply;
	ssize_t used;

	while (size > 0) {
		if (c->inflight == 0) {
			conn_fail(l, c, "a reply nobody asked for", 0);
			return;
		}
		used = frame_reply(l, data, size, &reply, &why);
		if (used < 0) {
			conn_fail(l, c, why, 0);
			return;
		}
		if (used == 0)
			break;
		take_reply(l, c, &reply);
		data += used;
		size -= (size_t)used;
	}
	c->partial_size = 0;
	if (size > 0) {
		char *p = realloc(c->partial, size);

		if (p == NULL) {
			conn_fail(l, c, "out of memory", 0);
			return;
		}
		memcpy(p, data, size);
		c->partial = p;
		c->partial_size = size;
	}
	if (c->inflight == 0)
		conn_kick(l, c);
}

static void conn_readable(struct load *l, struct conn *c)
{
	/* A reply in parts is judged whole: its beginning goes in front. */
	size_t kept = c->partial_size;
	ssize_t n;

	if (kept > LOAD_REPLY_MAX + READ_SIZE) {
		conn_fail(l, c, "a reply is too long", 0);
		return;
	}
	if (kept > 0)
		memcpy(l->read_buf, c->partial, kept);
	n = recv(c->fd, l->read_buf + kept, READ_SIZE, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0)
		conn_ended(l, c, n < 0 ? errno : 0);
	else
		take_replies(l, c, l->read_buf, kept + (size_t)n);
}

/* --- the run --- */

static int load_prepare(struct load *l)
{
	const struct load_cfg *cfg = l->cfg;
	size_t batch = (size_t)cfg->depth * LOAD_REQUEST_MAX;

	l->conns = calloc(cfg->connections, sizeof(*l->conns));
	l->read_buf = malloc(LOAD_REPLY_MAX + 2 * READ_SIZE);
	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (l->conns == NULL || l->read_buf == NULL || l->epoll < 0)
		goto fail;
	for (unsigned i = 0; i < cfg->connections; i++)
		l->conns[i].fd = -1;
	if (cfg->same_request) {
		l->same = malloc(batch);
		if (l->same == NULL)
			goto fail;
		l->same_size = cfg->request(cfg->arg, 0, l->same);
		for (unsigned i = 1; i < cfg->depth; i++)
			memcpy(l->same + i * l->same_size, l->same,
			       l->same_size);
	}
	for (unsigned i = 0; i < cfg->connections; i++) {
		struct conn *c = &l->conns[i];

		if (!cfg->same_request && (c->batch = malloc(batch)) == NULL)
			goto fail;
		if (conn_open(l, c) != 0) {
			note_error(l, 1, "cannot connect", errno);
			return -1;
		}
	}
	return 0;
fail:
	note_error(l, 1, "cannot prepare the run", errno);
	return -1;
}

static void load_release(struct load *l)
{
	for (unsigned i = 0; l->conns != NULL && i < l->cfg->connections; i++) {
		conn_close(l, &l->conns[i]);
		free(l->conns[i].batch);
		free(l->conns[i].partial);
	}
	free(l->conns);
	free(l->same);
	free(l->read_buf);
	if (l->epoll >= 0)
		close(l->epoll);
}

/* Move on by the clock; false when the run is over. */
static bool load_advance(struct load *l)
{
	const struct load_cfg *cfg = l->cfg;
	struct load_result *r = l->result;

	l->now = clock_ns();
	if (!l->counting && !l->ending && l->now >= l->warm_ns) {
		l->counting = true;
		l->warm_ns = l->now;
	}
	if (!l->ending &&
	    (l->now >= l->end_ns || r->errors >= cfg->max_errors ||
	     (cfg->stop != NULL && atomic_load(cfg->stop)) ||
	     (cfg->max_requests != 0 && r->sent >= cfg->max_requests &&
	      l->busy == 0))) {
		l->ending = true;
		if (l->counting)
			r->seconds = (double)(l->now - l->warm_ns) / 1e9;
		l->counting = false;
	}
	if (l->busy == 0 && !l->ending && !l->cfg->server_may_end)
		note_error(l, 1, "no connection is left", 0);
	return l->busy > 0;
}

static int load_loop(struct load *l)
{
	uint64_t stall_ns = (uint64_t)(l->cfg->stall_seconds * 1e9);
	struct epoll_event events[EVENTS];

	for (unsigned i = 0; i < l->cfg->connections; i++)
		conn_kick(l, &l->conns[i]);
	l->last_reply_ns = clock_ns();
	while (load_advance(l)) {
		int n = epoll_wait(l->epoll, events, EVENTS, 20);

		if (n < 0 && errno != EINTR) {
			note_error(l, 1, "epoll_wait", errno);
			return -1;
		}
		l->now = clock_ns();
		if (n > 0)
			l->last_reply_ns = l->now;
		if (l->now - l->last_reply_ns > stall_ns) {
			note_error(l, l->busy, "no answer any more", 0);
			return -1;
		}
		for (int i = 0; i < n; i++) {
			struct conn *c = events[i].data.ptr;

			if ((events[i].events & EPOLLOUT) != 0)
				conn_flush(l, c);
			if ((events[i].events & ~EPOLLOUT) != 0 && c->fd >= 0)
				conn_readable(l, c);
		}
	}
	return 0;
}

int load_run(const struct load_cfg *cfg, struct load_result *ret_result)
{
	struct load *l = calloc(1, sizeof(*l));
	int rc;

	memset(ret_result, 0, sizeof(*ret_result));
	if (l == NULL) {
		snprintf(ret_result->first_error, LOAD_ERROR_SIZE,
			 "out of memory");
		ret_result->errors = 1;
		return -1;
	}
	l->cfg = cfg;
	l->result = ret_result;
	l->epoll = -1;
	rc = load_prepare(l);
	if (rc == 0) {
		l->warm_ns = clock_ns() + (uint64_t)(cfg->warm_seconds * 1e9);
		l->end_ns = l->warm_ns + (uint64_t)(cfg->seconds * 1e9);
		rc = load_loop(l);
	}
	ret_result->p50_us = percentile_us(l, 0.50);
	ret_result->p99_us = percentile_us(l, 0.99);
	ret_result->max_us = (double)l->max_ns / 1e3;
	load_release(l);
	free(l);
	return rc;
}
