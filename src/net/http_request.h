/*
 * One HTTP request, as its handler sees it, whatever protocol brought it.
 *
 * A request is the handler's from on_request() until it answers with
 * http_request_reply(), at once or later. Its bytes are valid that long: while
 * the handler runs inside on_request() they lie in the connection's read
 * buffer, after it they are copied. A handler that keeps a request for later
 * keeps its handle, too, and asks http_request_find() whether it still is the
 * same one.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct http_request;
struct http_server;

/** Bytes that belong to somebody else; no NUL at the end. */
struct http_text {
	const char *data;
	size_t size;
};

/** A header field, in a request or for an answer. */
struct http_field {
	struct http_text name;
	struct http_text value;
};

/** An answer. The bytes are needed during http_request_reply() only. */
struct http_response {
	int status; /* 200 .. 599 */
	const struct http_field *fields;
	size_t field_count;
	struct http_text body;
	bool close; /* end the connection after it */
};

/** Number of a request: never that of another one of its server. */
typedef uint64_t http_handle;

http_handle http_request_handle(const struct http_request *req);

/** The unanswered request with this handle, or NULL. */
struct http_request *http_request_find(struct http_server *server,
				       http_handle handle);

struct http_server *http_request_server(const struct http_request *req);

/** Something of the handler's, NULL when the request comes: who works at it. */
void http_request_set_owner(struct http_request *req, void *owner);
void *http_request_owner(const struct http_request *req);

/** "GET", ...: a static string. The number is llhttp's. */
const char *http_request_method(const struct http_request *req);
unsigned http_request_method_number(const struct http_request *req);

/** The name of a method's number; NULL past the last one. */
const char *http_method_name(unsigned number);

/** The target as sent, its path and its query without the "?"; not decoded. */
struct http_text http_request_target(const struct http_request *req);
struct http_text http_request_path(const struct http_request *req);
struct http_text http_request_query(const struct http_request *req);

/** 0 or 1: HTTP/1.0 or HTTP/1.1. */
unsigned http_request_minor(const struct http_request *req);

size_t http_request_field_count(const struct http_request *req);
struct http_field http_request_field(const struct http_request *req, size_t i);

/** The whole body, chunks put together. */
struct http_text http_request_body(const struct http_request *req);

/** The peer's address. Returns 0 or UV_E* (the peer has gone). */
int http_request_peer(const struct http_request *req,
		      struct sockaddr_storage *ret_addr);

/** True when nobody waits for the answer any more. */
bool http_request_is_gone(const struct http_request *req);

/**
 * Answer and give the request up. Returns 0; or UV_ECONNRESET when the peer
 * has gone, UV_ENOMEM when the connection had to be closed: the request is
 * given up in these cases, too. UV_EINVAL when @a resp cannot be sent as it is
 * (http_response_check() says why): the request still waits for an answer.
 */
int http_request_reply(struct http_request *req,
		       const struct http_response *resp);

/**
 * Whether an answer can be sent: a final status, at most HTTP_FIELDS_MAX
 * fields, names that are tokens, values without CR, LF, NUL or other controls,
 * no Content-Length, Transfer-Encoding or Connection (the server's own).
 * Returns NULL, or a static text; *ret_field is the index of the field meant,
 * or field_count.
 */
const char *http_response_check(const struct http_response *resp,
				size_t *ret_field);

enum { HTTP_FIELDS_MAX = 100 };

/** "Not Found"; "" for a code nobody knows. */
const char *http_status_reason(int status);
