/*
 * A module for scripts of unit tests that arm failures: `require('rig')` has
 * arm(what, after, count) and disarm(what), as base/inject.h.
 */
#pragma once

#include <lauxlib.h>

#include "base/inject.h"
#include "lua/lua_state.h"

/* arm(what, after, count) */
static int l_arm(lua_State *L)
{
	if (inject_arm(luaL_checkstring(L, 1), luaL_checkint(L, 2),
		       luaL_checkint(L, 3)) != 0)
		return luaL_error(L, "failures are not compiled in");
	return 0;
}

/* disarm(what) -> how often it was asked for */
static int l_disarm(lua_State *L)
{
	long asked = inject_asked(luaL_checkstring(L, 1));

	inject_reset();
	lua_pushinteger(L, asked);
	return 1;
}

static int open_rig(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{ "arm", l_arm },
		{ "disarm", l_disarm },
		{ NULL, NULL },
	};

	lua_newtable(L);
	luaL_register(L, NULL, functions);
	return 1;
}

static const struct lua_module rig = { "rig", open_rig, NULL };
