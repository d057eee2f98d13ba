/* Execution limits. See lua_limits.h. */
#include "lua/lua_limits.h"

#include <lauxlib.h>
#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "base/diag.h"
#include "base/inject.h"
#include "lua/lua_account.h"
#include "lua/lua_class.h"
#include "lua/lua_error.h"
#include "lua/lua_fiber.h"
#include "lua/lua_state.h"

#define SECOND UINT64_C(1000000000)

/* With none for what the administrator starts, and for tasks, which may compute
 * for as long as they live: they give way all the same. */
static const struct fiber_limits defaults[LUA_LIMIT_COUNT] = {
	[LUA_LIMIT_MAIN] = { "main", 0, 0 },
	[LUA_LIMIT_ACTION] = { "action", SECOND, 4 * SECOND },
	[LUA_LIMIT_FETCH] = { "fetch", SECOND, 4 * SECOND },
	[LUA_LIMIT_CONVERTER] = { "converter", SECOND, 4 * SECOND },
	[LUA_LIMIT_FILTER] = { "filter", SECOND, 4 * SECOND },
	[LUA_LIMIT_COMMAND] = { "command", SECOND, 4 * SECOND },
	[LUA_LIMIT_SERVICE] = { "service", SECOND, 4 * SECOND },
	[LUA_LIMIT_TASK] = { "task", 0, 0 },
};

void lua_limits_create(struct fiber_limits *limits)
{
	memcpy(limits, defaults, sizeof defaults);
}

void lua_limits_set_group(struct lua_fiber *f, enum lua_limit_group group)
{
	lua_limits_leave(f);
	f->base.limits = &f->vm->limits[group];
}

/* Of one fiber and what it has started. */
struct own_limits {
	struct fiber_limits limits;
	struct lua_account account;
	unsigned refs;
};

struct lua_account *lua_limits_account(const struct lua_fiber *f)
{
	struct own_limits *own = f->own_limits;

	return own == NULL || own->account.vm == NULL ? NULL : &own->account;
}

static void take_own(struct lua_fiber *f, struct own_limits *own)
{
	own->refs++;
	lua_limits_leave(f);
	f->own_limits = own;
	f->base.limits = &own->limits;
}

void lua_limits_inherit(struct lua_fiber *f, const struct fiber *parent)
{
	struct own_limits *own =
		lua_fiber_of((struct fiber *)parent)->own_limits;

	if (own != NULL)
		take_own(f, own);
	else
		f->base.limits = parent->limits;
}

void lua_limits_leave(struct lua_fiber *f)
{
	struct own_limits *own = f->own_limits;

	/* A tick may come between, and looks at these. */
	f->base.limits = NULL;
	f->own_limits = NULL;
	atomic_signal_fence(memory_order_seq_cst);
	if (own == NULL || --own->refs != 0)
		return;
	lua_account_close(&own->account);
	mem_free(own);
}

/* The limits argument: the name of a group, or a fiber. */
static struct fiber_limits *check_group(lua_State *L, int idx)
{
	struct lua_vm *vm = lua_vm_of(L);
	const char *name = lua_tostring(L, idx);

	for (int i = 0; i < LUA_LIMIT_COUNT; i++) {
		if (strcmp(vm->limits[i].group, name) == 0)
			return &vm->limits[i];
	}
	lua_error_usage(L,
			"limits: no group '%s'; there are main, action, fetch, "
			"converter, filter, command, service, task",
			name);
	return NULL;
}

static struct lua_fiber *check_fiber(lua_State *L, int idx)
{
	struct fiber_handle *h = lua_class_check(L, idx, LUA_CLASS_FIBER);

	if (h->fiber == NULL)
		lua_error_usage(L, "the fiber is dead");
	return h->fiber;
}

/* Field @a name of the table at the top: seconds, 0 or nothing for no limit. */
static uint64_t check_seconds(lua_State *L, const char *name)
{
	double v = 0;

	lua_getfield(L, -1, name);
	if (!lua_isnil(L, -1)) {
		v = lua_tonumber(L, -1);
		if (lua_type(L, -1) != LUA_TNUMBER || !(v >= 0))
			lua_error_usage(L,
					"limits: %s: a number of seconds is "
					"wanted, not %s",
					name, luaL_typename(L, -1));
	}
	lua_pop(L, 1);
	return v >= 1e9 ? 0 : (uint64_t)(v * 1e9);
}

/* The same: bytes. */
static size_t check_memory(lua_State *L)
{
	double v = 0;

	lua_getfield(L, -1, "memory");
	if (!lua_isnil(L, -1)) {
		v = lua_tonumber(L, -1);
		if (lua_type(L, -1) != LUA_TNUMBER ||
		    !(v == 0 || v >= LUA_ACCOUNT_MIN))
			lua_error_usage(L,
					"limits: memory: a number of bytes is "
					"wanted, %d or more, or 0 for no limit",
					LUA_ACCOUNT_MIN);
	}
	lua_pop(L, 1);
	if (v != 0 && lua_vm_of(L)->sched->ticker == NULL)
		lua_error_usage(L, "limits: memory: no fiber can be ended for "
				   "it, as there are no time slices (--slice "
				   "0, or a build that has none)");
	/* More is none, whatever the machine has. */
	return v >= 1e15 ? 0 : (size_t)v;
}

