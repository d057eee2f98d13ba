/* neap.states, for the application layer and for tests. */
#pragma once

#include "lua/lua_state.h"

extern const struct lua_module app_module_states;
