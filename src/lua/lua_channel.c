/*
 * Channels in Lua: the C half of fiber.channel().
 *
 * A value for a fiber that waits goes straight to its coroutine. The others lie
 * in the environment table of the channel's userdata: ring slot i at key i + 1;
 * the value a fiber waits with at its place, size + the fiber's slot.
 */
#include "lua/lua_channel.h"

#include <lauxlib.h>
#include <limits.h>
#include <uv.h>

#include "lua/lua_call.h"
#include "lua/lua_class.h"
#include "lua/lua_error.h"
#include "lua/lua_fiber.h"
#include "lua/lua_lean.h"
#include "lua/lua_state.h"
#include "runtime/channel.h"

enum {
	CHANNEL_SIZE_MAX = 1 << 24,
	RING_AT_ONCE = 64, /* slots made with the channel */
};

static int place_of(const struct channel *ch, struct fiber *f)
{
	return (int)(ch->size + lua_fiber_of(f)->slot);
}

static struct channel *check_channel(lua_State *L)
{
	return lua_lean_check(L, 1, LUA_CLASS_CHANNEL);
}

static int l_new(lua_State *L)
{
	double size = lua_tonumber(L, 1);

	if ((!lua_isnumber(L, 1) && !lua_isnoneornil(L, 1)) ||
	    !(size >= 0 && size <= CHANNEL_SIZE_MAX) || size != (int)size)
		return lua_error_usage(L,
				       "fiber.channel(size): a whole number "
				       "from 0 to %d is wanted",
				       CHANNEL_SIZE_MAX);
	channel_create(lua_class_box(L, LUA_CLASS_CHANNEL,
				     sizeof(struct channel)),
		       (uint32_t)size);
	lua_createtable(L, size < RING_AT_ONCE ? (int)size : RING_AT_ONCE, 0);
	lua_setfenv(L, -2);
	return 1;
}

static int wait_for_value(lua_State *L, struct channel *ch, uint64_t timeout)
{
	struct fiber *self = lua_lean_wait_check(L);

	channel_get_wait_begin(ch, self, timeout);
	return lua_lean_wait(L, self);
}

static uint64_t timeout_of(lua_State *L, int idx)
{
	return lua_lean_isnoneornil(L, idx) ? UINT64_MAX
					    : lua_wait_timeout(L, idx);
}

/* The running fiber may be in a queue that it has left by an error. */
static void leave_old_wait(lua_State *L)
{
	struct fiber *self = lua_lean_vm(L)->sched->current;

	if (self != NULL)
		lua_fiber_take_back(lua_fiber_of(self));
}

static int ring_key(const struct channel *ch, uint32_t n)
{
	return (int)(((uint64_t)ch->head + n) % ch->size) + 1;
}

/* put(channel, value, timeout) -> true | false | status of its wait */
static int l_put(lua_State *L)
{
	struct channel *ch = check_channel(L);
	uint64_t timeout = timeout_of(L, 3);
	struct fiber *self, *peer;
	uint32_t slot;

	leave_old_wait(L);
	if (list_empty(&ch->readers) && ch->count < ch->size) {
		/* First of all: a store may fail. */
		lua_lean_env_set(L, 1, ring_key(ch, ch->count), 2);
	}
	switch (channel_put(ch, &slot, &peer)) {
	case CHANNEL_PEER:
		lua_fast_pushboolean(lua_fiber_of(peer)->co, true);
		lua_lean_copy(lua_fiber_of(peer)->co, L, 2);
		lua_fiber_hand(lua_fiber_of(peer), 2);
		break;
	case CHANNEL_RING:
		break;
	case CHANNEL_CLOSED:
		lua_fast_pushboolean(L, false);
		return 1;
	case CHANNEL_WAIT:
		if (timeout == 0) {
			lua_fast_pushboolean(L, false);
			return 1;
		}
		self = lua_wait_check(L);
		lua_getfenv(L, 1);
		lua_pushvalue(L, 2);
		lua_rawseti(L, -2, place_of(ch, self));
		channel_put_wait_begin(ch, self, timeout);
		return lua_wait(L);
	}
	lua_fast_pushboolean(L, true);
	return 1;
}

