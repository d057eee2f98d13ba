/* What the modules msgpack, json and yaml have in common. See lua_codec.h. */
#include "lua/lua_codec.h"

#include <stddef.h>
#include <string.h>

#include "base/diag.h"
#include "lua/lua_error.h"
#include "lua/lua_lean.h"
#include "lua/lua_state.h"
#include "port/json_encode.h"
#include "port/number.h"

static const char *const text_class = "neap.codec.text";

/* One option: its name, place and limits. max 0: a boolean. */
struct option {
	const char *name;
	size_t offset;
	int min, max;
};

/* clang-format off */
#define OPTION(name, min, max) \
	{ #name, offsetof(struct lua_serialize_cfg, name), min, max }
/* clang-format on */

static const struct option options[] = {
	OPTION(encode_sparse_convert, 0, 0),
	OPTION(encode_sparse_ratio, 0, 1 << 30),
	OPTION(encode_sparse_safe, 0, 1 << 30),
	OPTION(encode_max_depth, 1, PORT_DEPTH_MAX),
	OPTION(encode_deep_as_nil, 0, 0),
	OPTION(encode_invalid_numbers, 0, 0),
	OPTION(encode_number_precision, 1, NUMBER_PRECISION_MAX),
	OPTION(encode_load_metatables, 0, 0),
	OPTION(encode_use_tostring, 0, 0),
	OPTION(encode_invalid_as_nil, 0, 0),
	OPTION(decode_invalid_numbers, 0, 0),
	OPTION(decode_save_metatables, 0, 0),
	OPTION(decode_max_depth, 1, PORT_DEPTH_MAX),
};

static const char *const utf8_names[] = {
	[JSON_UTF8_REPLACE] = "replace",
	[JSON_UTF8_ERROR] = "error",
	[JSON_UTF8_PASS] = "pass",
};

/* Read the option that is the value on top. */
static void read_option(lua_State *L, const struct option *o,
			struct lua_serialize_cfg *cfg)
{
	char *place = (char *)cfg + o->offset;
	lua_Number v = lua_tonumber(L, -1);

	if (o->max == 0) {
		if (!lua_isboolean(L, -1))
			lua_error_usage(L, "%s must be a boolean", o->name);
		*(bool *)place = lua_toboolean(L, -1);
		return;
	}
	if (lua_type(L, -1) != LUA_TNUMBER || !(v >= o->min && v <= o->max))
		lua_error_usage(L, "%s must be a number from %d to %d", o->name,
				o->min, o->max);
	*(int *)place = (int)v;
}

static void push_option(lua_State *L, const struct option *o,
			const struct lua_serialize_cfg *cfg)
{
	const char *place = (const char *)cfg + o->offset;

	if (o->max == 0)
		lua_pushboolean(L, *(const bool *)place);
	else
		lua_pushinteger(L, *(const int *)place);
}

static int read_utf8(lua_State *L)
{
	const char *name = lua_tostring(L, -1);

	for (int i = 0; name != NULL && i <= JSON_UTF8_PASS; i++) {
		if (strcmp(name, utf8_names[i]) == 0)
			return i;
	}
	return lua_error_usage(L, "encode_invalid_utf8 must be 'replace', "
				  "'error' or 'pass'");
}

void lua_codec_read_cfg(lua_State *L, int idx, struct lua_serialize_cfg *cfg)
{
	struct lua_serialize_cfg fresh = *cfg;

	for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
		lua_getfield(L, idx, options[i].name);
		if (!lua_isnil(L, -1))
			read_option(L, &options[i], &fresh);
		lua_pop(L, 1);
	}
	lua_getfield(L, idx, "encode_invalid_utf8");
	if (!lua_isnil(L, -1))
		fresh.encode_invalid_utf8 = read_utf8(L);
	lua_pop(L, 1);
	*cfg = fresh;
}

/* Show in the table on top what is set. */
static void show_cfg(lua_State *L, const struct lua_serialize_cfg *cfg)
{
	for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
		push_option(L, &options[i], cfg);
		lua_setfield(L, -2, options[i].name);
	}
	lua_pushstring(L, utf8_names[cfg->encode_invalid_utf8]);
	lua_setfield(L, -2, "encode_invalid_utf8");
}

struct lua_codec *lua_codec_self(lua_State *L)
{
	return lua_lean_upvalue(L, 1);
}

/***
 * json.cfg(options)
 * msgpack.cfg(options)
 * yaml.cfg(options)
 * Set what the table @options names, for this module, from now on; `cfg` is also
 * a table that shows what is set. `new()` gives a module with options of its
 * own; json and yaml take such a table for one call, too.
 *
 * | option | default | |
 * |---|---|---|
 * | `encode_max_depth` | 128 | containers inside each other, 1 to 128 |
 * | `encode_deep_as_nil` | false | what is deeper becomes null, rather than an error |
 * | `encode_sparse_convert` | true | a sparse array becomes a map, rather than an error |
 * | `encode_sparse_ratio` | 2 | it is sparse when its last key is more than so many times its elements; 0: never |
 * | `encode_sparse_safe` | 10 | an array up to this key is never sparse |
 * | `encode_invalid_numbers` | true | NaN and infinities pass, rather than being an error |
 * | `encode_number_precision` | 14 | digits of a fraction in text, 1 to 17 |
 * | `encode_load_metatables` | true | mind `__serialize` |
 * | `encode_use_tostring` | false | what has no form becomes `tostring(value)` |
 * | `encode_invalid_as_nil` | false | what has no form becomes null |
 * | `encode_invalid_utf8` | 'replace' | json: bytes that are no text are replaced; 'error', or 'pass' |
 * | `decode_max_depth` | 128 | as `encode_max_depth` |
 * | `decode_invalid_numbers` | true | NaN and infinities pass |
 * | `decode_save_metatables` | true | decoded tables remember being array or map |
 *
 * Names that are none of these are left alone. Yields: no. Throws: a value of the
 * wrong type or out of its limits.
 */
