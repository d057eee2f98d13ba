/* The variables of a connection in Lua, for the internal modules. */
#pragma once

#include <lua.h>

/** Make the class, and put its functions into the table on top. */
void session_object_add(lua_State *L);
