/* The C half of builtins.lua: a wait seen from a coroutine of the user. */
#include "lua/lua_builtins.h"

#include <lauxlib.h>
#include <uv.h>

#include "lua/lua_call.h"
#include "lua/lua_fiber.h"
#include "lua/lua_state.h"
#include "runtime/fiber.h"

/* unpark(): the running fiber has begun a wait inside a coroutine, and finds
 * that it cannot be put aside here. The wait is undone. Gives the status that
 * tells the waiting function so, or the results of a guest, which is told. */
static int l_unpark(lua_State *L)
{
	struct fiber *self = lua_vm_of(L)->sched->current;
	struct lua_fiber *f = lua_fiber_of(self);

	fiber_unpark(self);
	if (f->guest != NULL)
		return f->guest->resume(f, L, UV_ENOTSUP);
	lua_pushinteger(L, UV_ENOTSUP);
	return 1;
}

/* note_trace(err, text): the traceback of an error that is thrown again. */
static int l_note_trace(lua_State *L)
{
	lua_settop(L, 2);
	lua_createtable(L, 2, 0);
	lua_insert(L, 1);
	lua_rawseti(L, 1, 2);
	lua_rawseti(L, 1, 1);
	lua_rawseti(L, LUA_REGISTRYINDEX, lua_vm_of(L)->noted_ref);
	return 0;
}

int luaopen_neap_builtins(lua_State *L)
{
	lua_createtable(L, 0, 3);
	lua_pushcfunction(L, l_note_trace);
	lua_setfield(L, -2, "note_trace");
	lua_push_park_mark(L);
	lua_setfield(L, -2, "park_mark");
	lua_pushcfunction(L, l_unpark);
	lua_setfield(L, -2, "unpark");
	return 1;
}
