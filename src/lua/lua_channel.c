/*
 * Channels in Lua: the C half of fiber.channel().
 *
 * The values lie in the environment table of the channel's userdata: ring slot
 * i at key i + 1; the value a fiber waits with, or is handed, at its place,
 * size + the fiber's slot.
 */
#include "lua/lua_channel.h"

#include <lauxlib.h>
#include <limits.h>
#include <uv.h>

#include "lua/lua_call.h"
#include "lua/lua_class.h"
#include "lua/lua_error.h"
#include "lua/lua_fiber.h"
#include "lua/lua_state.h"
#include "runtime/channel.h"

enum { CHANNEL_SIZE_MAX = 1 << 24 };

static int place_of(const struct channel *ch, struct fiber *f)
{
	return (int)(ch->size + lua_fiber_of(f)->slot);
}

static struct channel *check_channel(lua_State *L)
{
	return lua_class_check(L, 1, LUA_CLASS_CHANNEL);
}

static int l_new(lua_State *L)
{
	double size = lua_tonumber(L, 1);

	if ((lua_type(L, 1) != LUA_TNUMBER && !lua_isnoneornil(L, 1)) ||
	    !(size >= 0 && size <= CHANNEL_SIZE_MAX) || size != (int)size)
		return lua_error_usage(L,
				       "fiber.channel(size): a whole number "
				       "from 0 to %d is wanted",
				       CHANNEL_SIZE_MAX);
	channel_create(lua_class_box(L, LUA_CLASS_CHANNEL,
				     sizeof(struct channel)),
		       (uint32_t)size);
	lua_newtable(L);
	lua_setfenv(L, -2);
	return 1;
}

/* put(channel, value, timeout) -> true | false | status, when it waited */
static int l_put(lua_State *L)
{
	struct channel *ch = check_channel(L);
	uint64_t timeout = lua_wait_timeout(L, 3);
	struct fiber *peer, *self;
	uint32_t slot;
	int key;

	if (lua_isnoneornil(L, 2))
		return lua_error_usage(L, "channel:put(value): nil cannot be "
					  "told from no value");
	lua_settop(L, 3);
	lua_getfenv(L, 1);
	/* The place is made first: a store that fails must not follow a wakeup.
	 * So the value is stored for the reader or slot that would take it. */
	if (ch->closed) {
		lua_pushboolean(L, 0);
		return 1;
	}
	if (!list_empty(&ch->readers))
		key = place_of(ch, list_entry(ch->readers.next, struct fiber,
					      link));
	else if (ch->count < ch->size)
		key = (int)(((uint64_t)ch->head + ch->count) % ch->size) + 1;
	else
		key = 0;
	if (key != 0) {
		lua_pushvalue(L, 2);
		lua_rawseti(L, 4, key);
		channel_put(ch, &slot, &peer);
		lua_pushboolean(L, 1);
		return 1;
	}
	if (timeout == 0) {
		lua_pushboolean(L, 0);
		return 1;
	}
	self = lua_wait_check(L);
	lua_pushvalue(L, 2);
	lua_rawseti(L, 4, place_of(ch, self));
	channel_put_wait_begin(ch, self, timeout);
	return lua_wait(L);
}

/* put_end(channel, status) -> bool */
static int l_put_end(lua_State *L)
{
	struct channel *ch = check_channel(L);
	int status = luaL_checkint(L, 2);

	if (status != 0) { /* nobody took it */
		lua_getfenv(L, 1);
		lua_pushnil(L);
		lua_rawseti(L, -2, place_of(ch, lua_vm_of(L)->sched->current));
		if (status != UV_ETIMEDOUT && status != UV_EPIPE)
			return lua_wait_throw(L, status);
	}
	lua_pushboolean(L, status == 0);
	return 1;
}

