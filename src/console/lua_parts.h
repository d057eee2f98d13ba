/* The Lua sources of this layer, loaded into a state when first wanted. */
#pragma once

#include <lua.h>

enum lua_part {
	LUA_PART_LITERAL,
	LUA_PART_SESSION,
	LUA_PART_COMPLETE,
	LUA_PART_COUNT,
};

/** Push what the source returned. Throws: out of memory, and its errors. */
void lua_parts_push(lua_State *L, enum lua_part part);
