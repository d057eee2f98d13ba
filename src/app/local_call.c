/* Calling a function in a fiber of its own. See local_call.h. */
#include "app/local_call.h"

#include <lauxlib.h>
#include <string.h>

#include "app/state_call.h"
#include "app/worker.h"
#include "base/diag.h"
#include "lua/lua_call.h"
#include "lua/lua_error.h"
#include "lua/lua_fiber.h"

/* Of what ends at once it lies on the stack, and needs no memory; of what waits it is
 * a userdata in the registry until the end, and its environment keeps the outcome when
 * nobody waits for it yet. */
struct local_call {
	struct lua_fiber *fiber;  /* NULL: it has ended */
	struct lua_fiber *waiter; /* NULL: not yet, or not any more */
	lua_State *L; /* the caller's, as long as it is on the stack */
	struct lua_fiber *caller; /* the same */
	int ref;
	unsigned depth; /* of calls inside each other */
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

/* It ends at once: the outcome goes to the caller. */
static void on_end_now(struct lua_fiber *f, bool ok, void *arg)
{
	struct local_call *c = arg;

	c->fiber = NULL;
	push_outcome(f, ok);
	lua_xmove(f->co, c->L, RESULTS);
}

static void keep_outcome(lua_State *L, struct lua_fiber *f, int ref)
{
	lua_rawgeti(L, LUA_REGISTRYINDEX, ref);
	lua_getfenv(L, -1);
	lua_xmove(f->co, L, RESULTS);
	for (int i = RESULTS; i > 0; i--)
		lua_rawseti(L, -1 - i, i);
	lua_pop(L, 2);
}

static void on_end(struct lua_fiber *f, bool ok, void *arg)
{
	struct local_call *c = arg;

	c->fiber = NULL;
	push_outcome(f, ok);
	if (c->waiter != NULL && fiber_wakeup(&c->waiter->base, 0)) {
		lua_xmove(f->co, c->waiter->co, RESULTS);
		lua_fiber_hand(c->waiter, RESULTS);
	} else {
		keep_outcome(f->vm->L, f, c->ref);
	}
	luaL_unref(f->vm->L, LUA_REGISTRYINDEX, c->ref);
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
	if (c->waiter != NULL)
		fiber_wakeup(&c->waiter->base, UV_ECANCELED);
	c->waiter = NULL;
	luaL_unref(f->vm->L, LUA_REGISTRYINDEX, c->ref);
}

unsigned local_call_depth(const struct worker *w)
{
	struct fiber *self = w->sched.current;
	const struct lua_fiber *f = self == NULL ? NULL : lua_fiber_of(self);
	const struct local_call *c;

	if (f == NULL || (f->on_end != on_end && f->on_end != on_end_now))
		return 0;
	c = f->on_end_arg;
	return c->depth;
}

/* It waits: the call outlives this. Throws: out of memory; then it is left to itself. */
static int push_call(lua_State *L, struct lua_fiber *f, unsigned depth)
{
	struct local_call *c;

	f->on_end = NULL; /* a throw leaves it to itself */
	lua_pushnil(L);
	c = lua_newuserdata(L, sizeof *c);
	*c = (struct local_call){ .fiber = f, .depth = depth };
	lua_createtable(L, RESULTS, 0);
	lua_setfenv(L, -2);
	lua_pushvalue(L, -1);
	c->ref = luaL_ref(L, LUA_REGISTRYINDEX);
	f->on_end = on_end;
	f->on_end_arg = c;
	return 2;
}

int l_local_call(lua_State *L)
{
	const struct handler *h = lua_touserdata(L, 1);
	struct local_call call = { .L = L };
	struct lua_fiber *f;
	int nargs = lua_gettop(L) - 1;

	call.caller = lua_fiber_of(lua_wait_check(L));
	luaL_checktype(L, 1, LUA_TLIGHTUSERDATA);
	luaL_checktype(L, 2, LUA_TFUNCTION);
	luaL_checkstack(L, RESULTS + 2, "the results of a call");
	call.depth = state_call_depth(worker_of(L), h);
	if (call.depth == 0)
		return lua_error_throw(L);
	f = lua_fiber_check_get(L);
	if (!lua_checkstack(f->co, nargs + RESULTS)) {
		lua_fiber_drop(f);
		return luaL_error(L, "%d arguments are too many", nargs - 1);
	}
	lua_fiber_name(f, handler_name(h));
	lua_limits_set_group(f, handler_limit_groups[handler_kind(h)]);
	lua_xmove(L, f->co, nargs);
	f->on_end = on_end_now;
	f->on_end_arg = &call;
	call.fiber = f;
	lua_fiber_start(f, nargs - 1);
	return call.fiber == NULL ? RESULTS : push_call(L, f, call.depth);
}

int l_local_wait(lua_State *L)
{
	struct local_call *c = lua_touserdata(L, 1);
	struct fiber *self = lua_wait_check(L);

	if (c->fiber == NULL) {
		lua_getfenv(L, 1);
		lua_rawgeti(L, -1, 1);
		lua_rawgeti(L, -2, 2);
		return RESULTS;
	}
	c->waiter = lua_fiber_of(self);
	fiber_park(self, give_up, c, UINT64_MAX);
	return lua_wait(L);
}

int l_local_caller_storage(lua_State *L)
{
	struct lua_fiber *f = lua_fiber_of(lua_wait_check(L));
	const struct local_call *c = f->on_end_arg;
	struct lua_fiber *caller = NULL;

	if (f->on_end == on_end_now)
		caller = c->caller;
	else if (f->on_end == on_end)
		caller = c->waiter;
	lua_fiber_push_storage(L, caller != NULL ? caller : f);
	return 1;
}

int l_local_call_set_leave(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	worker_of(L)->leave = lua_topointer(L, 1);
	return 0;
}