/* put_end(channel, status) -> false; throws what keeps it from waiting */
static int l_put_end(lua_State *L)
{
	struct channel *ch = check_channel(L);
	int status = luaL_checkint(L, 2);

	/* Nobody took it. */
	lua_getfenv(L, 1);
	lua_pushnil(L);
	lua_rawseti(L, -2, place_of(ch, lua_vm_of(L)->sched->current));
	if (status != UV_ETIMEDOUT && status != UV_EPIPE)
		return lua_wait_throw(L, status);
	lua_pushboolean(L, 0);
	return 1;
}

/* Push t[key] and clear it; t is the environment, at index @a t. */
static void take_value(lua_State *L, int t, int key)
{
	lua_rawgeti(L, t, key);
	lua_pushnil(L);
	lua_rawseti(L, t, key);
}

/* A writer, woken just now, has been rid of its value, which is pushed. Throws:
 * no; the place is there. */
static void take_from_writer(lua_State *L, int t, const struct channel *ch,
			     struct fiber *writer)
{
	take_value(L, t, place_of(ch, writer));
	lua_fast_pushboolean(lua_fiber_of(writer)->co, true);
	lua_fiber_hand(lua_fiber_of(writer), 1);
}

/* get(channel, timeout) -> true, value | false | status of its wait */
static int l_get(lua_State *L)
{
	struct channel *ch = check_channel(L);
	uint32_t slot, refill;
	struct fiber *peer;
	uint64_t timeout;

	if (channel_is_idle(ch) && lua_lean_isnoneornil(L, 2))
		return wait_for_value(L, ch, UINT64_MAX);
	timeout = timeout_of(L, 2);
	leave_old_wait(L);
	switch (channel_get(ch, &slot, &peer, &refill)) {
	case CHANNEL_WAIT:
		if (timeout == 0)
			break;
		return wait_for_value(L, ch, timeout);
	case CHANNEL_CLOSED:
		break;
	case CHANNEL_RING:
		lua_settop(L, 1);
		lua_getfenv(L, 1);
		lua_fast_pushboolean(L, true);
		take_value(L, 2, (int)slot + 1);
		if (peer != NULL) {
			take_from_writer(L, 2, ch, peer);
			lua_rawseti(L, 2, (int)refill + 1);
		}
		return 2;
	case CHANNEL_PEER:
		lua_settop(L, 1);
		lua_getfenv(L, 1);
		lua_fast_pushboolean(L, true);
		take_from_writer(L, 2, ch, peer);
		return 2;
	}
	lua_fast_pushboolean(L, false);
	return 1;
}

