/* The module `shared`: broadcasts between workers, the C half. */
#include <math.h>
#include <uv.h>

#include "base/diag.h"
#include "lua/lua_call.h"
#include "lua/lua_error.h"
#include "lua/lua_shared.h"
#include "runtime/shared_broadcast.h"

enum {
	HISTORY_MAX = 1 << 20,
	HISTORY_DEFAULT = 1024,
	BYTES_MIN = 1024,
	BYTES_DEFAULT = 64 << 20,
};

#define BYTES_MAX 0x1p40

static const char usage[] = "shared.broadcast(name, options)";

/* A place in a broadcast, of one state. */
struct subscription {
	struct lua_shared shared; /* comes first: the broadcast */
	uint64_t next;
};

static struct shared_broadcast *check_broadcast(lua_State *L)
{
	return (struct shared_broadcast *)lua_shared_check(
		L, LUA_CLASS_SHARED_BROADCAST);
}

static struct subscription *check_subscription(lua_State *L)
{
	lua_shared_check(L, LUA_CLASS_SHARED_SUBSCRIPTION);
	return lua_touserdata(L, 1);
}

/* new(name, options) */
static int l_new(lua_State *L)
{
	struct lua_shared_option o[] = {
		{ "history", 1, HISTORY_MAX, HISTORY_DEFAULT, false },
		{ "bytes", BYTES_MIN, BYTES_MAX, BYTES_DEFAULT, false },
	};
	struct shared_broadcast_options options;
	const struct shared_broadcast *b;

	lua_shared_check_name(L, usage);
	lua_shared_read_options(L, usage, o, 2);
	options.history = (uint32_t)o[0].value;
	options.bytes = (size_t)o[1].value;
	if (lua_shared_open(L, &shared_broadcast_kind,
			    LUA_CLASS_SHARED_BROADCAST, &options) != 0)
		return lua_error_fail(L);
	lua_replace(L, 1);
	lua_settop(L, 1);
	b = check_broadcast(L);
	if (o[0].is_given && b->options.history != options.history)
		lua_shared_differs(&b->base, "history", b->options.history,
				   o[0].value);
	else if (o[1].is_given && b->options.bytes != options.bytes)
		lua_shared_differs(&b->base, "bytes", (double)b->options.bytes,
				   o[1].value);
	else
		return 1;
	return lua_error_fail(L);
}

/***
 * shared_broadcast:publish(value) -> number | nil, err
 * Send a copy of @value (as of `shared_channel:put()`) to all who subscribe, in
 * all workers. Gives its sequence number: 1, 2, 3 .. Yields: no.
 */
static int l_publish(lua_State *L)
{
	struct shared_broadcast *b = check_broadcast(L);
	struct shared_message *m;
	uint64_t sequence;
	size_t cost;

	if (lua_isnoneornil(L, 2))
		return lua_error_usage(L, "broadcast:publish(value): nil "
					  "cannot be told from no value");
	m = lua_shared_pack(L, 2, b->options.bytes, &b->base);
	if (m == NULL)
		return lua_error_fail(L);
	cost = shared_message_cost(m);
	if (shared_broadcast_publish(b, m, &sequence) != 0) {
		shared_message_unref(m);
		diag_set(ClientError,
			 "broadcast '%s': the value takes %zu bytes, and "
			 "there are %zu",
			 b->base.name, cost, b->options.bytes);
		return lua_error_fail(L);
	}
	lua_pushnumber(L, (lua_Number)sequence);
	return 1;
}

/***
 * shared_broadcast:subscribe([from]) -> shared_subscription | nil, err
 * A place in the broadcast of this worker's own: before the message with the
 * number @from, or, without it, behind the last one. Yields: no.
 */
static int l_subscribe(lua_State *L)
{
	struct shared_broadcast *b = check_broadcast(L);
	struct shared_broadcast_info info;
	struct subscription *s;
	double from = lua_tonumber(L, 2);

	shared_broadcast_info(b, &info);
	if (lua_isnoneornil(L, 2)) {
		from = (double)info.next;
	} else if (lua_type(L, 2) != LUA_TNUMBER ||
		   !(from >= 1 && from <= 0x1p53) || floor(from) != from) {
		return lua_error_usage(L, "broadcast:subscribe(from): the "
					  "number of a message is wanted");
	} else if (from > (double)info.next) {
		diag_set(ClientError,
			 "broadcast '%s': message %.0f is not to be waited "
			 "for: the next one is %.0f",
			 b->base.name, from, (double)info.next);
		return lua_error_fail(L);
	}
	s = lua_class_box(L, LUA_CLASS_SHARED_SUBSCRIPTION, sizeof *s);
	shared_object_ref(&b->base);
	s->shared.object = &b->base;
	s->next = (uint64_t)from;
	return 1;
}

/* Push the value and number of @a m, the next one of @a s. */
static int push_message(lua_State *L, struct subscription *s,
			struct shared_message *m)
{
	uint64_t sequence = m->sequence;

