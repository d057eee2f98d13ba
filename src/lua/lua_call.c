/* The one door into Lua. See lua_call.h. */
#include "lua/lua_call.h"

#include <lauxlib.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

#include "base/diag.h"
#include "lua/lua_error.h"
#include "lua/lua_fiber.h"
#include "lua/lua_lean.h"
#include "lua/lua_preempt.h"
#include "lua/lua_state.h"
#include "runtime/fiber.h"

static const char park_mark;

void lua_push_park_mark(lua_State *L)
{
	lua_pushlightuserdata(L, (void *)&park_mark);
}

void lua_call_open(lua_State *L)
{
	lua_push_park_mark(L);
	lua_vm_of(L)->park_bits = lua_lean_bits(L);
	lua_pop(L, 1);
}

bool lua_has_park_mark(lua_State *L)
{
	return lua_gettop(L) > 0 && lua_touserdata(L, -1) == &park_mark;
}

/* The name under which the function at the top, which is popped, lies in a
 * loaded module, or NULL. For calls that give it none, as pcall(f) does. */
static const char *library_name(lua_State *L)
{
	const char *name = NULL;

	lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
	for (lua_pushnil(L); name == NULL && lua_next(L, -2) != 0;) {
		if (!lua_istable(L, -1)) {
			lua_pop(L, 1);
			continue;
		}
		for (lua_pushnil(L); name == NULL && lua_next(L, -2) != 0;) {
			if (lua_rawequal(L, -1, -6) &&
			    lua_type(L, -2) == LUA_TSTRING)
				name = lua_tostring(L, -2);
			lua_pop(L, 1);
		}
		lua_pop(L, 1 + (name != NULL));
	}
	lua_pop(L, 2 + (name != NULL));
	return name;
}

/* The C function that keeps the running coroutine from yielding: the nearest
 * one below that calls back into Lua. */
static const char *blocking_function(lua_State *L)
{
	const char *name;
	lua_Debug ar;

	for (int level = 1; lua_getstack(L, level, &ar); level++) {
		if (!lua_getinfo(L, "Sn", &ar) || *ar.what != 'C')
			continue;
		name = ar.name;
		if (name == NULL && lua_checkstack(L, 8)) {
			lua_getinfo(L, "f", &ar);
			name = library_name(L);
		}
		if (name != NULL && strcmp(name, "pcall") != 0 &&
		    strcmp(name, "xpcall") != 0)
			return name;
	}
	return "a C function";
}

static bool can_wait(lua_State *L)
{
	const struct lua_vm *vm = lua_lean_vm(L);

	return vm->sched->current != NULL && !vm->offloaded &&
	       lua_lean_isyieldable(L);
}

static const char offloaded_text[] =
	"cannot wait here: an offloaded function has no event loop";

/* Why L cannot wait, as text in @a why; false when it can. */
static bool is_blocked(lua_State *L, char *why, size_t size)
{
	if (lua_vm_of(L)->sched->current == NULL)
		snprintf(why, size, "cannot wait here: not inside a fiber");
	else if (lua_vm_of(L)->offloaded)
		snprintf(why, size, "%s", offloaded_text);
	else if (!lua_isyieldable(L))
		snprintf(why, size,
			 "cannot wait here: inside a callback of "
			 "'%s', which cannot be put aside",
			 blocking_function(L));
	else
		return false;
	return true;
}

/* The running fiber, about to begin a wait. */
static struct fiber *waiter(lua_State *L)
{
	struct fiber *self = lua_lean_vm(L)->sched->current;

	/* The last wait was begun inside a coroutine, and an error (no memory,
	 * stack overflow) struck before it could be put aside. */
	lua_fiber_take_back(lua_fiber_of(self));
	return self;
}

struct fiber *lua_wait_check(lua_State *L)
{
	char why[256];

