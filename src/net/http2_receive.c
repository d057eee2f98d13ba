/*
 * From frames to requests: nghttp2's callbacks for what comes in.
 *
 * nghttp2 has seen to it that a header is one: its pseudo fields, its names and
 * values, the length of its body. What HTTP/1 refuses besides is refused here,
 * with the same answers, so that a handler finds the same in a request whatever
 * brought it. The bytes of a request lie as those of HTTP/1 do, in memory of its
 * own: target and fields, then the body.
 *
 * The window of the connection is opened again for whatever comes, that of a
 * stream only while there is room: so one that is held back holds back no other.
 */
#include <string.h>
#include <strings.h>

#include "base/inject.h"
#include "net/http2.h"

enum {
	HEAD_ROOM = 300, /* for a usual head, before it has come */
	FRAME_HEAD = 9,
};

static struct http2_stream *stream_new(struct http2 *h2, int32_t id)
{
	struct http_server *server = http1__server_of(h2->conn);
	struct http2_stream *s = http2__alloc(h2, sizeof(*s));
	struct http_request *req;

	if (s == NULL)
		return NULL;
	req = http1__request_take(server);
	if (req == NULL) {
		http2__dealloc(h2, s);
		return NULL;
	}
	memset(s, 0, sizeof(*s));
	http1__parse_start(req);
	req->http2 = true;
	req->minor = 0;
	req->own_size = 0;
	req->conn = h2->conn;
	http1__access_take(req);
	req->h2 = s;
	s->req = req;
	s->h2 = h2;
	s->id = id;
	list_init(&s->ready);
	list_add_tail(&h2->streams, &s->link);
	h2->open++;
	return s;
}

static int on_begin_headers(nghttp2_session *session,
			    const nghttp2_frame *frame, void *arg)
{
	/* All have the same turn, whatever the peer likes better. */
	const nghttp2_extpri even = { NGHTTP2_EXTPRI_DEFAULT_URGENCY, 1 };
	struct http2 *h2 = arg;
	int32_t id = frame->hd.stream_id;
	struct http2_stream *s;

	h2->head_size = 0;
	h2->head_due_ms = HTTP2_HEAD_BEGUN;
	http2__watch(h2);
	if (frame->headers.cat != NGHTTP2_HCAT_REQUEST) {
		s = http2__stream_of(h2, id);
		if (s != NULL && s->req != NULL && !s->trailing) {
			s->trailing = true;
			s->req->trailer_start = s->req->parsed;
			s->req->phase = HTTP1_TRAILERS;
		}
		return 0;
	}
	s = stream_new(h2, id);
	if (s == NULL) {
		h2->head_due_ms = 0;
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	}
	nghttp2_session_set_stream_user_data(session, id, s);
	nghttp2_session_change_extpri_stream_priority(session, id, &even, 1);
	return 0;
}

/* Append to what @a req has. Returns 0 or UV_ENOMEM. */
static int append(struct http_request *req, const void *data, size_t size,
		  struct http1_span *ret_span)
{
	size_t room = req->own_size == 0 ? HEAD_ROOM : 0;

	if (http1__reserve(req, req->parsed + size + room) != 0)
		return UV_ENOMEM;
	*ret_span = (struct http1_span){ req->parsed, size };
	if (size > 0)
		memcpy(req->own + req->parsed, data, size);
	req->parsed += size;
	return 0;
}

static bool is_named(struct http_text t, const char *name)
{
	return t.size == strlen(name) && memcmp(t.data, name, t.size) == 0;
}

static int add_field(struct http_request *req, struct http_text name,
		     struct http_text value)
{
	struct http1_field *f = &req->fields[req->line_count];

	if (req->line_count == HTTP_FIELDS_MAX) {
		http1__refuse(req, 431, "too many header fields");
		return 0;
	}
	if (append(req, name.data, name.size, &f->name) != 0 ||
	    append(req, value.data, value.size, &f->value) != 0)
		return UV_ENOMEM;
	req->line_count++;
	return 0;
}

