/* neap.sample_native: what expressions need of C. Its table has the addresses of
 * plain functions (app/sample_hash.h, app/sample_text.h), for the FFI, and Lua
 * functions. */
#pragma once

#include "lua/lua_state.h"

/** The modules of expressions; ends with NULL. */
extern const struct lua_module *const sample_modules[];
