/* The module `fiber`: clocks, and what is known of the fibers. */
#include <lauxlib.h>
#include <string.h>

#include "base/clock.h"
#include "lua/lua_class.h"
#include "lua/lua_error.h"
#include "lua/lua_fiber.h"
#include "lua/lua_fiber_module.h"
#include "lua/lua_lean.h"
#include "runtime/fiber_top.h"

static double clock_us(clockid_t id)
{
	return (double)(clock_ns(id) / 1000);
}

static int l_time_us(lua_State *L)
{
	lua_pushnumber(L, clock_us(CLOCK_REALTIME));
	return 1;
}

static int l_clock_us(lua_State *L)
{
	lua_pushnumber(L, clock_us(CLOCK_MONOTONIC));
	return 1;
}

/***
 * fiber.preempted() -> number
 * How often fibers of this state were made to give way, because they computed
 * for longer than the slice. Yields: no.
 */
static int l_preempted(lua_State *L)
{
	lua_pushnumber(L, lua_lean_vm(L)->sched->preempted);
	return 1;
}

static void set_number(lua_State *L, const char *name, double v)
{
	lua_pushnumber(L, v);
	lua_setfield(L, -2, name);
}

/* The line of one level of a traceback, as the peer writes it. */
static void push_level(lua_State *L, lua_State *co, lua_Debug *ar)
{
	lua_getinfo(co, "nSl", ar);
	lua_createtable(L, 0, 1);
	lua_pushfstring(L, "%s in %s at line %d",
			ar->name == NULL ? "(unnamed)" : ar->name, ar->source,
			ar->currentline);
	lua_setfield(L, -2, *ar->what == 'C' ? "C" : "L");
}

enum { LEVELS_MAX = 64 }; /* a stack may be 200,000 deep */

static void push_backtrace(lua_State *L, const struct lua_fiber *f)
{
	lua_Debug ar;

	lua_newtable(L);
	if (f->co == NULL) {
		lua_createtable(L, 0, 1);
		lua_pushliteral(L, "made in C");
		lua_setfield(L, -2, "C");
		lua_rawseti(L, -2, 1);
		return;
	}
	for (int i = 0; i < LEVELS_MAX && lua_getstack(f->co, i, &ar); i++) {
		push_level(L, f->co, &ar);
		lua_rawseti(L, -2, i + 1);
	}
}

/* Bytes of the fiber itself and its stack. */
static size_t memory_of(const struct lua_fiber *f, size_t *ret_used)
{
	*ret_used = sizeof *f;
#if !NEAP_LUAJIT_SYSTEM
	if (f->co != NULL) {
		*ret_used +=
			sizeof *f->co + (size_t)((char *)f->co->top -
						 (char *)tvref(f->co->stack));
		return sizeof *f + sizeof *f->co +
		       f->co->stacksize * sizeof(TValue);
	}
#endif
	return *ret_used;
}

static void push_info(lua_State *L, const struct lua_fiber *f, bool backtrace)
{
	size_t used, total = memory_of(f, &used);
	double ns = f->base.sched->top.on ? (double)f->base.top.total
					  : (double)f->base.total_ns;

	lua_createtable(L, 0, 8);
	set_number(L, "fid", f->base.id);
	lua_pushstring(L, f->name);
	lua_setfield(L, -2, "name");
	set_number(L, "csw", f->base.switches);
	set_number(L, "preempted", f->base.preempted);
	set_number(L, "time", ns / 1e9);
	lua_pushstring(L, &f->base == f->base.sched->current ? "running"
							     : "suspended");
	lua_setfield(L, -2, "status");
	lua_createtable(L, 0, 2);
	set_number(L, "used", (double)used);
	set_number(L, "total", (double)total);
	lua_setfield(L, -2, "memory");
	if (backtrace) {
		push_backtrace(L, f);
		lua_setfield(L, -2, "backtrace");
	}
}