	if (!can_wait(L) && is_blocked(L, why, sizeof why)) {
		lua_error_usage(L, "%s", why);
		return NULL;
	}
	return waiter(L);
}

struct fiber *lua_wait_ready(lua_State *L)
{
	char why[256];

	if (is_blocked(L, why, sizeof why)) {
		diag_set(IllegalParams, "%s", why);
		return NULL;
	}
	return waiter(L);
}

void lua_wait_note_blocked(lua_State *L)
{
	struct lua_vm *vm = lua_vm_of(L);

	snprintf(vm->blocked_by, sizeof vm->blocked_by, "%s",
		 blocking_function(L));
}

int lua_wait(lua_State *L)
{
	struct fiber *self = lua_lean_vm(L)->sched->current;

	/* A cancelled fiber's wait ends at once, but not before the others had
	 * their turn: one that swallows the error in a loop keeps nobody from
	 * running, nor the process from ending. */
	if (self->flags & FIBER_CANCELLED)
		fiber_cancel(self);
	lua_lean_push_park_mark(L);
	return lua_yield(L, 1);
}

void lua_wait_set_diag(lua_State *L, int status)
{
	switch (status) {
	case UV_ECANCELED:
		diag_set(FiberIsCancelled, "fiber is cancelled");
		break;
	case UV_ETIMEDOUT:
		diag_set(TimedOut, "timed out");
		break;
	case FIBER_EDEADLINE:
		diag_set(TimedOut, "the deadline is over");
		break;
	case UV_ENOTSUP:
		if (lua_vm_of(L)->offloaded) {
			diag_set(IllegalParams, "%s", offloaded_text);
			break;
		}
		diag_set(IllegalParams,
			 "cannot wait here: the coroutine was "
			 "resumed inside a callback of '%s', which cannot be "
			 "put aside",
			 lua_vm_of(L)->blocked_by);
		break;
	default:
		diag_set_system(status, "wait");
	}
}

int lua_wait_throw(lua_State *L, int status)
{
	lua_wait_set_diag(L, status);
	return lua_error_throw(L);
}

int lua_wait_failed(lua_State *L)
{
	return lua_wait_throw(L, luaL_checkint(L, 1));
}

uint64_t lua_wait_timeout(lua_State *L, int idx)
{
	double seconds;

	if (lua_isnoneornil(L, idx))
		return UINT64_MAX;
	seconds = lua_tonumber(L, idx);
	if (!lua_isnumber(L, idx) || isnan(seconds)) {
		lua_error_usage(L,
				"timeout: a number of seconds is wanted, "
				"not %s",
				lua_isnumber(L, idx) ? "NaN"
						     : luaL_typename(L, idx));
		return 0;
	}
	if (seconds <= 0)
		return 0;
	/* Three hundred years are for ever. */
	return seconds >= 1e10 ? UINT64_MAX : (uint64_t)(seconds * 1e9);
}

int lua_wait_due(lua_State *L)
{
	uint64_t ns = lua_wait_timeout(L, 1);

	if (ns == UINT64_MAX)
		return 0;
	lua_pushnumber(L, ns == 0 ? 0 : (double)(uv_hrtime() + ns) / 1e9);
	return 1;
}

uint64_t lua_wait_left(lua_State *L, int idx)
{
	double left;

	if (lua_lean_isnoneornil(L, idx))
		return UINT64_MAX;
	left = lua_tonumber(L, idx) * 1e9 - (double)uv_hrtime();
	return left > 0 ? (uint64_t)left : 0;
}

int lua_wait_give_up(lua_State *L)
{
	int status = luaL_checkint(L, 1);

	if (status != UV_ETIMEDOUT)
		return lua_wait_throw(L, status);
	diag_set(TimedOut, "%s: timed out", luaL_checkstring(L, 2));
	return lua_error_fail(L);
}

struct protect {
	void (*fn)(lua_State *L, void *arg);
	void *arg;
};

