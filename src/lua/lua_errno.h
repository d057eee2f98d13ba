/* The module `errno`. */
#pragma once

#include "lua/lua_state.h"

extern const struct lua_module lua_module_errno;