/* Push t[key] and clear it; t is the environment, at index 3. */
static void take_value(lua_State *L, int key)
{
	lua_rawgeti(L, 3, key);
	lua_pushnil(L);
	lua_rawseti(L, 3, key);
}

/* get(channel, timeout) -> true, value | false | status, when it waited */
static int l_get(lua_State *L)
{
	struct channel *ch = check_channel(L);
	uint64_t timeout = lua_wait_timeout(L, 2);
	struct fiber *peer, *self;
	uint32_t slot, refill;

	lua_settop(L, 2);
	lua_getfenv(L, 1);
	switch (channel_get(ch, &slot, &peer, &refill)) {
	case CHANNEL_RING:
		lua_pushboolean(L, 1);
		take_value(L, (int)slot + 1);
		if (peer != NULL) {
			take_value(L, place_of(ch, peer));
			lua_rawseti(L, 3, (int)refill + 1);
		}
		return 2;
	case CHANNEL_PEER:
		lua_pushboolean(L, 1);
		take_value(L, place_of(ch, peer));
		return 2;
	case CHANNEL_CLOSED:
		lua_pushboolean(L, 0);
		return 1;
	case CHANNEL_WAIT:
		break;
	}
	if (timeout == 0) {
		lua_pushboolean(L, 0);
		return 1;
	}
	self = lua_wait_check(L);
	channel_get_wait_begin(ch, self, timeout);
	return lua_wait(L);
}

/* get_end(channel, status) -> value | nil */
static int l_get_end(lua_State *L)
{
	struct channel *ch = check_channel(L);
	int status = luaL_checkint(L, 2);

	if (status == UV_ETIMEDOUT || status == UV_EPIPE) {
		lua_pushnil(L);
		return 1;
	}
	if (status != 0)
		return lua_wait_throw(L, status);
	lua_settop(L, 2);
	lua_getfenv(L, 1);
	take_value(L, place_of(ch, lua_vm_of(L)->sched->current));
	return 1;
}

static int l_close(lua_State *L)
{
	struct channel *ch = check_channel(L);
	uint32_t count = ch->count;

	if (ch->closed)
		return 0;
	channel_close(ch);
	/* The ring lets go of its values; writers clear their places themselves.
	 * What was handed to a reader that has not run yet is the reader's. */
	lua_getfenv(L, 1);
	for (uint32_t i = 0; i < count; i++) {
		lua_pushnil(L);
		lua_rawseti(L, -2,
			    (int)(((uint64_t)ch->head + i) % ch->size) + 1);
	}
	return 0;
}

/* info(channel) -> size, count, has_readers, has_writers, closed */
static int l_info(lua_State *L)
{
	struct channel *ch = check_channel(L);

	lua_pushinteger(L, ch->size);
	lua_pushinteger(L, ch->count);
	lua_pushboolean(L, !list_empty(&ch->readers));
	lua_pushboolean(L, !list_empty(&ch->writers));
	lua_pushboolean(L, ch->closed);
	return 5;
}

static int l_tostring(lua_State *L)
{
	struct channel *ch = check_channel(L);

	lua_pushfstring(L, "channel: %d", (int)ch->count);
	return 1;
}

static int l_set_methods(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	lua_class_metatable(L, LUA_CLASS_CHANNEL);
	lua_pushvalue(L, 1);
	lua_setfield(L, -2, "__index");
	return 0;
}

void lua_channel_open(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{ "new", l_new },         { "put", l_put },
		{ "put_end", l_put_end }, { "get", l_get },
		{ "get_end", l_get_end }, { "close", l_close },
		{ "info", l_info },       { "set_methods", l_set_methods },
		{ NULL, NULL },
	};

	static const luaL_Reg meta[] = {
		{ "__tostring", l_tostring },
		{ NULL, NULL },
	};

	lua_class_new(L, LUA_CLASS_CHANNEL, "channel", meta);
	lua_pop(L, 1);
	lua_newtable(L);
	luaL_register(L, NULL, functions);
}
