/* The module yaml. */
#include "lua/lua_yaml.h"

#include "lua/lua_codec.h"
#include "lua/lua_deserialize.h"
#include "lua/lua_error.h"
#include "port/yaml_decode.h"
#include "port/yaml_encode.h"

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

/* encode(value[, options]): the value as a YAML document. The options may hold
 * tag_handle and tag_prefix, a %TAG to begin it with. */
static int l_yaml_encode(lua_State *L)
{
	struct encode_call c = { .call.job.run = run_encode };

	if (lua_isnone(L, 1) ||
	    !(lua_isnoneornil(L, 2) || lua_istable(L, 2)))
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
	}
	lua_codec_begin(L, lua_codec_self(L), &c.call, 2);
	c.opts.precision = c.call.cfg.encode_number_precision;
	c.opts.refuse_nonfinite = !c.call.cfg.encode_invalid_numbers;
	return lua_codec_run(L, &c.call, 1, release_encode);
}

struct decode_call {
	struct lua_codec_call call;
	struct yaml_decoder decoder;
	bool created;  /* the decoder is to be destroyed */
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

/* decode(text[, options]): a value for each document of the text. With
 * tag_only = true the handle and prefix of the first document's %TAG. */
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

/* new(): the module again, with options of its own. */
static int l_yaml_new(lua_State *L)
{
	lua_codec_push(L, functions);
	return 1;
}

const struct lua_module lua_module_yaml = { "yaml", l_yaml_new, NULL };
