/* The C half of the module `log`: one line into the server's log. */
#include "lua/lua_log.h"

#include <lauxlib.h>
#include <string.h>

#include "base/log.h"
#include "lua/lua_error.h"
#include "lua/lua_state.h"
#include "lua_src/lua.h"

/* Who called the function of log.lua that called us: Lua of ours? */
static bool is_asked_by_server(lua_State *L)
{
	lua_Debug ar;

	return lua_getstack(L, 2, &ar) && lua_getinfo(L, "S", &ar) &&
	       strncmp(ar.short_src, "neap/", 5) == 0;
}

/* write(level, text): with the place of the Lua code that asked for it. */
static int l_write(lua_State *L)
{
	int level = luaL_checkint(L, 1);
	const char *text = luaL_checkstring(L, 2), *file = NULL;
	unsigned line = 0;
	lua_Debug ar;

	if (lua_vm_of(L)->quiet && !is_asked_by_server(L))
		return 0;
	for (int depth = 1; lua_getstack(L, depth, &ar); depth++) {
		lua_getinfo(L, "Sl", &ar);
		if (ar.currentline <= 0 ||
		    strncmp(ar.short_src, "neap/", 5) == 0)
			continue;
		file = ar.short_src;
		line = ar.currentline;
		break;
	}
	log_write(level, file, line, "%s", text);
	return 0;
}

/* level([new]) -> number: what is logged at most. */
static int l_level(lua_State *L)
{
	int level;

	if (!lua_isnoneornil(L, 1)) {
		level = luaL_checkint(L, 1);
		if (level < 0 || level >= LOG_LEVEL_COUNT)
			return lua_error_usage(L,
					       "log.level: a number from 0 "
					       "to %d is wanted",
					       LOG_LEVEL_COUNT - 1);
		log_set_level(level);
	}
	lua_pushinteger(L, log_level);
	return 1;
}

/* parse(name) -> number | nil */
static int l_parse(lua_State *L)
{
	int level = log_level_parse(luaL_checkstring(L, 1));

	if (level < 0)
		return 0;
	lua_pushinteger(L, level);
	return 1;
}

/* reopen(): throws when it cannot. */
static int l_reopen(lua_State *L)
{
	if (log_reopen() != 0)
		return lua_error_throw(L);
	return 0;
}

static int luaopen_neap_log(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{ "write", l_write },
		{ "level", l_level },
		{ "parse", l_parse },
		{ "reopen", l_reopen },
		{ "usage", lua_error_usage_text },
		{ NULL, NULL },
	};

	lua_newtable(L);
	luaL_register(L, NULL, functions);
	return 1;
}

const struct lua_module lua_module_log = {
	"log",
	luaopen_neap_log,
	lua_src_log,
};
