/*
 * The walk over plain values without the Lua API: several times faster, and
 * only for our own LuaJIT, whose layout is known.
 *
 * Plain are nil, booleans, numbers, strings, null, 64-bit integers, and tables
 * of these whose metatable, if any, has no __serialize function. Anything
 * else, and whatever is to be an error, is left to lua_serialize(), so that
 * there is one place which tells what happens and why. Both give the same.
 */
#pragma once

#include <lua.h>
#include <stdbool.h>

struct buf;
struct lua_serialize_cfg;
struct port_sink;

/**
 * Append the stack values @a first to @a last as msgpack, one behind the other.
 * False: not all are plain, or the buffer is full; @a out then has a part of
 * them at its end. Throws: no; the Lua stack is not used, nothing is allocated
 * in Lua.
 */
bool lua_direct_pack(lua_State *L, int first, int last,
		     const struct lua_serialize_cfg *cfg, struct buf *out);

/** Tell the value at stack index @a idx to @a sink. As lua_direct_pack(); when
 * false the sink has been told a part, and diag is not set. */
bool lua_direct_tell(lua_State *L, int idx, const struct lua_serialize_cfg *cfg,
		     struct port_sink *sink);
