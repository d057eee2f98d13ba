/* The C half of the module `fiber`: everything but channels and conditions. */
#include <lauxlib.h>
#include <string.h>
#include <uv.h>

#include "base/clock.h"
#include "base/diag.h"
#include "lua/lua_call.h"
#include "lua/lua_channel.h"
#include "lua/lua_class.h"
#include "lua/lua_cond.h"
#include "lua/lua_error.h"
#include "lua/lua_fiber.h"
#include "lua/lua_lean.h"
#include "lua/lua_limits.h"
#include "lua/lua_state.h"

static struct fiber *current(lua_State *L)
{
	return lua_lean_vm(L)->sched->current;
}

static struct lua_fiber *check_self(lua_State *L)
{
	struct fiber *self = current(L);

	if (self == NULL)
		lua_error_usage(L, "not inside a fiber");
	return lua_fiber_of(self);
}

/* The handle argument; throws for anything else. */
static struct fiber_handle *check_handle(lua_State *L, int idx)
{
	return lua_class_check(L, idx, LUA_CLASS_FIBER);
}

/* The fiber with the number at @a idx, or NULL. */
static struct fiber *find(lua_State *L, int idx)
{
	double id = lua_tonumber(L, idx);

	/* What is no whole number that fits must not become one by a cast. */
	if (!(id >= 0 && id < 9007199254740992.0))
		return NULL;
	return fiber_find(lua_vm_of(L)->sched, (uint64_t)id);
}

/* A fiber given by object or id. NULL: it has ended, or never was. */
static struct lua_fiber *check_target(lua_State *L, int idx)
{
	struct fiber *f;

	if (lua_type(L, idx) != LUA_TNUMBER)
		return check_handle(L, idx)->fiber;
	f = find(L, idx);
	return f == NULL ? NULL : lua_fiber_of(f);
}

static struct lua_fiber *check_alive(lua_State *L, int idx)
{
	struct lua_fiber *f = check_target(L, idx);

	if (f == NULL)
		lua_error_usage(L, "the fiber is dead");
	return f;
}

/* Stack: function and arguments. Leaves the object alone there; function and
 * arguments are on the new fiber's coroutine. */
static struct lua_fiber *make_fiber(lua_State *L, const char *name)
{
	int count = lua_gettop(L);
	struct fiber_handle *h;
	struct lua_fiber *f;

	if (lua_type(L, 1) != LUA_TFUNCTION)
		lua_error_usage(L,
				"fiber.%s(function, ...): a function is "
				"wanted, not %s",
				name, luaL_typename(L, 1));
	/* What may throw comes first; the fiber comes last. */
	luaL_checkstack(L, 4, "too many arguments");
	h = lua_fiber_push_handle(L);
	lua_insert(L, 1);
	f = lua_fiber_check_get(L);
	if (count > LUA_MINSTACK && !lua_checkstack(f->co, count)) {
		lua_fiber_drop(f);
		diag_set_oom(count * sizeof(void *), "the arguments");
		lua_error_throw(L);
	}
	lua_xmove(L, f->co, count);
	lua_pushvalue(L, 1);
	lua_fiber_bind(L, f, h);
	lua_fiber_set_spawner(L, f);
	return f;
}

/***
 * fiber.create(f, ...) -> fiber_object
 * Start a fiber that calls @f with the arguments behind it. It runs at once,
 * inside the caller, until it first waits or ends; fibers that start fibers
 * this way more than 32 deep start in the next round instead. What @f returns
 * is dropped unless the fiber is joinable. Yields: no.
 */
static int l_create(lua_State *L)
{
	int nargs = lua_gettop(L) - 1;

	lua_fiber_start(make_fiber(L, "create"), nargs);
	return 1;
}

/***
 * fiber.new(f, ...) -> fiber_object
 * As `fiber.create()`, but @f starts in the next round, when the caller has
 * begun to wait: there is time to name it or make it joinable. Yields: no.
 */
static int l_new(lua_State *L)
{
	int nargs = lua_gettop(L) - 1;

	lua_fiber_start_later(make_fiber(L, "new"), nargs);
	return 1;
}

/***
 * fiber.self() -> fiber_object
 * The running fiber. Its object is made when first asked for, always the same
 * one, and outlives the fiber. Yields: no.
 */
static int l_self(lua_State *L)
{
	lua_fiber_push(L, check_self(L));
	return 1;
}

/***
 * fiber.find(id) -> fiber_object | nil
 * The living fiber with that @id, or nil. Looks at each fiber. Yields: no.
 */
static int l_find(lua_State *L)
{
	struct fiber *f;

	if (lua_type(L, 1) != LUA_TNUMBER)
		return lua_error_usage(L, "fiber.find: the number of a fiber "
					  "is wanted");
	f = find(L, 1);
	if (f == NULL)
		lua_pushnil(L);
	else
		lua_fiber_push(L, lua_fiber_of(f));
	return 1;
}