static int l_codec_cfg(lua_State *L)
{
	struct lua_codec *self = lua_codec_self(L);

	if (!lua_istable(L, 1) || !lua_istable(L, 2))
		return lua_error_usage(L, "usage: cfg{option = value, ...}");
	lua_codec_read_cfg(L, 2, &self->cfg);
	lua_settop(L, 1);
	show_cfg(L, &self->cfg);
	return 0;
}

static int l_codec_gc(lua_State *L)
{
	struct lua_codec *self = lua_touserdata(L, 1);

	buf_destroy(&self->text);
	return 0;
}

static int l_text_gc(lua_State *L)
{
	struct buf *text = lua_touserdata(L, 1);

	buf_destroy(text);
	return 0;
}

/* Give the userdata on top a metatable with just a finalizer. */
static void set_gc(lua_State *L, const char *class, lua_CFunction gc)
{
	if (luaL_newmetatable(L, class)) {
		lua_pushcfunction(L, gc);
		lua_setfield(L, -2, "__gc");
	}
	lua_setmetatable(L, -2);
}

void lua_codec_push(lua_State *L, const luaL_Reg *functions)
{
	const struct lua_value_refs *refs = &lua_vm_of(L)->values;
	struct lua_codec *self;

	luaL_checkstack(L, 8, "no room for a module");
	lua_newtable(L);
	self = lua_newuserdata(L, sizeof *self);
	*self = (struct lua_codec){ .cfg = lua_serialize_default };
	set_gc(L, "neap.codec", l_codec_gc);
	for (; functions->name != NULL; functions++) {
		lua_pushvalue(L, -1);
		lua_pushcclosure(L, functions->func, 1);
		lua_setfield(L, -3, functions->name);
	}
	lua_newtable(L);
	show_cfg(L, &self->cfg);
	lua_newtable(L);
	lua_pushvalue(L, -3);
	lua_pushcclosure(L, l_codec_cfg, 1);
	lua_setfield(L, -2, "__call");
	lua_setmetatable(L, -2);
	lua_setfield(L, -3, "cfg");
	lua_pop(L, 1);
	/***
	 * json.NULL
	 * json.null
	 * msgpack.NULL
	 * yaml.NULL
	 * The null of the formats, the same object in all modules. It equals nil
	 * (`value == nil`), but is a value: a table can hold it, and `if` takes
	 * it for true.
	 */
	lua_value_push_null(L);
	lua_setfield(L, -2, "NULL");
	/***
	 * json.array_mt
	 * msgpack.array_mt
	 * yaml.array_mt
	 * The metatable of decoded arrays: a table that has it is an array,
	 * whatever its keys, also when it is empty.
	 */
	lua_rawgeti(L, LUA_REGISTRYINDEX, refs->array_mt);
	lua_setfield(L, -2, "array_mt");
	/***
	 * json.map_mt
	 * msgpack.map_mt
	 * yaml.map_mt
	 * The metatable of decoded maps: `setmetatable({}, json.map_mt)` is an
	 * empty map.
	 */
	lua_rawgeti(L, LUA_REGISTRYINDEX, refs->map_mt);
	lua_setfield(L, -2, "map_mt");
}

void lua_codec_begin(lua_State *L, struct lua_codec *self,
		     struct lua_codec_call *call, int options_idx)
{
	call->codec = self;
	call->cfg = self->cfg;
	call->text = &self->text;
	if (options_idx != 0 && lua_istable(L, options_idx))
		lua_codec_read_cfg(L, options_idx, &call->cfg);
	luaL_checkstack(L, 8, "too many values");
	if (self->busy || lua_lean_in_finalizer(L)) {
		/* Called by a __serialize function, or a finalizer. */
		call->text = lua_newuserdata(L, sizeof *call->text);
		*call->text = (struct buf){ 0 };
		set_gc(L, text_class, l_text_gc);
	}
	call->text->limit = LUA_CODEC_TEXT_MAX;
	call->text->size = 0;
}

int lua_codec_run(lua_State *L, struct lua_codec_call *call, int idx,
		  void (*release)(struct lua_codec_call *call))
{
	bool nested = call->text != &call->codec->text;
	int n;

	lua_job_begin(L, &call->job);
	lua_pushvalue(L, idx);
	call->codec->busy = true;
	n = lua_job_end(L, &call->job, 1);
	if (release != NULL)
		release(call);
	buf_reset(call->text, nested ? 0 : LUA_CODEC_TEXT_KEEP);
	if (!nested)
		call->codec->busy = false;
	return n < 0 ? lua_error_throw(L) : n;
}
