/* Which tables a value holds more than once. See lua_references.h. */
#include "lua/lua_references.h"

#include <lauxlib.h>

#include "lua/lua_resolve.h"
#include "lua/lua_serialize.h"

struct finder {
	lua_State *L;
	const struct lua_serialize_cfg *cfg;
	int seen;
	int cache;
	int depth;
};

/* Note the table on top. Is it new? */
static bool note(struct finder *f)
{
	lua_State *L = f->L;
	bool fresh;

	lua_pushvalue(L, -1);
	lua_rawget(L, f->seen);
	fresh = lua_isnil(L, -1);
	lua_pop(L, 1);
	lua_pushvalue(L, -1);
	lua_pushboolean(L, !fresh);
	lua_rawset(L, f->seen);
	return fresh;
}

/* The value on top, which stays, or what it stands for does. */
static int find(struct finder *f)
{
	lua_State *L = f->L;
	struct lua_shape shape;
	int rc = 0;

	luaL_checkstack(L, 8, "nested too deep");
	if (lua_resolve(L, f->cfg, f->cache, &shape) != 0)
		return -1;
	if (lua_type(L, -1) != LUA_TTABLE || !note(f))
		return 0;
	/* What is deeper is not told: the walk stops there. */
	if (f->depth >= f->cfg->encode_max_depth)
		return 0;
	f->depth++;
	for (lua_pushnil(L); rc == 0 && lua_next(L, -2); lua_pop(L, 1)) {
		rc = find(f);
		if (rc == 0 && lua_istable(L, -2)) {
			lua_pushvalue(L, -2);
			rc = find(f);
			lua_pop(L, 1);
		}
	}
	f->depth--;
	return rc;
}

int lua_references_find(lua_State *L, int idx, int seen, int cache,
			const struct lua_serialize_cfg *cfg)
{
	struct finder f = { .L = L, .cfg = cfg, .seen = seen, .cache = cache };
	int top = lua_gettop(L), rc;

	lua_pushvalue(L, idx);
	rc = find(&f);
	lua_settop(L, top);
	return rc;
}
