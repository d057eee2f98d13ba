/*
 * From bytes to a request: llhttp over the head, unless that was a plain one
 * (http1_scan.c), and the chunks, in place. Spans
 * are offsets from the message's first byte, so the bytes may move between two
 * calls; nothing is parsed twice.
 *
 * A body with a Content-Length does not go through llhttp at all. Chunks are
 * moved together as they come, so that the body is one piece.
 */
#include "net/http1.h"

#include <string.h>

static struct http_request *request_of(llhttp_t *parser)
{
	return (struct http_request *)parser; /* it comes first */
}

enum http1_parsed http1__refuse(struct http_request *req, int status,
				const char *reason)
{
	if (req->refusal == 0) { /* the first cause is the one to tell */
		req->refusal = status;
		req->reason = reason;
	}
	return HTTP1_REFUSED;
}

static int refuse(struct http_request *req, int status, const char *reason)
{
	http1__refuse(req, status, reason);
	return HPE_USER;
}

static int on_url(llhttp_t *parser, const char *at, size_t size)
{
	struct http_request *req = request_of(parser);

	if (req->target.size == 0)
		req->target.start = at - req->base;
	req->target.size += size;
	if (req->target.size > req->server->limits.uri_bytes)
		return refuse(req, 414, "the URI is too long");
	return 0;
}

static bool follows(const struct http_request *req,
		    const struct http1_span *span, const char *at)
{
	return at == req->base + span->start + span->size;
}

static int on_field(llhttp_t *parser, const char *at, size_t size)
{
	struct http_request *req = request_of(parser);
	struct http1_field *field;

	if (req->line_count > 0 && !req->in_value) {
		field = &req->fields[req->line_count - 1];
		if (follows(req, &field->name, at)) { /* cut in two */
			field->name.size += size;
			return 0;
		}
	}
	if (req->line_count == HTTP_FIELDS_MAX)
		return refuse(req, 431, "too many header fields");
	if (req->phase == HTTP1_CHUNKS) {
		req->phase = HTTP1_TRAILERS;
		req->trailer_start = at - req->base;
	}
	field = &req->fields[req->line_count++];
	field->name = (struct http1_span){ at - req->base, size };
	field->value = (struct http1_span){ 0, 0 };
	req->in_value = false;
	return 0;
}

static int on_value(llhttp_t *parser, const char *at, size_t size)
{
	struct http_request *req = request_of(parser);
	struct http1_field *field = &req->fields[req->line_count - 1];

	if (!req->in_value) {
		field->value.start = at - req->base;
		req->in_value = true;
	} else if (!follows(req, &field->value, at)) {
		return refuse(req, 400, "a folded header line");
	}
	field->value.size += size;
	return 0;
}

static int on_headers_complete(llhttp_t *parser)
{
	(void)parser;
	return HPE_PAUSED; /* the head is judged before its body is read */
}

/* Unless it is taken in pieces a body lies in memory. */
uint64_t http1__body_limit(const struct http_request *req)
{
	const struct http_server *server = req->server;
	uint64_t limit = server->limits.body_bytes;

	return server->streaming || limit < HTTP1_WHOLE_MAX ? limit
							    : HTTP1_WHOLE_MAX;
}

static int on_chunk_header(llhttp_t *parser)
{
	struct http_request *req = request_of(parser);

	req->chunks++;
	if (parser->content_length >
	    http1__body_limit(req) - http1__body_total(req))
		return refuse(req, 413, "the body is too large");
	return 0;
}

static int on_body(llhttp_t *parser, const char *at, size_t size)
{
	struct http_request *req = request_of(parser);
	char *to = req->base + req->body.start + req->body.size;

	if (to != at)
		memmove(to, at, size);
	req->body.size += size; /* within the limit: the chunk's size was */
	return 0;
}

static int on_message_complete(llhttp_t *parser)
{
	request_of(parser)->phase = HTTP1_COMPLETE;
	return HPE_PAUSED;
}

void http1__parse_init(struct http_server *server)
{
	llhttp_settings_t *settings = &server->settings;

	llhttp_settings_init(settings);
	settings->on_url = on_url;
	settings->on_header_field = on_field;
	settings->on_header_value = on_value;
	settings->on_headers_complete = on_headers_complete;
	settings->on_chunk_header = on_chunk_header;
	settings->on_body = on_body;
	settings->on_message_complete = on_message_complete;
}

void http1__parse_start(struct http_request *req)
{
	memset(&req->parsed, 0,
	       offsetof(struct http_request, next) -
		       offsetof(struct http_request, parsed));
	req->own = NULL;
}

