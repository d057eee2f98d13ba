/*
 * Calling a C function (the module `cmod`). The way of a call that does not wait
 * is short: the arguments are packed into a pooled call, the function is called on the
 * call's stack, its results are unpacked; nothing is allocated but what the
 * results themselves are.
 *
 * A call that waits goes like this. The function, on its C stack, asks for a
 * wait: lua_cmod_wait.c parks the fiber, and the C stack is left. The __call
 * below sees that the function has not ended, makes the call the fiber's guest
 * and yields. On each wakeup the scheduler goes straight to the C stack; the
 * coroutine is not touched before the function has ended, and gets the results
 * then.
 *
 * References. A call that does not wait needs none: its handle is in slot 1 of
 * a running function, so it is not collected, and nothing of Lua runs while the
 * function does. Once it waits, the call itself holds the function.
 */
#include <assert.h>
#include <lauxlib.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <uv.h>

#include "base/diag.h"
#include "cmod/call.h"
#include "lua/lua_call.h"
#include "lua/lua_cmod.h"
#include "lua/lua_cmod_quick.h"
#include "lua/lua_error.h"
#include "lua/lua_fast.h"
#include "lua/lua_fiber.h"
#include "lua/lua_serialize.h"
#include "lua/lua_state.h"

/* Key of push_diag() in the registry. */
static const char failure_key;

_Static_assert((int)LUA_CMOD_QUICK_SIZE <= (int)CALL_FEW_SIZE,
	       "few arguments have their place");

/* The diag as an error object: may throw, when memory is short. */
static int push_diag(lua_State *L)
{
	lua_error_push_diag(L);
	return 1;
}

void lua_cmod_open_call(lua_State *L)
{
	lua_pushlightuserdata(L, (void *)&failure_key);
	lua_pushcfunction(L, push_diag);
	lua_rawset(L, LUA_REGISTRYINDEX);
}

/* Push nil and the diag as an error object, or, without memory for one, the
 * text that Lua keeps for that case. Returns 2. Throws: no. */
static int push_failure(lua_State *L)
{
	lua_pushnil(L);
	lua_pushlightuserdata(L, (void *)&failure_key);
	lua_rawget(L, LUA_REGISTRYINDEX);
	if (lua_pcall(L, 0, 1, 0) != 0)
		diag_clear();
	return 2;
}

/* What most results are needs no decoder. False: it is something else. */
static inline bool push_small(lua_State *L, const unsigned char *p, size_t size)
{
	if (likely(size == 1 && (*p < 0x80 || *p >= 0xe0)))
		lua_fast_pushint(L, (signed char)*p);
	else if (size == 1 && (*p == 0xc2 || *p == 0xc3))
		lua_fast_pushboolean(L, *p & 1);
	else if (size == 2 && *p == 0xcc)
		lua_fast_pushint(L, p[1]);
	else if (size == 3 && *p == 0xcd)
		lua_fast_pushint(L, p[1] << 8 | p[2]);
	else
		return false;
	return true;
}

/* Push what takes the decoder. Returns 0, or -1 with diag set. */
static int push_decoded(lua_State *L, uint32_t index, const char *p,
			size_t size)
{
	struct error *cause;
	int n;

	n = lua_unpack(L, p, p + size);
	if (n == 1)
		return 0;
	if (n >= 0) {
		lua_pop(L, n);
		diag_set_code(ClientError, ER_PROC_C,
			      "result %u holds %d MessagePack values, not one",
			      index, n);
		return -1;
	}
	if (diag_last()->type == &OutOfMemory)
		return -1;
	cause = diag_take();
	diag_set_code(ClientError, ER_PROC_C, "result %u cannot be decoded: %s",
		      index, cause->message);
	error_set_cause(diag_last(), cause);
	return -1;
}

/* Push true and the results; or nothing, with diag set. Throws: no. */
static inline int push_results(lua_State *L, const struct neap_call *c)
{
	const char *p = c->out.data;
	call_size_t size;

	if (c->results > LUA_MINSTACK / 2 &&
	    (c->results > INT_MAX / 2 ||
	     !lua_checkstack(L, (int)c->results + LUA_MINSTACK))) {
		diag_set_code(ClientError, ER_PROC_C,
			      "%u results are more than the Lua stack takes",
			      c->results);
		return -1;
	}
	lua_fast_pushboolean(L, true);
	for (uint32_t i = 1; i <= c->results; i++) {
		memcpy(&size, p, sizeof size);
		p += sizeof size;
		if (!likely(push_small(L, (const unsigned char *)p, size)) &&
		    push_decoded(L, i, p, size) != 0) {
			lua_pop(L, (int)i);
			return -1;
		}
		p += size;
	}
	return 0;
}

/* Push what the call gives. Returns how many values; *ret_failed tells that
 * they are nil and an error. Throws: no. */
static inline int push_outcome(lua_State *L, struct neap_call *c,
			       bool *ret_failed)
{
	*ret_failed = false;
	if (likely(call_succeeded(c))) {
		if (likely(push_results(L, c) == 0))
			return (int)c->results + 1;
	} else {
		diag_set_error(call_take_error(c));
	}
	*ret_failed = true;
	return push_failure(L);
}

int lua_cmod_push_failure(lua_State *L)
{
	return push_failure(L);
}

int lua_cmod_move_failure(struct lua_vm *vm, lua_State *to)
{
	lua_State *L = vm->L;
	int n = push_failure(L);

	lua_xmove(L, to, n);
	return n;
}

