/* Reloads and upgrades that Lua asks for. See lua_reload.h. */
#include "console/lua_reload.h"

#include <lauxlib.h>

#include "app/reload_ask.h"
#include "lua/lua_error.h"

static const char class[] = "neap.reload_ask";

struct box {
	struct reload_ask *ask; /* NULL: it could not be asked for */
};

static int ask(lua_State *L, enum reload_kind kind)
{
	struct box *box = lua_newuserdata(L, sizeof *box);

	box->ask = NULL;
	luaL_getmetatable(L, class);
	lua_setmetatable(L, -2);
	box->ask = reload_ask(kind);
	return box->ask != NULL ? 1 : lua_error_fail(L);
}

static int l_reload(lua_State *L)
{
	return ask(L, RELOAD_CONFIGURATION);
}

static int l_upgrade(lua_State *L)
{
	return ask(L, RELOAD_PROGRAM);
}

static int l_state(lua_State *L)
{
	struct box *box = luaL_checkudata(L, 1, class);
	unsigned number = 0;
	const char *why = NULL;
	enum reload_state state = reload_ask_state(box->ask, &why, &number);

	if (state == RELOAD_WAITS)
		return 0;
	lua_pushboolean(L, state == RELOAD_SERVES);
	if (state == RELOAD_SERVES)
		lua_pushinteger(L, (lua_Integer)number);
	else
		lua_pushstring(L, why);
	return 2;
}

static int l_gc(lua_State *L)
{
	struct box *box = luaL_checkudata(L, 1, class);

	reload_ask_unref(box->ask);
	box->ask = NULL;
	return 0;
}

void lua_reload_set_functions(lua_State *L)
{
	luaL_newmetatable(L, class);
	lua_pushcfunction(L, l_gc);
	lua_setfield(L, -2, "__gc");
	lua_pushboolean(L, 0);
	lua_setfield(L, -2, "__metatable");
	lua_pop(L, 1);
	lua_pushcfunction(L, l_reload);
	lua_setfield(L, -2, "reload");
	lua_pushcfunction(L, l_upgrade);
	lua_setfield(L, -2, "upgrade");
	lua_pushcfunction(L, l_state);
	lua_setfield(L, -2, "reload_state");
}