/* get_end(channel, status) -> nil; throws what keeps it from waiting */
static int l_get_end(lua_State *L)
{
	int status = luaL_checkint(L, 2);

	if (status != UV_ETIMEDOUT && status != UV_EPIPE)
		return lua_wait_throw(L, status);
	lua_pushnil(L);
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
	 * What was handed to a reader is on its way. */
	lua_getfenv(L, 1);
	for (uint32_t i = 0; i < count; i++) {
		lua_pushnil(L);
		lua_rawseti(L, -2, ring_key(ch, i));
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

	if (ch->closed)
		lua_pushliteral(L, "channel: closed");
	else
		lua_pushfstring(L, "channel: %d", (int)ch->count);
	return 1;
}

#if !NEAP_LUAJIT_SYSTEM

/*
 * The short ways, for compiled code: it calls them by ffi, inside its traces, where
 * the others end one and begin another. A value travels in the hand, a table of
 * which it is one element. They do what needs no wait and no memory, and what is
 * not so is left to the others. Nothing comes between a value's way into the hand
 * and out of it: fiber.lua is not left in the middle, and what a script hooks in there
 * finds the hand empty again.
 */

enum { HAND_PLACES = 2 }; /* from 1 */

/* Another element each time, or LuaJIT, which knows nothing of who empties them,
 * would leave out a store of the same value. */
static void turn_hand(struct lua_vm *vm)
{
	vm->hand.place = HAND_PLACES + 1 - vm->hand.place;
}

/* @a ch is what the hand's owner says, and may go on at once. */
static bool is_quick(const struct lua_vm *vm, const struct channel *ch)
{
	const GCudata *box = (const GCudata *)ch - 1;
	const struct fiber *self = vm->sched->current;

	return tabref(box->metatable) ==
		       vm->classes[LUA_CLASS_CHANNEL].metatable &&
	       self != NULL && self->state == FIBER_RUNNING && !ch->closed &&
	       !(G(vm->L)->hookmask & (HOOK_ACTIVE | HOOK_VMEVENT | HOOK_GC));
}

static GCtab *ring_of(struct channel *ch)
{
	return tabref(((GCudata *)ch - 1)->env);
}

static bool put_value(struct lua_vm *vm, struct channel *ch,
		      const TValue *value)
{
	struct fiber *reader = channel_reader(ch);
	GCtab *ring = ring_of(ch);
	uint32_t slot;
	lua_State *co;

	if (reader != NULL) {
		fiber_wakeup(reader, 0);
		co = lua_fiber_of(reader)->co;
		lua_fast_pushboolean(co, true);
		copyTV(co, co->top, value);
		co->top++;
		lua_fiber_hand(lua_fiber_of(reader), 2);
		return true;
	}
	if (ch->count == ch->size ||
	    (uint32_t)ring_key(ch, ch->count) >= ring->asize)
		return false;
	channel_put(ch, &slot, &reader);
	copyTV(vm->L, arrayslot(ring, slot + 1), value);
	lj_gc_anybarriert(vm->L, ring);
	return true;
}

/* Put what the hand holds, which is empty afterwards; 0: l_put() is to do it. */
static int quick_put(struct channel *ch, struct lua_vm *vm)
{
	TValue *value = arrayslot((GCtab *)vm->hand.table, vm->hand.place);
	bool done = !tvisnil(value) && is_quick(vm, ch) &&
		    put_value(vm, ch, value);

	setnilV(value);
	if (done)
		turn_hand(vm);
	return done;
}

/* The place in the hand where a value of the channel lies now; 0: l_get() is to
 * do it. */
static int quick_get(struct channel *ch, struct lua_vm *vm)
{
	int place = vm->hand.place;
	GCtab *hand = vm->hand.table;
	uint32_t slot, refill;
	struct fiber *writer;
	TValue *value;

	if (ch->count == 0 || !is_quick(vm, ch) || !list_empty(&ch->writers))
		return 0;
	channel_get(ch, &slot, &writer, &refill);
	value = arrayslot(ring_of(ch), slot + 1);
	copyTV(vm->L, arrayslot(hand, place), value);
	lj_gc_anybarriert(vm->L, hand);
	setnilV(value);
	turn_hand(vm);
	return place;
}

/* The module's quick: what fiber.lua is to call by ffi. */
static void open_quick(lua_State *L)
{
	struct lua_vm *vm = lua_vm_of(L);

	lua_newtable(L);
	lua_createtable(L, HAND_PLACES, 0);
	vm->hand.table = (void *)lua_topointer(L, -1);
	vm->hand.place = 1;
	lua_pushvalue(L, -1);
	luaL_ref(L, LUA_REGISTRYINDEX);
	lua_setfield(L, -2, "hand");
	lua_pushlightuserdata(L, vm);
	lua_setfield(L, -2, "vm");
	lua_pushlightuserdata(L, &vm->hand.place);
	lua_setfield(L, -2, "place");
	lua_pushlightuserdata(L, (void *)quick_put);
	lua_setfield(L, -2, "put");
	lua_pushlightuserdata(L, (void *)quick_get);
	lua_setfield(L, -2, "get");
	lua_setfield(L, -2, "quick");
}

#else

static void open_quick(lua_State *L)
{
	(void)L;
}

#endif

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
	open_quick(L);
}
