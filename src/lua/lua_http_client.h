/* The module `http.client`: requests to other servers. */
#pragma once

#include "lua/lua_state.h"

extern const struct lua_module lua_module_http_client;
