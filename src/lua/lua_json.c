/* The module `json`. */
#include "lua/lua_json.h"

#include "lua/lua_codec.h"
#include "lua/lua_deserialize.h"
#include "lua/lua_direct.h"
#include "lua/lua_error.h"
#include "lua/lua_lean.h"
#include "port/json_decode.h"
#include "port/json_encode.h"

/***
 * The module `json`: Lua values to JSON text and back.
 *
 * What becomes of a value is the same for json, yaml and msgpack:
 * [values](values.md). Text is on one line. NaN and infinities are written as
 * nan and inf, which is no JSON, unless `encode_invalid_numbers` is false.
 */

static void begin_encoder(struct json_encoder *e, struct buf *text,
			  const struct lua_serialize_cfg *cfg)
{
	struct json_encode_opts opts = {
		.precision = cfg->encode_number_precision,
		.utf8 = (enum json_utf8)cfg->encode_invalid_utf8,
		.refuse_nonfinite = !cfg->encode_invalid_numbers,
	};

	text->size = 0;
	json_encoder_create(e, text, &opts);
}

static int push_text(lua_State *L, struct lua_job *job)
{
	const struct lua_codec_call *call = (struct lua_codec_call *)job;

	lua_pushlstring(L, call->text->data, call->text->size);
	return 1;
}

static int run_encode(lua_State *L, struct lua_job *job)
{
	struct lua_codec_call *call = (struct lua_codec_call *)job;
	struct json_encoder e;

	begin_encoder(&e, call->text, &call->cfg);
	if (!lua_direct_tell(L, 1, &call->cfg, &e.sink)) {
		begin_encoder(&e, call->text, &call->cfg);
		if (lua_serialize(L, 1, &e.sink, &call->cfg) != 0)
			return -1;
	}
	return push_text(L, job);
}

/*
 * The short way, for plain values without options. Until the text is whole nothing
 * can throw and no Lua code runs; while a string is made of it a finalizer may, and
 * has a buffer of its own (lua_codec_begin()). Returns how many results lie on top,
 * 0: it takes the long way. Throws: out of memory.
 */
static int encode_plainly(lua_State *L, struct lua_codec *self)
{
	struct lua_codec_call call = { .codec = self, .text = &self->text };
	struct json_encoder e;

	if (self->busy || lua_lean_in_finalizer(L))
		return 0;
	self->text.limit = LUA_CODEC_TEXT_MAX;
	begin_encoder(&e, &self->text, &self->cfg);
	if (!lua_direct_tell(L, 1, &self->cfg, &e.sink))
		return 0;
	if (self->text.size <= LUA_CODEC_TEXT_KEEP)
		return push_text(L, &call.job);
	call.job.run = push_text; /* and if that throws, its memory goes */
	return lua_codec_run(L, &call, 1, NULL);
}

/***
 * json.encode(value, [options]) -> string
 * The @value as JSON text, on one line; @options as for `json.cfg()`, for this
 * call alone. Keys of maps must be strings or integers. Yields: no. Throws: a
 * value without a form in JSON.
 */
static int l_json_encode(lua_State *L)
{
	struct lua_codec *self = lua_codec_self(L);
	struct lua_codec_call call = { .job.run = run_encode };

	if (lua_gettop(L) == 0)
		return lua_error_usage(L, "usage: json.encode(value[, "
					  "{option = value}])");
	if (lua_lean_isnoneornil(L, 2)) {
		int n = encode_plainly(L, self);

		if (n != 0)
			return n;
	}
	lua_settop(L, 2);
	lua_codec_begin(L, self, &call, 2);
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
