/* Reloads and upgrades that Lua asks for: functions for the Lua half of the console. */
#pragma once

struct lua_State;

/** reload(), upgrade() -> asked | nil, err: ask for one. reload_state(asked) -> nil: it is
 * under way; true, number of the generation or process that serves; false, why not. Into
 * the table on top. */
void lua_reload_set_functions(struct lua_State *L);
