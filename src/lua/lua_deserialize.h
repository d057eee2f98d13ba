/* Events to Lua values: a sink that builds them on a Lua stack. */
#pragma once

#include <lua.h>

#include "port/sink.h"

struct lua_serialize_cfg;

/** The builder; fields are its own. */
struct lua_builder {
	struct port_sink sink;
	lua_State *L;
	const struct lua_serialize_cfg *cfg;
	const struct lua_value_refs *refs;
	int anchors;      /* stack index of the table of anchored values; 0 */
	unsigned pending; /* anchor of the next value, plus one; 0: none */
	unsigned depth;
	struct {
		unsigned index; /* array: elements so far; map: odd when a key
				   waits for its value */
		bool map;
	} open[PORT_DEPTH_MAX + 1];
};

/**
 * Build on the stack of @a L: each whole value told to b->sink is left there.
 * Integers past 2^53 are cdata, nil is null, binary strings are strings, maps
 * and arrays remember what they were (decode_save_metatables). With @a anchors,
 * the stack index of an empty table, it knows aliases: the same table again.
 *
 * The events throw when memory runs out, so that a producer which owns
 * something must run inside a lua_job. Nothing to destroy.
 */
void lua_builder_create(struct lua_builder *b, lua_State *L,
			const struct lua_serialize_cfg *cfg, int anchors);
