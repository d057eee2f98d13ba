/* The module `console`. */
#pragma once

#include "lua/lua_state.h"

extern const struct lua_module console_module;

/** Those of a configuration; not public. */
extern const struct lua_module consoles_module;
