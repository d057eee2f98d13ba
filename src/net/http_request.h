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
#include <sys/types.h>

struct cond;
struct http_request;
struct http_server;
struct tls_info;

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
	int status;         /* 200 .. 599 */
	const char *phrase; /* behind the status, with HTTP/1; NULL: its own */
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

/** What the handler's side keeps with a connection, for all of its requests: dropped
 * when it has been closed. */
struct http_kept {
	void (*drop)(struct http_kept *kept);
};

/** Its place, which is empty at first; NULL: the peer has gone. */
struct http_kept **http_request_kept(struct http_request *req);

/** "GET", ...: a static string. The number is llhttp's. */
const char *http_request_method(const struct http_request *req);
unsigned http_request_method_number(const struct http_request *req);

/** The name of a method's number; NULL past the last one. */
const char *http_method_name(unsigned number);

/** The target as sent, its path and its query without the "?"; not decoded. */
struct http_text http_request_target(const struct http_request *req);
struct http_text http_request_path(const struct http_request *req);
struct http_text http_request_query(const struct http_request *req);

/** 1 and 0 or 1: HTTP/1.0 or HTTP/1.1; 2 and 0: HTTP/2. */
unsigned http_request_major(const struct http_request *req);
unsigned http_request_minor(const struct http_request *req);

size_t http_request_field_count(const struct http_request *req);
struct http_field http_request_field(const struct http_request *req, size_t i);

/** The whole body, chunks put together; NULL when it comes in pieces and is
 * not whole, or not any more. */
struct http_text http_request_body(const struct http_request *req);

/*
 * A body in pieces, which a handler may read also when it is whole. What it has
 * not taken holds back the peer.
 */

enum http_body_state {
	HTTP_BODY_WHOLE,
	HTTP_BODY_COMING,
	HTTP_BODY_BROKEN, /* no more of it comes */
};

enum http_body_state http_request_body_state(const struct http_request *req);

/** What has come and was not taken. */
struct http_text http_request_unread(const struct http_request *req);

/** Take the first @a size bytes of that. */
void http_request_consume(struct http_request *req, size_t size);

/** The handler waits for @a size bytes unread: they are let in, up to that
 * number, and a peer that waits for "100 Continue" gets it. */
void http_request_want(struct http_request *req, uint32_t size);

/** Why the body is broken. */
const char *http_request_broken(const struct http_request *req);

/** The fields behind a chunked body, once it is whole. */
size_t http_request_trailer_count(const struct http_request *req);
struct http_field http_request_trailer(const struct http_request *req,
				       size_t i);

/** The peer's address. Returns 0 or UV_E* (the peer has gone). */
int http_request_peer(const struct http_request *req,
		      struct sockaddr_storage *ret_addr);

/** The address that the peer has connected to. As http_request_peer(). */
int http_request_own_address(const struct http_request *req,
			     struct sockaddr_storage *ret_addr);

/** Did it come over TLS? */
bool http_request_is_secure(const struct http_request *req);

/** What came of the handshake; false: there was none, or the peer has gone. */
bool http_request_tls_info(const struct http_request *req,
			   struct tls_info *ret_info);

/** True when nobody waits for the answer any more. */
bool http_request_is_gone(const struct http_request *req);

/** True when the server drains: nothing that has no end goes on. Who waits for
 * http_request_ready() is told. */
bool http_request_is_ending(const struct http_request *req);

/** True when its peer will send no more: most that do so have gone. Of HTTP/2 as
 * http_request_is_gone(). */
bool http_request_has_ended(const struct http_request *req);

/**
 * Answer and give the request up. Returns 0; or UV_ECONNRESET when the peer
 * has gone, UV_ENOMEM when the connection had to be closed: the request is
 * given up in these cases, too. UV_EINVAL when @a resp cannot be sent as it is
 * (http_response_check() says why), UV_EALREADY when one was begun: the request
 * still waits for an answer, or its end.
 */
int http_request_reply(struct http_request *req,
		       const struct http_response *resp);

