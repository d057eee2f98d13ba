/*
 * The variables of a connection in Lua. See session_object.h.
 *
 * A box is what one request has of them: so they are there as long as it is, whatever
 * has become of the connection.
 */
#include "app/session_object.h"

#include <lauxlib.h>
#include <string.h>

#include "app/request.h"
#include "app/request_object.h"
#include "app/session.h"
#include "app/variable.h"
#include "lua/lua_class.h"
#include "lua/lua_error.h"
#include "lua/lua_http.h"

struct box {
	struct session *session; /* NULL: given back */
	/* Of a variable that is being pushed, which may throw. */
	struct request_string *string;
};

static struct http_request *request_at(lua_State *L, int idx)
{
	return lua_isuserdata(L, idx) ? lua_http_find_request(L, idx) : NULL;
}

/* session_of(request | nil, create) -> box | nil */
static int l_of(lua_State *L)
{
	struct http_request *req = request_at(L, 1);
	struct box *b;

	if (!lua_toboolean(L, 2) && (req == NULL || !session_is_there(req)))
		return 0;
	b = lua_class_box(L, LUA_CLASS_SESSION, sizeof *b);
	memset(b, 0, sizeof *b);
	b->session = req == NULL ? session_new() : session_of(req);
	return b->session == NULL ? lua_error_throw(L) : 1;
}

static int l_end(lua_State *L)
{
	struct box *b = lua_class_check(L, 1, LUA_CLASS_SESSION);
	struct session *s = b->session;

	b->session = NULL;
	session_unref(s);
	request_string_unref(b->string);
	b->string = NULL;
	return 0;
}

static struct box *check(lua_State *L)
{
	struct box *b = lua_class_check(L, 1, LUA_CLASS_SESSION);

	if (b->session == NULL)
		lua_error_usage(L, "the request is over");
	return b;
}

/* session_get(box, name) -> value */
static int l_get(lua_State *L)
{
	struct box *b = check(L);
	struct request_value v;

	if (session_get_var(b->session, luaL_checkstring(L, 2), &v) != 0)
		return lua_error_throw(L);
	variable_push(L, v, &b->string);
	return 1;
}

/* session_set(box, name, value) */
static int l_set(lua_State *L)
{
	struct box *b = check(L);
	const char *name = luaL_checkstring(L, 2);

	if (session_set_var(b->session, name,
			    variable_check(L, 3, name,
					   SESSION_VAR_BYTES_MAX)) != 0)
		return lua_error_throw(L);
	return 0;
}

/* session_attach(object, box | request | nil): requests of other states have it, too. */
static int l_attach(lua_State *L)
{
	struct request *r = request_check(L, 1);
	struct box *b = lua_class_test(L, 2, LUA_CLASS_SESSION);
	struct http_request *req = b == NULL ? request_at(L, 2) : NULL;
	struct session *s;

	if (b != NULL && b->session != NULL)
		s = session_ref(b->session);
	else
		s = req == NULL ? session_new() : session_of(req);
	if (s == NULL)
		return lua_error_throw(L);
	request_set_session(r, s);
	session_unref(s);
	return 0;
}

void session_object_add(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{ "session_of", l_of },         { "session_get", l_get },
		{ "session_set", l_set },       { "session_end", l_end },
		{ "session_attach", l_attach }, { NULL, NULL },
	};
	static const luaL_Reg meta[] = {
		{ "__gc", l_end },
		{ NULL, NULL },
	};

	lua_class_new(L, LUA_CLASS_SESSION, "session", meta);
	lua_pop(L, 1);
	luaL_register(L, NULL, functions);
}
