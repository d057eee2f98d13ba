/*
 * Answers as bytes, gathered in the server's output buffer. What is the same
 * for all of them, the date among it, is formatted once a second.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "net/http1.h"

static const char server_name[] = "neap";

enum {
	LINE_ROOM = 80, /* for a status line, or a Content-Length */
	DATE_AT = sizeof("Server: \r\nDate: ") + sizeof(server_name) - 2,
};

static bool is_token(struct http_text t)
{
	/* RFC 9110 5.6.2. */
	static const bool in_token[256] = {
		['0' ... '9'] = true,  ['A' ... 'Z'] = true,
		['a' ... 'z'] = true,  ['!'] = true,
		['#' ... '\''] = true, ['*'] = true,
		['+'] = true,          ['-'] = true,
		['.'] = true,          ['^' ... '`'] = true,
		['|'] = true,          ['~'] = true,
	};

	bool ok = t.size > 0;

	for (size_t i = 0; i < t.size; i++)
		ok &= in_token[(unsigned char)t.data[i]];
	return ok;
}

/* True when one of the eight bytes may be a control: exact but for bytes right
 * behind one that is. */
static bool has_control(uint64_t word)
{
	const uint64_t ones = 0x0101010101010101, high = ones << 7;
	uint64_t del = word ^ (ones * 0x7f);

	return (((word - ones * 0x20) & ~word) | ((del - ones) & ~del)) & high;
}