static int protected_body(lua_State *L)
{
	struct protect *p = lua_touserdata(L, 1);

	lua_settop(L, 0);
	p->fn(L, p->arg);
	return 0;
}

int lua_vm_protect(struct lua_vm *vm, void (*fn)(lua_State *L, void *arg),
		   void *arg)
{
	struct protect p = { fn, arg };
	int top = lua_gettop(vm->L);
	int rc;

	vm->memory.own++;
	rc = lua_cpcall(vm->L, protected_body, &p);
	vm->memory.own--;
	if (rc == 0)
		return 0;
	if (rc == LUA_ERRMEM)
		diag_set(OutOfMemory, "not enough memory");
	else
		diag_set_error(lua_error_from_value(vm->L, -1));
	lua_settop(vm->L, top);
	return -1;
}

/* The error value at the top becomes its text: error objects and strings as
 * they are, other values by __tostring or their kind. */
static void error_text(lua_State *L)
{
	const struct error *e = lua_error_test(L, -1);

	if (e != NULL) {
		lua_pushstring(L, e->message);
	} else if (lua_isstring(L, -1)) {
		return;
	} else if (luaL_getmetafield(L, -1, "__tostring")) {
		lua_pushvalue(L, -2);
		if (lua_pcall(L, 1, 1, 0) != 0 || !lua_isstring(L, -1)) {
			lua_pop(L, 1);
			lua_pushliteral(L, "(error in __tostring)");
		}
	} else {
		lua_pushfstring(L, "(error object is a %s value)",
				luaL_typename(L, -1));
	}
	lua_remove(L, -2);
}

/* Was the error that ended @a co thrown on by a Lua half, which notes where it
 * began? */
static bool is_thrown_on(lua_State *co)
{
	lua_Debug ar;

	return lua_getstack(co, 1, &ar) && lua_getinfo(co, "S", &ar) &&
	       strncmp(ar.source, "=neap/", 6) == 0;
}

/* Push the traceback noted for the error at the top, which ended @a co, or "".
 * An error with the same value that was caught long ago is none of it. */
static void push_noted(lua_State *L, lua_State *co)
{
	lua_rawgeti(L, LUA_REGISTRYINDEX, lua_vm_of(L)->noted_ref);
	lua_rawgeti(L, -1, 1);
	if (!lua_isnil(L, -1) && lua_rawequal(L, -1, -3) && is_thrown_on(co)) {
		lua_rawgeti(L, -2, 2);
		lua_newtable(L); /* told once */
		lua_rawseti(L, LUA_REGISTRYINDEX, lua_vm_of(L)->noted_ref);
	} else {
		lua_pushliteral(L, "");
	}
	lua_replace(L, -3);
	lua_pop(L, 1);
}

void lua_push_traceback(lua_State *L, lua_State *co)
{
	/* Moved, not copied: after a stack overflow co has no room left. */
	lua_xmove(co, L, 1);
	push_noted(L, co);
	lua_insert(L, -2);
	error_text(L);
	if (*lua_tostring(L, -2) != '\0')
		lua_pushfstring(L, "%s%s\nwhich was thrown on by",
				lua_tostring(L, -1), lua_tostring(L, -2));
	else
		lua_pushvalue(L, -1);
	luaL_traceback(L, co, lua_tostring(L, -1), 0);
	lua_replace(L, -4);
	lua_pop(L, 2);
}

int lua_call_resume(struct lua_fiber *f, int nargs)
{
	struct lua_vm *vm = f->vm;
	struct lua_fiber *outer = lua_lean_memory_turn(vm, f);
	bool again = lua_lean_preempt_before(f);
	int rc;

	rc = lua_lean_resume(f->co, nargs);
	lua_lean_memory_turn_end(vm, outer, rc);
	if (__builtin_expect(vm->hook.armed, 0))
		lua_preempt_after(f);
	if (__builtin_expect(again, 0))
		lua_preempt_outer(vm);
	return rc;
}