/* llhttp's own words are good where they are about the message. */
static enum http1_parsed refuse_parsed(struct http_request *req,
				       llhttp_errno_t err)
{
	switch (err) {
	case HPE_INVALID_METHOD:
		return http1__refuse(req, 501, "an unknown method");
	case HPE_INVALID_VERSION:
		return http1__refuse(req, 505, "an unknown HTTP version");
	case HPE_PAUSED_H2_UPGRADE:
		return http1__refuse(req, 505, "HTTP/2 is not spoken here");
	default:
		return http1__refuse(req, 400,
				     llhttp_get_error_reason(&req->parser));
	}
}

/* The head is complete and right, and there are no chunks: what follows? */
static enum http1_parsed begin_body(struct http_request *req)
{
	uint64_t length = req->length;

	req->body.start = req->head_size;
	if (length == 0) {
		req->expect = false;
		req->phase = HTTP1_COMPLETE;
		return HTTP1_DONE;
	}
	if (length > http1__body_limit(req))
		return http1__refuse(req, 413, "the body is too large");
	req->phase = HTTP1_BODY;
	return HTTP1_MORE;
}

static enum http1_parsed parse_body(struct http_request *req, size_t size)
{
	uint64_t length = req->length - req->consumed;
	size_t have = size - req->head_size;

	req->body.size = have < length ? have : length;
	req->parsed = req->head_size + req->body.size;
	if (req->body.size > 0)
		req->expect = false;
	if (req->body.size < length)
		return HTTP1_MORE;
	req->phase = HTTP1_COMPLETE;
	return HTTP1_DONE;
}

static enum http1_parsed parse_head(struct http_request *req, size_t size)
{
	uint32_t limit = req->server->limits.header_bytes;
	llhttp_errno_t err;

	if (req->parsed == 0) { /* it comes just now */
		if (http1__scan_head(req, size))
			return begin_body(req);
		llhttp_init(&req->parser, HTTP_REQUEST, &req->server->settings);
	}
	err = llhttp_execute(&req->parser, req->base + req->parsed,
			     size - req->parsed);
	if (err == HPE_OK) {
		req->parsed = size;
		if (size > limit)
			goto too_large;
		return HTTP1_MORE;
	}
	if (err != HPE_PAUSED)
		return refuse_parsed(req, err);
	req->parsed = llhttp_get_error_pos(&req->parser) - req->base;
	req->head_size = req->parsed;
	req->field_count = req->line_count;
	req->method = req->parser.method;
	req->minor = req->parser.http_minor;
	if (req->head_size > limit)
		goto too_large;
	if (!http1__check_head(req))
		return HTTP1_REFUSED;
	llhttp_resume(&req->parser);
	if (req->parser.flags & F_CHUNKED) {
		req->body.start = req->head_size;
		req->phase = HTTP1_CHUNKS;
		return HTTP1_MORE;
	}
	if (req->parser.flags & F_CONTENT_LENGTH)
		req->length = req->parser.content_length;
	return begin_body(req);
too_large:
	return http1__refuse(req, 431, "the header is too large");
}

/* Framing is bounded, too: extensions, zeros before a size, trailers. */
static bool framing_is_fair(struct http_request *req)
{
	uint64_t framing = req->raw_body - http1__body_total(req);

	if (req->trailer_start != 0 && /* whole or not */
	    req->parsed - req->trailer_start >
		    req->server->limits.header_bytes) {
		http1__refuse(req, 431, "the trailers are too large");
		return false;
	}
	if (framing > HTTP1_CHUNK_EXCESS + req->chunks * HTTP1_CHUNK_FRAMING +
			      (req->trailer_start != 0
				       ? req->server->limits.header_bytes
				       : 0)) {
		http1__refuse(req, 400, "too much around the chunks");
		return false;
	}
	return true;
}

static enum http1_parsed parse_chunks(struct http_request *req, size_t size)
{
	llhttp_errno_t err;
	uint32_t before = req->parsed;

	req->expect = req->expect && size == req->parsed;
	err = llhttp_execute(&req->parser, req->base + req->parsed,
			     size - req->parsed);
	if (err == HPE_OK)
		req->parsed = size;
	else if (err == HPE_PAUSED)
		req->parsed = llhttp_get_error_pos(&req->parser) - req->base;
	else
		return refuse_parsed(req, err);
	req->raw_body += req->parsed - before;
	if (!framing_is_fair(req))
		return HTTP1_REFUSED;
	if (err == HPE_OK)
		return HTTP1_MORE;
	return http1__check_trailers(req) ? HTTP1_DONE : HTTP1_REFUSED;
}

enum http1_parsed http1__parse(struct http_request *req, size_t size)
{
	enum http1_parsed result = HTTP1_MORE;

	if (req->phase == HTTP1_HEAD) {
		result = parse_head(req, size);
		if (result != HTTP1_MORE || req->phase == HTTP1_HEAD)
			return result;
	}
	if (req->phase == HTTP1_BODY)
		return parse_body(req, size);
	return parse_chunks(req, size);
}
