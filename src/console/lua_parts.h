/* The Lua sources of this layer, run once in each state. */
#pragma once

#include <lua.h>

enum lua_part {
	LUA_PART_SESSION,        /* what a session does with its lines */
	LUA_PART_COMPLETE,       /* candidates for the editor */
	LUA_PART_COMPLETE_FILES, /* ... that are modules in files */
	LUA_PART_CLIENT,         /* lines to a console elsewhere */
	LUA_PART_SETTINGS,       /* what all sessions have in common */
	LUA_PART_OUTPUT,         /* values as text */
	LUA_PART_LITERAL,        /* ... as Lua */
	LUA_PART_ROWS,           /* ... as rows and columns */
	LUA_PART_CUT,            /* what a screen does not hold */
	LUA_PART_COMMANDS,       /* lines that begin with a backslash */
	LUA_PART_REGISTER,       /* commands of scripts */
	LUA_PART_COUNT,
};

/** Push what the source gave back. Throws: out of memory. */
void lua_parts_push(lua_State *L, enum lua_part part);

/** The same as a Lua function of the part's name. */
int lua_parts_part(lua_State *L);
