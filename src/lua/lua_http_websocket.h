/* The module `http.websocket`: WebSockets of servers and clients. */
#pragma once

#include "lua/lua_state.h"

extern const struct lua_module lua_module_http_websocket;
