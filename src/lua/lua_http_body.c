/*
 * Bodies in pieces, for Lua: what has come is looked at and taken here, what has
 * not is waited for. The loop around the two is in http_request.lua.
 */
#include <lauxlib.h>
#include <string.h>
#include <uv.h>

#include "base/diag.h"
#include "lua/lua_call.h"
#include "lua/lua_error.h"
#include "lua/lua_http.h"

static struct http_request *check_request(lua_State *L)
{
	struct http_request *req = lua_http_find_request(L, 1);

	if (req == NULL)
		lua_error_usage(L, "the request has been answered: its body "
				   "is gone");
	return req;
}

/* A count of bytes from Lua, which may be more than there ever are. */
static size_t size_of(lua_State *L, int idx)
{
	double n = lua_tonumber(L, idx);

	if (!(n > 0))
		return 0;
	return n < UINT32_MAX ? (size_t)n : UINT32_MAX;
}

static int broken(lua_State *L, struct http_request *req)
{
	lua_pushboolean(L, 0);
	diag_set_system(UV_ECONNABORTED, "the body is not whole: %s",
			http_request_broken(req));
	lua_error_push_diag(L);
	return 2;
}

/* take_body(req, size, delimiter | nil, from) -> text | false, err | nil, how
 * much need not be searched again, how much has come: more has to */
static int l_take_body(lua_State *L)
{
	struct http_request *req = check_request(L);
	struct http_text text = http_request_unread(req);
	size_t limit = size_of(L, 2), from = size_of(L, 4), size, n = 0;
	const char *delimiter = lua_tolstring(L, 3, &n), *hit = NULL;
	size_t have = text.size < limit ? text.size : limit;

	if (n > 0 && from < have)
		hit = memmem(text.data + from, have - from, delimiter, n);
	if (hit != NULL) {
		size = hit - text.data + n;
	} else if (text.size >= limit ||
		   http_request_body_state(req) == HTTP_BODY_WHOLE) {
		size = have;
	} else if (http_request_body_state(req) == HTTP_BODY_BROKEN) {
		return broken(L, req);
	} else {
		lua_pushnil(L);
		lua_pushnumber(L, (lua_Number)(have > n ? have - n : 0));
		lua_pushnumber(L, (lua_Number)text.size);
		return 3;
	}
	lua_pushlstring(L, text.data, size);
	http_request_consume(req, size);
	return 1;
}

/* wait_body(req, have, size, due | nil) -> status: until more than @have bytes
 * are there, or no more will be. */
static int l_wait_body(lua_State *L)
{
	struct http_request *req = check_request(L);
	struct fiber *self = lua_wait_check(L);
	size_t have = size_of(L, 2);
	uint64_t timeout = lua_wait_left(L, 4);

	http_request_want(req, (uint32_t)size_of(L, 3));
	if (http_request_unread(req).size > have ||
	    http_request_body_state(req) != HTTP_BODY_COMING) {
		lua_pushinteger(L, 0);
		return 1;
	}
	cond_wait_begin(http_request_ready(req), self, timeout);
	return lua_wait(L);
}

/* wait_change(req, seconds) -> status: so long, or until something has changed:
 * it is over, the peer has gone, what was written has left. */
static int l_wait_change(lua_State *L)
{
	struct http_request *req = lua_http_find_request(L, 1);
	struct fiber *self = lua_wait_check(L);
	uint64_t timeout = lua_wait_timeout(L, 2);

	if (req == NULL) {
		lua_pushinteger(L, 0);
		return 1;
	}
	cond_wait_begin(http_request_ready(req), self, timeout);
	return lua_wait(L);
}

/* body_state(req) -> "whole" | "coming" | "broken" */
static int l_body_state(lua_State *L)
{
	static const char *const names[] = {
		[HTTP_BODY_WHOLE] = "whole",
		[HTTP_BODY_COMING] = "coming",
		[HTTP_BODY_BROKEN] = "broken",
	};

	lua_pushstring(L, names[http_request_body_state(check_request(L))]);
	return 1;
}

/* unread(req) -> bytes */
static int l_unread(lua_State *L)
{
	lua_pushnumber(L,
		       (lua_Number)http_request_unread(check_request(L)).size);
	return 1;
}

/* is_partial(req) -> boolean: there is no whole body to look at. */
static int l_is_partial(lua_State *L)
{
	lua_pushboolean(L, http_request_body(check_request(L)).data == NULL);
	return 1;
}

/* trailers(req) -> table | nil */
static int l_trailers(lua_State *L)
{
	struct http_request *req = check_request(L);

	if (http_request_body_state(req) != HTTP_BODY_WHOLE)
		return 0;
	lua_http_push_fields(L, req, http_request_field_count(req),
			     http_request_trailer_count(req));
	return 1;
}

void lua_http_open_body(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{ "take_body", l_take_body },
		{ "wait_body", l_wait_body },
		{ "wait_change", l_wait_change },
		{ "due", lua_wait_due },
		{ "give_up", lua_wait_give_up },
		{ "body_state", l_body_state },
		{ "unread", l_unread },
		{ "is_partial", l_is_partial },
		{ "trailers", l_trailers },
		{ NULL, NULL },
	};

	luaL_register(L, NULL, functions);
}
