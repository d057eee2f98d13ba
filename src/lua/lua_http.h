/*
 * What the two C halves of `http.server` share: the objects.
 *
 * A request object knows its request by number, so that it may be kept for
 * longer than the request lives. Its environment table holds the server's
 * object, and what the handler puts into the request.
 */
#pragma once

#include <lua.h>
#include <stdbool.h>

#include "net/http_request.h"
#include "net/http_server.h"
#include "runtime/cond.h"
#include "runtime/drain.h"

struct lua_http_access;
struct lua_vm;

/** A server object. Anchored in the registry while it runs. */
struct lua_http_server {
	struct http_server *http; /* NULL: the state is being closed */
	struct lua_vm *vm;
	struct drainable drainable;
	char name[192];          /* with its address, for the log */
	uint64_t cut_before;     /* stat.cut when the last drain ended */
	struct cond drained;     /* fibers in stop() wait here */
	int self_ref;            /* registry: this object, while it runs */
	int serve_ref;           /* registry: the function run for a request */
	const void *environment; /* of requests without fields of their own */
	struct lua_http_access *access; /* NULL: no access log */
	bool finishing;      /* it has drained, and its log is written */
	bool display_errors; /* tell the peer the traceback */
	bool log_errors;
};

/** A request object. */
struct lua_http_request {
	struct lua_http_server *server;
	http_handle handle;
	bool changed; /* its header, by the script: it is in the object's own
			 values */
};

/** decode(text) -> text without its escapes. */
int lua_http_decode(lua_State *L);

/** Push the function take(number), which makes the request object, of the
 * server whose object is at @a idx, and its table in Lua behind it. Throws: out
 * of memory. */
void lua_http_push_take(lua_State *L, int idx);

/** The request behind the object at @a idx; NULL when it is over. Throws: it is
 * no request. */
struct http_request *lua_http_find_request(lua_State *L, int arg);

/** trace(request, "route" or "rule", text): for those who follow requests. */
int lua_http_trace(lua_State *L);

/** Put the functions of answers into the table on top. Throws: out of memory. */
void lua_http_open_answer(lua_State *L);

/** Push a table of @a count of the fields from @a first on, by their names in
 * small letters. Throws: out of memory. */
void lua_http_push_fields(lua_State *L, const struct http_request *req,
			  size_t first, size_t count);

/** The same for the functions of bodies that come in pieces. */
void lua_http_open_body(lua_State *L);

/** The same for the functions of conditions and ranges. */
void lua_http_open_condition(lua_State *L);

/** The same for those of files. */
void lua_http_open_file(lua_State *L);

/** The same for those of encoders; for several tables. */
void lua_http_open_encode(lua_State *L);

/** The same for those of forms. */
void lua_http_open_form(lua_State *L);

/** Push the C half of requests. Throws: out of memory. */
void lua_http_push_request_half(lua_State *L);
