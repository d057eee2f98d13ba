/* The C half of utf8.lua: characters of UTF-8. */
#pragma once

#include <lua.h>

int luaopen_neap_utf8(lua_State *L);
