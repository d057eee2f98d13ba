/* Calling a function in a fiber of its own. See local_call.h. */
#include "app/local_call.h"

#include <lauxlib.h>
#include <string.h>

#include "app/state_call.h"
#include "app/worker.h"
#include "base/diag.h"
#include "base/inject.h"
#include "lua/lua_call.h"
#include "lua/lua_error.h"
#include "lua/lua_fiber.h"

/* On the heap only while it is waited for: what ends at once needs no memory. */
struct local_call {
	struct lua_fiber *fiber;  /* NULL: it has ended */
	struct lua_fiber *waiter; /* NULL: not yet, or not any more */
	lua_State *L;             /* of the caller, until it waits */
};

enum { RESULTS = 2 };

static void push_text(lua_State *L, void *arg)
{
	struct lua_fiber *f = arg;
	const char *text, *own;

	lua_push_traceback(L, f->co);
	text = lua_tostring(L, -1);
	/* Ends where the function was called. */
	own = strstr(text, "\n\t[C]: in function 'local_call'");
	if (own != NULL)
		lua_pushlstring(L, text, own - text);
	lua_xmove(L, f->co, 1);
}

/* What the function has left by act.leave(): its value is pushed. */
static bool push_left(struct lua_fiber *f)
{
	const struct worker *w = worker_of(f->co);
	lua_State *co = f->co;

	if (lua_type(co, -1) != LUA_TTABLE || !lua_getmetatable(co, -1))
		return false;
	if (lua_topointer(co, -1) != w->leave) {
		lua_pop(co, 1);
		return false;
	}
	lua_pop(co, 1);
	lua_rawgeti(co, -1, 1);
	return true;
}

/* Two values, on top of the coroutine of the fiber that has ended. */
static void push_outcome(struct lua_fiber *f, bool ok)
{
	if (ok) {
		lua_settop(f->co, 1); /* it has room for some more */
		lua_pushboolean(f->co, true);
		lua_insert(f->co, 1);
		return;
	}
	lua_checkstack(f->co, RESULTS + 1);
	if (push_left(f)) {
		lua_pushboolean(f->co, true);
		lua_insert(f->co, -RESULTS);
		return;
	}
	if (lua_vm_protect(f->vm, push_text, f) != 0) {
		error_unref(diag_take());
		lua_pushnil(f->co);
	}
	lua_pushboolean(f->co, false);
	lua_insert(f->co, -RESULTS);
}

static void on_end(struct lua_fiber *f, bool ok, void *arg)
{
	struct local_call *c = arg;

	c->fiber = NULL;
	if (c->L != NULL) {
		push_outcome(f, ok);
		lua_xmove(f->co, c->L, RESULTS);
		return;
	}
	if (c->waiter != NULL && fiber_wakeup(&c->waiter->base, 0)) {
		push_outcome(f, ok);
		lua_xmove(f->co, c->waiter->co, RESULTS);
		lua_fiber_hand(c->waiter, RESULTS);
	}
	mem_free(c);
}

static void give_up(struct fiber *f, void *arg)
{
	struct local_call *c = arg;

	(void)f;
	c->waiter = NULL;
	fiber_cancel(&c->fiber->base);
}

void local_call_abandon(struct lua_fiber *f)
{
	struct local_call *c = f->on_end_arg;

	if (f->on_end != on_end)
		return;
	f->on_end = NULL;
	c->fiber = NULL;
	/* Who waits is abandoned, too, and need not cancel it. */
	if (c->waiter != NULL)
		fiber_wakeup(&c->waiter->base, UV_ECANCELED);
	mem_free(c);
}

int l_local_call(lua_State *L)
{
	const struct handler *h = lua_touserdata(L, 1);
	struct fiber *self = lua_wait_check(L);
	struct local_call call = { NULL, NULL, L }, *kept;
	struct lua_fiber *f;
	int nargs = lua_gettop(L) - 1;

	luaL_checktype(L, 1, LUA_TLIGHTUSERDATA);
	luaL_checktype(L, 2, LUA_TFUNCTION);
	luaL_checkstack(L, RESULTS, "the results of a call");
	f = lua_fiber_check_get(L);
	if (!lua_checkstack(f->co, nargs + RESULTS)) {
		lua_fiber_drop(f);
		return luaL_error(L, "%d arguments are too many", nargs - 1);
	}
	lua_fiber_name(f, handler_name(h));
	lua_limits_set_group(f, handler_limit_groups[handler_kind(h)]);
	lua_xmove(L, f->co, nargs);
	f->on_end = on_end;
	f->on_end_arg = &call;
	call.fiber = f;
	lua_fiber_start(f, nargs - 1);
	if (call.fiber == NULL)
		return RESULTS;
	kept = mem_alloc(sizeof *kept);
	if (kept == NULL) {
		f->on_end = NULL;
		fiber_cancel(&f->base);
		diag_set_oom(sizeof *kept, "a call");
		return lua_error_throw(L);
	}
	*kept = (struct local_call){ f, lua_fiber_of(self), NULL };
	f->on_end_arg = kept;
	fiber_park(self, give_up, kept, UINT64_MAX);
	return lua_wait(L);
}

int l_local_call_set_leave(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	worker_of(L)->leave = lua_topointer(L, 1);
	return 0;
}
