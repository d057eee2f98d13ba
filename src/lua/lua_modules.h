/* The Lua modules of this layer. One line each in lua_modules.c. */
#pragma once

#include "lua/lua_state.h"

/** Changes to Lua's own functions; loaded into every state. */
extern const struct lua_module lua_module_builtins;
extern const struct lua_module lua_module_io;
extern const struct lua_module lua_module_callbacks;
extern const struct lua_module lua_module_extensions;
extern const struct lua_module lua_module_utf8;

/** All that require() finds; ends with NULL. */
extern const struct lua_module *const lua_modules[];
