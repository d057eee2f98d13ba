/* What a Lua value stands for. See lua_resolve.h. */
#include "lua/lua_resolve.h"

#include <lauxlib.h>
#include <math.h>
#include <string.h>

#include "base/diag.h"
#include "lua/lua_serialize.h"
#include "lua/lua_state.h"
#include "lua/lua_value.h"

/* A __serialize function that gives an object which has one, and so on. */
enum { RESOLVE_MAX = 128 };

#define SERIALIZE "__serialize"

static int invalid_hint(void)
{
	diag_set(IllegalParams,
		 "invalid " SERIALIZE ": it must be a function, "
		 "'array', 'seq', 'sequence', 'map' or 'mapping'");
	return -1;
}

static int l_index(lua_State *L)
{
	lua_gettable(L, 1);
	return 1;
}

/* Push what `value.__serialize` is for a cdata; reading an absent field of
 * one throws. Returns false, and nothing pushed, when there is none. */
static bool push_cdata_method(lua_State *L)
{
	struct lua_cdata cd;

	lua_value_read_cdata(L, lua_gettop(L), &cd);
	if (cd.kind != LUA_CDATA_OTHER)
		return false;
	lua_pushcfunction(L, l_index);
	lua_pushvalue(L, -2);
	lua_pushliteral(L, SERIALIZE);
	if (lua_pcall(L, 2, 1, 0) == 0 && lua_isfunction(L, -1))
		return true;
	lua_pop(L, 1);
	return false;
}

static bool push_method(lua_State *L)
{
	switch (lua_type(L, -1)) {
	case LUA_TTABLE:
		return luaL_getmetafield(L, -1, SERIALIZE) != 0;
	case LUA_TUSERDATA:
		return luaL_getmetafield(L, -1, SERIALIZE) != 0;
	case LUA_VALUE_CDATA:
		return push_cdata_method(L);
	default:
		return false;
	}
}

static int read_hint(lua_State *L, struct lua_shape *ret)
{
	const char *hint;

	if (lua_type(L, -1) != LUA_TSTRING || lua_type(L, -2) != LUA_TTABLE)
		return invalid_hint();
	hint = lua_tostring(L, -1);
	if (strcmp(hint, "array") == 0 || strcmp(hint, "seq") == 0 ||
	    strcmp(hint, "sequence") == 0)
		ret->hint = LUA_HINT_ARRAY;
	else if (strcmp(hint, "map") == 0 || strcmp(hint, "mapping") == 0)
		ret->hint = LUA_HINT_MAP;
	else
		return invalid_hint();
	/* The short names ask for one line. */
	if (strcmp(hint, "seq") == 0 || strcmp(hint, "map") == 0)
		ret->style = PORT_STYLE_FLOW;
	return 0;
}

/* [value, function] to [result], by way of the cache. */
static void call_method(lua_State *L, int cache)
{
	lua_pushvalue(L, -2);
	if (cache != 0) {
		lua_pushvalue(L, -1);
		lua_rawget(L, cache);
		if (!lua_isnil(L, -1)) {
			lua_replace(L, -4);
			lua_pop(L, 2);
			return;
		}
		lua_pop(L, 1);
	}
	lua_call(L, 1, 1);
	if (cache != 0 && !lua_isnil(L, -1)) {
		lua_pushvalue(L, -2);
		lua_pushvalue(L, -2);
		lua_rawset(L, cache);
	}
	lua_replace(L, -2);
}

int lua_resolve(lua_State *L, const struct lua_serialize_cfg *cfg, int cache,
		struct lua_shape *ret)
{
	int rc;

	ret->hint = LUA_HINT_NONE;
	ret->style = PORT_STYLE_BLOCK;
	if (!cfg->encode_load_metatables)
		return 0;
	for (int i = 0; push_method(L); i++) {
		if (!lua_isfunction(L, -1)) {
			rc = read_hint(L, ret);
			lua_pop(L, 1);
			return rc;
		}
		if (i >= RESOLVE_MAX) {
			diag_set(IllegalParams,
				 "%s gives one object after "
				 "the other, and never a plain value",
				 SERIALIZE);
			return -1;
		}
		/* It may encode the next such object, and so on: LuaJIT does
		 * not look whether any C stack is left. */
		if (lua_vm_stack_is_low(L)) {
			diag_set(IllegalParams,
				 "C stack overflow: too many " SERIALIZE
				 " functions in each other");
			return -1;
		}
		call_method(L, cache);
	}
	return 0;
}

bool lua_resolve_sparse(const struct lua_serialize_cfg *cfg, double max,
			double size)
{
	return cfg->encode_sparse_ratio > 0 &&
	       max > size * cfg->encode_sparse_ratio &&
	       max > cfg->encode_sparse_safe;
}

/* Largest key that is an index, number of keys, and are all keys indices? */
struct key_count {
	double max;
	double size;
	bool indices;
};

static void count_keys(lua_State *L, struct key_count *n)
{
	double k;

	*n = (struct key_count){ .indices = true };
	for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
		n->size++;
		k = lua_type(L, -2) == LUA_TNUMBER ? lua_tonumber(L, -2) : 0;
		if (k >= 1 && floor(k) == k)
			n->max = k > n->max ? k : n->max;
		else
			n->indices = false;
	}
}

static int too_sparse(const struct key_count *n)
{
	diag_set(IllegalParams,
		 "excessively sparse array: %.14g elements, "
		 "the last at %.14g",
		 n->size, n->max);
	return -1;
}

int lua_resolve_shape(lua_State *L, const struct lua_serialize_cfg *cfg,
		      struct lua_shape *shape)
{
	/* An array by demand may have holes, but not be made of them. */
	const double holes_free = 1 << 20, holes_ratio = 16;
	struct key_count n;

	count_keys(L, &n);
	shape->array = shape->hint == LUA_HINT_NONE
			       ? n.indices
			       : shape->hint == LUA_HINT_ARRAY;
	if (shape->array && shape->hint == LUA_HINT_NONE &&
	    lua_resolve_sparse(cfg, n.max, n.size)) {
		if (!cfg->encode_sparse_convert)
			return too_sparse(&n);
		shape->array = false;
	}
	if (shape->array && n.max > holes_free && n.max > n.size * holes_ratio)
		return too_sparse(&n);
	if (n.size >= UINT32_MAX || (shape->array && n.max >= UINT32_MAX))
		return too_sparse(&n);
	shape->count = (uint32_t)(shape->array ? n.max : n.size);
	return 0;
}
