/* The C half of the module `fiber`: making, finding and naming fibers. The rest
 * is in lua_fiber_wait.c, _info.c and _slice.c. */
#include "lua/lua_fiber_module.h"

#include <lauxlib.h>
#include <string.h>

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

struct lua_fiber *lua_fiber_check_self(lua_State *L)
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

struct lua_fiber *lua_fiber_check_alive(lua_State *L, int idx)
{
	struct lua_fiber *f = check_target(L, idx);

	if (f == NULL)
		lua_error_usage(L, "the fiber is dead");
	return f;
}

struct fiber_handle *lua_fiber_make_handle(lua_State *L, int idx,
					   const char *name)
{
	struct fiber_handle *h;

	if (lua_type(L, idx) != LUA_TFUNCTION)
		lua_error_usage(L,
				"fiber.%s(function, ...): a function is "
				"wanted, not %s",
				name, luaL_typename(L, idx));
	if (lua_lean_vm(L)->offloaded)
		lua_error_usage(L,
				"fiber.%s: an offloaded function cannot "
				"start fibers",
				name);
	/* What may throw comes first; the fiber comes last. */
	luaL_checkstack(L, 4, "too many arguments");
	h = lua_fiber_push_handle(L);
	lua_insert(L, idx);
	return h;
}

struct lua_fiber *lua_fiber_make_of(lua_State *L, int idx,
				    struct fiber_handle *h)
{
	int count = lua_gettop(L) - idx;
	struct lua_fiber *f = lua_fiber_check_get(L);

	if (count > LUA_MINSTACK && !lua_checkstack(f->co, count)) {
		lua_fiber_drop(f);
		diag_set_oom(count * sizeof(void *), "the arguments");
		lua_error_throw(L);
	}
	lua_xmove(L, f->co, count);
	lua_pushvalue(L, idx);
	lua_fiber_bind(L, f, h);
	lua_fiber_set_spawner(L, f);
	return f;
}

static struct lua_fiber *make(lua_State *L, const char *name)
{
	return lua_fiber_make_of(L, 1, lua_fiber_make_handle(L, 1, name));
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

	lua_fiber_start(make(L, "create"), nargs);
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

	lua_fiber_start_later(make(L, "new"), nargs);
	return 1;
}

/***
 * fiber.self() -> fiber_object
 * The running fiber. Its object is made when first asked for, always the same
 * one, and outlives the fiber. Yields: no.
 */
static int l_self(lua_State *L)
{
	lua_fiber_push(L, lua_fiber_check_self(L));
	return 1;
}

/***
 * fiber.find(id) -> fiber_object | nil
 * The living fiber with that @id, or nil, also for what is no number. Throws: nothing
 * was given. Looks at each fiber. Yields: no.
 */
static int l_find(lua_State *L)
{
	struct fiber *f;

	if (lua_gettop(L) == 0)
		return lua_error_usage(L, "fiber.find: the number of a fiber "
					  "is wanted");
	f = lua_isnumber(L, 1) ? find(L, 1) : NULL;
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
	if (lua_gettop(L) == 0)
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
	struct lua_fiber *f = lua_isnoneornil(L, 1)
				      ? lua_fiber_check_self(L)
				      : lua_fiber_check_alive(L, 1);

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
	/* A nil is what find() gave for one that has ended: not the running one. */
	struct lua_fiber *f = lua_gettop(L) == 0 ? lua_fiber_check_self(L)
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
		f = lua_fiber_check_alive(L, 1);
		arg = 2;
	} else {
		f = lua_fiber_check_self(L);
	}
	if (lua_gettop(L) < arg) {
		lua_pushstring(L, f->name);
		return 1;
	}
	name = luaL_checklstring(L, arg, &size);
	if (lua_istable(L, arg + 1)) {
		lua_getfield(L, arg + 1, "truncate");
		truncate = lua_toboolean(L, -1);
	}
	if (size > FIBER_NAME_MAX) {
		if (!truncate)
			lua_error_usage(L,
					"fiber name of %d bytes: at most "
					"%d fit; {truncate = true} cuts",
					(int)size, FIBER_NAME_MAX);
		size = FIBER_NAME_MAX;
	}
	if (lua_fiber_set_name(f, name, size) != 0)
		lua_error_throw(L);
	return 0;
}

void lua_fiber_push_storage(lua_State *L, struct lua_fiber *f)
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
		lua_fiber_push_storage(L, h->fiber);
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
		{ "limits", lua_limits_get },
		{ "set_limits", lua_limits_set },
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
	lua_fiber_open_wait(L);
	lua_fiber_open_info(L);
	lua_fiber_open_slice(L);
	lua_fiber_open_group(L);
	lua_fiber_open_offload(L);
	lua_cond_open(L);
	lua_setfield(L, -2, "cond");
	lua_channel_open(L);
	lua_setfield(L, -2, "channel");
	return 1;
}
