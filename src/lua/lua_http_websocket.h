/*
 * WebSockets in Lua, C half: one object for both sides.
 *
 * A server's is that of a request, which it knows by number, so that it may be kept
 * for longer; its environment is the request's, which holds the server. A client's
 * has the protocol in itself: its Lua half brings the bytes to and from a socket.
 */
#pragma once

#include <lua.h>
#include <stdbool.h>

#include "base/buf.h"
#include "lua/lua_state.h"
#include "net/http_request.h"
#include "net/http_websocket.h"
#include "runtime/cond.h"

struct lua_http_server;

/** The userdata. */
struct lua_websocket {
	struct lua_http_server *server; /* NULL: a client's */
	http_handle handle;
	bool created; /* own is there */
	struct websocket own;
	struct buf out; /* bytes for a client's socket */
	struct cond ready;
};

/** `http.websocket`. */
extern const struct lua_module lua_module_http_websocket;

/** The bits of a window at @a idx, and behind that whether it is kept; nil: it is not
 * wished for. Throws: other types. */
struct websocket_deflate_wish lua_websocket_wish(lua_State *L, int idx);

/** Add the functions of a server's, and of a client's, to the table on top. Throws: out
 * of memory. */
void lua_websocket_open_server(lua_State *L);
void lua_websocket_open_client(lua_State *L);
