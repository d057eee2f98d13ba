/* The C half of extensions.lua: numbers of 64 bits, the environment. */
#pragma once

#include <lua.h>

int luaopen_neap_extensions(lua_State *L);
