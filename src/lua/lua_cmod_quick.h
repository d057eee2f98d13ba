/*
 * The short ways: of a call, for what most calls are made with, a handle in the
 * first slot, a few numbers and short strings behind it; of a handle, from its
 * making to its end. Over LuaJIT's own layout where it is ours, else by the API.
 * Whatever is not as expected is left to the long way, lua_pack(), which gives
 * the same bytes for the same values.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "base/buf.h"
#include "lua/lua_class.h"
#include "lua/lua_cmod.h"
#include "lua/lua_internal.h"
#include "lua/lua_serialize.h"

#define likely(x) __builtin_expect(!!(x), 1)

enum {
	LUA_CMOD_QUICK_COUNT = 15, /* the array's header is one byte */
	LUA_CMOD_QUICK_TEXT = 31,  /* and so is a string's */
	LUA_CMOD_QUICK_SIZE =
		1 + LUA_CMOD_QUICK_COUNT * (1 + LUA_CMOD_QUICK_TEXT),
};

/* @a d cut to 32 bits; something else when it does not fit. */
static inline int32_t lua_cmod_quick_cut(double d)
{
#if defined(__SSE2__)
	return _mm_cvttsd_si32(_mm_set_sd(d)); /* no range is undefined */
#else
	return d >= -2147483648.0 && d <= 2147483647.0 ? (int32_t)d : 0;
#endif
}

static inline char *lua_cmod_quick_int(char *p, int32_t i)
{
	uint32_t be;

	if (likely(i >= -32 && i <= 127)) {
		*p = (char)i;
		return p + 1;
	}
	if (i < 0)
		return NULL;
	be = __builtin_bswap32((uint32_t)i);
	if (i <= 0xff) {
		p[0] = (char)0xcc;
		p[1] = (char)i;
		return p + 2;
	}
	if (i <= 0xffff) {
		p[0] = (char)0xcd;
		memcpy(p + 1, (char *)&be + 2, 2);
		return p + 3;
	}
	p[0] = (char)0xce;
	memcpy(p + 1, &be, 4);
	return p + 5;
}

/* A whole number of 32 bits; NULL for any other. */
static inline char *lua_cmod_quick_number(char *p, double d)
{
	int32_t i = lua_cmod_quick_cut(d);

	return (double)i == d ? lua_cmod_quick_int(p, i) : NULL;
}

static inline char *lua_cmod_quick_text(char *p, const char *text, size_t size)
{
	if (size > LUA_CMOD_QUICK_TEXT)
		return NULL;
	*p = (char)(0xa0 | size);
	memcpy(p + 1, text, size);
	return p + 1 + size;
}

#if !NEAP_LUAJIT_SYSTEM

/** The function's handle in slot 1, or NULL: it is none. */
static inline struct cmod_func_box *lua_cmod_quick_callee(lua_State *L)
{
	cTValue *o = L->base;
	struct cmod_func_box *box;

	if (!likely(o < L->top && tvisudata(o) &&
		    udataV(o)->len >= sizeof *box))
		return NULL;
	box = uddata(udataV(o));
	return likely(box->mark == lua_cmod_mark(box)) ? box : NULL;
}

/** The same for a module's, in slot @a idx. */
static inline struct cmod_module_box *lua_cmod_quick_module(lua_State *L,
							    int idx)
{
	cTValue *o = L->base + idx - 1;
	struct cmod_module_box *box;

	if (!likely(o < L->top && tvisudata(o) && udataV(o)->len > sizeof *box))
		return NULL;
	box = uddata(udataV(o));
	return likely(box->mark == lua_cmod_module_mark(box)) ? box : NULL;
}

/** A userdata of this class, pushed. Throws: out of memory. */
static inline void *lua_cmod_quick_box(lua_State *L, enum lua_class id,
				       size_t size)
{
	const void *metatable = lua_vm_of(L)->classes[id].metatable;
	void *box = lua_newuserdata(L, size);

	/* A new userdata is white: it needs no barrier. */
	setgcref(udataV(L->top - 1)->metatable, obj2gco((GCtab *)metatable));
	return box;
}

/** The handle in slot 1 holds nothing any more: the collector, for which calling
 * __gc is much work, need not. */
static inline void lua_cmod_quick_finalized(lua_State *L)
{
	markfinalized(obj2gco(udataV(L->base)));
}

