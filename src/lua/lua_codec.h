/*
 * What the modules msgpack, json and yaml have in common: a configuration with
 * its `cfg` table, a buffer kept between calls, and the way in and out.
 */
#pragma once

#include <lua.h>
#include <lauxlib.h>

#include "base/buf.h"
#include "lua/lua_serialize.h"
#include "lua/lua_value.h"

enum {
	LUA_CODEC_TEXT_KEEP = 64 << 10, /* of a buffer between calls */
	LUA_CODEC_TEXT_MAX = 1 << 30,   /* a string can hardly be longer */
};

/** One instance of a module: what require() or new() gives. A userdata, the
 * first upvalue of its functions. */
struct lua_codec {
	struct lua_serialize_cfg cfg;
	struct buf text; /* of encode and decode; a nested call has its own */
	bool busy;       /* the buffer is in use */
};

/**
 * Push a new module table with NULL, array_mt, map_mt, cfg and @a functions,
 * which get the instance as upvalue. Throws: out of memory.
 */
void lua_codec_push(lua_State *L, const luaL_Reg *functions);

/** The instance of the running function. */
struct lua_codec *lua_codec_self(lua_State *L);

/**
 * Set in @a cfg what the table at @a idx has. Throws: IllegalParams for a value
 * of the wrong type or out of its limits.
 */
void lua_codec_read_cfg(lua_State *L, int idx, struct lua_serialize_cfg *cfg);

/** One call of encode or decode; embed it first. */
struct lua_codec_call {
	struct lua_job job;
	struct lua_codec *codec;
	struct buf *text;             /* to write to; limited */
	struct lua_serialize_cfg cfg; /* of this call */
};

/**
 * Begin a call of @a self with the options table at stack index @a options, if
 * one is there. May push a value, which must stay. Throws: as
 * lua_codec_read_cfg(), out of memory.
 */
void lua_codec_begin(lua_State *L, struct lua_codec *self,
		     struct lua_codec_call *call, int options);

/**
 * Run call->job with the value at @a idx as argument; what is to be released
 * afterwards @a release does, whatever happened (NULL: nothing is). Returns how
 * many results lie on top. Throws: what the job failed with or threw.
 */
int lua_codec_run(lua_State *L, struct lua_codec_call *call, int idx,
		  void (*release)(struct lua_codec_call *call));
