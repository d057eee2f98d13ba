/*
 * Waits of fibers for other workers: one userdata for each fiber's slot, which
 * holds the message that waits or was got. What a fiber leaves there, because it
 * died in between, goes when the slot is used again or the state is closed.
 */
#include <string.h>
#include <uv.h>

#include "base/diag.h"
#include "lua/lua_fiber.h"
#include "lua/lua_shared.h"
#include "runtime/loop.h"
#include "runtime/shared_channel.h"

static const char waits_key;

void lua_shared_wait_clear(struct shared_wait *w)
{
	struct shared_message *m = w->message;

	w->message = NULL;
	/* Only readers of channels have no on_leave, and a message. */
	if (m != NULL && w->object != NULL && w->on_leave == NULL)
		shared_channel_give_back((struct shared_channel *)w->object, m);
	else
		shared_message_unref(m);
	if (w->object != NULL)
		shared_wait_finish(w);
}

static int l_wait_gc(lua_State *L)
{
	lua_shared_wait_clear(lua_class_check(L, 1, LUA_CLASS_SHARED_WAIT));
	return 0;
}

static void push_waits(lua_State *L)
{
	lua_pushlightuserdata(L, (void *)&waits_key);
	lua_rawget(L, LUA_REGISTRYINDEX);
}

struct shared_wait *lua_shared_wait(lua_State *L)
{
	struct fiber *self = lua_vm_of(L)->sched->current;
	struct shared_wait *w;
	int slot;

	if (self == NULL)
		return NULL;
	slot = (int)lua_fiber_of(self)->slot;
	push_waits(L);
	lua_rawgeti(L, -1, slot);
	w = lua_touserdata(L, -1);
	if (w == NULL) {
		lua_pop(L, 1);
		w = lua_class_box(L, LUA_CLASS_SHARED_WAIT, sizeof *w);
		memset(w, 0, sizeof *w);
		lua_rawseti(L, -2, slot);
		lua_pop(L, 1);
		return w;
	}
	lua_pop(L, 2);
	/* An error may have kept the last one from being waited for. */
	lua_fiber_take_back(lua_fiber_of(self));
	lua_shared_wait_clear(w);
	return w;
}

struct shared_wait *lua_shared_wait_over(lua_State *L)
{
	struct fiber *self = lua_vm_of(L)->sched->current;
	struct shared_wait *w;

	push_waits(L);
	lua_rawgeti(L, -1, (int)lua_fiber_of(self)->slot);
	w = lua_touserdata(L, -1);
	lua_pop(L, 2);
	return w;
}

int lua_shared_wait_prepare(lua_State *L)
{
	struct loop *loop = lua_vm_of(L)->sched->loop;
	int rc = wake_port_open(&loop->wakes, loop);

	if (rc == 0)
		return 0;
	diag_set_system(rc, "waiting for other workers");
	return -1;
}

void lua_shared_wait_open(lua_State *L)
{
	static const luaL_Reg meta[] = {
		{ "__gc", l_wait_gc },
		{ NULL, NULL },
	};

	lua_class_new(L, LUA_CLASS_SHARED_WAIT, "wait", meta);
	lua_pop(L, 1);
	lua_pushlightuserdata(L, (void *)&waits_key);
	lua_newtable(L);
	lua_rawset(L, LUA_REGISTRYINDEX);
}
