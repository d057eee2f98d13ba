/* neap.config, for the application layer. */
#pragma once

#include "lua/lua_state.h"

extern const struct lua_module app_module_config;
