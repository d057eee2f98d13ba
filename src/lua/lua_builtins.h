/* What replaces functions of Lua itself: see builtins.lua. */
#pragma once

#include <lua.h>

/** The C half: park_mark, unpark, note_trace. */
int luaopen_neap_builtins(lua_State *L);
