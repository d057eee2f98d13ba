/* Requests as handlers see them, and the pool they come from. */
#include "net/http_request.h"

#include <string.h>

#include "base/inject.h"
#include "net/http2.h"

enum { SLOT_BITS = 20 }; /* with 32 bits of generation: exact in a double */

static struct http_text text(const struct http_request *req,
			     struct http1_span span)
{
	return (struct http_text){ req->base + span.start, span.size };
}

http_handle http_request_handle(const struct http_request *req)
{
	return (http_handle)req->generation << SLOT_BITS | req->slot;
}

struct http_request *http_request_find(struct http_server *server,
				       http_handle handle)
{
	uint32_t slot = handle & ((1u << SLOT_BITS) - 1);
	struct http_request *req;

	if (slot >= server->slot_count)
		return NULL;
	req = server->slots[slot];
	if (!req->waiting || req->generation != handle >> SLOT_BITS)
		return NULL;
	return req;
}

struct http_server *http_request_server(const struct http_request *req)
{
	return req->server;
}

void http_request_set_owner(struct http_request *req, void *owner)
{
	req->owner = owner;
}

void *http_request_owner(const struct http_request *req)
{
	return req->owner;
}

struct http_kept **http_request_kept(struct http_request *req)
{
	return req->conn == NULL ? NULL : &req->conn->kept;
}

const char *http_request_method(const struct http_request *req)
{
	return llhttp_method_name(req->method);
}

unsigned http_request_method_number(const struct http_request *req)
{
	return req->method;
}

const char *http_method_name(unsigned number)
{
	return number <= HTTP_FLUSH ? llhttp_method_name(number) : NULL;
}

struct http_text http_request_target(const struct http_request *req)
{
	return text(req, req->target);
}

struct http_text http_request_path(const struct http_request *req)
{
	if (req->path.size == 0) /* "http://host" */
		return (struct http_text){ "/", 1 };
	return text(req, req->path);
}

struct http_text http_request_query(const struct http_request *req)
{
	return text(req, req->query);
}

unsigned http_request_minor(const struct http_request *req)
{
	return req->minor;
}

unsigned http_request_major(const struct http_request *req)
{
	return req->http2 ? 2 : 1;
}

size_t http_request_field_count(const struct http_request *req)
{
	return req->field_count;
}

struct http_field http_request_field(const struct http_request *req, size_t i)
{
	return (struct http_field){ text(req, req->fields[i].name),
				    text(req, req->fields[i].value) };
}

struct http_text http_request_body(const struct http_request *req)
{
	if (req->receiving || req->consumed > 0)
		return (struct http_text){ NULL, 0 };
	return text(req, req->body);
}

int http_request_peer(const struct http_request *req,
		      struct sockaddr_storage *ret_addr)
{
	if (req->conn == NULL)
		return UV_ENOTCONN;
	return stream_peer(&req->conn->stream, ret_addr);
}

int http_request_own_address(const struct http_request *req,
			     struct sockaddr_storage *ret_addr)
{
	if (req->conn == NULL)
		return UV_ENOTCONN;
	return stream_own_address(&req->conn->stream, ret_addr);
}

bool http_request_is_secure(const struct http_request *req)
{
	return req->server->group.tls != NULL;
}

bool http_request_tls_info(const struct http_request *req,
			   struct tls_info *ret_info)
{
	return req->conn != NULL &&
	       stream_tls_info(&req->conn->stream, ret_info);
}

bool http_request_is_gone(const struct http_request *req)
{
	return req->conn == NULL || req->abandoned;
}

bool http_request_is_ending(const struct http_request *req)
{
	return req->conn != NULL && req->server->draining;
}

bool http_request_has_ended(const struct http_request *req)
{
	return http_request_is_gone(req) ||
	       (req->conn->h2 == NULL && req->conn->eof);
}

int http_request_reply(struct http_request *req,
		       const struct http_response *resp)
{
	return req->h2 != NULL ? http2__reply(req, resp)
			       : http1__reply(req, resp);
}

int http_request_set_phrase(struct http_request *req, struct http_text phrase)
{
	char *copy = NULL;

	if (phrase.size > HTTP_PHRASE_MAX)
		return UV_EINVAL;
	for (size_t i = 0; i < phrase.size; i++) {
		unsigned char c = phrase.data[i];

		if ((c < ' ' && c != '\t') || c == 0x7f)
			return UV_EINVAL;
	}
	if (phrase.size > 0) {
		copy = mem_strdup(phrase.data);
		if (copy == NULL)
			return UV_ENOMEM;
	}
	mem_free(req->phrase);
	req->phrase = copy;
	return 0;
}

const char *http_request_phrase(const struct http_request *req)
{
	return req->phrase;
}

struct cond *http_request_ready(struct http_request *req)
{
	return &req->ready;
}

static struct http_request *request_new(struct http_server *server)
{
	struct http_request *req;

	if (server->slot_count == server->slot_capacity) {
		uint32_t more = server->slot_capacity == 0
					? 16
					: server->slot_capacity * 2;
		struct http_request **slots;

		if (more > 1u << SLOT_BITS)
			return NULL;
		slots = mem_realloc(server->slots, more * sizeof(slots[0]));
		if (slots == NULL)
			return NULL;
		server->slots = slots;
		server->slot_capacity = more;
	}
	req = mem_zalloc(sizeof(*req));
	if (req == NULL)
		return NULL;
	cond_create(&req->ready);
	req->server = server;
	req->slot = server->slot_count;
	server->slots[server->slot_count++] = req;
	return req;
}

struct http_request *http1__request_take(struct http_server *server)
{
	struct http_request *req = server->pool;

	if (req != NULL)
		server->pool = req->next;
	else
		req = request_new(server);
	return req;
}

void http1__request_forget(struct http_request *req)
{
	if (req->waiting) {
		http__trace(HTTP_TRACE_DONE, req->conn, req);
		req->server->stat.waiting--;
	}
	req->waiting = false;
	if (!list_empty(&req->ready.waiters))
		cond_broadcast(&req->ready);
	req->generation++;
	req->owner = NULL;
}

void http1__request_release(struct http_request *req)
{
	struct http_server *server = req->server;

	http1__access_end(req, true);
	if (req->h2 != NULL)
		http2__released(req);
	http1__request_forget(req);
	http1__websocket_free(req);
	http1__unwatch(req);
	req->conn = NULL;
	mem_free(req->own);
	mem_free(req->phrase);
	req->own = req->phrase = NULL;
	req->base = NULL;
	req->next = server->pool;
	server->pool = req;
}

void http1__request_pool_free(struct http_server *server)
{
	for (uint32_t i = 0; i < server->slot_count; i++) {
		cond_broadcast(&server->slots[i]->ready);
		http1__websocket_free(server->slots[i]);
		mem_free(server->slots[i]->own);
		mem_free(server->slots[i]->phrase);
		mem_free(server->slots[i]);
	}
	mem_free(server->slots);
}
