/* Conditions in Lua: the C half of fiber.cond(). */
#pragma once

#include <lua.h>

/** Push the table of C functions: new, wait, signal, broadcast,
 * set_methods. */
void lua_cond_open(lua_State *L);