static void note_method(struct http_request *req, struct http_text name)
{
	for (unsigned i = 0; i <= HTTP_SOURCE; i++) {
		if (is_named(name, http_method_name(i))) {
			req->method = i;
			if (i == HTTP_CONNECT)
				http1__refuse(req, 501, "no tunnels here");
			return;
		}
	}
	http1__refuse(req, 501, "an unknown method");
}

/* ":authority" is Host, by its other name; who sends both means one. */
static int add_host(struct http_request *req, struct http_text value)
{
	static const struct http_text name = { "host", 4 };

	for (unsigned i = 0; i < req->line_count; i++) {
		struct http_field f = http_request_field(req, i);

		if (!is_named(f.name, "host"))
			continue;
		if (f.value.size != value.size ||
		    strncasecmp(f.value.data, value.data, value.size) != 0)
			http1__refuse(req, 400, "a second Host");
		return 0;
	}
	if (!http1__is_host(value.data, value.size))
		http1__refuse(req, 400, "a malformed Host");
	return add_field(req, name, value);
}

static int add_pseudo(struct http_request *req, struct http_text name,
		      struct http_text value)
{
	if (is_named(name, ":method")) {
		note_method(req, value);
	} else if (is_named(name, ":authority")) {
		return add_host(req, value);
	} else if (is_named(name, ":path")) {
		if (value.size > req->server->limits.uri_bytes)
			http1__refuse(req, 414, "the URI is too long");
		else
			return append(req, value.data, value.size,
				      &req->target);
	}
	return 0;
}

/* A field of a head, or a trailer. Returns 0 or UV_ENOMEM. */
static int add_line(struct http2_stream *s, struct http_text name,
		    struct http_text value)
{
	struct http_request *req = s->req;

	if (!s->trailing && name.data[0] == ':')
		return add_pseudo(req, name, value);
	if (!s->trailing && is_named(name, "host"))
		return add_host(req, value);
	if (!s->trailing && is_named(name, "expect")) {
		if (value.size == 12 &&
		    strncasecmp(value.data, "100-continue", 12) == 0)
			req->expect = true;
		else
			http1__refuse(req, 417, "an unknown Expect");
	}
	return add_field(req, name, value);
}

/* Is there a request that takes what comes? */
static bool is_taken(const struct http2_stream *s)
{
	return s->req != NULL && s->req->conn != NULL;
}

/* The stream whose request takes what comes for @a id. NULL: nobody does. */
static struct http2_stream *taker(struct http2 *h2, int32_t id)
{
	struct http2_stream *s = http2__stream_of(h2, id);

	return s != NULL && is_taken(s) ? s : NULL;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame,
		     const uint8_t *name, size_t name_size,
		     const uint8_t *value, size_t value_size, uint8_t flags,
		     void *arg)
{
	struct http2 *h2 = arg;
	struct http2_stream *s = taker(h2, frame->hd.stream_id);
	uint32_t limit = http1__server_of(h2->conn)->limits.header_bytes;

	(void)session;
	(void)flags;
	/* As RFC 9113 10.5.1 counts it. */
	h2->head_size += name_size + value_size + 32;
	if (h2->head_size > (size_t)limit + HTTP2_HEAD_EXCESS) {
		h2->flooded = true;
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	}
	if (s == NULL || s->req->refusal != 0)
		return 0;
	if (h2->head_size > limit) {
		http1__refuse(s->req, 431,
			      s->trailing ? "the trailers are too large"
					  : "the header is too large");
		return 0;
	}
	if (add_line(s, (struct http_text){ (const char *)name, name_size },
		     (struct http_text){ (const char *)value, value_size }) !=
	    0)
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	return 0;
}

/* A name or value that is none: nghttp2 would leave it out. */
static int on_bad_header(nghttp2_session *session, const nghttp2_frame *frame,
			 const uint8_t *name, size_t name_size,
			 const uint8_t *value, size_t value_size, uint8_t flags,
			 void *arg)
{
	(void)name;
	(void)name_size;
	(void)value;
	(void)value_size;
	(void)flags;
	((struct http2 *)arg)->head_due_ms = 0; /* nobody waits for its end */
	nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE,
				  frame->hd.stream_id, NGHTTP2_PROTOCOL_ERROR);
	return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

