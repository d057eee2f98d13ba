/* The closed-loop load client; see http_load.h. */
#include "http_load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "http_load_frame.h"
#include "http_load_wire.h"

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
	struct load_wire wire;
	struct load_framing framing;
	unsigned inflight; /* requests sent and not yet answered */
	uint64_t next_id;  /* the one whose reply comes next */
	uint64_t sent_ns;  /* when the batch was, or was due */
	uint64_t due_ns;   /* the next, with an interval */
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
	struct ssl_ctx_st *tls;
	char *same; /* the batch, when all are the same */
	size_t same_size;
	char *read_buf; /* room for a partial reply before a read */
	uint64_t next_id;
	uint64_t now; /* refreshed after each epoll_wait */
	uint64_t warm_ns, end_ns, last_reply_ns;
	uint64_t interval_ns; /* 0: none */
	unsigned busy;        /* connections with requests in flight */
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
	return epoll_ctl(l->epoll, EPOLL_CTL_MOD, c->wire.fd, &event);
}

static int conn_open(struct load *l, struct conn *c, const char **ret_why)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = c };

	if (load_wire_open(&c->wire, l->cfg, l->tls, ret_why) != 0)
		return -1;
	if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, c->wire.fd, &event) != 0) {
		*ret_why = "cannot watch a connection";
		load_wire_close(&c->wire);
		return -1;
	}
	load_framing_reset(&c->framing);
	c->want_write = false;
	return 0;
}

static void conn_close(struct load *l, struct conn *c)
{
	load_wire_close(&c->wire);
	if (c->inflight > 0)
		l->busy--;
	c->inflight = 0;
	c->out_size = 0;
	c->partial_size = 0;
}

static void conn_flush(struct load *l, struct conn *c);

/* What is sent next, and how long that is. */
static void conn_fill(struct load *l, struct conn *c, unsigned depth)
{
	const struct load_cfg *cfg = l->cfg;

	if (cfg->protocol == LOAD_HTTP2) {
		c->out = c->batch;
		c->out_size = load_http2_batch(&c->framing, l->same,
					       l->same_size, depth, c->batch);
	} else if (cfg->same_request) {
		c->out = l->same;
		c->out_size = l->same_size * depth;
	} else {
		c->out = c->batch;
		c->out_size = 0;
		for (unsigned i = 0; i < depth; i++)
			c->out_size += cfg->request(cfg->arg, c->next_id + i,
						    c->batch + c->out_size);
	}
}

/* Send the next batch, unless the run is ending or it is not due. */
static void conn_kick(struct load *l, struct conn *c)
{
	const struct load_cfg *cfg = l->cfg;
	unsigned depth = cfg->depth;

	if (cfg->max_requests != 0 &&
	    cfg->max_requests - l->result->sent < depth)
		depth = (unsigned)(cfg->max_requests - l->result->sent);
	if (l->ending || depth == 0 || c->wire.fd < 0)
		return;
	c->sent_ns = clock_ns();
	if (l->interval_ns != 0) {
		if (c->due_ns > c->sent_ns || c->due_ns >= l->end_ns)
			return;
		c->sent_ns = c->due_ns;
		c->due_ns += l->interval_ns;
	}
	c->next_id = l->next_id;
	l->next_id += depth;
	l->result->sent += depth;
	l->busy++;
	c->inflight = depth;
	conn_fill(l, c, depth);
	conn_flush(l, c);
}

/* Another connection, and the next batch. */
static void conn_again(struct load *l, struct conn *c)
{
	const char *why;

	if (conn_open(l, c, &why) != 0)
		note_error(l, 1, why, errno);
	else
		conn_kick(l, c);
}

