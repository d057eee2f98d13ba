/* The C half of uri.lua. */
#include "lua/lua_uri.h"

#include <lauxlib.h>

#include "lua/lua_error.h"

int luaopen_neap_uri(lua_State *L)
{
	lua_createtable(L, 0, 1);
	lua_pushcfunction(L, lua_error_usage_text);
	lua_setfield(L, -2, "usage");
	return 1;
}
