/* neap.config: the configuration as Lua tables. */
#include "app/config_module.h"

#include <lauxlib.h>

/* tree() -> table | nil: there is no configuration. */
static int l_tree(lua_State *L)
{
	lua_pushnil(L);
	return 1;
}

/* place(t, [key]) -> string | nil */
static int l_place(lua_State *L)
{
	lua_pushnil(L);
	return 1;
}

static int luaopen_neap_config(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{ "tree", l_tree },
		{ "place", l_place },
		{ NULL, NULL },
	};

	lua_newtable(L);
	luaL_register(L, NULL, functions);
	return 1;
}

const struct lua_module app_module_config = {
	"neap.config",
	luaopen_neap_config,
	NULL,
};
