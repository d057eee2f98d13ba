/*
 * The handshake of WebSocket at the HTTP/1 server: does a request ask for one, and
 * rightly, and what is it answered.
 */
#include <string.h>
#include <strings.h>

#include "net/http1.h"
#include "net/http_websocket.h"

static bool is_named(struct http_text t, const char *name)
{
	return t.size == strlen(name) && strncasecmp(t.data, name, t.size) == 0;
}

/* Is @a token one of the list in @a value? */
static bool has_token(struct http_text value, const char *token)
{
	const char *p = value.data, *end = p + value.size;

	while (p < end) {
		const char *comma = memchr(p, ',', end - p), *to;
		const char *next = comma != NULL ? comma + 1 : end;

		to = comma != NULL ? comma : end;
		while (p < to && (*p == ' ' || *p == '\t'))
			p++;
		while (to > p && (to[-1] == ' ' || to[-1] == '\t'))
			to--;
		if (is_named((struct http_text){ p, to - p }, token))
			return true;
		p = next;
	}
	return false;
}

/** What of the header matters. */
struct greeting {
	bool upgrade;
	bool connection;
	unsigned versions;
	bool version; /* it is ours */
	unsigned keys;
	struct http_text key;
};

/* The first offer that suits; *ret_text: the answer, or "". */
static struct websocket_deflate
choose_extension(const struct http_request *req,
		 struct websocket_deflate_wish wish,
		 char ret_text[static WEBSOCKET_DEFLATE_TEXT])
{
	struct websocket_deflate agreed = { 0 };

	ret_text[0] = '\0';
	for (size_t i = 0; i < http_request_field_count(req); i++) {
		struct http_field f = http_request_field(req, i);

		if (is_named(f.name, "sec-websocket-extensions") &&
		    websocket_deflate_answer(f.value.data, f.value.size, wish,
					     &agreed, ret_text))
			break;
	}
	return agreed;
}

static struct greeting greeting_of(const struct http_request *req)
{
	struct greeting g = { false, false, 0, false, 0, { NULL, 0 } };

	for (size_t i = 0; i < http_request_field_count(req); i++) {
		struct http_field f = http_request_field(req, i);

		if (is_named(f.name, "upgrade")) {
			g.upgrade |= has_token(f.value, "websocket");
		} else if (is_named(f.name, "connection")) {
			g.connection |= has_token(f.value, "upgrade");
		} else if (is_named(f.name, "sec-websocket-version")) {
			g.versions++;
			g.version = is_named(f.value, "13");
		} else if (is_named(f.name, "sec-websocket-key")) {
			g.keys++;
			g.key = f.value;
		}
	}
	return g;
}

static int refuse(const char **ret_why, int status, const char *why)
{
	*ret_why = why;
	return status;
}

int http_websocket_check(const struct http_request *req, const char **ret_why)
{
	struct greeting g = greeting_of(req);

	if (req->method != HTTP_GET)
		return refuse(ret_why, 405, "a WebSocket begins with GET");
	if (!g.upgrade || !g.connection)
		return refuse(ret_why, 426, "this is for WebSockets");
	if (req->minor == 0)
		return refuse(ret_why, 400, "a WebSocket needs HTTP/1.1");
	if (req->receiving || req->body.size > 0 || req->consumed > 0)
		return refuse(ret_why, 400,
			      "a request for a WebSocket has no body");
	if (g.versions != 1 || !g.version)
		return refuse(ret_why, 426, "the version of WebSocket is 13");
	if (g.keys != 1 || !websocket_is_key(g.key.data, g.key.size))
		return refuse(ret_why, 400,
			      "Sec-WebSocket-Key is 16 bytes as "
			      "base64");
	return 0;
}

int http1__websocket_answer(struct http_request *req,
			    const struct http_field *fields, size_t count,
			    struct websocket_deflate_wish wish,
			    struct websocket_deflate *ret)
{
	struct greeting g = greeting_of(req);
	char accept[WEBSOCKET_ACCEPT_SIZE + 1];
	char extension[WEBSOCKET_DEFLATE_TEXT];

	*ret = choose_extension(req, wish, extension);
	if (websocket_accept(g.key.data, g.key.size, accept) != 0)
		return UV_ENOMEM;
	return http1__write_switch(req->server, fields, count, accept,
				   extension);
}
