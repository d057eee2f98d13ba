/*
 * What is told of requests that are over: see http_access.h.
 *
 * An answer that was given up may still be on its way: gathered with others of
 * its batch, or queued because the peer does not read. So what is known of its
 * request is kept with the connection, in order, together with the place of the
 * answer's end among all bytes of the connection; it is told when so many have
 * left, or the connection has ended, with what of the body went before that.
 * With HTTP/2 it is kept with the stream until that is closed.
 *
 * Bytes that have not left are counted as they are on the way, with what frames
 * or encrypts them: of an answer that was cut the body is told a little short.
 */
#include <netinet/in.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/inject.h"
#include "net/http2.h"
#include "net/stream_batch.h"

/** A connection's, behind it, if anybody is told. */
struct http1_access {
	struct buf kept; /* what is to be told: an end, then the rest */
	uint64_t handed; /* bytes for the peer so far, */
	uint64_t failed; /* those of them that never left, */
	uint64_t left;   /* and those that have, when last looked at */
	bool broken;     /* no more of them will */
	char remote[64]; /* "" until the first request */
	uint16_t port;
};

/** In front of what is kept. */
struct place {
	uint64_t end; /* of the answer, among the bytes handed */
};

static const struct http_text nothing = { "", 0 };

/* --- copies --- */

enum { TEXTS = 6 };

/* The texts of a record lie behind it, in this order. */
static struct http_text *text_of(struct http_access *a, int i)
{
	struct http_text *const texts[TEXTS] = { &a->remote,  &a->method,
						 &a->target,  &a->protocol,
						 &a->referer, &a->agent };

	return texts[i];
}

static size_t round_up(size_t size)
{
	return (size + 7) & ~(size_t)7;
}

int http_access_put(struct buf *b, const struct http_access *access)
{
	static const char more[] = "...";
	struct http_access a = *access;
	size_t size = sizeof(a);
	bool cut[TEXTS];
	char *to;

	for (int i = 0; i < TEXTS; i++) {
		struct http_text *t = text_of(&a, i);
		size_t max = t == &a.target ? HTTP_ACCESS_TARGET_MAX
					    : HTTP_ACCESS_TEXT_MAX;

		cut[i] = t->size > max;
		if (cut[i])
			t->size = max;
		size += t->size;
	}
	size = round_up(size);
	to = buf_reserve(b, size);
	if (to == NULL)
		return UV_ENOMEM;
	b->size += size;
	size = sizeof(a);
	for (int i = 0; i < TEXTS; i++) {
		struct http_text *t = text_of(&a, i);

		if (t->size > 0)
			memcpy(to + size, t->data, t->size);
		size += t->size;
		if (cut[i])
			memcpy(to + size - 3, more, 3);
	}
	memcpy(to, &a, sizeof(a));
	return 0;
}

size_t http_access_get(const struct buf *b, size_t at,
		       struct http_access *ret_access)
{
	memcpy(ret_access, b->data + at, sizeof(*ret_access));
	at += sizeof(*ret_access);
	for (int i = 0; i < TEXTS; i++) {
		struct http_text *t = text_of(ret_access, i);

		t->data = b->data + at;
		at += t->size;
	}
	return round_up(at);
}

/* --- a connection's --- */

void http_server_set_access(struct http_server *server, http_access_f fn)
{
	server->on_access = fn;
	server->group.on_written = fn != NULL ? http1__on_written : NULL;
}

void http_request_set_label(struct http_request *req, uint32_t label)
{
	req->label = label;
}

size_t http1__access_size(const struct http_server *server)
{
	return server->on_access != NULL ? sizeof(struct http1_access) : 0;
}

/* It lies behind the connection, which so pays nothing for what it has not. */
static struct http1_access *behind(struct http1_conn *c)
{
	return (struct http1_access *)(c + 1);
}

static struct http1_access *access_of(struct http1_conn *c)
{
	return http1__server_of(c)->on_access != NULL ? behind(c) : NULL;
}

void http1__access_free(struct http1_conn *c)
{
	struct http1_access *access = access_of(c);

	if (access != NULL)
		buf_destroy(&access->kept);
}

/* Whose it is: asked when its first request begins, because a proxy may have to
 * tell first, and who has been reset has no address any more. */
