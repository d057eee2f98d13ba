/* The module `shared`: channels between workers, the C half. */
#include <uv.h>

#include "base/diag.h"
#include "lua/lua_call.h"
#include "lua/lua_error.h"
#include "lua/lua_shared.h"
#include "runtime/shared_channel.h"

enum {
	CAPACITY_MAX = 1 << 20,
	BYTES_MIN = 1024,
	BYTES_DEFAULT = 64 << 20,
};

#define BYTES_MAX 0x1p40

static const char usage[] = "shared.channel(name, capacity, options)";

static struct shared_channel *check_channel(lua_State *L)
{
	return (struct shared_channel *)lua_shared_check(
		L, LUA_CLASS_SHARED_CHANNEL);
}

/* new(name, options, capacity): the Lua half has changed the order */
static int l_new(lua_State *L)
{
	struct lua_shared_option bytes = { "bytes", BYTES_MIN, BYTES_MAX,
					   BYTES_DEFAULT, false };
	double capacity = lua_tonumber(L, 3);
	struct shared_channel_options options;
	struct shared_channel *ch;

	lua_shared_check_name(L, usage);
	if (lua_type(L, 3) != LUA_TNUMBER ||
	    !(capacity >= 0 && capacity <= CAPACITY_MAX) ||
	    capacity != (uint32_t)capacity)
		return lua_error_usage(L,
				       "%s: capacity is a whole number from 0 "
				       "to %d",
				       usage, CAPACITY_MAX);
	lua_shared_read_options(L, usage, &bytes, 1);
	options.capacity = (uint32_t)capacity;
	options.bytes = (size_t)bytes.value;
	if (lua_shared_open(L, &shared_channel_kind, LUA_CLASS_SHARED_CHANNEL,
			    &options) != 0)
		return lua_error_fail(L);
	lua_replace(L, 1);
	lua_settop(L, 1);
	ch = check_channel(L);
	if (ch->options.capacity != options.capacity)
		lua_shared_differs(&ch->base, "capacity", ch->options.capacity,
				   capacity);
	else if (bytes.is_given && ch->options.bytes != options.bytes)
		lua_shared_differs(&ch->base, "bytes",
				   (double)ch->options.bytes, bytes.value);
	else
		return 1;
	return lua_error_fail(L);
}

static int fail_too_large(lua_State *L, const struct shared_channel *ch,
			  size_t cost)
{
	diag_set(ClientError,
		 "channel '%s': the value takes %zu bytes, and there are %zu",
		 ch->base.name, cost, ch->options.bytes);
	return lua_error_fail(L);
}

/* Wait with w->message, which nobody took. */
static int wait_to_put(lua_State *L, struct shared_channel *ch,
		       struct shared_wait *w, uint64_t timeout)
{
	struct fiber *self = lua_wait_check(L);
	struct shared_message *m;
	int rc;

	if (lua_shared_wait_prepare(L) != 0) {
		lua_shared_wait_clear(w);
		return lua_error_fail(L);
	}
	m = w->message;
	w->message = NULL;
	rc = shared_channel_put(ch, m, w, self);
	if (rc == UV_EAGAIN) {
		shared_wait_park(w, timeout);
		return lua_wait(L);
	}
	if (rc != 0)
		shared_message_unref(m);
	lua_pushboolean(L, rc == 0);
	return 1;
}

/* put(channel, value, timeout) -> true | false | nil, err | status, when it
 * waited */
static int l_put(lua_State *L)
{
	struct shared_channel *ch = check_channel(L);
	uint64_t timeout = lua_wait_timeout(L, 3);
	struct shared_wait *w;
	struct shared_message *m;
	size_t cost;
	int rc;

	if (lua_isnoneornil(L, 2))
		return lua_error_usage(L, "channel:put(value): nil cannot be "
					  "told from no value");
	m = lua_shared_pack(L, 2, ch->options.bytes, &ch->base);
	if (m == NULL)
		return lua_error_fail(L);
	cost = shared_message_cost(m);
	rc = shared_channel_put(ch, m, NULL, NULL);
	if (rc == 0) {
		lua_pushboolean(L, 1);
		return 1;
	}
	shared_message_unref(m);
	if (rc == UV_E2BIG)
		return fail_too_large(L, ch, cost);
	if (rc == UV_EPIPE || timeout == 0) {
		lua_pushboolean(L, 0);
		return 1;
	}
	/* It is to wait, for which it needs a place of its own: what makes that
	 * may throw, so the value is packed once more. */
	lua_wait_check(L);
	w = lua_shared_wait(L);
	m = lua_shared_pack(L, 2, ch->options.bytes, &ch->base);
	if (m == NULL)
		return lua_error_fail(L);
	w->message = m;
	if (shared_message_cost(m) > ch->options.bytes) { /* it has changed */
		cost = shared_message_cost(m);
		lua_shared_wait_clear(w);
		return fail_too_large(L, ch, cost);
	}
	return wait_to_put(L, ch, w, timeout);
}

