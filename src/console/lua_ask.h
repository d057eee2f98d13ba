/* Admin commands that Lua runs: the C half of console.command(). */
#pragma once

#include <lua.h>

/** Add ask(), ask_begin() and ask_end() to the table at the top. Throws: out of memory. */
void lua_ask_open(lua_State *L);
