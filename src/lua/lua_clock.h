/* The module `clock`. */
#pragma once

#include <lua.h>

/** The C half of clock.lua. */
int luaopen_neap_clock(lua_State *L);
