/*
 * Answers to streams. What a handler gives is copied, and goes when the peer's
 * windows let it; a handler that answers in pieces is held back by what is not
 * sent, as with HTTP/1.
 *
 * nghttp2 asks for a body when it may send some of it, and has it put right
 * behind what is to be written: its bytes are copied once on their way.
 */
#include <string.h>
#include <strings.h>

#include "base/inject.h"
#include "net/http2.h"

enum {
	OWN_FIELDS = 4, /* :status, server, date, content-length */
	DATE_SIZE = 29,
	FRAME_HEAD = 9,
};

/** A head on its way to nghttp2, which copies it. */
struct head {
	nghttp2_nv fields[HTTP_FIELDS_MAX + OWN_FIELDS];
	size_t count;
	char status[4];
	char length[24];
};

static void put(nghttp2_nv *to, const char *name, size_t name_size,
		const char *value, size_t value_size)
{
	*to = (nghttp2_nv){ (uint8_t *)name, (uint8_t *)value, name_size,
			    value_size, NGHTTP2_NV_FLAG_NONE };
}

#define ADD(head, name, value, size)                                         \
	put(&(head)->fields[(head)->count++], name, sizeof(name) - 1, value, \
	    size)

static bool is_named(struct http_text t, const char *name)
{
	return t.size == strlen(name) && strncasecmp(t.data, name, t.size) == 0;
}

/* Those of a connection mean nothing here, and are forbidden. */
static bool is_hop_field(struct http_text name)
{
	return is_named(name, "keep-alive") || is_named(name, "upgrade") ||
	       is_named(name, "proxy-connection") || is_named(name, "te");
}

static void add_fields(struct head *h, const struct http_field *f, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (!is_hop_field(f[i].name))
			put(&h->fields[h->count++], f[i].name.data,
			    f[i].name.size, f[i].value.data, f[i].value.size);
	}
}

static void make_head(struct head *h, struct http_server *server,
		      const struct http_response *resp, int64_t length)
{
	unsigned replaced = http1__replaced(resp->fields, resp->field_count);
	char *end = http1__put_number(h->status, (unsigned)resp->status);

	h->count = 0;
	ADD(h, ":status", h->status, (size_t)(end - h->status));
	if ((replaced & HTTP1_SERVER) == 0)
		ADD(h, "server", "neap", 4);
	if ((replaced & HTTP1_DATE) == 0)
		ADD(h, "date", http1__date(server), DATE_SIZE);
	add_fields(h, resp->fields, resp->field_count);
	if (length < 0)
		return;
	end = http1__put_number(h->length, (uint64_t)length);
	ADD(h, "content-length", h->length, (size_t)(end - h->length));
}

/* --- bodies, when nghttp2 may send some --- */

static ssize_t on_want_data(nghttp2_session *session, int32_t id, uint8_t *buf,
			    size_t size, uint32_t *flags,
			    nghttp2_data_source *source, void *arg)
{
	struct http2_stream *s = source->ptr;
	size_t have = http2__pending(s);

	(void)buf;
	(void)arg;
	if (have == 0 && s->aborted)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	if (have == 0 && !s->ended)
		return NGHTTP2_ERR_DEFERRED;
	*flags |= NGHTTP2_DATA_FLAG_NO_COPY;
	if (have > size)
		return (ssize_t)size;
	if (!s->ended || s->aborted)
		return (ssize_t)have;
	*flags |= NGHTTP2_DATA_FLAG_EOF;
	if (s->trailer_count > 0) {
		*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
		if (nghttp2_submit_trailer(session, id, s->trailers,
					   s->trailer_count) != 0)
			return NGHTTP2_ERR_CALLBACK_FAILURE;
	}
	return (ssize_t)have;
}

static int on_send_data(nghttp2_session *session, nghttp2_frame *frame,
			const uint8_t *frame_head, size_t size,
			nghttp2_data_source *source, void *arg)
{
	struct http2_stream *s = source->ptr;
	struct buf *out = &http1__server_of(s->h2->conn)->out;

	(void)session;
	(void)frame;
	(void)arg;
	if (buf_reserve(out, FRAME_HEAD + size) == NULL)
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	buf_append(out, frame_head, FRAME_HEAD);
	if (size > 0)
		buf_append(out, s->out.data + s->out_at, size);
	s->out_at += size;
	s->sent += size;
	if (s->req != NULL)
		s->req->backlog = http2__pending(s);
	if (http2__pending(s) > 0)
		return 0;
	buf_reset(&s->out, s->ended ? 0 : HTTP1_STREAM_PIECE);
	s->out_at = 0;
	if (s->req != NULL)
		cond_broadcast(&s->req->ready);
	return 0;
}

/* Who has its answer, and still sends, is reset; but not at once, as some take
 * that for the answer. */
