/* Conditions in Lua: the C half of fiber.cond(). */
#include "lua/lua_cond.h"

#include <lauxlib.h>

#include "lua/lua_call.h"
#include "lua/lua_class.h"
#include "lua/lua_error.h"
#include "runtime/cond.h"

/* The condition itself lies in the userdata. It needs no finalizer: while a
 * fiber waits in it, the fiber's stack holds it. */
static int l_new(lua_State *L)
{
	cond_create(lua_class_box(L, LUA_CLASS_COND, sizeof(struct cond)));
	return 1;
}

/* wait(cond, timeout) -> status */
static int l_wait(lua_State *L)
{
	struct cond *c = lua_class_check(L, 1, LUA_CLASS_COND);
	uint64_t timeout = lua_wait_timeout(L, 2);

	cond_wait_begin(c, lua_wait_check(L), timeout);
	return lua_wait(L);
}

static int l_signal(lua_State *L)
{
	cond_signal(lua_class_check(L, 1, LUA_CLASS_COND));
	return 0;
}

static int l_broadcast(lua_State *L)
{
	cond_broadcast(lua_class_check(L, 1, LUA_CLASS_COND));
	return 0;
}

static int l_tostring(lua_State *L)
{
	lua_class_check(L, 1, LUA_CLASS_COND);
	lua_pushliteral(L, "cond");
	return 1;
}

static int l_set_methods(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	lua_class_metatable(L, LUA_CLASS_COND);
	lua_pushvalue(L, 1);
	lua_setfield(L, -2, "__index");
	return 0;
}

void lua_cond_open(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{ "new", l_new },
		{ "wait", l_wait },
		{ "signal", l_signal },
		{ "broadcast", l_broadcast },
		{ "set_methods", l_set_methods },
		{ NULL, NULL },
	};

	static const luaL_Reg meta[] = {
		{ "__tostring", l_tostring },
		{ NULL, NULL },
	};

	lua_class_new(L, LUA_CLASS_COND, "cond", meta);
	lua_pop(L, 1);
	lua_newtable(L);
	luaL_register(L, NULL, functions);
}