static void note_remote(struct http1_conn *c)
{
	struct http1_access *access = behind(c);
	struct sockaddr_storage addr;
	const struct sockaddr *sa = (const struct sockaddr *)&addr;

	if (access->remote[0] != '\0')
		return;
	strcpy(access->remote, "unix:");
	if (stream_peer(&c->stream, &addr) != 0)
		strcpy(access->remote, "-");
	else if (uv_ip_name(sa, access->remote, sizeof(access->remote)) != 0)
		strcpy(access->remote, "unix:");
	else if (sa->sa_family == AF_INET)
		access->port =
			ntohs(((const struct sockaddr_in *)sa)->sin_port);
	else
		access->port =
			ntohs(((const struct sockaddr_in6 *)sa)->sin6_port);
}

/* So many bytes come before what is written next. */
static uint64_t position(struct http1_conn *c)
{
	const struct http_server *server = http1__server_of(c);
	uint64_t at = behind(c)->handed;

	if (c->h2 != NULL)
		return at +
		       (c->h2->gathering ? server->out.size - c->h2->mark : 0);
	return at + (server->current == c ? server->out.size : 0);
}

/* Tell of those whose answers have left; @a all: or never will. */
static void tell(struct http1_conn *c, bool all)
{
	struct http1_access *access = behind(c);
	struct http_server *server = http1__server_of(c);
	uint64_t out = access->left, now = uv_hrtime();
	struct http_access a;
	struct place place;
	struct timespec ts;
	size_t at = 0, next;

	clock_gettime(CLOCK_REALTIME, &ts);
	for (; at < access->kept.size; at = next) {
		memcpy(&place, access->kept.data + at, sizeof(place));
		if (place.end > out && !all)
			break;
		next = http_access_get(&access->kept, at + sizeof(place), &a);
		if (place.end > out) {
			uint64_t lost = place.end - out;

			a.complete = false;
			a.sent -= lost < a.sent ? lost : a.sent;
		}
		a.duration_ns = now - a.began_ns;
		a.began_ns = (uint64_t)ts.tv_sec * 1000000000u +
			     (uint64_t)ts.tv_nsec - a.duration_ns;
		server->on_access(&a, server->arg);
	}
	if (at == access->kept.size)
		buf_destroy(&access->kept);
	else
		buf_consume(&access->kept, at);
}

void http1__access_settle(struct http1_conn *c)
{
	struct http1_access *access = access_of(c);
	uint64_t out, unsent;

	if (access == NULL)
		return;
	if (!access->broken && !stream__batch_has(&c->stream, STREAM_WRITTEN)) {
		out = access->handed - access->failed;
		unsent = stream_unsent(&c->stream);
		access->left = unsent < out ? out - unsent : 0;
	} else if (!c->closing) {
		return;
	}
	if (access->kept.size > 0)
		tell(c, c->closing);
}

void http1__access_handed(struct http1_conn *c, size_t size, bool failed)
{
	struct http1_access *access = access_of(c);

	if (access == NULL)
		return;
	access->handed += size;
	if (failed)
		access->failed += size;
	else
		http1__access_settle(c);
}

void http1__access_write_failed(struct http1_conn *c)
{
	struct http1_access *access = access_of(c);

	/* What libuv has given up is not in its queue any more. */
	if (access != NULL)
		access->broken = true;
}

/* --- a request's --- */

static bool is_named(struct http_text t, const char *name, size_t size)
{
	return t.size == size && strncasecmp(t.data, name, size) == 0;
}

/* An answer for a line that could not be told apart, or was not looked at. */
static void split_line(struct http_access *a, struct http_text line)
{
	const char *end, *sp, *last = NULL;

	while (line.size > 0 && (*line.data == '\r' || *line.data == '\n')) {
		line.data++; /* as the parser does */
		line.size--;
	}
	end = memchr(line.data, '\n', line.size);
	if (end != NULL)
		line.size = end - line.data;
	if (line.size > 0 && line.data[line.size - 1] == '\r')
		line.size--;
	a->target = line;
	sp = memchr(line.data, ' ', line.size);
	if (sp != NULL)
		last = memrchr(line.data, ' ', line.size);
	if (last == NULL || last <= sp + 1 ||
	    line.data + line.size - last < 6 || memcmp(last, " HTTP/", 6) != 0)
		return;
	a->method = (struct http_text){ line.data, sp - line.data };
	a->target = (struct http_text){ sp + 1, last - sp - 1 };
	a->protocol = (struct http_text){ last + 1,
					  line.data + line.size - last - 1 };
}