/***
 * fiber.id([fiber_object]) -> number
 * fiber_object:id() -> number
 * The number of @fiber_object, also after its end, or of the running fiber.
 * Numbers begin at 101 and never come again. Yields: no.
 */
static int l_id(lua_State *L)
{
	if (lua_isnoneornil(L, 1))
		lua_pushnumber(L, current(L) == NULL ? 0 : current(L)->id);
	else
		lua_pushnumber(L, check_handle(L, 1)->id);
	return 1;
}

/***
 * fiber.csw([fiber_object]) -> number
 * fiber_object:csw() -> number
 * How often @fiber_object (default: the running one) was switched to.
 * Yields: no. Throws: it is dead.
 */
static int l_csw(lua_State *L)
{
	struct lua_fiber *f = lua_isnoneornil(L, 1) ? check_self(L)
						    : check_alive(L, 1);

	lua_pushnumber(L, f->base.switches);
	return 1;
}

static const char *status_name(const struct lua_fiber *f)
{
	if (f == NULL || f->base.state == FIBER_DEAD)
		return "dead";
	return f->base.state == FIBER_RUNNING ? "running" : "suspended";
}

/***
 * fiber.status([fiber_object]) -> string
 * fiber_object:status() -> string
 * What @fiber_object (default: the running one) does: 'running', 'suspended' or
 * 'dead'. Yields: no.
 */
static int l_status(lua_State *L)
{
	struct lua_fiber *f = lua_isnoneornil(L, 1) ? check_self(L)
						    : check_target(L, 1);

	/* One that waits in fiber.create() for another is not the one running. */
	if (f != NULL && f->base.state == FIBER_RUNNING &&
	    &f->base != current(L))
		lua_pushliteral(L, "suspended");
	else
		lua_pushstring(L, status_name(f));
	return 1;
}

/***
 * fiber.name([fiber_object,] [name, [options]]) -> string
 * fiber_object:name([name, [options]]) -> string
 * The name of @fiber_object (default: the running one), which the log and
 * `fiber.info()` show; or with @name sets it and returns nothing. More than 31
 * bytes are refused, or cut with `{truncate = true}` for @options. A fiber
 * starts as 'lua'. Yields: no. Throws: it is dead.
 */
static int l_name(lua_State *L)
{
	struct lua_fiber *f;
	bool truncate = false;
	const char *name;
	size_t size;
	int arg = 1;

	if (lua_type(L, 1) == LUA_TUSERDATA) {
		f = check_alive(L, 1);
		arg = 2;
	} else {
		f = check_self(L);
	}
	if (lua_isnoneornil(L, arg)) {
		lua_pushstring(L, f->name);
		return 1;
	}
	name = luaL_checklstring(L, arg, &size);
	if (lua_istable(L, arg + 1)) {
		lua_getfield(L, arg + 1, "truncate");
		truncate = lua_toboolean(L, -1);
	}
	if (size >= FIBER_NAME_SIZE) {
		if (!truncate)
			lua_error_usage(L,
					"fiber name of %d bytes: at most "
					"%d fit; {truncate = true} cuts",
					(int)size, FIBER_NAME_SIZE - 1);
		size = FIBER_NAME_SIZE - 1;
	}
	memcpy(f->name, name, size);
	f->name[size] = '\0';
	return 0;
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
		f = check_self(L);
	else
		f = check_alive(L, 1);
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
	fiber_interrupt(&check_alive(L, 1)->base, 0);
	return 0;
}

/* sleep(seconds) -> status */
static int l_sleep(lua_State *L)
{
	struct fiber *self = lua_wait_check(L);
	uint64_t timeout;

	if (lua_type(L, 1) != LUA_TNUMBER)
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
	fiber_yield_begin(lua_wait_check(L));
	return lua_wait(L);
}