static bool is_value(struct http_text t)
{
	size_t i = 0;

	for (uint64_t word; i + sizeof(word) <= t.size; i += sizeof(word)) {
		memcpy(&word, t.data + i, sizeof(word));
		if (has_control(word))
			break; /* it may be a tab: look at each byte */
	}
	for (; i < t.size; i++) {
		unsigned char c = t.data[i];

		if ((c < ' ' && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

static bool is_named(struct http_text t, const char *name, size_t size)
{
	return t.size == size && strncasecmp(t.data, name, size) == 0;
}

#define IS_NAMED(text, name) is_named(text, name, sizeof(name) - 1)

static const char *check_field(const struct http_field *f)
{
	if (!is_token(f->name))
		return "the name is no token";
	if (!is_value(f->value))
		return "the value has a control character";
	if (IS_NAMED(f->name, "content-length") ||
	    IS_NAMED(f->name, "transfer-encoding") ||
	    IS_NAMED(f->name, "connection"))
		return "this field is the server's own";
	return NULL;
}

const char *http_response_check(const struct http_response *resp,
				size_t *ret_field)
{
	const char *why;
	size_t size = 0;

	for (size_t i = 0; i < resp->field_count; i++) {
		why = check_field(&resp->fields[i]);
		if (why != NULL) {
			*ret_field = i;
			return why;
		}
		size += resp->fields[i].name.size + resp->fields[i].value.size;
	}
	*ret_field = resp->field_count;
	if (size > HTTP_FIELDS_SIZE_MAX)
		return "the header fields are larger than 1 MiB";
	if (resp->status < 200 || resp->status > 599)
		return "the status is not in 200 .. 599";
	if (resp->field_count > HTTP_FIELDS_MAX)
		return "too many header fields";
	if (resp->body.size > UINT32_MAX)
		return "the body is larger than 4 GiB";
	return NULL;
}

static void refresh(struct http_server *server, time_t now)
{
	static const char days[] = "SunMonTueWedThuFriSat";
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	struct tm tm;
	int n;

	gmtime_r(&now, &tm); /* strftime() would follow the locale */
	n = snprintf(server->common, sizeof(server->common),
		     "Server: %s\r\n"
		     "Date: %.3s, %02d %.3s %04d %02d:%02d:%02d GMT\r\n",
		     server_name, days + 3 * tm.tm_wday, tm.tm_mday,
		     months + 3 * tm.tm_mon, tm.tm_year + 1900, tm.tm_hour,
		     tm.tm_min, tm.tm_sec);
	server->common_size = n;
	n = snprintf(server->ok, sizeof(server->ok), "HTTP/1.1 200 OK\r\n%s",
		     server->common);
	server->ok_size = n;
	server->date_second = now;
}

const char *http1__date(struct http_server *server)
{
	time_t now = time(NULL);

	if (now != server->date_second)
		refresh(server, now);
	return server->common + DATE_AT;
}

static char *put(char *to, const void *data, size_t size)
{
	return (char *)memcpy(to, data, size) + size;
}

#define PUT(to, literal) put(to, literal, sizeof(literal) - 1)

char *http1__put_number(char *to, uint64_t n)
{
	char digits[20];
	unsigned at = sizeof(digits);

	do {
		digits[--at] = '0' + n % 10;
		n /= 10;
	} while (n > 0);
	return put(to, digits + at, sizeof(digits) - at);
}

unsigned http1__replaced(const struct http_field *fields, size_t count)
{
	unsigned replaced = 0;

	for (size_t i = 0; i < count; i++) {
		if (IS_NAMED(fields[i].name, "server"))
			replaced |= HTTP1_SERVER;
		else if (IS_NAMED(fields[i].name, "date"))
			replaced |= HTTP1_DATE;
	}
	return replaced;
}

static char *put_start(const struct http_server *server, char *to,
		       const struct http_response *resp)
{
	unsigned replaced = http1__replaced(resp->fields, resp->field_count);
	const size_t date_line = DATE_AT - (sizeof("Date: ") - 1);
	const char *reason;

	if (resp->status == 200 && replaced == 0 && resp->phrase == NULL)
		return put(to, server->ok, server->ok_size);
	reason = resp->phrase != NULL ? resp->phrase
				      : http_status_reason(resp->status);
	to = PUT(to, "HTTP/1.1 ");
	to = http1__put_number(to, resp->status);
	*to++ = ' ';
	to = put(to, reason, strlen(reason));
	to = PUT(to, "\r\n");
	if ((replaced & HTTP1_SERVER) == 0)
		to = put(to, server->common, date_line);
	if ((replaced & HTTP1_DATE) == 0)
		to = put(to, server->common + date_line,
			 server->common_size - date_line);
	return to;
}

static char *put_fields(char *to, const struct http_response *resp)
{
	for (size_t i = 0; i < resp->field_count; i++) {
		const struct http_field *f = &resp->fields[i];

		to = put(to, f->name.data, f->name.size);
		to = PUT(to, ": ");
		to = put(to, f->value.data, f->value.size);
		to = PUT(to, "\r\n");
	}
	return to;
}

static size_t fields_size(const struct http_response *resp)
{
	size_t size = 0;

	for (size_t i = 0; i < resp->field_count; i++)
		size += resp->fields[i].name.size + resp->fields[i].value.size +
			4;
	return size;
}

/* The line that says how the body's end is found, if there is one. */
static char *put_framing(char *to, enum http1_framing framing, uint64_t length)
{
	if (framing == HTTP1_LENGTH) {
		to = PUT(to, "Content-Length: ");
		to = http1__put_number(to, length);
		return PUT(to, "\r\n");
	}
	if (framing == HTTP1_CHUNKED)
		return PUT(to, "Transfer-Encoding: chunked\r\n");
	return to;
}

int http1__write_response(struct http_server *server,
			  const struct http_response *resp,
			  enum http1_framing framing, uint64_t length,
			  struct http_text body, unsigned minor,
			  bool keep_alive, bool *ret_direct)
{
	time_t now = time(NULL);
	size_t bad, size;
	char *to;

	if (http_response_check(resp, &bad) != NULL)
		return UV_EINVAL;
	if (now != server->date_second)
		refresh(server, now);
	*ret_direct = body.size >= HTTP1_BODY_DIRECT;
	size = 2 * LINE_ROOM + server->ok_size + fields_size(resp);
	if (resp->phrase != NULL)
		size += strlen(resp->phrase);
	if (!*ret_direct)
		size += body.size;
	to = buf_reserve(&server->out, size);
	if (to == NULL)
		return UV_ENOMEM;
	to = put_start(server, to, resp);
	to = put_fields(to, resp);
	to = put_framing(to, framing, length);
	if (!keep_alive)
		to = PUT(to, "Connection: close\r\n\r\n");
	else if (minor == 0)
		to = PUT(to, "Connection: keep-alive\r\n\r\n");
	else
		to = PUT(to, "\r\n");
	if (!*ret_direct && body.size > 0)
		to = put(to, body.data, body.size);
	server->out.size = to - server->out.data;
	return 0;
}

int http1__write_switch(struct http_server *server,
			const struct http_field *fields, size_t count,
			const char *accept, const char *extension)
{
	static const char start[] = "HTTP/1.1 101 Switching Protocols\r\n"
				    "Upgrade: websocket\r\n"
				    "Connection: Upgrade\r\n"
				    "Sec-WebSocket-Accept: ";
	struct http_response resp = { .fields = fields, .field_count = count };
	char *to = buf_reserve(&server->out, sizeof(start) + 2 * LINE_ROOM +
						     strlen(extension) +
						     fields_size(&resp));

	if (to == NULL)
		return UV_ENOMEM;
	to = PUT(to, start);
	to = put(to, accept, strlen(accept));
	to = PUT(to, "\r\n");
	if (extension[0] != '\0') {
		to = PUT(to, "Sec-WebSocket-Extensions: ");
		to = put(to, extension, strlen(extension));
		to = PUT(to, "\r\n");
	}
	to = put_fields(to, &resp);
	to = PUT(to, "\r\n");
	server->out.size = to - server->out.data;
	return 0;
}

int http1__write_last_chunk(struct http_server *server,
			    const struct http_field *trailers, size_t count)
{
	struct http_response resp = {
		.status = 200,
		.fields = trailers,
		.field_count = count,
	};
	size_t bad;
	char *to;

	if (http_response_check(&resp, &bad) != NULL)
		return UV_EINVAL;
	to = buf_reserve(&server->out, LINE_ROOM + fields_size(&resp));
	if (to == NULL)
		return UV_ENOMEM;
	to = PUT(to, "0\r\n");
	to = put_fields(to, &resp);
	to = PUT(to, "\r\n");
	server->out.size = to - server->out.data;
	return 0;
}

size_t http1__write_refusal(struct http_server *server, int status,
			    const char *reason)
{
	static const struct http_field type = {
		{ "Content-Type", 12 }, { "text/plain; charset=utf-8", 25 }
	};
	struct http_response resp = {
		.status = status,
		.fields = &type,
		.field_count = 1,
	};
	char body[160];
	bool direct;
	int n;

	n = snprintf(body, sizeof(body), "%d %s: %s\n", status,
		     http_status_reason(status), reason);
	resp.body = (struct http_text){ body, n };
	if (http1__write_response(server, &resp, HTTP1_LENGTH, n, resp.body, 1,
				  false, &direct) != 0)
		return 0;
	return resp.body.size;
}
