/* What replaces functions of Lua itself: see builtins.lua. */
#pragma once

#include <lua.h>

/** The C half of it. */
int luaopen_neap_builtins(lua_State *L);

/** Of callbacks.lua: note_trace, spare, to_int. */
int luaopen_neap_callbacks(lua_State *L);

/** note_trace(err, text, more): note the traceback of an error that is thrown
 * on, for the report if nobody catches it; @a more: behind what was noted of
 * this error already. */
int lua_builtins_note_trace(lua_State *L);

/** firm(f): see lua_preempt_firm(). */
int lua_builtins_firm(lua_State *L);