/* put_end(channel, status) -> bool */
static int l_put_end(lua_State *L)
{
	int status = luaL_checkint(L, 2);
	struct shared_wait *w = lua_shared_wait_over(L);
	bool taken = w->message == NULL;

	/* A value that was taken in the last moment was put. */
	lua_shared_wait_clear(w);
	if (!taken && status != UV_ETIMEDOUT && status != UV_EPIPE)
		return lua_wait_throw(L, status);
	lua_pushboolean(L, taken);
	return 1;
}

/* Push the value of @a m, which was got; or give it back and throw. */
static int push_got(lua_State *L, struct shared_channel *ch,
		    struct shared_message *m)
{
	if (lua_shared_unpack(L, m) != 0) {
		shared_channel_give_back(ch, m);
		return lua_error_throw(L);
	}
	shared_message_unref(m);
	return 1;
}

/* get(channel, timeout) -> true, value | false | nil, err | status */
static int l_get(lua_State *L)
{
	struct shared_channel *ch = check_channel(L);
	uint64_t timeout = lua_wait_timeout(L, 2);
	struct shared_message *m;
	struct shared_wait *w;
	struct fiber *self;
	int rc;

	lua_settop(L, 2);
	lua_pushboolean(L, 1);
	rc = shared_channel_get(ch, &m, NULL, NULL);
	if (rc == UV_EAGAIN && timeout != 0) {
		self = lua_wait_check(L);
		w = lua_shared_wait(L);
		if (lua_shared_wait_prepare(L) != 0)
			return lua_error_fail(L);
		rc = shared_channel_get(ch, &m, w, self);
		if (rc == UV_EAGAIN) {
			shared_wait_park(w, timeout);
			return lua_wait(L);
		}
	}
	if (rc == 0) {
		push_got(L, ch, m);
		return 2;
	}
	lua_pushboolean(L, 0);
	return 1;
}

/* get_end(channel, status) -> value | nil */
static int l_get_end(lua_State *L)
{
	struct shared_channel *ch = check_channel(L);
	int status = luaL_checkint(L, 2);
	struct shared_wait *w = lua_shared_wait_over(L);
	struct shared_message *m = w->message;

	/* One that came in the last moment counts, unless nobody is left who
	 * could take it: then it is given back. */
	if (m == NULL || status == UV_ECANCELED) {
		lua_shared_wait_clear(w);
		if (status != UV_ETIMEDOUT && status != UV_EPIPE)
			return lua_wait_throw(L, status);
		lua_pushnil(L);
		return 1;
	}
	w->message = NULL;
	lua_shared_wait_clear(w);
	return push_got(L, ch, m);
}

static int l_close(lua_State *L)
{
	shared_channel_close(check_channel(L));
	return 0;
}

/* info(channel) -> size, count, has_readers, has_writers, closed, full, bytes */
static int l_info(lua_State *L)
{
	struct shared_channel *ch = check_channel(L);
	struct shared_channel_info info;

	shared_channel_info(ch, &info);
	lua_pushinteger(L, ch->options.capacity);
	lua_pushinteger(L, info.count);
	lua_pushboolean(L, info.has_readers);
	lua_pushboolean(L, info.has_writers);
	lua_pushboolean(L, info.closed);
	lua_pushboolean(L, info.full);
	lua_pushnumber(L, (lua_Number)info.bytes);
	return 7;
}

static int l_tostring(lua_State *L)
{
	lua_pushfstring(L, "shared channel: %s", check_channel(L)->base.name);
	return 1;
}

static int l_gc(lua_State *L)
{
	return lua_shared_release(L, LUA_CLASS_SHARED_CHANNEL);
}

static int l_set_methods(lua_State *L)
{
	return lua_shared_set_methods(L, LUA_CLASS_SHARED_CHANNEL);
}

void lua_shared_channel_open(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{ "new", l_new },         { "put", l_put },
		{ "put_end", l_put_end }, { "get", l_get },
		{ "get_end", l_get_end }, { "close", l_close },
		{ "info", l_info },       { "set_methods", l_set_methods },
		{ NULL, NULL },
	};
	static const luaL_Reg meta[] = {
		{ "__gc", l_gc },
		{ "__tostring", l_tostring },
		{ NULL, NULL },
	};

	lua_class_new(L, LUA_CLASS_SHARED_CHANNEL, "shared channel", meta);
	lua_pop(L, 1);
	lua_newtable(L);
	luaL_register(L, NULL, functions);
}