	s->next = sequence + 1; /* for who asks in a finalizer meanwhile */
	if (lua_shared_unpack(L, m) != 0) {
		shared_message_unref(m);
		s->next = sequence;
		return lua_error_throw(L);
	}
	shared_message_unref(m);
	lua_pushnumber(L, (lua_Number)sequence);
	return 2;
}

/* get(subscription, timeout) -> true, value, sequence | false |
 * nil, err | status */
static int l_get(lua_State *L)
{
	struct subscription *s = check_subscription(L);
	struct shared_broadcast *b =
		(struct shared_broadcast *)s->shared.object;
	uint64_t timeout = lua_wait_timeout(L, 2), oldest;
	struct shared_message *m;
	struct shared_wait *w;
	struct fiber *self;
	int rc;

	lua_settop(L, 2);
	lua_pushboolean(L, 1);
	rc = shared_broadcast_read(b, s->next, &m, &oldest, NULL, NULL);
	if (rc == UV_EAGAIN && timeout != 0) {
		self = lua_wait_check(L);
		w = lua_shared_wait(L);
		w->on_leave = NULL;
		if (lua_shared_wait_prepare(L) != 0)
			return lua_error_fail(L);
		rc = shared_broadcast_read(b, s->next, &m, &oldest, w, self);
		if (rc == UV_EAGAIN) {
			shared_wait_park(w, timeout);
			return lua_wait(L);
		}
	}
	if (rc == 0)
		return 1 + push_message(L, s, m);
	if (rc == UV_ERANGE) {
		struct error *e =
			error_missed(b->base.name, s->next, oldest - 1);

		/* Told only when there was memory to tell it. */
		if (e->type == &MessagesMissed)
			s->next = oldest;
		diag_set_error(e);
		return lua_error_fail(L);
	}
	lua_pushboolean(L, 0);
	return 1;
}

/* get_end(subscription, status) -> boolean: is it worth another look? */
static int l_get_end(lua_State *L)
{
	int status = luaL_checkint(L, 2);

	lua_shared_wait_clear(lua_shared_wait_over(L));
	if (status != 0 && status != UV_ETIMEDOUT)
		return lua_wait_throw(L, status);
	lua_pushboolean(L, status == 0);
	return 1;
}

static int l_next(lua_State *L)
{
	lua_pushnumber(L, (lua_Number)check_subscription(L)->next);
	return 1;
}

/***
 * shared_broadcast:stat() -> table
 * `next` and `oldest`, the numbers of the next message and of the oldest one
 * that is kept (equal when none is), and `count` and `bytes` of those.
 * Yields: no.
 */
static int l_stat(lua_State *L)
{
	struct shared_broadcast_info info;

	shared_broadcast_info(check_broadcast(L), &info);
	lua_createtable(L, 0, 4);
	lua_pushnumber(L, (lua_Number)info.next);
	lua_setfield(L, -2, "next");
	lua_pushnumber(L, (lua_Number)info.oldest);
	lua_setfield(L, -2, "oldest");
	lua_pushnumber(L, info.count);
	lua_setfield(L, -2, "count");
	lua_pushnumber(L, (lua_Number)info.bytes);
	lua_setfield(L, -2, "bytes");
	return 1;
}

static int l_tostring(lua_State *L)
{
	lua_pushfstring(L, "shared broadcast: %s",
			check_broadcast(L)->base.name);
	return 1;
}

static int l_subscription_tostring(lua_State *L)
{
	lua_pushfstring(L, "shared subscription: %s",
			check_subscription(L)->shared.object->name);
	return 1;
}

static int l_gc(lua_State *L)
{
	return lua_shared_release(L, LUA_CLASS_SHARED_BROADCAST);
}

static int l_subscription_gc(lua_State *L)
{
	return lua_shared_release(L, LUA_CLASS_SHARED_SUBSCRIPTION);
}

static int l_set_methods(lua_State *L)
{
	return lua_shared_set_methods(L, LUA_CLASS_SHARED_SUBSCRIPTION);
}

void lua_shared_broadcast_open(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{ "new", l_new },
		{ "get", l_get },
		{ "get_end", l_get_end },
		{ "next", l_next },
		{ "set_methods", l_set_methods },
		{ NULL, NULL },
	};
	static const luaL_Reg methods[] = {
		{ "publish", l_publish },
		{ "subscribe", l_subscribe },
		{ "stat", l_stat },
		{ NULL, NULL },
	};
	static const luaL_Reg meta[] = {
		{ "__gc", l_gc },
		{ "__tostring", l_tostring },
		{ NULL, NULL },
	};
	static const luaL_Reg subscription_meta[] = {
		{ "__gc", l_subscription_gc },
		{ "__tostring", l_subscription_tostring },
		{ NULL, NULL },
	};

	lua_class_new(L, LUA_CLASS_SHARED_BROADCAST, "shared broadcast", meta);
	lua_newtable(L);
	luaL_register(L, NULL, methods);
	lua_setfield(L, -2, "__index");
	lua_class_new(L, LUA_CLASS_SHARED_SUBSCRIPTION, "shared subscription",
		      subscription_meta);
	lua_pop(L, 2);
	lua_newtable(L);
	luaL_register(L, NULL, functions);
}