/* nghttp2 has reset its stream, or ends the session. */
static int on_bad_frame(nghttp2_session *session, const nghttp2_frame *frame,
			int why, void *arg)
{
	(void)session;
	(void)frame;
	(void)why;
	((struct http2 *)arg)->head_due_ms = 0;
	return 0;
}

static bool is_too_long(const struct http_request *req)
{
	uint64_t length = 0;

	for (unsigned i = 0; i < req->field_count; i++) {
		struct http_field f = http_request_field(req, i);

		if (!is_named(f.name, "content-length"))
			continue;
		for (size_t j = 0; j < f.value.size; j++) {
			length =
				length * 10 + (uint64_t)(f.value.data[j] - '0');
			if (length > http1__body_limit(req))
				return true;
		}
	}
	return false;
}

static bool is_ascii(const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (text[i] & 0x80)
			return false;
	}
	return true;
}

/* What HTTP/1 refuses in a head, too. */
static void judge(struct http_request *req)
{
	const char *target = req->base + req->target.start;

	if (req->refusal != 0)
		return;
	if (req->target.size == 0 || (target[0] != '/' && target[0] != '*') ||
	    !is_ascii(target, req->target.size))
		http1__refuse(req, 400, "a malformed target");
	else if (http1__check_target(req) && is_too_long(req))
		http1__refuse(req, 413, "the body is too large");
}

static void make_ready(struct http2_stream *s)
{
	list_del(&s->ready);
	list_add_tail(&s->h2->ready, &s->ready);
}

/* All of a request's body is there. */
static void complete(struct http2_stream *s)
{
	struct http_request *req = s->req;

	req->phase = HTTP1_COMPLETE;
	req->receiving = false;
	if (!s->handed) {
		make_ready(s);
		return;
	}
	http__trace_number(HTTP_TRACE_BODY, req->conn, req,
			   http1__body_total(req), NULL);
	cond_broadcast(&req->ready);
}

/* A head is whole. */
static void begin_request(struct http2_stream *s)
{
	struct http_request *req = s->req;

	req->field_count = req->line_count;
	req->head_size = req->parsed;
	req->body.start = req->head_size;
	req->base = req->own;
	judge(req);
	if (req->refusal != 0) {
		http2__refuse(s, req->refusal, req->reason);
		return;
	}
	if (s->whole) {
		req->expect = false;
		complete(s);
		return;
	}
	req->phase = HTTP1_BODY;
	if (req->server->streaming)
		make_ready(s);
	else
		http2__invite(s);
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame,
		    void *arg)
{
	struct http2 *h2 = arg;
	struct http2_stream *s = NULL;
	uint8_t type = frame->hd.type;
	bool ack = frame->hd.flags & NGHTTP2_FLAG_ACK;

	(void)session;
	if (type == NGHTTP2_PING && ack && h2->end_due_ms != 0)
		h2->end_due_ms = 1; /* it knows: what it sent before is here */
	if (type == NGHTTP2_HEADERS)
		h2->head_due_ms = 0;
	if (type == NGHTTP2_HEADERS || type == NGHTTP2_DATA)
		s = http2__stream_of(h2, frame->hd.stream_id);
	if (s == NULL)
		return 0;
	s->whole |= frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
	if (!is_taken(s))
		return 0;
	if (type == NGHTTP2_HEADERS && s->req->phase == HTTP1_HEAD)
		begin_request(s);
	else if (s->req->refusal != 0)
		http2__refuse_body(s, s->req->refusal, s->req->reason);
	else if (s->whole)
		complete(s);
	return 0;
}

static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *hd,
			  void *arg)
{
	struct http2 *h2 = arg;

	(void)session;
	http2__count_frame(h2, hd->type, hd->length + FRAME_HEAD);
	return 0;
}

/* --- bodies --- */

/* The oldest stream that must be whole always has room: it can end, and then
 * the next one. */
static bool is_first(const struct http2_stream *s)
{
	list_foreach(link, &s->h2->streams) {
		const struct http2_stream *o =
			list_entry(link, struct http2_stream, link);

		if (o == s)
			return true;
		if (o->held > 0 && !o->whole)
			return false;
	}
	return true;
}

