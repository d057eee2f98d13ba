/*
 * Peers that cost more than they bring: streams that stall, headers that do not
 * end, requests that are taken back, frames that say nothing.
 *
 * Streams are few and wait for different things, so one timer of the session
 * looks at them all a few times in each limit; it is off while there is none. As
 * for connections a deadline counts only when it is found passed twice.
 */
#include "net/http2.h"

enum {
	BROKEN_FREE = 100, /* streams that may be taken back */
	NOISE_FREE = 1000, /* frames that may say nothing, and besides for */
	NOISE_FRAME = 10,  /* each that we have sent */
	NOISE_SECOND = 10, /* each second */
	UNKNOWN_FREE = 64 << 10, /* bytes of unknown frames, and besides */
	UNKNOWN_REQUEST = 64,    /* for each request */
	LOOKS = 4,               /* in the shortest limit */
	LOOK_MIN_MS = 10,
	LOOK_MAX_MS = 1000,
	WINDOW_PROGRESS = 4096, /* the least to be let out in send_ms */
};

void http2__count_frame(struct http2 *h2, uint8_t type, size_t size)
{
	uint64_t allowed = NOISE_FREE + (uint64_t)h2->frames * NOISE_FRAME;

	h2->known += size;
	/* Continuations are nghttp2's to count, and belong to a header. */
	if (type == NGHTTP2_CONTINUATION || ++h2->noise <= allowed)
		return;
	allowed += (http1__now_ms() - h2->began_ms) / 1000 * NOISE_SECOND;
	h2->flooded |= h2->noise > allowed;
}

/* Frames of types that nobody knows are skipped, and not told of. */
void http2__count_bytes(struct http2 *h2, size_t size)
{
	h2->bytes += size;
	h2->flooded |= h2->bytes >
		       h2->known + UNKNOWN_FREE +
			       (uint64_t)h2->finished * UNKNOWN_REQUEST;
}

void http2__count_end(struct http2 *h2, bool finished)
{
	if (finished) {
		h2->finished++;
		return;
	}
	h2->broken++;
	http1__server_of(h2->conn)->stat.http2_resets++;
	h2->flooded |= h2->broken > BROKEN_FREE + h2->finished;
}

static uint32_t look_ms(const struct http2 *h2)
{
	const struct http_limits *l = &http1__server_of(h2->conn)->limits;
	uint32_t ms = l->body_ms;

	if (l->send_ms < ms)
		ms = l->send_ms;
	if (l->header_ms < ms)
		ms = l->header_ms;
	ms /= LOOKS;
	if (ms < LOOK_MIN_MS)
		return LOOK_MIN_MS;
	return ms < LOOK_MAX_MS ? ms : LOOK_MAX_MS;
}

/* A body that may come, and has not. */
static bool wants_body(const struct http2_stream *s)
{
	const struct http_request *req = s->req;

	if (req == NULL || req->conn == NULL || s->whole || s->unacked > 0 ||
	    req->phase == HTTP1_HEAD)
		return false;
	return !(req->receiving && (req->expect || !http1__has_room(req)));
}

static bool lacks_window(const struct http2_stream *s)
{
	nghttp2_session *session = s->h2->session;

	return http2__pending(s) > 0 &&
	       (nghttp2_session_get_stream_remote_window_size(session, s->id) <=
			0 ||
		nghttp2_session_get_remote_window_size(session) <= 0);
}

/* What @a s waits for; *ret_progress counts what has come of it, *ret_step is how
 * much makes a difference. */
static enum http2_wait wait_of(const struct http2_stream *s,
			       uint64_t *ret_progress, uint32_t *ret_step)
{
	*ret_progress = s->sent;
	*ret_step = WINDOW_PROGRESS;
	if (s->closed || s->h2->conn->closing)
		return HTTP2_WAIT_NONE;
	if (s->sent_all)
		return s->whole ? HTTP2_WAIT_NONE : HTTP2_WAIT_END;
	if (lacks_window(s))
		return HTTP2_WAIT_WINDOW;
	if (!wants_body(s))
		return HTTP2_WAIT_NONE;
	*ret_progress = http1__body_total(s->req);
	*ret_step = HTTP1_READ_SIZE;
	return HTTP2_WAIT_BODY;
}

static void expire(struct http2_stream *s)
{
	struct http_stat *stat = &http1__server_of(s->h2->conn)->stat;

	switch ((enum http2_wait)s->wait) {
	case HTTP2_WAIT_WINDOW:
		stat->timeouts++;
		http2__reset(s, NGHTTP2_CANCEL);
		return;
	case HTTP2_WAIT_BODY:
		stat->timeouts++;
		http2__refuse_body(s, 408, "the body did not come in time");
		return;
	default:
		http2__reset(s, NGHTTP2_NO_ERROR);
		return;
	}
}

static uint32_t limit_ms(const struct http2 *h2, enum http2_wait wait)
{
	const struct http_limits *l = &http1__server_of(h2->conn)->limits;

	if (wait == HTTP2_WAIT_END)
		return HTTP2_LINGER_MS;
	return wait == HTTP2_WAIT_BODY ? l->body_ms : l->send_ms;
}

static void look_at(struct http2_stream *s, uint64_t now)
{
	uint64_t progress;
	uint32_t step;
	enum http2_wait wait = wait_of(s, &progress, &step);

	if (wait != s->wait || progress - s->mark >= step) {
		s->wait = wait;
		s->mark = progress;
		s->late = false;
		s->due_ms = now + limit_ms(s->h2, wait);
	} else if (wait == HTTP2_WAIT_NONE || now < s->due_ms) {
		return;
	} else if (!s->late) {
		s->late = true;
	} else {
		expire(s);
		s->wait = HTTP2_WAIT_NONE;
	}
}

static void on_timer(struct timer *t)
{
	struct http2 *h2 = list_entry(t, struct http2, timer);
	struct http1_conn *c = h2->conn;
	uint64_t now = http1__now_ms();

	if (h2->head_due_ms != 0 && now > h2->head_due_ms) {
		http1__server_of(c)->stat.timeouts++;
		http2__fail(c, NGHTTP2_PROTOCOL_ERROR);
		return;
	}
	/* One may end by another's being looked at only when the connection
	 * does: nothing is sent until all were. */
	h2->at_work = true;
	list_foreach_safe(link, next, &h2->streams)
		look_at(list_entry(link, struct http2_stream, link), now);
	h2->at_work = false;
	if (h2->end_due_ms != 0 && now > h2->end_due_ms)
		http2__retire(c);
	else
		http2__settle(c);
	if (!c->closing && (!list_empty(&h2->streams) || h2->end_due_ms != 0 ||
			    h2->head_due_ms != 0))
		http2__watch(h2);
}

void http2__watch(struct http2 *h2)
{
	if (timer_active(&h2->timer))
		return;
	timer_start(http1__server_of(h2->conn)->timers, &h2->timer,
		    uv_hrtime() + look_ms(h2) * 1000000ull, on_timer);
}
