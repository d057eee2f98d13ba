/*
 * The parts of the module `core` that need no request, and its classes: each a Lua
 * half with what it needs of C. Scripts see them through `core` and globals.
 */
#pragma once

#include "lua/lua_state.h"

/** All of them; ends with NULL. */
extern const struct lua_module *const app_tools_modules[];

/* C halves. */
int tools_open_events(lua_State *L);
int tools_open_log(lua_State *L);
int tools_open_map(lua_State *L);
int tools_open_process(lua_State *L);
int tools_open_regex(lua_State *L);
int tools_open_text(lua_State *L);
