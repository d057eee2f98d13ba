/* Which tables a value holds more than once. */
#pragma once

#include <lua.h>

struct lua_serialize_cfg;

/**
 * Look through the value at @a idx and all that is in it. In the table at
 * stack index @a seen each table found is then false (held once) or true (more
 * often); the results of __serialize functions are kept in the table at @a
 * cache. Returns 0, or -1 with diag set. The stack is as before.
 * Throws: as lua_serialize().
 */
int lua_references_find(lua_State *L, int idx, int seen, int cache,
			const struct lua_serialize_cfg *cfg);
