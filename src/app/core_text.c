/* A part of the module `core`: clock and addresses, the C half of core_text.lua. */
#include <lauxlib.h>
#include <time.h>

#include "app/address.h"
#include "app/tools_modules.h"
#include "lua/lua_error.h"

static const char address_class[] = "neap.address";

/* now() -> seconds, microseconds */
static int l_now(lua_State *L)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	lua_pushnumber(L, (lua_Number)now.tv_sec);
	lua_pushinteger(L, now.tv_nsec / 1000);
	return 2;
}

/* parse_addr(text) -> address | nil */
static int l_parse_addr(lua_State *L)
{
	size_t size;
	const char *text = luaL_checklstring(L, 1, &size);
	struct address a;

	if (!address_parse(text, size, &a))
		return 0;
	*(struct address *)lua_newuserdata(L, sizeof a) = a;
	luaL_getmetatable(L, address_class);
	lua_setmetatable(L, -2);
	return 1;
}

static const struct address *check_address(lua_State *L, int arg)
{
	const struct address *a = NULL;

	if (lua_type(L, arg) == LUA_TUSERDATA && lua_getmetatable(L, arg)) {
		luaL_getmetatable(L, address_class);
		if (lua_rawequal(L, -1, -2))
			a = lua_touserdata(L, arg);
		lua_pop(L, 2);
	}
	if (a == NULL)
		lua_error_usage(L,
				"bad argument #%d to 'match_addr' (an address "
				"of core.parse_addr() expected, got %s)",
				arg, luaL_typename(L, arg));
	return a;
}

/* match_addr(a, b) -> boolean */
static int l_match_addr(lua_State *L)
{
	const struct address *a = check_address(L, 1);

	lua_pushboolean(L, address_overlap(a, check_address(L, 2)));
	return 1;
}

int tools_open_text(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{ "now", l_now },
		{ "parse_addr", l_parse_addr },
		{ "match_addr", l_match_addr },
		{ NULL, NULL },
	};

	luaL_newmetatable(L, address_class);
	lua_pushboolean(L, 0);
	lua_setfield(L, -2, "__metatable");
	lua_newtable(L);
	luaL_register(L, NULL, functions);
	return 1;
}