/***
 * fiber.set_limits(what, limits)
 * Limit what a group of handlers, or one fiber and those it starts from then on,
 * may use: @what is `'main'`, `'action'`, `'fetch'`, `'converter'`,
 * `'filter'`, `'command'`, `'service'`, `'task'` or a fiber object, @limits is
 * `{burst = seconds, total = seconds, memory = bytes}`. `burst` counts since the fiber last waited,
 * `total` since it began; 0 or nothing is no limit. Being made to give way is not
 * a wait. A fiber over its limit ends with an error of type LimitExceeded that it
 * cannot catch. Handlers of requests are in the group `service`: 1 s and 4 s; the
 * main script and tasks have no limits.
 *
 * `memory`, of a fiber only and 65536 at least, is shared by the fiber and those
 * that it starts from then on: bytes of Lua that they have allocated since, that
 * are still in use, whoever uses them. Garbage does not count. Whoever of them
 * allocates when they have more ends with an error of type OutOfMemory that it
 * cannot catch; the next one only when that has not helped. It is told from
 * samples and found when a collection is complete: about a tenth more or less,
 * and late by a quarter of the limit, or an eighth of what the state has, where
 * that is more. One object larger than the limit is refused at once, by an error
 * that can be caught; what a wait brings (a read, an offloaded function) is not, but
 * counts. Limits are for what runs away, not for what means harm: any script can set
 * them, its own too. Yields: no. Throws: out of memory.
 */
int lua_limits_set(lua_State *L)
{
	struct fiber_limits limits;
	struct own_limits *own;
	struct lua_fiber *f;
	size_t memory;

	luaL_checktype(L, 2, LUA_TTABLE);
	lua_settop(L, 2);
	sched_changed(lua_vm_of(L)->sched);
	limits.burst_ns = check_seconds(L, "burst");
	limits.total_ns = check_seconds(L, "total");
	memory = check_memory(L);
	if (lua_type(L, 1) == LUA_TSTRING) {
		struct fiber_limits *group = check_group(L, 1);

		if (memory != 0)
			lua_error_usage(L, "limits: memory: only of a fiber, "
					   "not of a group");
		group->burst_ns = limits.burst_ns;
		group->total_ns = limits.total_ns;
		return 0;
	}
	f = check_fiber(L, 1);
	own = mem_zalloc(sizeof *own);
	if (own == NULL) {
		diag_set_oom(sizeof *own, "the limits of a fiber");
		return lua_error_throw(L);
	}
	limits.group = "fiber";
	if (memory != 0 &&
	    lua_account_open(&own->account, f->vm, memory) != 0) {
		mem_free(own);
		return lua_error_throw(L);
	}
	own->limits = limits;
	take_own(f, own);
	return 0;
}

static void push_seconds(lua_State *L, const char *name, uint64_t ns)
{
	lua_pushnumber(L, (double)ns / 1e9);
	lua_setfield(L, -2, name);
}

/***
 * fiber.limits(what) -> table
 * The limits in force for @what, a group or a fiber object, as `fiber.set_limits()`
 * takes them: `{burst = seconds, total = seconds}`, 0 for none; of a fiber also
 * `memory`, what it has used, `used_burst`, `used_total` and `used_memory` (by it
 * and those that share the limit, with garbage not yet collected, about; 0 without
 * a limit), and its `group`. Yields: no.
 */
int lua_limits_get(lua_State *L)
{
	const struct fiber_limits *limits, none = { "none", 0, 0 };
	const struct lua_account *a;
	const struct lua_fiber *f = NULL;

	if (lua_type(L, 1) == LUA_TSTRING) {
		limits = check_group(L, 1);
	} else {
		f = check_fiber(L, 1);
		sched_changed(f->base.sched); /* charges it */
		limits = f->base.limits == NULL ? &none : f->base.limits;
	}
	lua_createtable(L, 0, 7);
	push_seconds(L, "burst", limits->burst_ns);
	push_seconds(L, "total", limits->total_ns);
	if (f == NULL)
		return 1;
	push_seconds(L, "used_burst", f->base.burst_ns);
	push_seconds(L, "used_total", f->base.total_ns);
	a = lua_limits_account(f);
	lua_pushnumber(L, a == NULL ? 0 : (double)a->limit);
	lua_setfield(L, -2, "memory");
	lua_pushnumber(L, a == NULL ? 0 : (double)a->used);
	lua_setfield(L, -2, "used_memory");
	lua_pushstring(L, limits->group);
	lua_setfield(L, -2, "group");
	return 1;
}
