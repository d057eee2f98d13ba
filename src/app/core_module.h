/* `core` and the internal modules around it. */
#pragma once

#include "lua/lua_state.h"

/** Ends with NULL. */
extern const struct lua_module *const core_modules[];
