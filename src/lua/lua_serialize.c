/*
 * Lua values to events. See lua_serialize.h.
 *
 * The walk goes through the public API, which is what every kind of value can
 * be reached by; lua_direct.c is the fast way for plain ones. On the Lua
 * stack each open table has a slot, so that a table inside itself is found by
 * looking up from where the walk got too deep.
 */
#include "lua/lua_serialize.h"

#include <ctype.h>
#include <lauxlib.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/diag.h"
#include "lua/lua_references.h"
#include "lua/lua_resolve.h"
#include "lua/lua_value.h"
#include "port/json_encode.h"
#include "port/number.h"

/***
 * The page `values`: how Lua values become msgpack, json and yaml.
 *
 * The rules are the same for all three, for the arguments and results of C
 * functions, and for what the console prints.
 *
 * | in Lua | outside |
 * |---|---|
 * | nil, `json.NULL`, a NULL pointer | null |
 * | boolean | boolean |
 * | a number without a fraction, below 2^64 | integer |
 * | another number | floating point |
 * | `int64_t`, `uint64_t` (`1LL`, `1ULL`) | integer, exact |
 * | string | string; yaml writes bytes that are no text as `!!binary` |
 * | table with the keys 1 to n | array; holes are null; with many holes a map |
 * | empty table | array, unless its metatable is `map_mt` |
 * | another table | map; keys of json are strings |
 * | `uuid.new()` | extension 2 of msgpack, elsewhere its text |
 * | `msgpack.ext()` | extension, msgpack alone |
 * | error object | its message |
 * | a value whose metatable has `__serialize` | what that says |
 * | function, thread, other userdata, other cdata | an error that names the path to it |
 *
 * `__serialize` is a function, which gets the value and returns what to tell in
 * its place, and may not wait; or it says what a table is: 'seq' or 'map' (yaml
 * writes it on one line), 'sequence' or 'mapping'. Containers nest 128 deep at
 * most; a table that contains itself is an error, but for yaml.
 *
 * On the way back integers beyond 2^53 are `int64_t` or `uint64_t`, others are
 * numbers; null is `NULL`, which equals nil but stays in its table. Arrays and
 * maps remember what they were, so that an empty map stays one.
 */

const struct lua_serialize_cfg lua_serialize_default = {
	.encode_sparse_convert = true,
	.encode_sparse_ratio = 2,
	.encode_sparse_safe = 10,
	.encode_max_depth = PORT_DEPTH_MAX,
	.encode_invalid_numbers = true,
	.encode_number_precision = NUMBER_PRECISION,
	.encode_load_metatables = true,
	.encode_invalid_utf8 = JSON_UTF8_REPLACE,
	.decode_invalid_numbers = true,
	.decode_save_metatables = true,
	.decode_max_depth = PORT_DEPTH_MAX,
};

enum { PATH_MAX_SIZE = 200, KEY_MAX_SIZE = 40 };

struct walk {
	lua_State *L;
	struct port_sink *sink;
	const struct lua_serialize_cfg *cfg;
	int depth;
	int tables[PORT_DEPTH_MAX + 1]; /* stack index of each open one */
	int seen;  /* stack index: references; 0: the sink has none */
	int cache; /* stack index: what __serialize gave; 0: none */
	unsigned anchors;
	int path_depth; /* containers deeper than this are not part of it */
	bool path_cut;
	size_t path_at; /* the path to a failure is written from its end */
	char path[PATH_MAX_SIZE];
};

static int tell(struct walk *w);

/* Put a step before the path; of a long one the begin is left out. */
static void prepend(struct walk *w, const char *step)
{
	size_t n = strlen(step);

	if (w->path_cut)
		return;
	w->path_cut = n + 3 > w->path_at;
	if (w->path_cut) {
		step = "...";
		n = 3;
	}
	w->path_at -= n;
	memcpy(w->path + w->path_at, step, n);
}

