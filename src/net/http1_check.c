/*
 * What llhttp lets through and we refuse, so that nobody in front of us can
 * have read the same bytes in another way.
 *
 * llhttp tells where names and values are. Between them must lie what the
 * grammar says and nothing else: one space around the target, a colon right
 * behind each name, CR LF behind each value. That finds folded lines, a space
 * before a colon, bare CRs, bare LFs and foreign protocols without another
 * pass over the bytes.
 */
#include "base/hex.h"
#include "net/http1.h"

#include <string.h>
#include <strings.h>

#if !LLHTTP_STRICT_MODE
#error "llhttp must be built strict: its loose mode skips the ends of chunks"
#endif

static bool refuse(struct http_request *req, int status, const char *reason)
{
	http1__refuse(req, status, reason);
	return false;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Skips a line end at @a pos. False when there is none. */
static bool skip_crlf(const struct http_request *req, uint32_t *pos,
		      uint32_t end)
{
	const char *p = req->base + *pos;

	if (*pos + 2 > end || p[0] != '\r' || p[1] != '\n')
		return false;
	*pos += 2;
	return true;
}

/* METHOD SP target SP HTTP/1.x CRLF; *ret_pos is behind it. */
static bool check_request_line(struct http_request *req, uint32_t *ret_pos)
{
	const char *method = llhttp_method_name(req->method);
	uint32_t size = strlen(method);
	uint32_t pos = 0, end = req->head_size;
	const char *p;

	while (skip_crlf(req, &pos, end))
		; /* left over from a peer's last body: allowed */
	p = req->base + pos;
	if (pos + size >= end || memcmp(p, method, size) != 0 ||
	    p[size] != ' ' || req->target.start != pos + size + 1)
		return refuse(req, 400, "a malformed request line");
	pos = req->target.start + req->target.size;
	p = req->base + pos;
	if (end - pos < 11 || memcmp(p, " HTTP/", 6) != 0)
		return refuse(req, 400, "a malformed request line");
	if (memcmp(p + 6, "1.1", 3) != 0 && memcmp(p + 6, "1.0", 3) != 0)
		return refuse(req, 505, "an unknown HTTP version");
	pos += 9;
	if (!skip_crlf(req, &pos, end))
		return refuse(req, 400, "a malformed request line");
	*ret_pos = pos;
	return true;
}

/* The lines @a from .. @a to of fields, which begin at *pos. */
static bool check_lines(struct http_request *req, unsigned from, unsigned to,
			uint32_t *pos, uint32_t end)
{
	const char *base = req->base;

	for (unsigned i = from; i < to; i++) {
		struct http1_field *f = &req->fields[i];
		uint32_t at = f->name.start + f->name.size;

		if (f->name.start != *pos || f->name.size == 0 || at >= end ||
		    base[at] != ':')
			return refuse(req, 400, "a malformed header name");
		for (at++; at < end && is_blank(base[at]); at++)
			;
		if (f->value.size == 0)
			f->value.start = at;
		else if (f->value.start != at)
			return refuse(req, 400, "a malformed header line");
		while (f->value.size > 0 &&
		       is_blank(base[at + f->value.size - 1]))
			f->value.size--; /* llhttp leaves it in */
		at += f->value.size;
		for (; at < end && is_blank(base[at]); at++)
			;
		if (!skip_crlf(req, &at, end))
			return refuse(req, 400, "a malformed header line");
		*pos = at;
	}
	return true;
}

static bool is_token(const struct http_request *req, struct http1_span span,
		     const char *token)
{
	return span.size == strlen(token) &&
	       strncasecmp(req->base + span.start, token, span.size) == 0;
}

bool http1__is_host(const char *p, size_t size)
{
	/* RFC 3986 3.2.2 and 3.2.3. */
	static const bool in_host[256] = {
		['0' ... '9'] = true, ['A' ... 'Z'] = true,
		['a' ... 'z'] = true, ['!'] = true,
		['$' ... '.'] = true, /* $%&'()*+,-. */
		[':'] = true,         [';'] = true,
		['='] = true,         ['['] = true,
		[']'] = true,         ['_'] = true,
		['~'] = true,
	};

	bool ok = true;

	for (size_t i = 0; i < size; i++)
		ok &= in_host[(unsigned char)p[i]];
	return ok;
}

static bool check_transfer_encoding(struct http_request *req,
				    struct http1_span value, bool *seen)
{
	if (*seen)
		return refuse(req, 400, "a second Transfer-Encoding");
	*seen = true;
	if (req->minor == 0)
		return refuse(req, 400, "Transfer-Encoding in HTTP/1.0");
	if (!is_token(req, value, "chunked"))
		return refuse(req, 501, "an unknown Transfer-Encoding");
	return true;
}

/* The fields that say how the message is to be read. */
static bool check_fields(struct http_request *req)
{
	bool host = false, encoding = false;

	for (unsigned i = 0; i < req->field_count; i++) {
		const struct http1_field *f = &req->fields[i];
		struct http1_span value = f->value;

		switch (f->name.size) {
		case 4:
			if (!is_token(req, f->name, "host"))
				break;
			if (host)
				return refuse(req, 400, "a second Host");
			host = true;
			if (!http1__is_host(req->base + value.start,
					    value.size))
				return refuse(req, 400, "a malformed Host");
			break;
		case 6:
			if (!is_token(req, f->name, "expect"))
				break;
			if (!is_token(req, value, "100-continue"))
				return refuse(req, 417, "an unknown Expect");
			req->expect = req->minor > 0;
			break;
		case 17:
			if (is_token(req, f->name, "transfer-encoding") &&
			    !check_transfer_encoding(req, value, &encoding))
				return false;
			break;
		default:
			break;
		}
	}
	if (!host && req->minor > 0)
		return refuse(req, 400, "no Host");
	if (encoding && (req->parser.flags & F_CONTENT_LENGTH))
		return refuse(req, 400,
			      "both Content-Length and Transfer-Encoding");
	return true;
}

/* Escapes of the path must be whole, and none may hide a NUL. */
static bool check_path(struct http_request *req)
{
	const char *p = req->base + req->path.start;
	const char *end = p + req->path.size;

	while ((p = memchr(p, '%', end - p)) != NULL) {
		if (end - p < 3 || hex_value(p[1]) < 0 || hex_value(p[2]) < 0)
			return refuse(req, 400, "a broken escape in the path");
		if (p[1] == '0' && p[2] == '0')
			return refuse(req, 400, "a NUL in the path");
		p += 3;
	}
	return true;
}

/* Behind "http://host" of an absolute target, whose host is what Host says, whatever
 * that says (RFC 9112 3.2.2): who is in front of us went by it. NULL: refused. */
static const char *take_authority(struct http_request *req, const char *p,
				  const char *end)
{
	const char *host;

	if (end - p > 7 && strncasecmp(p, "http://", 7) == 0)
		p += 7;
	else if (end - p > 8 && strncasecmp(p, "https://", 8) == 0)
		p += 8;
	else
		return NULL;
	for (host = p; p < end && *p != '/' && *p != '?'; p++)
		;
	if (p == host || !http1__is_host(host, (size_t)(p - host)))
		return NULL;
	for (unsigned i = 0; i < req->field_count; i++) {
		struct http1_field *f = &req->fields[i];

		if (is_token(req, f->name, "host")) {
			f->value.start = (uint32_t)(host - req->base);
			f->value.size = (uint32_t)(p - host);
		}
	}
	return p;
}

bool http1__check_target(struct http_request *req)
{
	const char *p = req->base + req->target.start;
	const char *end = p + req->target.size;
	const char *query;

	if (memchr(p, '#', end - p) != NULL)
		return refuse(req, 400, "a fragment in the target");
	if (*p != '/' && !(req->target.size == 1 && *p == '*' &&
			   req->method == HTTP_OPTIONS)) {
		p = take_authority(req, p, end);
		if (p == NULL)
			return refuse(req, 400, "a malformed target");
	}
	query = memchr(p, '?', end - p);
	req->path.start = p - req->base;
	req->path.size = (query != NULL ? query : end) - p;
	if (query != NULL) {
		req->query.start = query + 1 - req->base;
		req->query.size = end - query - 1;
	}
	return check_path(req);
}

bool http1__check_head(struct http_request *req)
{
	uint32_t pos;

	if (!check_request_line(req, &pos) ||
	    !check_lines(req, 0, req->field_count, &pos, req->head_size))
		return false;
	if (!skip_crlf(req, &pos, req->head_size) || pos != req->head_size)
		return refuse(req, 400, "a malformed end of the header");
	if (req->method == HTTP_CONNECT)
		return refuse(req, 501, "no tunnels here");
	if (!check_fields(req) || !http1__check_target(req))
		return false;
	req->keep_alive = llhttp_should_keep_alive(&req->parser);
	return true;
}

bool http1__check_trailers(struct http_request *req)
{
	uint32_t pos = req->trailer_start;

	if (req->line_count == req->field_count)
		return true;
	if (!check_lines(req, req->field_count, req->line_count, &pos,
			 req->parsed))
		return false;
	if (!skip_crlf(req, &pos, req->parsed) || pos != req->parsed)
		return refuse(req, 400, "a malformed end of the trailers");
	return true;
}
