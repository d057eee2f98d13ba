/*
 * Encoders of bodies and messages, for Lua: little is encoded on the spot, much on a
 * thread of the pool.
 */
#include <lauxlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/inject.h"
#include "lua/lua_blocking.h"
#include "lua/lua_class.h"
#include "lua/lua_http.h"
#include "net/http_encoder.h"

enum { ON_THE_SPOT = 16384 };

/** An encoder, of its object and of the work at it. */
struct shared_encoder {
	struct http_encoder *encoder;
	unsigned refs; /* atomic */
};

struct encoder_box {
	struct shared_encoder *shared; /* NULL: none yet */
};

struct encode_op {
	struct lua_blocking base;
	struct shared_encoder *shared;
	bool last;
	int rc;
	struct buf out;
	size_t size;
	char data[];
};

static void shared_unref(struct shared_encoder *s)
{
	if (s == NULL || __atomic_sub_fetch(&s->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	http_encoder_delete(s->encoder);
	mem_free(s);
}

static enum http_coding coding_of(char letter)
{
	switch (letter) {
	case 'b':
		return HTTP_CODING_BROTLI;
	case 'z':
		return HTTP_CODING_ZSTD;
	case 'd':
		return HTTP_CODING_DEFLATE;
	default:
		return HTTP_CODING_GZIP;
	}
}

/* encoder("b" | "z" | "g" | "d", level, bits of "d") -> object | nil, why */
static int l_encoder(lua_State *L)
{
	const char *coding = luaL_checkstring(L, 1);
	int level = luaL_checkint(L, 2), bits = luaL_optint(L, 3, 0);
	struct encoder_box *box =
		lua_class_box(L, LUA_CLASS_HTTP_ENCODER, sizeof *box);
	const char *why = "not enough memory";

	box->shared = mem_zalloc(sizeof *box->shared);
	if (box->shared != NULL) {
		box->shared->refs = 1;
		box->shared->encoder =
			http_encoder_new(coding_of(*coding), level, bits, &why);
		if (box->shared->encoder != NULL)
			return 1;
		mem_free(box->shared);
		box->shared = NULL;
	}
	lua_pushnil(L);
	lua_pushstring(L, why);
	return 2;
}

static void encode_run(struct lua_blocking *op)
{
	struct encode_op *o = (struct encode_op *)op; /* base comes first */

	o->rc = http_encoder_feed(o->shared->encoder, o->data, o->size, o->last,
				  &o->out);
}

static int encode_step(struct lua_blocking *op)
{
	struct encode_op *o = (struct encode_op *)op;

	if (o->size > ON_THE_SPOT)
		return LUA_BLOCKING_POOL;
	encode_run(op);
	return 0;
}

static int encode_push(lua_State *L, struct lua_blocking *op)
{
	struct encode_op *o = (struct encode_op *)op;

	if (o->rc != 0)
		return luaL_error(L, "not enough memory");
	lua_pushlstring(L, o->out.data, o->out.size);
	return 1;
}

static void encode_destroy(struct lua_blocking *op)
{
	struct encode_op *o = (struct encode_op *)op;

	shared_unref(o->shared);
	buf_destroy(&o->out);
	mem_free(o);
}

static const struct lua_blocking_kind encode_kind = {
	.name = "compressing",
	.step = encode_step,
	.run = encode_run,
	.push = encode_push,
	.destroy = encode_destroy,
};

/* encode(encoder, text, last) -> true, text | status */
static int l_encode(lua_State *L)
{
	struct encoder_box *box = lua_class_check(L, 1, LUA_CLASS_HTTP_ENCODER);
	size_t size;
	const char *text = luaL_checklstring(L, 2, &size);
	bool last = lua_toboolean(L, 3);
	struct encode_op *o;

	if (box->shared == NULL)
		return luaL_error(L, "the encoder has no library");
	o = mem_alloc(sizeof *o + size);
	if (o == NULL)
		return luaL_error(L, "not enough memory");
	memset(o, 0, sizeof *o);
	o->base.kind = &encode_kind;
	o->last = last;
	o->size = size;
	memcpy(o->data, text, size);
	__atomic_fetch_add(&box->shared->refs, 1, __ATOMIC_RELAXED);
	o->shared = box->shared;
	return lua_blocking_do(L, &o->base);
}

/* release(encoder): its memory goes when what is under way is done. */
static int l_release(lua_State *L)
{
	struct encoder_box *box = lua_class_check(L, 1, LUA_CLASS_HTTP_ENCODER);

	shared_unref(box->shared);
	box->shared = NULL;
	return 0;
}

void lua_http_open_encode(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{ "encoder", l_encoder },
		{ "encode", l_encode },
		{ "release", l_release },
		{ NULL, NULL },
	};
	static const luaL_Reg meta[] = {
		{ "__gc", l_release },
		{ NULL, NULL },
	};

	if (!lua_class_is_there(L, LUA_CLASS_HTTP_ENCODER)) {
		lua_class_new(L, LUA_CLASS_HTTP_ENCODER, "http encoder", meta);
		lua_pop(L, 1);
	}
	luaL_register(L, NULL, functions);
}
