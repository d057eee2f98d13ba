/* What replaces os.exit(), what print() does when nobody reads, and the module
 * `neap`. */
#pragma once

#include "lua/lua_state.h"

extern const struct lua_module app_module_neap;

struct lua_fiber;

/** Replace os.exit(), and end who prints in vain. Throws: out of memory. */
void exit_open(lua_State *L);

/** Whether @a f waits in os.exit(), which never returns. */
bool exit_is_waiting(const struct lua_fiber *f);
