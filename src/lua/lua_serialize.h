/*
 * Lua values to events: the one walk that feeds msgpack, json and yaml.
 *
 * What becomes of a value is the same for all three and follows Tarantool's
 * rules: integral numbers are integers, int64_t and uint64_t cdata are exact, a
 * table is an array when its keys are 1..n (with few enough holes), tables and
 * userdata answer to __serialize, error objects are their message, and a NULL
 * pointer, as light userdata or as cdata, is null.
 */
#pragma once

#include <lua.h>
#include <stdbool.h>

#include "port/sink.h"

struct buf;

/** How values are taken apart and put together; `cfg` of the modules. */
struct lua_serialize_cfg {
	bool encode_sparse_convert;  /* very sparse arrays become maps, else
					an error */
	int encode_sparse_ratio;     /* sparse: largest key > ratio * size; 0:
					no array is sparse */
	int encode_sparse_safe;      /* keys up to here are never sparse */
	int encode_max_depth;        /* containers inside each other, 1..128 */
	bool encode_deep_as_nil;     /* what is deeper is null, else an error */
	bool encode_invalid_numbers; /* NaN and infinities pass */
	int encode_number_precision; /* digits of a fraction in text, 1..17 */
	bool encode_load_metatables; /* mind __serialize */
	bool encode_use_tostring;    /* other types become tostring(value) */
	bool encode_invalid_as_nil;  /* other types become null */
	int encode_invalid_utf8; /* enum json_utf8: bytes that are no text */
	bool decode_invalid_numbers; /* NaN and infinities pass */
	bool decode_save_metatables; /* tables remember array or map */
	int decode_max_depth;        /* as encode_max_depth */
};

/** What the modules start with, and what C calls use. */
extern const struct lua_serialize_cfg lua_serialize_default;

/**
 * Tell the value at @a idx to @a sink. Runs __serialize functions, which may
 * do anything but wait. Returns 0, or -1 with diag set; the message names what
 * cannot be told and the path to it. The stack is as before.
 * Throws: out of memory; what a __serialize function throws.
 */
int lua_serialize(lua_State *L, int idx, struct port_sink *sink,
		  const struct lua_serialize_cfg *cfg);

/**
 * Append the stack values @a first to @a last (both included; last < first:
 * none) to @a out as one msgpack array. Trailing nils are kept. Each value may
 * nest PORT_DEPTH_MAX deep; the array around them does not count.
 * Returns 0, or -1 with diag set and @a out as it was. Throws: no; an error
 * thrown by a __serialize function is the diag.
 */
int lua_pack(lua_State *L, int first, int last, struct buf *out);

/**
 * Push the values of the msgpack stream data..end, which stand one behind
 * the other. Returns how many, or -1 with diag set and nothing pushed: not
 * valid msgpack, out of memory, more values than the Lua stack takes.
 * Throws: no.
 */
int lua_unpack(lua_State *L, const char *data, const char *end);

/**
 * Push the values that lua_pack() has put into @a data, where nothing else is; a
 * nil among them is nil again. Nothing in it: no values. As lua_unpack().
 */
int lua_unpack_packed(lua_State *L, const struct buf *data);