static bool is_name(const char *s)
{
	if (!isalpha((unsigned char)*s) && *s != '_')
		return false;
	while (isalnum((unsigned char)*s) || *s == '_')
		s++;
	return *s == '\0';
}

/* The key at @a idx led to the failure; always -1. */
static int failed_in(struct walk *w, int idx)
{
	char step[KEY_MAX_SIZE + 8];
	const char *key;

	if (w->depth > w->path_depth)
		return -1;
	switch (lua_type(w->L, idx)) {
	case LUA_TNUMBER:
		snprintf(step, sizeof step, "[%.14g]", lua_tonumber(w->L, idx));
		break;
	case LUA_TSTRING:
		key = lua_tostring(w->L, idx);
		snprintf(step, sizeof step,
			 is_name(key) ? ".%.*s" : "[\"%.*s\"]", KEY_MAX_SIZE,
			 key);
		for (char *p = step; *p != '\0'; p++) {
			if ((unsigned char)*p < 0x20 || *p == 0x7f)
				*p = '?';
		}
		break;
	default:
		snprintf(step, sizeof step, "[%s]", luaL_typename(w->L, idx));
	}
	prepend(w, step);
	return -1;
}

static int failed_at(struct walk *w, uint32_t index)
{
	lua_pushnumber(w->L, index);
	return failed_in(w, -1);
}

static int tell_string(struct walk *w)
{
	size_t size;
	const char *s = lua_tolstring(w->L, -1, &size);

	return port_str(w->sink, s, size);
}

/* The value on top has no form in any format. */
static int tell_other(struct walk *w)
{
	lua_State *L = w->L;

	if (w->cfg->encode_use_tostring) {
		lua_getglobal(L, "tostring");
		lua_pushvalue(L, -2);
		lua_call(L, 1, 1);
		lua_replace(L, -2);
		if (lua_type(L, -1) == LUA_TSTRING)
			return tell_string(w);
	}
	if (w->cfg->encode_invalid_as_nil)
		return port_nil(w->sink);
	if (lua_type(L, -1) == LUA_VALUE_CDATA) {
		lua_value_push_typename(L, -1);
		diag_set(IllegalParams, "cannot encode a cdata of type '%s'",
			 lua_tostring(L, -1));
		lua_pop(L, 1);
		return -1;
	}
	diag_set(IllegalParams, "cannot encode a %s", luaL_typename(L, -1));
	return -1;
}

static int tell_real(struct walk *w, double v, bool single)
{
	if (!isfinite(v) && !w->cfg->encode_invalid_numbers) {
		if (w->cfg->encode_invalid_as_nil)
			return port_nil(w->sink);
		diag_set(IllegalParams, "a number must not be NaN or infinite");
		return -1;
	}
	return single ? port_real32(w->sink, (float)v) : port_real(w->sink, v);
}

static int tell_number(struct walk *w, double v)
{
	if (v >= -0x1p63 && v < 0x1p63) {
		if ((double)(int64_t)v == v)
			return port_sint(w->sink, (int64_t)v);
	} else if (v >= 0x1p63 && v < 0x1p64) {
		return port_uint(w->sink, (uint64_t)v);
	}
	return tell_real(w, v, false);
}

static int tell_uuid(struct walk *w, const unsigned char *uuid)
{
	char text[LUA_UUID_TEXT + 1];

	if (w->sink->flags & PORT_SINK_EXT)
		return port_ext(w->sink, LUA_UUID_EXT, (const char *)uuid,
				LUA_UUID_SIZE);
	lua_value_uuid_text(uuid, text);
	return port_str(w->sink, text, LUA_UUID_TEXT);
}