static int l_set_joinable(lua_State *L)
{
	struct lua_fiber *f = check_alive(L, 1);

	luaL_checktype(L, 2, LUA_TBOOLEAN);
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
	struct fiber_handle *h = check_handle(L, 1);
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
	struct fiber_handle *h = check_handle(L, 1);
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

static void push_storage(lua_State *L, struct lua_fiber *f)
{
	if (f->storage_ref == LUA_NOREF) {
		lua_newtable(L);
		f->storage_ref = luaL_ref(L, LUA_REGISTRYINDEX);
	}
	lua_rawgeti(L, LUA_REGISTRYINDEX, f->storage_ref);
}

/* Upvalue 1: the table of methods. */
static int l_fiber_index(lua_State *L)
{
	struct fiber_handle *h = check_handle(L, 1);

	if (lua_type(L, 2) == LUA_TSTRING &&
	    strcmp(lua_tostring(L, 2), "storage") == 0) {
		if (h->fiber == NULL)
			lua_error_usage(L, "the fiber is dead");
		push_storage(L, h->fiber);
		return 1;
	}
	lua_pushvalue(L, 2);
	lua_rawget(L, lua_upvalueindex(1));
	return 1;
}

static int l_fiber_tostring(lua_State *L)
{
	lua_pushfstring(L, "fiber: %f", (lua_Number)check_handle(L, 1)->id);
	return 1;
}

static int l_fiber_serialize(lua_State *L)
{
	struct fiber_handle *h = check_handle(L, 1);

	lua_createtable(L, 0, 3);
	lua_pushnumber(L, h->id);
	lua_setfield(L, -2, "id");
	lua_pushstring(L, status_name(h->fiber));
	lua_setfield(L, -2, "status");
	if (h->fiber != NULL) {
		lua_pushstring(L, h->fiber->name);
		lua_setfield(L, -2, "name");
	}
	return 1;
}

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
	lua_pushnumber(L, lua_vm_of(L)->sched->preempted);
	return 1;
}

/***
 * fiber.info([options]) -> table
 * All living fibers by number: `{fid=, name=, csw=, preempted=, time=, status=}`
 * (@preempted: how often it was made to give way; @time: seconds of CPU time,
 * about), and with
 * `{backtrace = true}` for @options their traceback as `backtrace`. Yields: no.
 */
static int l_info(lua_State *L)
{
	struct sched *s = lua_vm_of(L)->sched;
	bool backtrace = false;

	if (lua_istable(L, 1)) {
		lua_getfield(L, 1, "backtrace");
		if (lua_isnil(L, -1))
			lua_getfield(L, 1, "bt");
		backtrace = lua_toboolean(L, -1);
	}
	lua_settop(L, 0);
	lua_createtable(L, 0, s->count);
	/* Making tables may run finalizers, but no finalizer of ours ends or
	 * makes fibers: the list is stable. */
	list_foreach(link, &s->all) {
		struct lua_fiber *f =
			lua_fiber_of(list_entry(link, struct fiber, all));

		lua_createtable(L, 0, 7);
		lua_pushnumber(L, f->base.id);
		lua_setfield(L, -2, "fid");
		lua_pushstring(L, f->name);
		lua_setfield(L, -2, "name");
		lua_pushnumber(L, f->base.switches);
		lua_setfield(L, -2, "csw");
		lua_pushnumber(L, f->base.preempted);
		lua_setfield(L, -2, "preempted");
		lua_pushnumber(L, (double)f->base.total_ns / 1e9);
		lua_setfield(L, -2, "time");
		lua_pushstring(L, &f->base == s->current ? "running"
							 : "suspended");
		lua_setfield(L, -2, "status");
		if (backtrace) {
			if (f->co == NULL)
				lua_pushliteral(L, "made in C");
			else
				luaL_traceback(L, f->co, NULL, 0);
			lua_setfield(L, -2, "backtrace");
		}
		lua_pushnumber(L, f->base.id);
		lua_insert(L, -2);
		lua_rawset(L, -3);
	}
	return 1;
}

static int l_set_fiber_methods(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	lua_class_metatable(L, LUA_CLASS_FIBER);
	lua_pushvalue(L, 1);
	lua_pushcclosure(L, l_fiber_index, 1);
	lua_setfield(L, -2, "__index");
	return 0;
}

int luaopen_neap_fiber(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{ "create", l_create },
		{ "new", l_new },
		{ "self", l_self },
		{ "find", l_find },
		{ "id", l_id },
		{ "csw", l_csw },
		{ "status", l_status },
		{ "name", l_name },
		{ "cancel", l_cancel },
		{ "testcancel", l_testcancel },
		{ "wakeup", l_wakeup },
		{ "sleep", l_sleep },
		{ "yield", l_yield },
		{ "set_joinable", l_set_joinable },
		{ "join_begin", l_join_begin },
		{ "join_end", l_join_end },
		{ "time_us", l_time_us },
		{ "clock_us", l_clock_us },
		{ "info", l_info },
		{ "preempted", l_preempted },
		{ "limits", lua_limits_get },
		{ "set_limits", lua_limits_set },
		{ "failed", lua_wait_failed },
		{ "set_methods", l_set_fiber_methods },
		{ NULL, NULL },
	};
	static const luaL_Reg meta[] = {
		{ "__tostring", l_fiber_tostring },
		{ "__serialize", l_fiber_serialize },
		{ NULL, NULL },
	};

	lua_class_new(L, LUA_CLASS_FIBER, "fiber", meta);
	lua_pop(L, 1);
	lua_newtable(L);
	luaL_register(L, NULL, functions);
	lua_cond_open(L);
	lua_setfield(L, -2, "cond");
	lua_channel_open(L);
	lua_setfield(L, -2, "channel");
	return 1;
}
