/* The module `yaml`. */
#include "lua/lua_yaml.h"

#include "lua/lua_codec.h"
#include "lua/lua_deserialize.h"
#include "lua/lua_error.h"
#include "port/yaml_decode.h"
#include "port/yaml_encode.h"

/***
 * The module `yaml`: Lua values to YAML and back.
 *
 * What becomes of a value is the same for json, yaml and msgpack:
 * [values](values.md). The text is what Tarantool's console prints, but that
 * strings which other readers of YAML take for something else are quoted: the
 * empty one and y, n, on, off, Yes, Null and the like. Strings that are not UTF-8
 * are !!binary, those of several lines blocks, and a table that comes more than
 * once, or contains itself, is named once (`&0`) and meant again (`*0`).
 */

struct encode_call {
	struct lua_codec_call call;
	struct yaml_encode_opts opts;
	struct yaml_encoder encoder;
	bool created; /* the encoder is to be destroyed */
};

static int run_encode(lua_State *L, struct lua_job *job)
{
	struct encode_call *c = (struct encode_call *)job;
	struct buf *text = c->call.text;

	if (yaml_encoder_create(&c->encoder, text, &c->opts) != 0)
		return -1;
	c->created = true;
	if (lua_serialize(L, 1, &c->encoder.sink, &c->call.cfg) != 0 ||
	    yaml_encoder_finish(&c->encoder) != 0)
		return -1;
	lua_pushlstring(L, text->data, text->size);
	return 1;
}

static void release_encode(struct lua_codec_call *call)
{
	struct encode_call *c = (struct encode_call *)call;

	if (c->created)
		yaml_encoder_destroy(&c->encoder);
}

/* The field @a name of the options, a string which stays in them; or NULL. */
static const char *tag_option(lua_State *L, const char *name)
{
	const char *tag;

	lua_getfield(L, 2, name);
	if (!lua_isnil(L, -1) && lua_type(L, -1) != LUA_TSTRING)
		lua_error_usage(L, "yaml.encode: %s must be a string", name);
	tag = lua_tostring(L, -1);
	lua_pop(L, 1);
	return tag;
}

/***
 * yaml.encode(value, [options]) -> string
 * The @value as a YAML document, from `---` to `...`; @options as for
 * `yaml.cfg()`, for this call alone, and besides tag_handle and tag_prefix, a
 * %TAG to begin with, and as_console: true for what Tarantool's console shows, byte for
 * byte, where else texts that other readers of YAML may misread (`y`, `off`, an empty one)
 * are quoted. Yields: no. Throws: a value without a form in YAML.
 */
static int l_yaml_encode(lua_State *L)
{
	struct encode_call c = { .call.job.run = run_encode };

	if (lua_isnone(L, 1) || !(lua_isnoneornil(L, 2) || lua_istable(L, 2)))
		return lua_error_usage(L, "usage: yaml.encode(value[, "
					  "{tag_handle = string, tag_prefix = "
					  "string, option = value}])");
	lua_settop(L, 2);
	if (lua_istable(L, 2)) {
		c.opts.tag_handle = tag_option(L, "tag_handle");
		c.opts.tag_prefix = tag_option(L, "tag_prefix");
		if ((c.opts.tag_handle == NULL) != (c.opts.tag_prefix == NULL))
			return lua_error_usage(L, "yaml.encode: tag_handle and "
						  "tag_prefix go together");
		lua_getfield(L, 2, "as_console");
		c.opts.as_console = lua_toboolean(L, -1);
		lua_pop(L, 1);
	}
	lua_codec_begin(L, lua_codec_self(L), &c.call, 2);
	c.opts.precision = c.call.cfg.encode_number_precision;
	c.opts.refuse_nonfinite = !c.call.cfg.encode_invalid_numbers;
	return lua_codec_run(L, &c.call, 1, release_encode);
}

struct decode_call {
	struct lua_codec_call call;
	struct yaml_decoder decoder;
	bool created; /* the decoder is to be destroyed */
	bool tag_only;
};

static int push_tag(lua_State *L, struct decode_call *c)
{
	const char *handle, *prefix;

	if (yaml_decode_tag(&c->decoder, &handle, &prefix) != 0)
		return -1;
	if (handle == NULL)
		return 0;
	lua_pushstring(L, handle);
	lua_pushstring(L, prefix);
	return 2;
}

static int run_decode(lua_State *L, struct lua_job *job)
{
	struct decode_call *c = (struct decode_call *)job;
	struct yaml_decode_opts opts = yaml_decode_default;
	struct lua_builder b;
	const char *text;
	size_t size;
	int rc, n = 0;

	text = lua_tolstring(L, 1, &size);
	opts.max_depth = c->call.cfg.decode_max_depth;
	opts.refuse_nonfinite = !c->call.cfg.decode_invalid_numbers;
	if (yaml_decoder_create(&c->decoder, text, size, &opts) != 0)
		return -1;
	c->created = true;
	if (c->tag_only)
		return push_tag(L, c);
	lua_newtable(L); /* values with an anchor: each document has its own */
	lua_builder_create(&b, L, &c->call.cfg, lua_gettop(L));
	while ((rc = yaml_decode_next(&c->decoder, &b.sink)) == 1)
		n++;
	return rc < 0 ? -1 : n;
}

static void release_decode(struct lua_codec_call *call)
{
	struct decode_call *c = (struct decode_call *)call;

	if (c->created)
		yaml_decoder_destroy(&c->decoder);
}

/***
 * yaml.decode(text, [options]) -> value, ...
 * A value for each document of @text, at most 64 MiB; @options as for
 * `yaml.cfg()`, for this call alone. With tag_only = true in them, nothing but
 * handle and prefix of the first document's %TAG. Plain scalars are null or ~,
 * true or yes, false or no, numbers also in hexadecimal, inf and nan; all else
 * is a string, also y, on and nothing at all. Yields: no. Throws: it is no YAML,
 * with line and column.
 */
static int l_yaml_decode(lua_State *L)
{
	struct decode_call c = { .call.job.run = run_decode };

	if (!lua_isstring(L, 1) ||
	    !(lua_isnoneornil(L, 2) || lua_istable(L, 2)))
		return lua_error_usage(L, "usage: yaml.decode(text[, {tag_only "
					  "= boolean, option = value}])");
	lua_settop(L, 2);
	lua_tostring(L, 1); /* a number becomes its text */
	if (lua_istable(L, 2)) {
		lua_getfield(L, 2, "tag_only");
		c.tag_only = lua_toboolean(L, -1);
		lua_pop(L, 1);
	}
	lua_codec_begin(L, lua_codec_self(L), &c.call, 2);
	return lua_codec_run(L, &c.call, 1, release_decode);
}

static int l_yaml_new(lua_State *L);

static const luaL_Reg functions[] = {
	{ "encode", l_yaml_encode },
	{ "decode", l_yaml_decode },
	{ "new", l_yaml_new },
	{ NULL, NULL },
};

/***
 * yaml.new() -> module
 * The module once more, with options of its own. Yields: no.
 */
static int l_yaml_new(lua_State *L)
{
	lua_codec_push(L, functions);
	return 1;
}

const struct lua_module lua_module_yaml = { "yaml", l_yaml_new, NULL };