static int tell_cdata(struct walk *w)
{
	struct lua_cdata cd;

	lua_value_read_cdata(w->L, lua_gettop(w->L), &cd);
	switch (cd.kind) {
	case LUA_CDATA_NULL:
		return port_nil(w->sink);
	case LUA_CDATA_BOOL:
		return port_boolean(w->sink, cd.boolean);
	case LUA_CDATA_SINT:
		return port_sint(w->sink, cd.sint);
	case LUA_CDATA_UINT:
		return port_uint(w->sink, cd.uint);
	case LUA_CDATA_FLOAT:
		return tell_real(w, (double)cd.real32, true);
	case LUA_CDATA_DOUBLE:
		return tell_real(w, cd.real, false);
	case LUA_CDATA_UUID:
		return tell_uuid(w, cd.uuid);
	default:
		return tell_other(w);
	}
}

static int tell_userdata(struct walk *w)
{
	const struct lua_ext *ext = lua_value_test_ext(w->L, -1);

	if (ext == NULL)
		return tell_other(w);
	return port_ext(w->sink, ext->type, ext->data, ext->size);
}

/* The outermost place from @a first on where the value on top is open; or 0. */
static int find_open(struct walk *w, int first)
{
	for (int i = first; i <= w->depth; i++) {
		if (lua_rawequal(w->L, w->tables[i], -1))
			return i;
	}
	return 0;
}

/* Fail for a circle that the value on top closes; it is open at @a first. Of
 * the way to here the path takes no more than to where the circle closes. */
static int tell_circle(struct walk *w, int first)
{
	int again = find_open(w, first + 1);
	int round = (again != 0 ? again : w->depth + 1) - first, i = 1;

	while (i < first &&
	       !lua_rawequal(w->L, w->tables[i], w->tables[i + round]))
		i++;
	w->path_depth = i + round - 1;
	diag_set(IllegalParams, "cannot encode a table that contains itself");
	return -1;
}

/* The table on top is deeper than allowed. */
static int tell_too_deep(struct walk *w)
{
	int first = find_open(w, 1);

	if (first != 0)
		return tell_circle(w, first);
	if (w->cfg->encode_deep_as_nil)
		return port_nil(w->sink);
	diag_set(IllegalParams,
		 "cannot encode tables nested deeper than %d levels",
		 w->cfg->encode_max_depth);
	return -1;
}

static int tell_array(struct walk *w, const struct lua_shape *shape)
{
	lua_State *L = w->L;
	int table = lua_gettop(L);

	if (port_array(w->sink, shape->count, shape->style) != 0)
		return -1;
	for (uint32_t i = 1; i <= shape->count; i++) {
		lua_rawgeti(L, table, (int)i);
		if (tell(w) != 0)
			return failed_at(w, i);
		lua_settop(L, table);
	}
	return port_end(w->sink);
}

/* A __serialize function has put elements in, or taken them out. */
static int changed(void)
{
	diag_set(IllegalParams, "a table was changed while it was encoded");
	return -1;
}

static int tell_map(struct walk *w, const struct lua_shape *shape)
{
	lua_State *L = w->L;
	int table = lua_gettop(L);
	uint32_t count = 0;

	if (port_map(w->sink, shape->count, shape->style) != 0)
		return -1;
	for (lua_pushnil(L); lua_next(L, table); lua_settop(L, table + 1)) {
		if (++count > shape->count)
			return changed();
		lua_pushvalue(L, -2);
		if (tell(w) != 0)
			return failed_in(w, table + 1);
		lua_pop(L, 1);
		if (tell(w) != 0)
			return failed_in(w, table + 1);
	}
	return count == shape->count ? port_end(w->sink) : changed();
}

/* A table held more than once is told once, with a name, and meant by it.
 * Returns 1 when that was all, 0 when the table is to be told. */
static int tell_reference(struct walk *w)
{
	lua_State *L = w->L;
	int known, id;

	lua_pushvalue(L, -1);
	lua_rawget(L, w->seen);
	known = lua_type(L, -1);
	id = known == LUA_TNUMBER ? (int)lua_tointeger(L, -1) : 0;
	if (known == LUA_TBOOLEAN && lua_toboolean(L, -1))
		known = LUA_TTABLE; /* its first time */
	lua_pop(L, 1);
	if (known == LUA_TNUMBER)
		return port_alias(w->sink, (unsigned)id) == 0 ? 1 : -1;
	if (known != LUA_TTABLE)
		return 0;
	lua_pushvalue(L, -1);
	lua_pushnumber(L, w->anchors);
	lua_rawset(L, w->seen);
	return port_anchor(w->sink, w->anchors++);
}

