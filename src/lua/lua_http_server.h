/* HTTP servers in Lua: the module `http.server`. */
#pragma once

#include "lua/lua_state.h"

extern const struct lua_module lua_module_http_server;
