/*
 * Classes of userdata of the hot paths, told apart by the address of their
 * metatable: luaL_checkudata() looks a string up each time, which costs more
 * than most functions behind it.
 */
#pragma once

#include <lauxlib.h>
#include <stdbool.h>
#include <stddef.h>

#include "lua/lua_state.h"

/**
 * Make the metatable of @a id, with @a methods and the name that errors give,
 * and push it. Once a state. Throws: out of memory.
 */
void lua_class_new(lua_State *L, enum lua_class id, const char *name,
		   const luaL_Reg *methods);

/** Has that been done? */
static inline bool lua_class_is_there(lua_State *L, enum lua_class id)
{
	return lua_vm_of(L)->classes[id].metatable != NULL;
}

/** Push the metatable of @a id. Throws: no. */
static inline void lua_class_metatable(lua_State *L, enum lua_class id)
{
	lua_rawgeti(L, LUA_REGISTRYINDEX, lua_vm_of(L)->classes[id].ref);
}

/** A userdata of @a size bytes of this class, pushed. Throws: out of memory. */
static inline void *lua_class_box(lua_State *L, enum lua_class id, size_t size)
{
	void *box = lua_newuserdata(L, size);

	lua_class_metatable(L, id);
	lua_setmetatable(L, -2);
	return box;
}

/** The userdata at @a idx when it is of this class, or NULL. Throws: no. */
static inline void *lua_class_test(lua_State *L, int idx, enum lua_class id)
{
	const void *metatable;

	if (lua_type(L, idx) != LUA_TUSERDATA || !lua_getmetatable(L, idx))
		return NULL;
	metatable = lua_topointer(L, -1);
	lua_pop(L, 1);
	return metatable == lua_vm_of(L)->classes[id].metatable
		       ? lua_touserdata(L, idx)
		       : NULL;
}

/** As lua_class_test(); throws a usage error instead of NULL. */
void *lua_class_check(lua_State *L, int idx, enum lua_class id);
