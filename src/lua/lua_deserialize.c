/* Events to Lua values. See lua_deserialize.h. */
#include "lua/lua_deserialize.h"

#include <assert.h>
#include <lauxlib.h>
#include <limits.h>
#include <math.h>
#include <string.h>

#include "base/diag.h"
#include "lua/lua_fast.h"
#include "lua/lua_serialize.h"
#include "lua/lua_state.h"
#include "lua/lua_value.h"

/* Slots that any event may use: the value, and what moves it. */
enum { BUILDER_SLOTS = 6 };

static struct lua_builder *builder(struct port_sink *s)
{
	return (struct lua_builder *)s; /* sink comes first */
}

/* Make room for a container's elements, or a value outside all. */
static int check_stack(lua_State *L)
{
	if (lua_checkstack(L, BUILDER_SLOTS))
		return 0;
	diag_set(ClientError, "more values than the Lua stack takes");
	return -1;
}

/* Is the next value a key? */
static bool at_key(const struct lua_builder *b)
{
	return b->open[b->depth].map && !(b->open[b->depth].index & 1);
}

/* The value on top is what the pending anchor names. */
static void keep_anchored(struct lua_builder *b)
{
	lua_pushvalue(b->L, -1);
	lua_rawseti(b->L, b->anchors, (int)b->pending);
	b->pending = 0;
}

/* The value on top is whole: put it where it belongs. */
static int put(struct lua_builder *b)
{
	lua_State *L = b->L;
	unsigned index;

	if (b->pending != 0)
		keep_anchored(b);
	if (b->depth == 0)
		return check_stack(L);
	index = ++b->open[b->depth].index;
	if (!b->open[b->depth].map)
		lua_fast_seti(L, index);
	else if (!(index & 1))
		lua_rawset(L, -3);
	return 0;
}

static int on_nil(struct port_sink *s)
{
	lua_value_push_null(builder(s)->L);
	return put(builder(s));
}

static int on_boolean(struct port_sink *s, bool value)
{
	lua_fast_pushboolean(builder(s)->L, value);
	return put(builder(s));
}

static int on_sint(struct port_sink *s, int64_t value)
{
	if (value >= -LUA_EXACT_INT && value <= LUA_EXACT_INT)
		lua_fast_pushint(builder(s)->L, (double)value);
	else
		lua_value_push_sint(builder(s)->L, value);
	return put(builder(s));
}

static int on_uint(struct port_sink *s, uint64_t value)
{
	if (value <= (uint64_t)LUA_EXACT_INT)
		lua_fast_pushint(builder(s)->L, (double)value);
	else
		lua_value_push_uint(builder(s)->L, value);
	return put(builder(s));
}

static int on_real(struct port_sink *s, double value)
{
	struct lua_builder *b = builder(s);

	if (!isfinite(value) && !b->cfg->decode_invalid_numbers) {
		diag_set(ClientError, "a number must not be NaN or infinite");
		return -1;
	}
	if (value != value && at_key(b)) {
		diag_set(ClientError, "NaN cannot be a key of a table");
		return -1;
	}
	lua_pushnumber(b->L, value);
	return put(b);
}

static int on_real32(struct port_sink *s, float value)
{
	return on_real(s, (double)value);
}

static int on_str(struct port_sink *s, const char *data, size_t size)
{
	struct lua_builder *b = builder(s);

	if (at_key(b))
		lua_fast_pushkey(b->L, b->refs, data, size);
	else
		lua_pushlstring(b->L, data, size);
	return put(b);
}

static int on_ext(struct port_sink *s, int8_t type, const char *data,
		  size_t size)
{
	if (type == LUA_UUID_EXT && size == LUA_UUID_SIZE)
		lua_value_push_uuid(builder(s)->L, data);
	else
		lua_value_push_ext(builder(s)->L, type, data, size);
	return put(builder(s));
}

static int begin(struct port_sink *s, bool map, uint32_t count)
{
	struct lua_builder *b = builder(s);
	lua_State *L = b->L;
	int size = count == PORT_COUNT_UNKNOWN || count > INT_MAX ? 0
								  : (int)count;

	assert(b->depth < PORT_DEPTH_MAX);
	if (check_stack(L) != 0)
		return -1;
	lua_createtable(L, map ? 0 : size, map ? size : 0);
	if (b->cfg->decode_save_metatables)
		lua_fast_setmetatable(L, map, b->refs);
	/* An alias inside may mean the table that is being built. */
	if (b->pending != 0)
		keep_anchored(b);
	b->depth++;
	b->open[b->depth].index = 0;
	b->open[b->depth].map = map;
	return 0;
}

static int on_array(struct port_sink *s, uint32_t count, enum port_style style)
{
	(void)style;
	return begin(s, false, count);
}

static int on_map(struct port_sink *s, uint32_t count, enum port_style style)
{
	(void)style;
	return begin(s, true, count);
}

static int on_end(struct port_sink *s)
{
	builder(s)->depth--;
	return put(builder(s));
}

static int on_anchor(struct port_sink *s, unsigned id)
{
	builder(s)->pending = id + 1;
	return 0;
}

static int on_alias(struct port_sink *s, unsigned id)
{
	struct lua_builder *b = builder(s);

	lua_rawgeti(b->L, b->anchors, (int)id + 1);
	return put(b);
}

static const struct port_sink_ops ops = {
	.nil = on_nil,
	.boolean = on_boolean,
	.sint = on_sint,
	.uint = on_uint,
	.real = on_real,
	.real32 = on_real32,
	.str = on_str,
	.bin = on_str,
	.ext = on_ext,
	.array = on_array,
	.map = on_map,
	.end = on_end,
	.anchor = on_anchor,
	.alias = on_alias,
};

void lua_builder_create(struct lua_builder *b, lua_State *L,
			const struct lua_serialize_cfg *cfg, int anchors)
{
	b->sink.ops = &ops;
	b->sink.flags = PORT_SINK_EXT | (anchors != 0 ? PORT_SINK_ALIASES : 0);
	b->L = L;
	b->cfg = cfg;
	b->anchors = anchors;
	b->pending = 0;
	b->depth = 0;
	b->open[0].map = false;
	b->refs = &lua_vm_of(L)->values;
}