/*
 * An answer in pieces: begin, write as often as there is something, end; or
 * abort, at any point, which the peer sees as an end before the end. The
 * request stays the handler's until end or abort, also when the peer has gone.
 */

enum { HTTP_LENGTH_UNKNOWN = -1 };

/**
 * Send the head of an answer: status and fields of @a resp, its body not.
 * With a @a length exactly so many bytes must follow. Without one the body is
 * chunked, or to HTTP/1.0 ends with the connection. Returns 0; UV_EINVAL as
 * http_request_reply(), UV_EALREADY: it was begun; UV_ECONNRESET: the peer has
 * gone; UV_ENOMEM: the connection had to be closed.
 */
int http_request_begin(struct http_request *req,
		       const struct http_response *resp, int64_t length);

/** Between begin and end. */
bool http_request_is_begun(const struct http_request *req);

/**
 * Send of the body what is to be taken at once of @a piece. Returns how many
 * bytes were taken: to a HEAD, or a status that has no body, all of them, and
 * none is sent. UV_EAGAIN: wait until http_request_is_full() is false;
 * UV_EMSGSIZE: more than the length; UV_ECONNRESET, UV_ENOMEM: as begin.
 */
ssize_t http_request_write(struct http_request *req, struct http_text piece);

/**
 * Send of the body, whose length was given, at most HTTP_FILE_TURN of the @a size
 * bytes at @a offset of the file @a fd, and what is to be had without waiting;
 * @a fetched: its turn was read just now. Returns how many it was, or UV_EAGAIN:
 * wait until http_request_is_sent(); UV_EBUSY: a disk must be waited for: read
 * the turn elsewhere; UV_EOF: the file is shorter; UV_ENOTSUP: it must be read
 * and written; as http_request_write(); or why it cannot be read.
 */
ssize_t http_request_send_file(struct http_request *req, int fd,
			       uint64_t offset, size_t size, bool fetched);

enum { HTTP_FILE_TURN = 262144 };

/** All that was written has left, or the peer has gone. */
bool http_request_is_sent(const struct http_request *req);

/** The peer has so much unread that no more is taken. */
bool http_request_is_full(const struct http_request *req);

/**
 * The answer is complete. @a trailers are sent where they can be: behind
 * chunks. Returns 0, and the request is given up; so it is with UV_ECONNRESET
 * and UV_ENOMEM. UV_EMSGSIZE: less than the length, UV_EINVAL: trailers that
 * cannot be sent (http_response_check() says why): nothing has happened.
 */
int http_request_end(struct http_request *req,
		     const struct http_field *trailers, size_t count);

/** Cut the connection, or with HTTP/2 the stream, and give the request up. */
void http_request_abort(struct http_request *req);

enum { HTTP_PHRASE_MAX = 256 };

/**
 * The phrase that the answer is to have: kept for http_request_phrase(), which is
 * NULL without one; an empty text takes it back. Returns 0; UV_EINVAL: it is too long or
 * has a control character; UV_ENOMEM.
 */
int http_request_set_phrase(struct http_request *req, struct http_text phrase);
const char *http_request_phrase(const struct http_request *req);

/** Broadcast when something has changed that a handler may wait for: an answer
 * is not full any more, more of the body has come or none will, the peer or the
 * request has gone. */
struct cond *http_request_ready(struct http_request *req);

/**
 * Whether an answer can be sent: a final status, at most HTTP_FIELDS_MAX
 * fields, names that are tokens, values without CR, LF, NUL or other controls,
 * no Content-Length, Transfer-Encoding or Connection (the server's own).
 * Returns NULL, or a static text; *ret_field is the index of the field meant,
 * or field_count.
 */
const char *http_response_check(const struct http_response *resp,
				size_t *ret_field);

enum {
	HTTP_FIELDS_MAX = 100,
	HTTP_FIELDS_SIZE_MAX = 1 << 20, /* bytes of an answer's */
};

/** "Not Found"; "" for a code nobody knows. */
const char *http_status_reason(int status);