static bool has_room(const struct http2_stream *s)
{
	const struct http_request *req = s->req;

	if (req == NULL || req->conn == NULL)
		return false;
	if (req->receiving)
		return http1__has_room(req);
	return s->h2->held < HTTP2_HELD_MAX || is_first(s);
}

void http2__open_window(struct http2_stream *s)
{
	if (s->unacked == 0 || s->closed)
		return;
	if (!has_room(s)) {
		s->h2->deferred = true;
		return;
	}
	nghttp2_session_consume_stream(s->h2->session, s->id, s->unacked);
	s->unacked = 0;
}

void http2__open_windows(struct http2 *h2)
{
	if (!h2->deferred)
		return;
	h2->deferred = false;
	list_foreach(link, &h2->streams)
		http2__open_window(list_entry(link, struct http2_stream, link));
}

void http2__let_go(struct http2_stream *s)
{
	s->h2->held -= s->held;
	s->held = 0;
}

void http2__refuse_body(struct http2_stream *s, int status, const char *why)
{
	struct http_request *req = s->req;

	http1__refuse(req, status, why);
	if (!s->handed) {
		http2__refuse(s, status, why);
		return;
	}
	if (!s->answered)
		http1__access_answer(req, status);
	http1__access_end(req, !s->answered);
	req->conn = NULL; /* its handler finds out */
	cond_broadcast(&req->ready);
	if (s->answered)
		http2__reset(s, NGHTTP2_CANCEL);
	else
		http2__refuse(s, status, why);
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id,
		   const uint8_t *data, size_t size, void *arg)
{
	struct http2 *h2 = arg;
	struct http2_stream *s = taker(h2, id);
	struct http_request *req;

	(void)flags;
	if (h2->noise > 0)
		h2->noise--; /* this frame brings something */
	nghttp2_session_consume_connection(session, size);
	if (s == NULL || s->req->refusal != 0)
		return 0;
	req = s->req;
	s->unacked += size;
	if (http1__body_total(req) + size > http1__body_limit(req)) {
		http2__refuse_body(s, 413, "the body is too large");
		return 0;
	}
	if (http_request_unread(req).size + size > HTTP1_WHOLE_MAX) {
		http2__refuse_body(s, 413,
				   "so large a body is taken in pieces");
		return 0;
	}
	http1__compact(req);
	if (http1__reserve(req, req->parsed + size) != 0)
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	memcpy(req->own + req->parsed, data, size);
	req->parsed += size;
	req->body.size += size;
	req->expect = false;
	if (req->receiving) {
		cond_broadcast(&req->ready);
	} else {
		s->held += size;
		h2->held += size;
	}
	http2__open_window(s);
	return 0;
}

/* --- the end of a stream --- */

static int on_close(nghttp2_session *session, int32_t id, uint32_t code,
		    void *arg)
{
	struct http2 *h2 = arg;
	struct http2_stream *s = http2__stream_of(h2, id);
	struct http_request *req;
	bool finished;

	(void)session;
	(void)code;
	if (s == NULL)
		return 0;
	req = s->req;
	finished = s->answered && s->ended && !s->aborted &&
		   http2__pending(s) == 0;
	/* What we broke off is not the peer's doing. */
	http2__count_end(h2, finished || s->aborted);
	s->closed = true;
	h2->open--;
	http2__let_go(s);
	list_del(&s->ready);
	http1__access_stream_end(s, finished);
	if (req != NULL)
		http1__access_end(req, finished);
	buf_destroy(&s->out);
	s->out_at = 0;
	if (req != NULL && s->handed && req->conn != NULL && !finished) {
		http1__server_of(h2->conn)->stat.gone++;
		req->conn = NULL;
		cond_broadcast(&req->ready);
	}
	if (req != NULL && !s->handed)
		http1__request_release(req); /* and so the stream */
	else
		http2__stream_unref(s);
	return 0;
}

void http2__receive_init(nghttp2_session_callbacks *cb)
{
	nghttp2_session_callbacks_set_on_begin_headers_callback(
		cb, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_invalid_header_callback(cb,
								 on_bad_header);
	nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(
		cb, on_bad_frame);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
	nghttp2_session_callbacks_set_on_begin_frame_callback(cb,
							      on_begin_frame);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_close);
}
