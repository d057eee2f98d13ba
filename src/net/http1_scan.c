/*
 * The heads that nearly all requests have, in one pass: whole in one read, plain in
 * all they say. Anything else, right or wrong, is llhttp's (http1_parse.c) and is
 * judged by http1_check.c; here is no refusal, so nothing is let in that those would
 * not. What both take they must take alike: the fuzzer has each message whole and in
 * pieces, which are never for here.
 *
 * It takes a fifth of the instructions of the long way.
 */
#include "net/http1.h"

#include <string.h>
#include <strings.h>

enum byte_class {
	IN_NAME = 1,   /* of a field: less than a token may have */
	IN_TARGET = 2, /* no '#', and what no browser escapes */
};

static const uint8_t classes[256] = {
	['0' ... '9'] = IN_NAME | IN_TARGET,
	['A' ... 'Z'] = IN_NAME | IN_TARGET,
	['a' ... 'z'] = IN_NAME | IN_TARGET,
	['-'] = IN_NAME | IN_TARGET,
	['_'] = IN_NAME | IN_TARGET,
	['!'] = IN_TARGET,
	['$' ... ','] = IN_TARGET, /* $%&'()*+, */
	['.'] = IN_TARGET,
	['/'] = IN_TARGET,
	[':'] = IN_TARGET,
	[';'] = IN_TARGET,
	['='] = IN_TARGET,
	['?'] = IN_TARGET,
	['@'] = IN_TARGET,
	['~'] = IN_TARGET,
};

struct scan {
	struct http_request *req;
	const char *p, *end;
	bool host, length;
};

/* GET and its like, and the space behind. */
static bool scan_method(struct scan *s)
{
	static const struct {
		char text[9];
		uint8_t size, method;
	} methods[] = {
		{ "GET ", 4, HTTP_GET },         { "POST ", 5, HTTP_POST },
		{ "HEAD ", 5, HTTP_HEAD },       { "PUT ", 4, HTTP_PUT },
		{ "DELETE ", 7, HTTP_DELETE },   { "PATCH ", 6, HTTP_PATCH },
		{ "OPTIONS ", 8, HTTP_OPTIONS },
	};

	if (s->end - s->p < 16)
		return false;
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		if (memcmp(s->p, methods[i].text, methods[i].size) == 0) {
			s->p += methods[i].size;
			s->req->method = methods[i].method;
			return true;
		}
	}
	return false;
}

/* A path, maybe a query, and the version behind it. */
static bool scan_target(struct scan *s)
{
	static const char version[] = " HTTP/1.1\r\n";
	struct http_request *req = s->req;
	const char *start = s->p, *p = start;

	while (p < s->end && (classes[(uint8_t)*p] & IN_TARGET))
		p++;
	if (p == start || *start != '/' ||
	    (size_t)(s->end - p) < sizeof(version) - 1 ||
	    memcmp(p, version, sizeof(version) - 1) != 0 ||
	    (size_t)(p - start) > req->server->limits.uri_bytes)
		return false;
	req->target = (struct http1_span){ (uint32_t)(start - req->base),
					   (uint32_t)(p - start) };
	req->minor = 1;
	s->p = p + sizeof(version) - 1;
	return true;
}

/* Printable ASCII, eight bytes at once while there are so many. */
static const char *skip_printable(const char *p, const char *end)
{
	const uint64_t ones = 0x0101010101010101, high = ones << 7;
	uint64_t word, odd;

	for (; end - p >= 8; p += 8) {
		memcpy(&word, p, 8);
		/* Below a space, above 126, or DEL: borrow and carry reach a high
		 * bit. */
		odd = (word - ones * ' ') | (word + ones) | word;
		if (odd & high)
			break;
	}
	while (p < end && *p >= ' ' && *p < 127)
		p++;
	return p;
}

static bool is_text(const char *p, size_t size, const char *text)
{
	return size == strlen(text) && strncasecmp(p, text, size) == 0;
}

/* Digits that fit. */
static bool scan_length(struct scan *s, const char *p, size_t size)
{
	uint64_t length = 0;

	if (s->length || size == 0 || size > 18)
		return false;
	for (size_t i = 0; i < size; i++) {
		if (p[i] < '0' || p[i] > '9')
			return false;
		length = length * 10 + (uint64_t)(p[i] - '0');
	}
	s->length = true;
	s->req->length = length;
	return true;
}

/* Fields that say how the message is to be read: the plain ones alone. */
static bool scan_meaning(struct scan *s, const struct http1_field *f)
{
	const char *base = s->req->base, *name = base + f->name.start;
	const char *value = base + f->value.start;

	switch (f->name.size) {
	case 4:
		if (!is_text(name, 4, "host"))
			return true;
		if (s->host || !http1__is_host(value, f->value.size))
			return false;
		s->host = true;
		return true;
	case 6:
		return !is_text(name, 6, "expect");
	case 7:
		return !is_text(name, 7, "upgrade");
	case 10:
		if (!is_text(name, 10, "connection"))
			return true;
		if (is_text(value, f->value.size, "close"))
			s->req->keep_alive = false;
		else if (!is_text(value, f->value.size, "keep-alive"))
			return false;
		return true;
	case 14:
		return !is_text(name, 14, "content-length") ||
		       scan_length(s, value, f->value.size);
	case 16:
		return !is_text(name, 16, "proxy-connection");
	case 17:
		return !is_text(name, 17, "transfer-encoding");
	default:
		return true;
	}
}

/* One line of a field. */
static bool scan_field(struct scan *s)
{
	struct http_request *req = s->req;
	struct http1_field *f = &req->fields[req->line_count];
	const char *start = s->p, *p = start, *end;

	while (p < s->end && (classes[(uint8_t)*p] & IN_NAME))
		p++;
	if (p == start || p == s->end || *p != ':' ||
	    req->line_count == HTTP_FIELDS_MAX)
		return false;
	f->name = (struct http1_span){ (uint32_t)(start - req->base),
				       (uint32_t)(p - start) };
	for (p++; p < s->end && *p == ' '; p++)
		;
	end = skip_printable(p, s->end);
	if (s->end - end < 2 || end[0] != '\r' || end[1] != '\n')
		return false;
	s->p = end + 2;
	while (end > p && end[-1] == ' ')
		end--;
	f->value = (struct http1_span){ (uint32_t)(p - req->base),
					(uint32_t)(end - p) };
	req->line_count++;
	return scan_meaning(s, f);
}

/* What was noted is not true: as before. */
static bool give_up(struct http_request *req)
{
	req->target = req->path = req->query = (struct http1_span){ 0, 0 };
	req->line_count = 0;
	req->length = 0;
	req->keep_alive = false;
	req->method = req->minor = 0;
	return false;
}

bool http1__scan_head(struct http_request *req, size_t size)
{
	struct scan s = { .req = req, .p = req->base };

	s.end = s.p + (size < req->server->limits.header_bytes
			       ? size
			       : req->server->limits.header_bytes);
	req->keep_alive = true;
	if (!scan_method(&s) || !scan_target(&s))
		return give_up(req);
	while (s.p < s.end && *s.p != '\r')
		if (!scan_field(&s))
			return give_up(req);
	if (s.end - s.p < 2 || s.p[1] != '\n' || !s.host)
		return give_up(req);
	if (!http1__check_target(req)) {
		req->refusal = 0; /* the long way says it again */
		return give_up(req);
	}
	s.p += 2;
	req->parsed = req->head_size = (uint32_t)(s.p - req->base);
	req->field_count = req->line_count;
	return true;
}
