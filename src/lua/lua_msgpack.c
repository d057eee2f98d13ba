/* The module `msgpack`. */
#include "lua/lua_msgpack.h"

#include <math.h>

#include "lua/lua_codec.h"
#include "lua/lua_deserialize.h"
#include "lua/lua_direct.h"
#include "lua/lua_error.h"
#include "port/mp_decode.h"
#include "port/mp_encode.h"

/***
 * The module `msgpack`: Lua values to MessagePack and back.
 *
 * What becomes of a value is the same for json, yaml and msgpack:
 * [values](values.md). Numbers are packed as integers when they are integral
 * (-0 is 0) and as doubles otherwise, `float` cdata as single floats; strings as
 * str, also when they are not UTF-8. Both str and bin come back as strings,
 * extension values as objects of `msgpack.ext()`.
 */

static int run_encode(lua_State *L, struct lua_job *job)
{
	struct lua_codec_call *call = (struct lua_codec_call *)job;
	struct mp_encoder e;

	if (!lua_direct_pack(L, 1, 1, &call->cfg, call->text)) {
		call->text->size = 0;
		mp_encoder_create(&e, call->text);
		if (lua_serialize(L, 1, &e.sink, &call->cfg) != 0)
			return -1;
	}
	lua_pushlstring(L, call->text->data, call->text->size);
	return 1;
}

/***
 * msgpack.encode(value) -> string
 * The @value as a string of msgpack. Yields: no. Throws: a value without a form.
 */
static int l_msgpack_encode(lua_State *L)
{
	struct lua_codec_call call = { .job.run = run_encode };

	if (lua_isnone(L, 1))
		return lua_error_usage(L, "usage: msgpack.encode(value)");
	lua_settop(L, 1);
	lua_codec_begin(L, lua_codec_self(L), &call, 0);
	return lua_codec_run(L, &call, 1, NULL);
}

/***
 * msgpack.decode(bytes, [offset]) -> value, number
 * msgpack.decode_unchecked(bytes, [offset]) -> value, number
 * The value that begins in the string @bytes at @offset (1 unless given), and
 * the offset behind it. Both names do the same: nothing goes unchecked.
 * Yields: no. Throws: it is no msgpack, is cut short or nests too deep.
 */
static int l_msgpack_decode(lua_State *L)
{
	struct lua_codec *self = lua_codec_self(L);
	struct lua_builder b;
	lua_Number offset = 1;
	const char *data, *next;
	size_t size;

	if (lua_type(L, 1) != LUA_TSTRING ||
	    !(lua_isnoneornil(L, 2) || lua_type(L, 2) == LUA_TNUMBER))
		return lua_error_usage(L, "usage: msgpack.decode(bytes as a "
					  "string[, offset])");
	data = lua_tolstring(L, 1, &size);
	if (lua_type(L, 2) == LUA_TNUMBER)
		offset = lua_tonumber(L, 2);
	if (!(offset >= 1 && offset <= (lua_Number)size) ||
	    floor(offset) != offset)
		return lua_error_usage(L, "msgpack.decode: offset is out of "
					  "bounds");
	lua_settop(L, 1);
	luaL_checkstack(L, 8, "too many values");
	/* Nothing is owned here: running out of memory may jump away. */
	lua_builder_create(&b, L, &self->cfg, 0);
	if (mp_decode(data + (size_t)offset - 1, data + size, &b.sink, &next) !=
	    0)
		return lua_error_throw(L);
	lua_pushnumber(L, (lua_Number)(next - data + 1));
	return 2;
}

static int l_msgpack_new(lua_State *L);

static const luaL_Reg functions[] = {
	{ "encode", l_msgpack_encode },
	{ "decode", l_msgpack_decode },
	{ "decode_unchecked", l_msgpack_decode },
	{ "ext", l_value_ext },
	{ "new", l_msgpack_new },
	{ NULL, NULL },
};

/***
 * msgpack.new() -> module
 * The module once more, with options of its own. Yields: no.
 */
static int l_msgpack_new(lua_State *L)
{
	lua_codec_push(L, functions);
	return 1;
}

const struct lua_module lua_module_msgpack = { "msgpack", l_msgpack_new, NULL };
