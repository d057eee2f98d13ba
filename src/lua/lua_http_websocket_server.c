/* WebSockets in Lua, C half: requests of a server that become WebSockets. */
#include <lauxlib.h>
#include <string.h>
#include <uv.h>

#include "base/diag.h"
#include "lua/lua_class.h"
#include "lua/lua_error.h"
#include "lua/lua_http.h"
#include "lua/lua_http_websocket.h"

static uint32_t ms_of(lua_State *L, int idx)
{
	double ms = luaL_checknumber(L, idx) * 1000;

	return ms <= 0 ? 0 : ms < 1 ? 1 : ms < 2e9 ? (uint32_t)ms : 2000000000;
}

/* check(req) -> nil | status, why */
static int l_check(lua_State *L)
{
	struct http_request *req = lua_http_find_request(L, 1);
	const char *why;
	int status;

	if (req == NULL || http_request_is_begun(req))
		return lua_error_usage(L, "req:websocket: the request has been "
					  "answered");
	status = http_websocket_check(req, &why);
	if (status == 0)
		return 0;
	lua_pushinteger(L, status);
	lua_pushstring(L, why);
	return 2;
}

/* The fields of the array at @a idx, names and values in turn. */
static size_t fields_of(lua_State *L, int idx, struct http_field *fields)
{
	struct http_response resp = { .status = 200, .fields = fields };
	size_t count = lua_objlen(L, idx) / 2, bad;
	const char *why;

	if (count > HTTP_FIELDS_MAX)
		lua_error_usage(L, "req:websocket: too many header fields");
	for (size_t i = 0; i < count; i++) {
		struct http_field *f = &fields[i];

		lua_rawgeti(L, idx, (int)(2 * i + 1));
		lua_rawgeti(L, idx, (int)(2 * i + 2));
		f->name.data = lua_tolstring(L, -2, &f->name.size);
		f->value.data = lua_tolstring(L, -1, &f->value.size);
		lua_pop(L, 2); /* the array keeps them */
	}
	resp.field_count = count;
	why = http_response_check(&resp, &bad);
	if (why != NULL)
		lua_error_usage(L, "req:websocket: header field %d: %s",
				(int)bad + 1, why);
	return count;
}

/* accept(req, fields, max_message, heartbeat, close_timeout, bits | nil, keep) -> ws |
 * nil: the peer has gone | false: the server stops */
static int l_accept(lua_State *L)
{
	struct lua_http_request *request =
		lua_class_check(L, 1, LUA_CLASS_HTTP_REQUEST);
	struct http_field fields[HTTP_FIELDS_MAX];
	struct http_websocket_options options = {
		.message_bytes = (uint32_t)luaL_checknumber(L, 3),
		.heartbeat_ms = ms_of(L, 4),
		.close_ms = ms_of(L, 5),
		.deflate = lua_websocket_wish(L, 6),
	};
	struct http_request *req;
	struct lua_websocket *box;
	size_t count;
	int rc;

	luaL_checktype(L, 2, LUA_TTABLE);
	count = fields_of(L, 2, fields);
	box = lua_class_box(L, LUA_CLASS_WEBSOCKET, sizeof *box);
	memset(box, 0, sizeof *box);
	cond_create(&box->ready);
	lua_getfenv(L, 1);
	lua_setfenv(L, -2);
	req = lua_http_find_request(L, 1);
	if (req == NULL)
		return 0;
	box->server = request->server;
	box->handle = request->handle;
	rc = http_websocket_accept(req, fields, count, &options);
	if (rc == 0)
		return 1;
	if (rc == UV_ENOMEM) {
		diag_set_oom(sizeof(struct websocket), "a WebSocket");
		return lua_error_throw(L);
	}
	if (rc == UV_ESHUTDOWN)
		lua_pushboolean(L, 0);
	else
		lua_pushnil(L);
	return 1;
}

void lua_websocket_open_server(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{ "check", l_check },
		{ "accept", l_accept },
		{ NULL, NULL },
	};

	luaL_register(L, NULL, functions);
}