/* The option of that name in the table at index 1, if it is one. */
static bool option(lua_State *L, const char *name, const char *other)
{
	bool value = true;

	if (!lua_istable(L, 1))
		return true;
	lua_getfield(L, 1, name);
	if (lua_isnil(L, -1)) {
		lua_pop(L, 1);
		lua_getfield(L, 1, other);
	}
	if (!lua_isnil(L, -1))
		value = lua_toboolean(L, -1);
	lua_pop(L, 1);
	return value;
}

/***
 * fiber.info([options]) -> table
 * All living fibers by number: `{fid=, name=, csw=, preempted=, time=, status=,
 * memory = {used=, total=}, backtrace=}`. @csw is how often it was switched to,
 * @preempted how often it was made to give way, @time seconds of CPU time, about
 * (exact while `fiber.top_enable()` is on), @memory bytes of its stack, and
 * @backtrace a list of `{L = text}` or `{C = text}`, the innermost first, at most 64;
 * `{backtrace = false}`, or `bt`, for @options leaves it out. Yields: no.
 */
static int l_info(lua_State *L)
{
	struct sched *s = lua_lean_vm(L)->sched;
	bool backtrace = option(L, "backtrace", "bt");

	lua_settop(L, 0);
	lua_createtable(L, 0, (int)s->count);
	/* Making tables may run finalizers, but no finalizer of ours ends or
	 * makes fibers: the list is stable. */
	list_foreach(link, &s->all) {
		struct fiber *f = list_entry(link, struct fiber, all);

		lua_pushnumber(L, f->id);
		push_info(L, lua_fiber_of(f), backtrace);
		lua_rawset(L, -3);
	}
	return 1;
}

/***
 * fiber.top_enable()
 * Measure from now on, from zero, by a clock that is read at each switch: for
 * `fiber.top()`, which costs some. Yields: no.
 */
static int l_top_enable(lua_State *L)
{
	struct sched *s = lua_lean_vm(L)->sched;

	if (!s->top.on)
		fiber_top_start(s);
	return 0;
}

/***
 * fiber.top_disable()
 * End it. Yields: no.
 */
static int l_top_disable(lua_State *L)
{
	fiber_top_stop(lua_lean_vm(L)->sched);
	return 0;
}

/***
 * fiber.top() -> table
 * `{cpu = {['id/name'] = {instant=, average=, time=, slices=, preempted=}},
 * cpu_misses = 0}` for each living fiber: @instant is its share of the last round
 * of the loop in percent of what all fibers used, @average the same over the last
 * rounds, @time its seconds since `fiber.top_enable()`, @slices how often it was
 * switched to, @preempted how often it was made to give way. Yields: no. Throws:
 * it is not enabled.
 */
static int l_top(lua_State *L)
{
	struct sched *s = lua_lean_vm(L)->sched;

	if (!s->top.on)
		return lua_error_usage(L, "fiber.top() is disabled. Enable it "
					  "with fiber.top_enable() first");
	fiber_top_switch(s, s->current); /* until now */
	lua_settop(L, 0);
	lua_createtable(L, 0, 2);
	lua_createtable(L, 0, (int)s->count);
	list_foreach(link, &s->all) {
		struct lua_fiber *f =
			lua_fiber_of(list_entry(link, struct fiber, all));
		const struct fiber_top *t = &f->base.top;

		lua_pushfstring(L, "%f/%s", (lua_Number)f->base.id, f->name);
		lua_createtable(L, 0, 5);
		set_number(L, "instant", t->instant);
		set_number(L, "average", t->average < 0 ? 0 : t->average);
		set_number(L, "time", (double)t->total / 1e9);
		set_number(L, "slices", f->base.switches);
		set_number(L, "preempted", f->base.preempted);
		lua_rawset(L, -3);
	}
	lua_setfield(L, -2, "cpu");
	set_number(L, "cpu_misses", 0); /* this clock is of no processor */
	return 1;
}

void lua_fiber_open_info(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{ "time_us", l_time_us },
		{ "clock_us", l_clock_us },
		{ "info", l_info },
		{ "preempted", l_preempted },
		{ "top", l_top },
		{ "top_enable", l_top_enable },
		{ "top_disable", l_top_disable },
		{ NULL, NULL },
	};

	luaL_register(L, NULL, functions);
}
