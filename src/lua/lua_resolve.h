/* What a Lua value stands for: __serialize, and array or map. */
#pragma once

#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

#include "port/sink.h"

struct lua_serialize_cfg;

/** What __serialize says of a table besides its contents. */
enum lua_hint { LUA_HINT_NONE, LUA_HINT_ARRAY, LUA_HINT_MAP };

/** How a table is told. */
struct lua_shape {
	enum lua_hint hint; /* NONE: by its keys */
	enum port_style style;
	bool array;
	uint32_t count; /* elements, or pairs */
};

/**
 * Replace the value on top of the stack by what its __serialize functions
 * make of it. @a cache is 0, or the stack index of a table where results are
 * kept, so that each function runs once. Fills hint and style of @a ret.
 * Returns 0, or -1 with diag set. Throws: what a __serialize function throws.
 */
int lua_resolve(lua_State *L, const struct lua_serialize_cfg *cfg, int cache,
		struct lua_shape *ret);

/**
 * Decide array or map for the table on top, by its hint or its keys, and count
 * its elements. Returns 0, or -1 with diag set: too sparse.
 */
int lua_resolve_shape(lua_State *L, const struct lua_serialize_cfg *cfg,
		      struct lua_shape *shape);

/** Is it sparse past what @a cfg takes for an array of @a size elements? */
bool lua_resolve_sparse(const struct lua_serialize_cfg *cfg, double max,
			double size);
