/* The module `fiber`: what waits, and what ends a wait. */
#include <lauxlib.h>
#include <uv.h>

#include "base/diag.h"
#include "lua/lua_call.h"
#include "lua/lua_class.h"
#include "lua/lua_error.h"
#include "lua/lua_fiber.h"
#include "lua/lua_fiber_module.h"
#include "lua/lua_lean.h"

static struct fiber *current(lua_State *L)
{
	return lua_lean_vm(L)->sched->current;
}

/***
 * fiber.cancel([fiber_object])
 * fiber.kill([fiber_object])
 * fiber_object:cancel()
 * fiber_object:kill()
 * Ask @fiber_object (default: the running one) to end: what it waits in throws
 * an error of type FiberIsCancelled, now, or else when it next waits. The error
 * can be caught, so that the fiber can clean up, but each further wait throws
 * again. Yields: no. Throws: it is dead; at once, when a fiber cancels itself.
 */
static int l_cancel(lua_State *L)
{
	struct lua_fiber *f;

	if (lua_gettop(L) == 0)
		f = lua_fiber_check_self(L);
	else
		f = lua_fiber_check_alive(L, 1);
	fiber_cancel(&f->base);
	/* A fiber that cancels itself is told at once. */
	if (&f->base == current(L))
		return lua_wait_throw(L, UV_ECANCELED);
	return 0;
}

/***
 * fiber.testcancel()
 * Throw if the running fiber is cancelled: for long computations. Yields: no.
 * Throws: cancelled.
 */
static int l_testcancel(lua_State *L)
{
	struct fiber *self = current(L);

	if (self != NULL && (self->flags & FIBER_CANCELLED))
		return lua_wait_throw(L, UV_ECANCELED);
	return 0;
}

/***
 * fiber.wakeup(fiber_object)
 * fiber_object:wakeup()
 * End the `sleep()` or `cond:wait()` of @fiber_object early. A fiber that waits
 * in something else is left alone, as that has to come first. Yields: no.
 * Throws: it is dead.
 */
static int l_wakeup(lua_State *L)
{
	fiber_interrupt(&lua_fiber_check_alive(L, 1)->base, 0);
	return 0;
}

/* sleep(seconds) -> status */
static int l_sleep(lua_State *L)
{
	struct fiber *self = lua_wait_check(L);
	uint64_t timeout;

	if (!lua_isnumber(L, 1))
		lua_error_usage(L,
				"fiber.sleep(seconds): a number is wanted, "
				"not %s",
				luaL_typename(L, 1));
	timeout = lua_wait_timeout(L, 1);
	if (timeout == 0) {
		fiber_yield_begin(self);
		return lua_wait(L);
	}
	fiber_park(self, NULL, NULL, timeout);
	self->flags |= FIBER_WAKEABLE;
	return lua_wait(L);
}

/* yield() -> status */
static int l_yield(lua_State *L)
{
	struct fiber *self = lua_lean_wait_check(L);

	fiber_yield_begin(self);
	return lua_lean_wait(L, self);
}

static int l_set_joinable(lua_State *L)
{
	struct lua_fiber *f = lua_fiber_check_alive(L, 1);

	if (lua_type(L, 2) != LUA_TBOOLEAN)
		return lua_error_usage(L,
				       "fiber.set_joinable(fiber, joinable): "
				       "a boolean is wanted, not %s",
				       luaL_typename(L, 2));
	if (!lua_toboolean(L, 2)) {
		f->base.flags &= ~FIBER_JOINABLE;
		return 0;
	}
	lua_fiber_push(L, f); /* the results go into its object */
	f->base.flags |= FIBER_JOINABLE;
	return 0;
}

/* join_begin(fiber, timeout) -> status: 0 when it has ended */
static int l_join_begin(lua_State *L)
{
	struct fiber_handle *h = lua_class_check(L, 1, LUA_CLASS_FIBER);
	uint64_t timeout = lua_wait_timeout(L, 2);
	struct fiber *self;

	if (h->joined)
		lua_error_usage(L, "the fiber is joined already");
	if (h->fiber == NULL) {
		if (!h->joinable)
			lua_error_usage(L, "the fiber is dead");
		lua_pushinteger(L, 0);
		return 1;
	}
	if (!(h->fiber->base.flags & FIBER_JOINABLE))
		lua_error_usage(L, "the fiber is not joinable");
	self = lua_wait_check(L);
	if (&h->fiber->base == self)
		lua_error_usage(L, "a fiber cannot join itself");
	fiber_join_begin(self, &h->fiber->base, timeout);
	return lua_wait(L);
}

/* join_end(fiber) -> ok, results... */
static int l_join_end(lua_State *L)
{
	struct fiber_handle *h = lua_class_check(L, 1, LUA_CLASS_FIBER);
	int count = h->results;

	if (h->joined)
		lua_error_usage(L, "the fiber is joined already");
	if (!h->joinable) /* set_joinable(false) came while it was awaited */
		lua_error_usage(L, "the fiber is not joinable");
	luaL_checkstack(L, count + 2, "too many results");
	lua_getfenv(L, 1);
	lua_pushboolean(L, !h->failed);
	for (int i = 1; i <= count; i++)
		lua_rawgeti(L, 2, i);
	if (h->failed && count == 0) {
		diag_set(OutOfMemory, "not enough memory for the results");
		lua_error_push_diag(L);
		count = 1;
	}
	h->joined = true;
	h->results = 0;
	lua_pushvalue(L, LUA_GLOBALSINDEX); /* lets go of the results */
	lua_setfenv(L, 1);
	return count + 1;
}

void lua_fiber_open_wait(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{ "cancel", l_cancel },
		{ "testcancel", l_testcancel },
		{ "wakeup", l_wakeup },
		{ "sleep", l_sleep },
		{ "yield", l_yield },
		{ "set_joinable", l_set_joinable },
		{ "join_begin", l_join_begin },
		{ "join_end", l_join_end },
		{ "failed", lua_wait_failed },
		{ NULL, NULL },
	};

	luaL_register(L, NULL, functions);
}
