/* The module `digest`. */
#pragma once

#include <lua.h>

/** The C half of digest.lua. */
int luaopen_neap_digest(lua_State *L);
