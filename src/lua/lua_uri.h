/* The module `uri`. */
#pragma once

#include <lua.h>

/** The C half of uri.lua. */
int luaopen_neap_uri(lua_State *L);