static int tell_table(struct walk *w, struct lua_shape *shape)
{
	int rc;

	if (w->seen != 0) {
		rc = tell_reference(w);
		if (rc != 0)
			return rc < 0 ? -1 : 0;
	}
	if (w->depth >= w->cfg->encode_max_depth)
		return tell_too_deep(w);
	if (lua_resolve_shape(w->L, w->cfg, shape) != 0)
		return -1;
	w->tables[++w->depth] = lua_gettop(w->L);
	rc = shape->array ? tell_array(w, shape) : tell_map(w, shape);
	w->depth--;
	return rc;
}

/* Tell the value on top. What it stands for may take its place there. On
 * failure the stack is left as it is. */
static int tell(struct walk *w)
{
	lua_State *L = w->L;
	int type = lua_type(L, -1);
	struct lua_shape shape;

	if (type == LUA_TTABLE || type == LUA_TUSERDATA ||
	    type == LUA_VALUE_CDATA) {
		luaL_checkstack(L, 10, "nested too deep");
		if (lua_resolve(L, w->cfg, w->cache, &shape) != 0)
			return -1;
		type = lua_type(L, -1);
	}
	switch (type) {
	case LUA_TNIL:
		return port_nil(w->sink);
	case LUA_TBOOLEAN:
		return port_boolean(w->sink, lua_toboolean(L, -1));
	case LUA_TNUMBER:
		return tell_number(w, lua_tonumber(L, -1));
	case LUA_TSTRING:
		return tell_string(w);
	case LUA_TTABLE:
		return tell_table(w, &shape);
	case LUA_VALUE_CDATA:
		return tell_cdata(w);
	case LUA_TUSERDATA:
		return tell_userdata(w);
	case LUA_TLIGHTUSERDATA:
		if (lua_touserdata(L, -1) == NULL)
			return port_nil(w->sink);
		return tell_other(w);
	default:
		return tell_other(w);
	}
}

/* The error says what; add where. */
static void add_path(struct walk *w)
{
	const char *path = w->path + w->path_at;
	int size = (int)(sizeof w->path - w->path_at);
	struct error *e;

	if (size == 0 || diag_last()->type != &IllegalParams)
		return;
	if (path[0] == '.' && path[1] != '.') {
		path++;
		size--;
	}
	e = diag_take();
	diag_set(IllegalParams, "%s, at '%.*s'", e->message, size, path);
	error_unref(e);
}

int lua_serialize(lua_State *L, int idx, struct port_sink *sink,
		  const struct lua_serialize_cfg *cfg)
{
	int top = lua_gettop(L), rc = 0;
	struct walk w;

	w.L = L;
	w.sink = sink;
	w.cfg = cfg;
	w.depth = 0;
	w.seen = w.cache = 0;
	w.anchors = 0;
	w.path_depth = PORT_DEPTH_MAX;
	w.path_cut = false;
	w.path_at = sizeof w.path;
	luaL_checkstack(L, 10, "too many values");
	lua_pushvalue(L, idx);
	if (sink->flags & PORT_SINK_ALIASES && lua_type(L, -1) >= LUA_TTABLE) {
		lua_newtable(L);
		w.seen = lua_gettop(L);
		lua_newtable(L);
		w.cache = lua_gettop(L);
		lua_pushvalue(L, top + 1);
		rc = lua_references_find(L, -1, w.seen, w.cache, cfg);
	}
	if (rc == 0)
		rc = tell(&w);
	if (rc != 0)
		add_path(&w);
	lua_settop(L, top);
	return rc;
}