/* The connection is of no use any more: its requests in flight are lost. */
static void conn_fail(struct load *l, struct conn *c, const char *text, int err)
{
	note_error(l, c->inflight > 0 ? c->inflight : 1, text, err);
	conn_close(l, c);
	if (l->ending || l->result->errors >= l->cfg->max_errors)
		return;
	conn_again(l, c);
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
		ssize_t n = load_wire_send(&c->wire, c->out, c->out_size);
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

/* With an interval it counts when it was due, and else when it came. */
static bool is_counted(const struct load *l, const struct conn *c)
{
	return l->interval_ns != 0 ? c->sent_ns >= l->warm_ns : l->counting;
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
		if (is_counted(l, c)) {
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
	bool whole;

	while (size > 0) {
		if (c->inflight == 0 && l->cfg->protocol != LOAD_HTTP2) {
			conn_fail(l, c, "a reply nobody asked for", 0);
			return;
		}
		used = load_frame(&c->framing, data, size, &reply, &whole,
				  &why);
		if (used < 0) {
			conn_fail(l, c, why, 0);
			return;
		}
		if (used == 0)
			break;
		if (whole)
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
	if (c->inflight != 0)
		return;
	if (l->cfg->reconnect && !l->ending) {
		conn_close(l, c);
		conn_again(l, c);
	} else {
		conn_kick(l, c);
	}
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
	n = load_wire_recv(&c->wire, l->read_buf + kept, READ_SIZE);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0)
		conn_ended(l, c, n < 0 ? errno : 0);
	else
		take_replies(l, c, l->read_buf, kept + (size_t)n);
}

/* --- the run --- */

/* What the requests are made of, and one connection's memory. */
static int conn_prepare(struct load *l, struct conn *c)
{
	const struct load_cfg *cfg = l->cfg;
	size_t batch = (size_t)cfg->depth * LOAD_REQUEST_MAX;

	c->framing.protocol = cfg->protocol;
	c->framing.same_size = l->same_size;
	if (cfg->protocol == LOAD_HTTP2) {
		batch = LOAD_CONTROL_ROOM +
			cfg->depth * (LOAD_FRAME_HEAD + l->same_size);
		c->framing.streams =
			calloc(cfg->depth, sizeof(*c->framing.streams));
		if (c->framing.streams == NULL)
			return -1;
	} else if (cfg->same_request) {
		return 0;
	}
	c->batch = malloc(batch);
	return c->batch != NULL ? 0 : -1;
}

static int load_prepare(struct load *l)
{
	const struct load_cfg *cfg = l->cfg;
	const char *why = "cannot prepare the run";

	l->conns = calloc(cfg->connections, sizeof(*l->conns));
	l->read_buf = malloc(LOAD_REPLY_MAX + 2 * READ_SIZE);
	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (l->conns == NULL || l->read_buf == NULL || l->epoll < 0)
		goto fail;
	for (unsigned i = 0; i < cfg->connections; i++)
		l->conns[i].wire.fd = -1;
	if (cfg->tls && (l->tls = load_tls_new()) == NULL)
		goto fail;
	if (cfg->same_request) {
		l->same = malloc((size_t)cfg->depth * LOAD_REQUEST_MAX);
		if (l->same == NULL)
			goto fail;
		l->same_size = cfg->request(cfg->arg, 0, l->same);
		for (unsigned i = 1; i < cfg->depth; i++)
			memcpy(l->same + i * l->same_size, l->same,
			       l->same_size);
	}
	for (unsigned i = 0; i < cfg->connections; i++) {
		struct conn *c = &l->conns[i];

		if (conn_prepare(l, c) != 0 || conn_open(l, c, &why) != 0)
			goto fail;
	}
	return 0;
fail:
	note_error(l, 1, why, errno);
	return -1;
}

static void load_release(struct load *l)
{
	for (unsigned i = 0; l->conns != NULL && i < l->cfg->connections; i++) {
		conn_close(l, &l->conns[i]);
		free(l->conns[i].framing.streams);
		free(l->conns[i].batch);
		free(l->conns[i].partial);
	}
	free(l->conns);
	free(l->same);
	free(l->read_buf);
	load_tls_delete(l->tls);
	if (l->epoll >= 0)
		close(l->epoll);
}

/*
 * Send what is due; returns when the next is of those who have their answers,
 * UINT64_MAX: of nobody.
 */
static uint64_t load_pace(struct load *l)
{
	uint64_t next = UINT64_MAX;

	for (unsigned i = 0; i < l->cfg->connections; i++) {
		struct conn *c = &l->conns[i];

		if (c->wire.fd < 0)
			continue;
		if (c->inflight == 0)
			conn_kick(l, c);
		if (c->inflight == 0 && c->due_ns < l->end_ns &&
		    c->due_ns < next)
			next = c->due_ns;
	}
	return next;
}

/* All that was to be sent in the time has been. */
static bool time_is_over(const struct load *l, uint64_t next_due)
{
	return l->now >= l->end_ns &&
	       (l->interval_ns == 0 ||
		(next_due == UINT64_MAX && l->busy == 0));
}

/* Move on by the clock; false when the run is over. */
static bool load_advance(struct load *l, uint64_t next_due)
{
	const struct load_cfg *cfg = l->cfg;
	struct load_result *r = l->result;

	l->now = clock_ns();
	if (!l->counting && !l->ending && l->now >= l->warm_ns) {
		l->counting = true;
		l->warm_ns = l->now;
	}
	if (!l->ending &&
	    (time_is_over(l, next_due) || r->errors >= cfg->max_errors ||
	     (cfg->stop != NULL && atomic_load(cfg->stop)) ||
	     (cfg->max_requests != 0 && r->sent >= cfg->max_requests &&
	      l->busy == 0))) {
		l->ending = true;
		if (l->counting)
			r->seconds = (double)(l->now - l->warm_ns) / 1e9;
		l->counting = false;
	}
	if (l->interval_ns != 0)
		return !l->ending || l->busy > 0;
	if (l->busy == 0 && !l->ending && !l->cfg->server_may_end)
		note_error(l, 1, "no connection is left", 0);
	return l->busy > 0;
}

static int load_wait(struct load *l, struct epoll_event *events, uint64_t due)
{
	uint64_t most = 20000000, now = clock_ns();
	struct timespec time = { 0 };

	if (due != UINT64_MAX && due < now + most)
		most = due > now ? due - now : 0;
	time.tv_nsec = (long)most;
	return epoll_pwait2(l->epoll, events, EVENTS, &time, NULL);
}

static int load_loop(struct load *l)
{
	uint64_t stall_ns = (uint64_t)(l->cfg->stall_seconds * 1e9);
	struct epoll_event events[EVENTS];
	uint64_t due = UINT64_MAX;

	for (unsigned i = 0; i < l->cfg->connections; i++)
		conn_kick(l, &l->conns[i]);
	l->last_reply_ns = clock_ns();
	while (load_advance(l, due)) {
		int n;

		if (l->interval_ns != 0)
			due = load_pace(l);
		n = load_wait(l, events, due);
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
			if ((events[i].events & ~EPOLLOUT) == 0)
				continue;
			if (c->wire.fd >= 0)
				conn_readable(l, c);
			while (c->wire.fd >= 0 && load_wire_pending(&c->wire))
				conn_readable(l, c);
		}
	}
	return 0;
}

/* The connections' times are spread over the interval. */
static void load_schedule(struct load *l)
{
	const struct load_cfg *cfg = l->cfg;
	uint64_t now = clock_ns();

	l->warm_ns = now + (uint64_t)(cfg->warm_seconds * 1e9);
	l->end_ns = l->warm_ns + (uint64_t)(cfg->seconds * 1e9);
	l->interval_ns = (uint64_t)(cfg->interval * 1e9);
	for (unsigned i = 0; i < cfg->connections; i++)
		l->conns[i].due_ns =
			now + l->interval_ns * i / cfg->connections;
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
		load_schedule(l);
		rc = load_loop(l);
	}
	ret_result->p50_us = percentile_us(l, 0.50);
	ret_result->p99_us = percentile_us(l, 0.99);
	ret_result->max_us = (double)l->max_ns / 1e3;
	load_release(l);
	free(l);
	return rc;
}
