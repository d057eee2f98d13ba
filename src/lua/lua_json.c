/* The module `json`. */
#include "lua/lua_json.h"

#include "lua/lua_codec.h"
#include "lua/lua_deserialize.h"
#include "lua/lua_direct.h"
#include "lua/lua_error.h"
#include "port/json_decode.h"
#include "port/json_encode.h"

/***
 * The module `json`: Lua values to JSON text and back.
 *
 * What becomes of a value is the same for json, yaml and msgpack:
 * [values](values.md). Text is on one line. NaN and infinities are written as
 * nan and inf, which is no JSON, unless `encode_invalid_numbers` is false.
 */

static int run_encode(lua_State *L, struct lua_job *job)
{
	struct lua_codec_call *call = (struct lua_codec_call *)job;
	struct json_encode_opts opts = {
		.precision = call->cfg.encode_number_precision,
		.utf8 = (enum json_utf8)call->cfg.encode_invalid_utf8,
		.refuse_nonfinite = !call->cfg.encode_invalid_numbers,
	};
	struct json_encoder e;

	json_encoder_create(&e, call->text, &opts);
	if (!lua_direct_tell(L, 1, &call->cfg, &e.sink)) {
		call->text->size = 0;
		json_encoder_create(&e, call->text, &opts);
		if (lua_serialize(L, 1, &e.sink, &call->cfg) != 0)
			return -1;
	}
	lua_pushlstring(L, call->text->data, call->text->size);
	return 1;
}

/***
 * json.encode(value, [options]) -> string
 * The @value as JSON text, on one line; @options as for `json.cfg()`, for this
 * call alone. Keys of maps must be strings or integers. Yields: no. Throws: a
 * value without a form in JSON.
 */
static int l_json_encode(lua_State *L)
{
	struct lua_codec_call call = { .job.run = run_encode };

	if (lua_isnone(L, 1))
		return lua_error_usage(L, "usage: json.encode(value[, "
					  "{option = value}])");
	lua_settop(L, 2);
	lua_codec_begin(L, lua_codec_self(L), &call, 2);
	return lua_codec_run(L, &call, 1, NULL);
}

static int run_decode(lua_State *L, struct lua_job *job)
{
	struct lua_codec_call *call = (struct lua_codec_call *)job;
	struct json_decode_opts opts = {
		.max_depth = call->cfg.decode_max_depth,
		.refuse_nonfinite = !call->cfg.decode_invalid_numbers,
	};
	struct lua_builder b;
	const char *text;
	size_t size;

	text = lua_tolstring(L, 1, &size);
	lua_builder_create(&b, L, &call->cfg, 0);
	return json_decode(text, text + size, &opts, call->text, &b.sink) == 0
		       ? 1
		       : -1;
}

/***
 * json.decode(text, [options]) -> value
 * The value that the whole @text is (RFC 8259, and nan, inf and -inf); @options
 * as for `json.cfg()`, for this call alone. Yields: no. Throws: it is no JSON,
 * with line and character, or no UTF-8.
 */
static int l_json_decode(lua_State *L)
{
	struct lua_codec_call call = { .job.run = run_decode };

	if (!lua_isstring(L, 1))
		return lua_error_usage(L, "usage: json.decode(text[, "
					  "{option = value}])");
	lua_settop(L, 2);
	lua_tostring(L, 1); /* a number becomes its text */
	lua_codec_begin(L, lua_codec_self(L), &call, 2);
	return lua_codec_run(L, &call, 1, NULL);
}

static int l_json_new(lua_State *L);

static const luaL_Reg functions[] = {
	{ "encode", l_json_encode },
	{ "decode", l_json_decode },
	{ "new", l_json_new },
	{ NULL, NULL },
};

/***
 * json.new() -> module
 * The module once more, with options of its own. Yields: no.
 */
static int l_json_new(lua_State *L)
{
	lua_codec_push(L, functions);
	lua_value_push_null(L);
	lua_setfield(L, -2, "null");
	return 1;
}

const struct lua_module lua_module_json = { "json", l_json_new, NULL };
