/* The module `log`: the server's log for scripts. */
#pragma once

struct lua_module;

extern const struct lua_module lua_module_log;
