/* WebSockets in Lua, C half: those of clients, which know no socket: their Lua half
 * brings the bytes. */
#include <lauxlib.h>
#include <string.h>

#include "base/diag.h"
#include "lua/lua_class.h"
#include "lua/lua_error.h"
#include "lua/lua_http_websocket.h"
#include "net/zlib_library.h"

/* new(max_message) -> ws */
static int l_new(lua_State *L)
{
	size_t max = (size_t)luaL_checknumber(L, 1);
	struct lua_websocket *box =
		lua_class_box(L, LUA_CLASS_WEBSOCKET, sizeof *box);

	memset(box, 0, sizeof *box);
	cond_create(&box->ready);
	box->created = websocket_create(&box->own, WEBSOCKET_CLIENT, max,
					&box->out) == 0;
	if (box->created)
		return 1;
	diag_set_oom(sizeof *box, "a WebSocket");
	return lua_error_throw(L);
}

static struct lua_websocket *check_own(lua_State *L)
{
	struct lua_websocket *box = lua_class_check(L, 1, LUA_CLASS_WEBSOCKET);

	if (!box->created)
		lua_error_usage(L, "a client's WebSocket is wanted");
	return box;
}

/* offer(bits, keep) -> Sec-WebSocket-Extensions of a request */
static int l_offer(lua_State *L)
{
	char text[WEBSOCKET_DEFLATE_TEXT];

	websocket_deflate_offer(lua_websocket_wish(L, 1), text);
	lua_pushstring(L, text);
	return 1;
}

/* agree(ws, answer, bits | nil, keep) -> boolean: it is one to that offer. */
static int l_agree(lua_State *L)
{
	struct lua_websocket *box = check_own(L);
	size_t size;
	const char *answer = luaL_checklstring(L, 2, &size);

	lua_pushboolean(L, websocket_deflate_check(answer, size,
						   lua_websocket_wish(L, 3),
						   &box->own.deflate));
	return 1;
}

/* no_deflate() -> nil | why there is none */
static int l_no_deflate(lua_State *L)
{
	const char *why = zlib_library_load();

	if (why == NULL)
		return 0;
	lua_pushstring(L, why);
	return 1;
}

/* feed(ws, data, from) -> how much of it was taken by now, whether there is more to do
 * all the same. Throws: out of memory, and it is over. */
static int l_feed(lua_State *L)
{
	struct lua_websocket *box = check_own(L);
	size_t size, from = (size_t)luaL_checknumber(L, 3);
	const char *data = luaL_checklstring(L, 2, &size);
	ssize_t n;

	if (from > size)
		from = size;
	n = websocket_feed(&box->own, data + from, size - from);
	cond_broadcast(&box->ready);
	if (n < 0) {
		diag_set_oom(size, "a message of a WebSocket");
		return lua_error_throw(L);
	}
	lua_pushnumber(L, (lua_Number)(from + (size_t)n));
	lua_pushboolean(L, box->own.behind);
	return 2;
}

/* out(ws) -> bytes to be sent, perhaps none */
static int l_out(lua_State *L)
{
	struct lua_websocket *box = check_own(L);

	lua_pushlstring(L, box->out.data != NULL ? box->out.data : "",
			box->out.size);
	buf_reset(&box->out, 1024);
	cond_broadcast(&box->ready);
	return 1;
}

/* lost(ws): the connection has ended. */
static int l_lost(lua_State *L)
{
	struct lua_websocket *box = check_own(L);

	websocket_lost(&box->own);
	cond_broadcast(&box->ready);
	return 0;
}

/* key() -> a new Sec-WebSocket-Key, the Sec-WebSocket-Accept for it */
static int l_key(lua_State *L)
{
	char key[WEBSOCKET_KEY_SIZE + 1], accept[WEBSOCKET_ACCEPT_SIZE + 1];

	if (websocket_new_key(key) != 0 ||
	    websocket_accept(key, WEBSOCKET_KEY_SIZE, accept) != 0) {
		diag_set(ClientError, "http.websocket: no random bytes");
		return lua_error_throw(L);
	}
	lua_pushstring(L, key);
	lua_pushstring(L, accept);
	return 2;
}

void lua_websocket_open_client(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{ "new", l_new },     { "offer", l_offer },
		{ "agree", l_agree }, { "no_deflate", l_no_deflate },
		{ "feed", l_feed },   { "out", l_out },
		{ "lost", l_lost },   { "key", l_key },
		{ NULL, NULL },
	};

	luaL_register(L, NULL, functions);
}
