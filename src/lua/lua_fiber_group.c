/* The module `fiber`: the C half of groups and deadlines, see fiber_group.lua. */
#include <lauxlib.h>
#include <math.h>
#include <uv.h>

#include "base/diag.h"
#include "lua/lua_builtins.h"
#include "lua/lua_call.h"
#include "lua/lua_class.h"
#include "lua/lua_error.h"
#include "lua/lua_fiber.h"
#include "lua/lua_fiber_module.h"
#include "lua/lua_lean.h"
#include "lua_src/lua.h"
#include "runtime/cond.h"

/* Tell the function that lies in the object of @a f: ended(failed, err, text). */
static void tell(lua_State *L, void *arg)
{
	struct lua_fiber *f = arg;

	lua_fiber_push(L, f);
	lua_getfenv(L, -1);
	lua_rawgeti(L, -1, 1);
	lua_pushboolean(L, f->base.flags & FIBER_FAILED);
	if (f->base.flags & FIBER_FAILED) {
		lua_xmove(f->co, L, 1);
		lua_pushvalue(L, -1);
		lua_xmove(L, f->co, 1);
		lua_fiber_push_report(L, f);
		lua_call(L, 3, 0);
	} else {
		lua_call(L, 1, 0);
	}
}

static void tell_bare(lua_State *L, void *arg)
{
	struct lua_fiber *f = arg;

	lua_fiber_push(L, f);
	lua_getfenv(L, -1);
	lua_rawgeti(L, -1, 1);
	lua_pushboolean(L, f->base.flags & FIBER_FAILED);
	lua_pushliteral(L, "not enough memory");
	lua_pushvalue(L, -1);
	lua_call(L, 3, 0);
}

static void on_end(struct lua_fiber *f, bool ok, void *arg)
{
	(void)arg;
	f->base.over = FIBER_OVER_NONE; /* it was told */
	if (!ok && !lua_fiber_ended_by_cancel(f))
		f->base.flags |= FIBER_FAILED;
	if (lua_vm_protect(f->vm, tell, f) == 0)
		return;
	/* No memory for the report: the group must hear of the end all the
	 * same, or it would wait for ever. */
	error_unref(diag_take());
	if (lua_vm_protect(f->vm, tell_bare, f) != 0)
		error_unref(diag_take());
}

void lua_fiber_leave_group(struct lua_fiber *f)
{
	if (f->on_end != on_end)
		return;
	on_end(f, true, NULL);
	f->on_end = NULL;
}

/*
 * spawn(group, ended, f, ...) -> fiber_object: it starts in the next round, with the
 * deadline of its maker. It is one of group.members and counted in group.running, and
 * ended(failed, err, text) is called at its end. All of that or nothing, where memory is
 * short: of a fiber that nobody tells of its group would wait for ever.
 */
static int l_spawn(lua_State *L)
{
	const struct fiber *self = lua_lean_vm(L)->sched->current;
	int nargs = lua_gettop(L) - 3;
	struct fiber_handle *h = lua_fiber_make_handle(L, 3, "spawn");
	struct lua_fiber *f;

	lua_createtable(L, 1, 0);
	lua_pushvalue(L, 2);
	lua_rawseti(L, -2, 1);
	lua_setfenv(L, 3);
	lua_getfield(L, 1, "members");
	lua_pushvalue(L, 3);
	lua_pushboolean(L, 1);
	lua_rawset(L, -3);
	lua_pop(L, 1);
	f = lua_fiber_make_of(L, 3, h);
	/* Both texts are there, as is the element: nothing is made. */
	lua_getfield(L, 1, "running");
	lua_pushnumber(L, lua_tonumber(L, -1) + 1);
	lua_setfield(L, 1, "running");
	lua_pop(L, 1);
	f->on_end = on_end;
	if (self != NULL)
		f->base.deadline_ns = self->deadline_ns &
				      ~(uint64_t)FIBER_DEADLINE_TOLD;
	lua_fiber_start_later(f, nargs);
	return 1;
}

/* wait_firm(cond) -> status: whatever becomes of the fiber meanwhile. */
static int l_wait_firm(lua_State *L)
{
	struct cond *c = lua_class_check(L, 1, LUA_CLASS_COND);
	struct fiber *self = lua_wait_check(L);

	cond_wait_begin(c, self, UINT64_MAX);
	self->flags |= FIBER_UNCANCELLABLE;
	return lua_wait(L);
}

/* Whole microseconds, which a Lua number holds for 140 years, and half of one when it
 * was told. */
static double to_us(uint64_t ns)
{
	return (double)(ns / 1000) + (ns & FIBER_DEADLINE_TOLD ? 0.5 : 0);
}

static uint64_t whole_us(uint64_t ns)
{
	return (ns + 999) / 1000 * 1000;
}

/* deadline_begin(seconds) -> the deadline before, in microseconds; 0: none */
static int l_deadline_begin(lua_State *L)
{
	struct fiber *self = &lua_fiber_check_self(L)->base;
	double seconds = lua_tonumber(L, 1);
	uint64_t due = UINT64_MAX, before = self->deadline_ns;

	if (lua_type(L, 1) != LUA_TNUMBER || isnan(seconds))
		return lua_error_usage(L,
				       "fiber.deadline(seconds, function, "
				       "...): a number of seconds is wanted, "
				       "not %s",
				       lua_type(L, 1) == LUA_TNUMBER
					       ? "NaN"
					       : luaL_typename(L, 1));
	if (seconds < 1e9)
		due = uv_hrtime() +
		      (seconds <= 0 ? 0 : (uint64_t)(seconds * 1e9));
	/* Of those inside each other the earliest holds. */
	if (due != UINT64_MAX && (before == 0 || due < before))
		self->deadline_ns = whole_us(due);
	sched_changed(self->sched);
	lua_pushnumber(L, to_us(before));
	return 1;
}

/* deadline_end(microseconds): as deadline_begin() gave them. */
static int l_deadline_end(lua_State *L)
{
	struct fiber *self = &lua_fiber_check_self(L)->base;
	double us = lua_tonumber(L, 1);
	uint64_t before = (uint64_t)us * 1000;

	/* It was told, before that or, when it was the one that held, since. */
	if (us != floor(us) ||
	    self->deadline_ns == (before | FIBER_DEADLINE_TOLD))
		before |= FIBER_DEADLINE_TOLD;
	self->deadline_ns = before;
	return 0;
}

/* load_group(c, module): the Lua half. */
static int l_load(lua_State *L)
{
	lua_settop(L, 2);
	lua_vm_run_source(L, lua_src_fiber_group, "=neap/fiber_group.lua", 2);
	return 0;
}

void lua_fiber_open_group(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{ "spawn", l_spawn },
		{ "firm", lua_builtins_firm },
		{ "wait_firm", l_wait_firm },
		{ "deadline_begin", l_deadline_begin },
		{ "deadline_end", l_deadline_end },
		{ "note_trace", lua_builtins_note_trace },
		{ "usage", lua_error_usage_text },
		{ "load_group", l_load },
		{ NULL, NULL },
	};

	luaL_register(L, NULL, functions);
}