/** The string in slot 1, which holds no NUL and is not empty; or NULL. */
static inline const char *lua_cmod_quick_string(lua_State *L, size_t *ret_size)
{
	cTValue *o = L->base;

	if (!likely(o < L->top && tvisstr(o) && strV(o)->len != 0 &&
		    strlen(strVdata(o)) == strV(o)->len))
		return NULL;
	*ret_size = strV(o)->len;
	return strVdata(o);
}

static inline char *lua_cmod_quick_value(char *p, cTValue *o)
{
	int32_t i = lua_cmod_quick_cut(o->n);
	TValue whole = { .n = i };

	/* What is no number is a NaN as one, and that is no whole one. */
	if (likely(whole.u64 == o->u64))
		return lua_cmod_quick_int(p, i);
	if (tvisnum(o)) /* -0 */
		return lua_cmod_quick_number(p, numV(o));
	if (tvisint(o))
		return lua_cmod_quick_number(p, intV(o));
	if (tvisstr(o))
		return lua_cmod_quick_text(p, strVdata(o), strV(o)->len);
	if (tvisnil(o)) {
		*p = (char)0xc0;
		return p + 1;
	}
	if (tvisbool(o)) {
		*p = (char)(0xc2 + tvistrue(o));
		return p + 1;
	}
	return NULL;
}

/** Pack the arguments, from slot 2 on, to @a p, where there is room for
 * LUA_CMOD_QUICK_SIZE. Returns their end, or NULL: take the long way. */
static inline char *lua_cmod_quick_pack(lua_State *L, char *p)
{
	cTValue *o = L->base + 1, *top = L->top;

	if (!likely(top - o <= LUA_CMOD_QUICK_COUNT))
		return NULL;
	*p++ = (char)(0x90 | (top - o));
	for (; o < top; o++) {
		p = lua_cmod_quick_value(p, o);
		if (!likely(p != NULL))
			break;
	}
	return p;
}

#else

static inline struct cmod_func_box *lua_cmod_quick_callee(lua_State *L)
{
	struct cmod_func_box *box = lua_touserdata(L, 1);

	if (!likely(box != NULL && lua_objlen(L, 1) >= sizeof *box))
		return NULL;
	return likely(box->mark == lua_cmod_mark(box)) ? box : NULL;
}

static inline struct cmod_module_box *lua_cmod_quick_module(lua_State *L,
							    int idx)
{
	struct cmod_module_box *box = lua_touserdata(L, idx);

	if (!likely(box != NULL && lua_objlen(L, idx) > sizeof *box))
		return NULL;
	return likely(box->mark == lua_cmod_module_mark(box)) ? box : NULL;
}

static inline void *lua_cmod_quick_box(lua_State *L, enum lua_class id,
				       size_t size)
{
	return lua_class_box(L, id, size);
}

static inline void lua_cmod_quick_finalized(lua_State *L)
{
	(void)L;
}

static inline const char *lua_cmod_quick_string(lua_State *L, size_t *ret_size)
{
	(void)L, (void)ret_size;
	return NULL;
}

static inline char *lua_cmod_quick_value(char *p, lua_State *L, int idx)
{
	const char *text;
	size_t size;

	switch (lua_type(L, idx)) {
	case LUA_TNUMBER:
		return lua_cmod_quick_number(p, lua_tonumber(L, idx));
	case LUA_TNIL:
		*p = (char)0xc0;
		return p + 1;
	case LUA_TBOOLEAN:
		*p = (char)(0xc2 + lua_toboolean(L, idx));
		return p + 1;
	case LUA_TSTRING:
		text = lua_tolstring(L, idx, &size);
		return lua_cmod_quick_text(p, text, size);
	default:
		return NULL;
	}
}

static inline char *lua_cmod_quick_pack(lua_State *L, char *p)
{
	int top = lua_gettop(L);

	if (top - 1 > LUA_CMOD_QUICK_COUNT)
		return NULL;
	*p++ = (char)(0x90 | (top - 1));
	for (int i = 2; i <= top && p != NULL; i++)
		p = lua_cmod_quick_value(p, L, i);
	return p;
}

#endif

/** Pack the arguments into an empty buffer, in the quick way or the long one.
 * Returns 0, or -1 with diag set. Runs __serialize functions. */
static inline int lua_cmod_pack(lua_State *L, struct buf *out)
{
	char *p = buf_reserve(out, LUA_CMOD_QUICK_SIZE), *end;

	end = likely(p != NULL) ? lua_cmod_quick_pack(L, p) : NULL;
	if (!likely(end != NULL))
		return lua_pack(L, 2, lua_gettop(L), out);
	out->size = (size_t)(end - p);
	return 0;
}