int lua_cmod_move_outcome(struct lua_vm *vm, lua_State *to, struct neap_call *c,
			  bool *ret_failed)
{
	lua_State *L = vm->L;
	int n = push_outcome(L, c, ret_failed);

	if (!lua_checkstack(to, n)) {
		lua_pop(L, n);
		diag_set(ClientError,
			 "%d results are more than the Lua stack takes", n);
		*ret_failed = true;
		return lua_cmod_move_failure(vm, to);
	}
	lua_xmove(L, to, n);
	return n;
}

static int guest_resume(struct lua_fiber *f, lua_State *to, int status)
{
	struct neap_call *c = f->guest_arg;
	bool failed;
	int n;

	if (status == UV_ENOTSUP)
		c->flags |= CALL_NO_WAIT;
	if (!call_resume(c, status))
		return -1;
	f->guest = NULL;
	/* A coroutine that has yielded is not to be worked on. */
	n = lua_cmod_move_outcome(f->vm, to, c, &failed);
	if (failed)
		cmod_func_count_error(c->func);
	call_put(c);
	return n;
}

static void guest_abandon(struct lua_fiber *f)
{
	struct neap_call *c = f->guest_arg;

	f->guest = NULL;
	if (!lua_cmod_forget_wait(c))
		call_abandon(c);
}

/* The function waits: its fiber has been parked by lua_cmod_wait.c. */
static int begin_wait(lua_State *L, struct neap_call *c)
{
	static const struct lua_guest guest = { guest_resume, guest_abandon };
	struct lua_fiber *f = lua_fiber_of(lua_vm_of(L)->sched->current);

	assert(f->guest == NULL);
	f->guest = &guest;
	f->guest_arg = c;
	return lua_wait(L);
}

/* What is neither nothing nor one small value. */
static __attribute__((noinline)) int end_long(lua_State *L, struct neap_call *c)
{
	struct cmod_func_box *box;
	bool failed;
	int n = push_outcome(L, c, &failed);

	box = lua_cmod_quick_callee(L);
	if (failed && box != NULL)
		lua_cmod_count(&box->use.errors);
	call_put(c);
	return n;
}

/* The function has ended. */
static inline int end(lua_State *L, struct neap_call *c)
{
	const char *p = c->out.data;
	int n = (int)c->results + 1;
	call_size_t size;

	if (!likely(call_succeeded(c) && n <= 2))
		return end_long(L, c);
	lua_fast_pushboolean(L, true);
	if (n == 2) {
		memcpy(&size, p, sizeof size);
		p += sizeof size;
		if (!likely(push_small(L, (const unsigned char *)p, size))) {
			lua_pop(L, 1);
			return end_long(L, c);
		}
	}
	call_put_spare(c);
	return n;
}

static inline bool is_measured(struct cmod_func_box *box)
{
	return !likely(lua_cmod_count(&box->use.calls) != box->use.cpu.due);
}

/* Arguments that are more than few; the same from there on. */
static __attribute__((noinline)) int
call_long(lua_State *L, struct cmod_func_box *box, struct neap_call *c)
{
	const char *args, *args_end;

	if (lua_pack(L, 2, lua_gettop(L), &c->in) != 0) {
		call_put(c);
		return push_failure(L);
	}
	/* A __serialize function among the arguments may have unloaded it. */
	if (__builtin_expect(box->use.func == NULL, 0)) {
		call_put(c);
		return lua_error_usage(L, "function '%s' is unloaded",
				       box->name);
	}
	args = c->in.data;
	args_end = args + c->in.size;
	if (!likely(is_measured(box)
			    ? call_run_measured(c, &box->use, args, args_end, L)
			    : call_run(c, &box->use, args, args_end, L)))
		return begin_wait(L, c);
	return end_long(L, c);
}

/* Few arguments; the call whose CPU time is measured. */
static __attribute__((noinline)) int call_measured(lua_State *L,
						   struct cmod_func_box *box,
						   struct neap_call *c,
						   const char *args_end)
{
	if (!likely(call_run_measured(c, &box->use, c->few, args_end, L)))
		return begin_wait(L, c);
	return end(L, c);
}

static inline int call(lua_State *L, struct cmod_func_box *box)
{
	struct neap_call *c = call_get();
	char *args_end;

	if (__builtin_expect(c == NULL, 0))
		return push_failure(L);
	args_end = lua_cmod_quick_pack(L, c->few);
	if (!likely(args_end != NULL))
		return call_long(L, box, c);
	if (is_measured(box))
		return call_measured(L, box, c, args_end);
	if (!likely(call_run(c, &box->use, c->few, args_end, L)))
		return begin_wait(c->host, c);
	/* The function leaves no register but that of the call: what else is
	 * used from here on would be stored before, to be loaded. */
	return end(c->host, c);
}

/* Why a handle cannot be called. Throws. */
static __attribute__((noinline, cold)) void
refuse_callee(lua_State *L, const struct cmod_func_box *box)
{
	if (box == NULL)
		lua_error_usage(L, "a function of a C module is wanted, not %s",
				luaL_typename(L, 1));
	else
		lua_error_usage(L, "function '%s' is unloaded", box->name);
}

static inline struct cmod_func_box *check_callee(lua_State *L)
{
	struct cmod_func_box *box = lua_cmod_quick_callee(L);

	if (!likely(box != NULL && box->use.func != NULL))
		refuse_callee(L, box);
	return box;
}

struct cmod_func_box *lua_cmod_check_callee(lua_State *L)
{
	return check_callee(L);
}

int lua_cmod_call_plain(lua_State *L)
{
	return call(L, check_callee(L));
}
