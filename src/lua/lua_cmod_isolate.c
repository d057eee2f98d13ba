/*
 * Calling a C function in a helper process (the module `cmod`).
 *
 *	__call: pack -> park, the call being the fiber's guest -> the pool
 *	a helper: isolate_child.c
 *	its answer, or its end: wake the fiber -> guest_resume: unpack
 *
 *	lua_cmod_pool.c    the helpers of a function, the calls that wait
 *	lua_cmod_helper.c  one helper; lua_cmod_helper_talk.c  what is said
 *	lua_cmod_spawn.c   its process
 */
#include <assert.h>
#include <uv.h>

#include "base/diag.h"
#include "lua/lua_call.h"
#include "lua/lua_cmod.h"
#include "lua/lua_cmod_pool.h"
#include "lua/lua_cmod_quick.h"
#include "lua/lua_error.h"
#include "lua/lua_fiber.h"
#include "lua/lua_serialize.h"
#include "runtime/fiber.h"

static int guest_resume(struct lua_fiber *f, lua_State *to, int status)
{
	struct lua_cmod_isolated *ic = f->guest_arg;
	bool failed = true;
	int n;

	f->guest = NULL;
	if (status == 0) {
		n = lua_cmod_move_outcome(f->vm, to, &ic->call, &failed);
	} else {
		lua_wait_set_diag(f->vm->L, status);
		n = lua_cmod_move_failure(f->vm, to);
	}
	if (failed)
		cmod_func_count_error(lua_cmod_pool_func(ic->pool));
	lua_cmod_isolated_delete(ic);
	return n;
}

/* The fiber is given up: undo has run if it was needed. */
static void guest_abandon(struct lua_fiber *f)
{
	struct lua_cmod_isolated *ic = f->guest_arg;

	f->guest = NULL;
	lua_cmod_isolated_delete(ic);
}

/* Begin the wait. Returns 0, or -1 with diag set. */
static int begin(lua_State *L, struct lua_cmod_isolated *ic)
{
	static const struct lua_guest guest = { guest_resume, guest_abandon };
	struct fiber *self = lua_wait_ready(L);
	struct lua_fiber *f;

	if (self == NULL || lua_cmod_pool_check(ic->pool) != 0)
		return -1;
	f = lua_fiber_of(self);
	assert(f->guest == NULL);
	f->guest = &guest;
	f->guest_arg = ic;
	fiber_park(self, lua_cmod_isolated_undo, ic, UINT64_MAX);
	/* One that was cancelled before waits for nothing, but it does wait:
	 * the others shall have their turn. */
	if (!(self->flags & FIBER_CANCELLED))
		lua_cmod_isolated_begin(ic, self);
	return 0;
}

int lua_cmod_call_isolated(lua_State *L)
{
	struct cmod_func_box *box = lua_cmod_check_callee(L);
	struct lua_cmod_isolated *ic;
	struct buf *in;

	/* The debug library puts this metamethod on any handle. */
	if (box->pool == NULL)
		return lua_error_usage(L, "function '%s' is not isolated",
				       box->name);
	ic = lua_cmod_isolated_new(box->pool);
	if (ic == NULL)
		return lua_cmod_push_failure(L);
	in = &ic->call.in;
	if (lua_cmod_pack(L, in) != 0) {
		lua_cmod_isolated_delete(ic);
		return lua_cmod_push_failure(L);
	}
	/* A __serialize function among the arguments may have unloaded it. */
	if (box->use.func == NULL) {
		lua_cmod_isolated_delete(ic);
		return lua_error_usage(L, "function '%s' is unloaded",
				       box->name);
	}
	lua_cmod_count(&box->use.calls);
	if (begin(L, ic) != 0) {
		lua_cmod_count(&box->use.errors);
		lua_cmod_isolated_delete(ic);
		return lua_cmod_push_failure(L);
	}
	return lua_wait(L);
}