static void note_head(struct http_access *a, const struct http_request *req)
{
	static const char *const names[] = { "HTTP/1.0", "HTTP/1.1",
					     "HTTP/2.0" };
	const char *method = http_request_method(req);
	const char *protocol = names[req->http2 ? 2 : req->minor > 0];

	if (req->http2 && req->status == 501 && req->method != HTTP_CONNECT)
		method = ""; /* nobody knows it */
	a->method = (struct http_text){ method, strlen(method) };
	a->target = http_request_target(req);
	a->protocol = (struct http_text){ protocol, 8 };
	for (size_t i = 0; i < req->field_count; i++) {
		struct http_field f = http_request_field(req, i);

		if (is_named(f.name, "referer", 7))
			a->referer = f.value;
		else if (is_named(f.name, "user-agent", 10))
			a->agent = f.value;
	}
}

static void fill(struct http_access *a, struct http1_conn *c)
{
	const struct http1_access *access = behind(c);

	memset(a, 0, sizeof(*a));
	note_remote(c);
	a->remote =
		(struct http_text){ access->remote, strlen(access->remote) };
	a->method = a->target = a->protocol = a->referer = a->agent = nothing;
	a->port = access->port;
	a->complete = true;
}

/* Without memory it goes untold. */
static void keep(struct buf *b, uint64_t end, const struct http_access *a)
{
	struct place place = { end };

	if (buf_append(b, &place, sizeof(place)) == 0 &&
	    http_access_put(b, a) != 0)
		b->size -= sizeof(place);
}

/* It has happened: it is told when it has left, or here and now. */
static void finish(struct http1_conn *c, const struct http_access *a)
{
	keep(&behind(c)->kept, position(c), a);
	if (c->closing || (http1__server_of(c)->current != c && c->h2 == NULL))
		http1__access_settle(c);
}

void http1__access_take(struct http_request *req)
{
	if (req->server->on_access == NULL) {
		if (http_trace_is_on())
			req->began_ns = uv_hrtime();
		return;
	}
	req->began_ns = uv_hrtime();
	note_remote(req->conn);
}

void http1__access_answer(struct http_request *req, int status)
{
	req->status = (uint16_t)status;
	http__trace_number(HTTP_TRACE_ANSWER, req->conn, req, req->status,
			   NULL);
	if (req->server->on_access != NULL)
		req->head_ns = uv_hrtime();
}

void http1__access_end(struct http_request *req, bool complete)
{
	struct http1_conn *c = req->conn;
	struct http2_stream *s = req->h2;
	struct http_access a;
	bool cut;

	if (c == NULL || req->told ||
	    (req->status == 0 && req->phase == HTTP1_HEAD))
		return;
	req->told = true;
	cut = !complete || req->status == 0 || (s != NULL && s->aborted);
	http__trace_number(cut ? HTTP_TRACE_CUT : HTTP_TRACE_SENT, c, req,
			   req->sent, NULL);
	if (req->server->on_access == NULL)
		return;
	fill(&a, c);
	if (req->line.data != NULL)
		split_line(&a, req->line);
	else
		note_head(&a, req);
	a.status = req->status != 0 ? req->status : HTTP_ACCESS_GONE;
	a.complete = complete && req->status != 0;
	a.began_ns = req->began_ns; /* told by another clock in the end */
	a.head_ns = req->head_ns != 0 ? req->head_ns - req->began_ns : 0;
	a.label = req->label;
	a.sent = req->sent;
	a.received = req->framing == HTTP1_UPGRADED
			     ? http1__websocket_received(req)
			     : http1__body_total(req);
	if (s == NULL) {
		finish(c, &a);
	} else if (s->closed) {
		a.sent = s->sent;
		finish(c, &a);
	} else {
		keep(&s->access, 0, &a);
	}
}

void http1__access_refused(struct http1_conn *c, int status, uint64_t sent)
{
	struct http_access a;

	if (access_of(c) == NULL)
		return;
	fill(&a, c);
	a.status = (uint16_t)status;
	a.began_ns = uv_hrtime();
	a.sent = sent;
	finish(c, &a);
}

void http1__access_stream_end(struct http2_stream *s, bool complete)
{
	struct http_access a;

	if (s->access.size == 0)
		return;
	http_access_get(&s->access, sizeof(struct place), &a);
	a.complete &= complete;
	a.sent = s->sent;
	finish(s->h2->conn, &a);
	buf_destroy(&s->access);
}