static int on_sent(nghttp2_session *session, const nghttp2_frame *frame,
		   void *arg)
{
	struct http2 *h2 = arg;
	uint8_t type = frame->hd.type;
	struct http2_stream *s;

	(void)session;
	if (type != NGHTTP2_HEADERS && type != NGHTTP2_DATA)
		return 0;
	h2->frames++;
	if (!(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
		return 0;
	s = http2__stream_of(h2, frame->hd.stream_id);
	if (s != NULL)
		s->sent_all = true;
	return 0;
}

void http2__answer_init(nghttp2_session_callbacks *cb)
{
	nghttp2_session_callbacks_set_send_data_callback(cb, on_send_data);
	nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_sent);
}

void http2__reset(struct http2_stream *s, uint32_t code)
{
	/* Fails for want of memory alone; then the next deadline tries again. */
	nghttp2_submit_rst_stream(s->h2->session, NGHTTP2_FLAG_NONE, s->id,
				  code);
}

/* --- answers --- */

/* Append to what is to be sent. Returns 0 or UV_ENOMEM. */
static int add_body(struct http2_stream *s, struct http_text body)
{
	if (s->out_at > 0) {
		buf_consume(&s->out, s->out_at);
		s->out_at = 0;
	}
	return buf_append(&s->out, body.data, body.size);
}

/* Begin the answer of a stream that is open: head, and of the body what is in
 * out. Returns 0; UV_ENOMEM: the connection is closed. */
static int submit(struct http2_stream *s, const struct http_response *resp,
		  int64_t length, bool body)
{
	struct http1_conn *c = s->h2->conn;
	nghttp2_data_provider provider = { .source.ptr = s,
					   .read_callback = on_want_data };
	struct head h;

	make_head(&h, http1__server_of(c), resp, length);
	s->answered = true;
	if (nghttp2_submit_response(s->h2->session, s->id, h.fields, h.count,
				    body ? &provider : NULL) == 0)
		return 0;
	http1__close(c);
	return UV_ENOMEM;
}

static bool has_body(const struct http_request *req, int status)
{
	return req->method != HTTP_HEAD && status != 204 && status != 304;
}

/* A request whose peer has gone: who waits for its place gets it. */
static int give_up(struct http_request *req)
{
	struct http1_conn *c = req->h2->h2->conn;

	http1__request_release(req);
	http2__settle(c);
	return UV_ECONNRESET;
}

/* The connection is to end behind this answer, says the handler. */
static void note_close(struct http1_conn *c, const struct http_response *resp)
{
	if (resp->close && !c->h2->ending)
		http2__retire(c);
}

int http2__reply(struct http_request *req, const struct http_response *resp)
{
	struct http2_stream *s = req->h2;
	struct http1_conn *c = req->conn;
	int64_t length = resp->status == 204 || resp->status == 304
				 ? HTTP_LENGTH_UNKNOWN
				 : (int64_t)resp->body.size;
	bool body = has_body(req, resp->status) && resp->body.size > 0;
	size_t bad;
	int rc = 0;

	if (req->framing != HTTP1_NOT_BEGUN)
		return UV_EALREADY;
	if (c == NULL)
		return give_up(req);
	if (http_response_check(resp, &bad) != NULL)
		return UV_EINVAL;
	s->ended = true;
	if (body)
		rc = add_body(s, resp->body);
	req->sent = body ? resp->body.size : 0;
	http1__access_answer(req, resp->status);
	http1__request_release(req); /* the body may have been part of it */
	if (rc != 0)
		http1__close(c);
	else
		rc = submit(s, resp, length, body);
	if (rc != 0)
		return rc;
	note_close(c, resp);
	http2__settle(c);
	return c->closing ? UV_ECONNRESET : 0;
}

void http2__refuse(struct http2_stream *s, int status, const char *reason)
{
	static const struct http_field type = {
		{ "content-type", 12 }, { "text/plain; charset=utf-8", 25 }
	};
	struct http_response resp = {
		.status = status,
		.fields = &type,
		.field_count = 1,
	};
	bool head = s->req->method == HTTP_HEAD;
	char text[160];
	int n = snprintf(text, sizeof(text), "%d %s: %s\n", status,
			 http_status_reason(status), reason);

	http1__server_of(s->h2->conn)->stat.refused_requests++;
	http__trace_number(HTTP_TRACE_REFUSED, s->h2->conn, s->req,
			   (unsigned)status, reason);
	if (!s->handed) {
		http1__access_answer(s->req, status);
		http1__request_release(s->req);
	}
	s->ended = true;
	if (!head && add_body(s, (struct http_text){ text, (size_t)n }) != 0)
		head = true; /* the status will do */
	submit(s, &resp, n, !head);
}

int http2__answer_begin(struct http_request *req,
			const struct http_response *resp, int64_t length)
{
	struct http1_conn *c = req->conn;
	bool body = has_body(req, resp->status);
	size_t bad;
	int rc;

	if (req->framing != HTTP1_NOT_BEGUN)
		return UV_EALREADY;
	if (c == NULL)
		return UV_ECONNRESET;
	if (http_response_check(resp, &bad) != NULL)
		return UV_EINVAL;
	if (resp->status == 204 || resp->status == 304)
		length = HTTP_LENGTH_UNKNOWN;
	req->framing = !body         ? HTTP1_NO_BODY
		       : length >= 0 ? HTTP1_LENGTH
				     : HTTP1_CHUNKED;
	req->left = length >= 0 ? (uint64_t)length : 0;
	req->h2->ended = !body;
	http1__access_answer(req, resp->status);
	rc = submit(req->h2, resp, length, body);
	if (rc != 0)
		return rc;
	note_close(c, resp);
	http2__settle(c);
	return c->closing ? UV_ECONNRESET : 0;
}

/* There is more to send, or an end. */
static int go_on(struct http2_stream *s)
{
	struct http1_conn *c = s->h2->conn;
	int rc;

	if (s->closed)
		return 0;
	/* What is not deferred is with nghttp2 already, and is asked for. */
	rc = nghttp2_session_resume_data(s->h2->session, s->id);
	if (rc != 0 && rc != NGHTTP2_ERR_INVALID_ARGUMENT) {
		http1__close(c);
		return UV_ENOMEM;
	}
	http2__settle(c);
	return c->closing ? UV_ECONNRESET : 0;
}

ssize_t http2__write(struct http_request *req, struct http_text piece)
{
	struct http2_stream *s = req->h2;
	int rc;

	if (req->conn == NULL)
		return UV_ECONNRESET;
	if (req->framing == HTTP1_NO_BODY || piece.size == 0)
		return (ssize_t)piece.size;
	if (req->framing == HTTP1_LENGTH && piece.size > req->left)
		return UV_EMSGSIZE;
	if (http_request_is_full(req))
		return UV_EAGAIN;
	if (piece.size > HTTP1_STREAM_PIECE)
		piece.size = HTTP1_STREAM_PIECE;
	if (add_body(s, piece) != 0) {
		http1__close(req->conn);
		return UV_ENOMEM;
	}
	req->backlog = http2__pending(s);
	req->sent += piece.size;
	req->left -= req->framing == HTTP1_LENGTH ? piece.size : 0;
	rc = go_on(s);
	return rc != 0 ? rc : (ssize_t)piece.size;
}

/* Keep them until the body has left. Returns 0 or UV_ENOMEM. */
static int keep_trailers(struct http2_stream *s, const struct http_field *f,
			 size_t count)
{
	size_t size = count * sizeof(nghttp2_nv);
	char *to;

	for (size_t i = 0; i < count; i++)
		size += f[i].name.size + f[i].value.size;
	s->trailers = mem_alloc(size);
	if (s->trailers == NULL)
		return UV_ENOMEM;
	to = (char *)(s->trailers + count);
	for (size_t i = 0; i < count; i++) {
		const struct http_text name = f[i].name, value = f[i].value;

		if (is_hop_field(name))
			continue;
		memcpy(to, name.data, name.size);
		if (value.size > 0)
			memcpy(to + name.size, value.data, value.size);
		put(&s->trailers[s->trailer_count++], to, name.size,
		    to + name.size, value.size);
		to += name.size + value.size;
	}
	return 0;
}

int http2__end(struct http_request *req, const struct http_field *trailers,
	       size_t count)
{
	struct http_response resp = {
		.status = 200,
		.fields = trailers,
		.field_count = count,
	};
	struct http2_stream *s = req->h2;
	struct http1_conn *c = req->conn;
	size_t bad;
	int rc = 0;

	if (c == NULL)
		return give_up(req);
	if (req->framing == HTTP1_LENGTH && req->left > 0)
		return UV_EMSGSIZE;
	if (req->framing == HTTP1_CHUNKED && count > 0) {
		if (http_response_check(&resp, &bad) != NULL)
			return UV_EINVAL;
		rc = keep_trailers(s, trailers, count);
	}
	if (rc != 0) {
		http1__close(c);
		http1__request_release(req);
		return rc;
	}
	if (s->closed) { /* it had no body, and has left */
		give_up(req);
		return 0;
	}
	s->ended = true;
	http1__request_release(req);
	return go_on(s);
}

void http2__abort(struct http_request *req)
{
	struct http2_stream *s = req->h2;
	struct http1_conn *c = req->conn;

	if (c == NULL || s->closed) {
		give_up(req);
		return;
	}
	s->aborted = true;
	http1__request_release(req);
	if (s->answered && !s->ended) {
		go_on(s); /* what was written is sent: it may help to see why */
		return;
	}
	http2__reset(s, NGHTTP2_INTERNAL_ERROR);
	http2__settle(c);
}

void http2__read_on(struct http_request *req)
{
	struct http2_stream *s = req->h2;

	if (req->conn == NULL || !req->receiving)
		return;
	if (req->framing == HTTP1_NOT_BEGUN)
		http2__invite(s);
	req->expect = false;
	http2__open_window(s);
	http2__settle(req->conn);
}

void http2__invite(struct http2_stream *s)
{
	nghttp2_nv status;

	if (!s->req->expect)
		return;
	s->req->expect = false;
	put(&status, ":status", 7, "100", 3);
	nghttp2_submit_headers(s->h2->session, NGHTTP2_FLAG_NONE, s->id, NULL,
			       &status, 1, NULL);
}
