/*
 * What the builder of values does for each element, as short as can be: over
 * LuaJIT's own layout where it is ours, else by the API. Each needs the stack
 * slots that its API form needs.
 */
#pragma once

#include <lauxlib.h>
#include <string.h>

#include "lua/lua_internal.h"
#include "lua/lua_value.h"

#if !NEAP_LUAJIT_SYSTEM

/** Push an integer that a double holds. */
static inline void lua_fast_pushint(lua_State *L, double v)
{
	setnumV(L->top, v);
	L->top++;
}

static inline void lua_fast_pushboolean(lua_State *L, bool v)
{
	setboolV(L->top, v);
	L->top++;
}

/** Set element @a index of the table below the value on top; pops that. */
static inline void lua_fast_seti(lua_State *L, uint32_t index)
{
	GCtab *t = tabV(L->top - 2);

	if (__builtin_expect(index >= t->asize, 0)) {
		lua_rawseti(L, -2, (int)index);
		return;
	}
	L->top--;
	copyTV(L, arrayslot(t, index), L->top);
	lj_gc_anybarriert(L, t);
}

/** Give the table on top, which was made just now, its metatable. */
static inline void lua_fast_setmetatable(lua_State *L, bool map,
					 const struct lua_value_refs *refs)
{
	const void *mt = map ? refs->map_table : refs->array_table;

	/* A new table is white: it needs no barrier. */
	setgcref(tabV(L->top - 1)->metatable, obj2gco((GCtab *)mt));
}

/**
 * Push a string that is a key. Those seen lately are found without a look at
 * Lua's table of strings. refs->keys holds them: what a decoded map holds may
 * be garbage a moment later, when its key comes again with another value.
 */
static inline void lua_fast_pushkey(lua_State *L,
				    const struct lua_value_refs *refs,
				    const char *s, size_t size)
{
	GCtab *t = (GCtab *)refs->keys_table;
	TValue *slot;

	if (size == 0 || size > LUA_VALUE_KEY_MAX ||
	    t->asize <= LUA_VALUE_KEYS) {
		lua_pushlstring(L, s, size);
		return;
	}
	slot = arrayslot(t, (size * 5 + (unsigned char)s[0] * 3 +
			     (unsigned char)s[size - 1]) %
				    LUA_VALUE_KEYS);
	if (tvisstr(slot) && strV(slot)->len == size &&
	    memcmp(strVdata(slot), s, size) == 0) {
		copyTV(L, L->top, slot);
		L->top++;
		return;
	}
	lua_pushlstring(L, s, size);
	copyTV(L, slot, L->top - 1);
	lj_gc_anybarriert(L, t);
}

#else

static inline void lua_fast_pushint(lua_State *L, double v)
{
	lua_pushnumber(L, v);
}

static inline void lua_fast_pushboolean(lua_State *L, bool v)
{
	lua_pushboolean(L, v);
}

static inline void lua_fast_seti(lua_State *L, uint32_t index)
{
	lua_rawseti(L, -2, (int)index);
}

static inline void lua_fast_setmetatable(lua_State *L, bool map,
					 const struct lua_value_refs *refs)
{
	lua_rawgeti(L, LUA_REGISTRYINDEX, map ? refs->map_mt : refs->array_mt);
	lua_setmetatable(L, -2);
}

static inline void lua_fast_pushkey(lua_State *L,
				    const struct lua_value_refs *refs,
				    const char *s, size_t size)
{
	(void)refs;
	lua_pushlstring(L, s, size);
}

#endif
