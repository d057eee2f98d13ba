/* The module msgpack: encode, decode, ext, new, cfg, NULL. */
#pragma once

#include "lua/lua_state.h"

extern const struct lua_module lua_module_msgpack;
