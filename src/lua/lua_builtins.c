/* The C halves of builtins.lua, a wait seen from a coroutine of the user, and of
 * callbacks.lua. */
#include "lua/lua_builtins.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <uv.h>

#include "lua/lua_call.h"
#include "lua/lua_collector.h"
#include "lua/lua_fiber.h"
#include "lua/lua_preempt.h"
#include "lua/lua_state.h"
#include "runtime/fiber.h"

/* Enough of the way of an error through coroutines inside each other. */
enum { NOTE_MAX = 8 * 1024 };

/* unpark(): the running fiber has begun a wait inside a coroutine, and finds
 * that it cannot be put aside here. The wait is undone. Gives the status that
 * tells the waiting function so, or the results of a guest, which is told. */
static int l_unpark(lua_State *L)
{
	struct fiber *self = lua_vm_of(L)->sched->current;
	struct lua_fiber *f = lua_fiber_of(self);

	lua_wait_note_blocked(L);
	fiber_unpark(self);
	if (f->guest != NULL)
		return f->guest->resume(f, L, UV_ENOTSUP);
	lua_pushinteger(L, UV_ENOTSUP);
	return 1;
}

/* fiber_id(): the running fiber's, or 0. */
static int l_fiber_id(lua_State *L)
{
	struct fiber *self = lua_vm_of(L)->sched->current;

	lua_pushnumber(L, self == NULL ? 0 : self->id);
	return 1;
}

/* is_own(coroutine): it is the running fiber's, none of the user's. */
static int l_is_own(lua_State *L)
{
	struct fiber *self = lua_vm_of(L)->sched->current;

	lua_pushboolean(L, self != NULL && lua_tothread(L, 1) ==
						   lua_fiber_of(self)->co);
	return 1;
}

/* note_trace(err, text, more): the traceback of an error that is thrown again;
 * @more: it goes behind what was noted of this error already. */
int lua_builtins_note_trace(lua_State *L)
{
	int ref = lua_vm_of(L)->noted_ref;
	bool more = lua_toboolean(L, 3);

	lua_settop(L, 2);
	lua_rawgeti(L, LUA_REGISTRYINDEX, ref);
	lua_rawgeti(L, 3, 1);
	if (more && !lua_isnil(L, 1) && lua_rawequal(L, 1, 4)) {
		lua_rawgeti(L, 3, 2);
		if (lua_objlen(L, -1) > NOTE_MAX)
			return 0; /* where it began is there */
		lua_pushliteral(L, "\nwhich was thrown on by");
		lua_pushvalue(L, 2);
		lua_concat(L, 3);
		lua_replace(L, 2);
	}
	lua_createtable(L, 2, 0);
	lua_pushvalue(L, 2);
	lua_rawseti(L, -2, 2);
	lua_pushvalue(L, 1);
	lua_rawseti(L, -2, 1);
	lua_rawseti(L, LUA_REGISTRYINDEX, ref);
	return 0;
}

/* stack_is_low(): coroutines inside coroutines take C stack, and LuaJIT does
 * not look whether any is left. */
static int l_stack_is_low(lua_State *L)
{
	lua_pushboolean(L, lua_vm_stack_is_low(L));
	return 1;
}

/* preempted(coroutine): it has just been suspended, but not by itself. */
static int l_preempted(lua_State *L)
{
	lua_pushboolean(L, lua_preempt_take(lua_vm_of(L), lua_tothread(L, 1)));
	return 1;
}

/* spare(f): a Lua function of ours that is not left in the middle. */
static int l_spare(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TFUNCTION);
	lua_settop(L, 1);
	lua_preempt_spare(L);
	return 0;
}

/* firm(f): a Lua function of ours that ends also when its fiber is over a limit. */
int lua_builtins_firm(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TFUNCTION);
	lua_settop(L, 1);
	lua_preempt_firm(L);
	return 0;
}

/* debug.gethook(...), which is the upvalue: ours is not the script's business, which
 * would be told of one that it cannot set again. */
static int l_gethook(lua_State *L)
{
	struct lua_vm *vm = lua_vm_of(L);
	int nargs = lua_gettop(L);
	bool was_set;
	int rc;

	lua_pushvalue(L, lua_upvalueindex(1));
	lua_insert(L, 1);
	was_set = lua_preempt_hide(vm);
	rc = lua_pcall(L, nargs, LUA_MULTRET, 0);
	lua_preempt_show(vm, was_set);
	return rc == 0 ? lua_gettop(L) : lua_error(L);
}

/* is_same_file(path, path): both are there, and are one. */
static int l_is_same_file(lua_State *L)
{
	struct stat a, b;

	lua_pushboolean(L, stat(luaL_checkstring(L, 1), &a) == 0 &&
				   stat(luaL_checkstring(L, 2), &b) == 0 &&
				   a.st_dev == b.st_dev &&
				   a.st_ino == b.st_ino);
	return 1;
}

/* to_int(value): as functions of Lua in C read a count. */
static int l_to_int(lua_State *L)
{
	lua_pushinteger(L, luaL_checkint(L, 1));
	return 1;
}

int luaopen_neap_callbacks(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{ "note_trace", lua_builtins_note_trace },
		{ "spare", l_spare },
		{ "to_int", l_to_int },
		{ NULL, NULL },
	};

	lua_createtable(L, 0, 3);
	luaL_register(L, NULL, functions);
	return 1;
}

int luaopen_neap_builtins(lua_State *L)
{
	lua_createtable(L, 0, 12);
	lua_pushcfunction(L, lua_collector_collect);
	lua_setfield(L, -2, "collect");
	lua_pushcfunction(L, lua_collector_set_stepmul);
	lua_setfield(L, -2, "set_stepmul");
	lua_pushcfunction(L, l_preempted);
	lua_setfield(L, -2, "preempted");
	lua_pushcfunction(L, lua_builtins_firm);
	lua_setfield(L, -2, "firm");
	lua_getfield(L, LUA_REGISTRYINDEX, LUA_VM_BEHIND_FILES);
	lua_setfield(L, -2, "behind_files");
	lua_pushcfunction(L, l_is_same_file);
	lua_setfield(L, -2, "is_same_file");
	lua_getglobal(L, LUA_DBLIBNAME);
	lua_getfield(L, -1, "gethook");
	lua_pushcclosure(L, l_gethook, 1);
	lua_setfield(L, -3, "gethook");
	lua_pop(L, 1);
	lua_push_preempt_mark(L);
	lua_setfield(L, -2, "preempt_mark");
	lua_pushcfunction(L, l_fiber_id);
	lua_setfield(L, -2, "fiber_id");
	lua_pushcfunction(L, l_is_own);
	lua_setfield(L, -2, "is_own");
	lua_pushcfunction(L, l_stack_is_low);
	lua_setfield(L, -2, "stack_is_low");
	lua_pushcfunction(L, lua_builtins_note_trace);
	lua_setfield(L, -2, "note_trace");
	lua_push_park_mark(L);
	lua_setfield(L, -2, "park_mark");
	lua_pushcfunction(L, l_unpark);
	lua_setfield(L, -2, "unpark");
	return 1;
}
