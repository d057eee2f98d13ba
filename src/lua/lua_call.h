/*
 * The one door into Lua. Everything that runs Lua code, and everything outside
 * Lua that pushes or allocates on a state, goes through these functions.
 *
 * How a function of ours waits. Its C half begins the wait and switches away:
 *
 *	static int l_nap(lua_State *L)
 *	{
 *		struct fiber *self = lua_wait_check(L);    // may throw
 *		... check arguments, own nothing ...
 *		fiber_park(self, undo, arg, timeout_ns);
 *		return lua_wait(L);
 *	}
 *
 * When the fiber runs again, l_nap() seems to return one number to its caller:
 * the status the fiber was woken with (0 or a negative UV_E*). The caller is
 * the Lua half, which asks the C half for the results inside the fiber, where
 * it may allocate and throw:
 *
 *	function M.nap(...)
 *	    local status = c.nap(...)
 *	    if status ~= 0 then c.failed(status) end -- throws if cancelled
 *	    return c.result()
 *	end
 *
 * A C function that need not wait returns results of its own instead.
 */
#pragma once

#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

struct fiber;
struct lua_fiber;
struct lua_vm;

/**
 * The running fiber, when L may wait here; otherwise throws an error that
 * names what is in between (no fiber, a C function such as string.gsub). The
 * wait of a fiber that is cancelled already ends with UV_ECANCELED.
 */
struct fiber *lua_wait_check(lua_State *L);

/** The same for C code that must not throw: NULL with diag set. */
struct fiber *lua_wait_ready(lua_State *L);

/** `return lua_wait(L)` after fiber_park() or fiber_yield_begin(). */
int lua_wait(lua_State *L);

/** Remember what keeps L from being put aside, for the error that UV_ENOTSUP
 * becomes. Throws: no. */
void lua_wait_note_blocked(lua_State *L);

/** Set the diag to what a status means. Throws: no. */
void lua_wait_set_diag(lua_State *L, int status);

/** Throw what a status means: FiberIsCancelled, TimedOut, SystemError. */
int lua_wait_throw(lua_State *L, int status);

/** The same as a Lua function of the status, for the Lua half of a module. */
int lua_wait_failed(lua_State *L);

/**
 * A timeout argument in seconds: nil or none is UINT64_MAX (for ever), else
 * nanoseconds. Throws a usage error for anything but a number, and for NaN.
 */
uint64_t lua_wait_timeout(lua_State *L, int idx);

/** due(timeout) -> the moment when that is over, for all waits of a call; nil: never.
 * A Lua function, for the Lua half of a module. */
int lua_wait_due(lua_State *L);

/** What is left until such a moment: nanoseconds, UINT64_MAX for ever. */
uint64_t lua_wait_left(lua_State *L, int idx);

/** give_up(status, call) -> nil, err when it was too late, and throws otherwise. The
 * same. */
int lua_wait_give_up(lua_State *L);

/**
 * Run @a fn(L, arg) protected, on the state's main coroutine: for C code
 * outside Lua, that is libuv callbacks. It must not wait. The stack is as
 * before afterwards. Returns 0, or -1 with diag set.
 */
int lua_vm_protect(struct lua_vm *vm, void (*fn)(lua_State *L, void *arg),
		   void *arg);

/**
 * Push the text of the error value at the top of @a co, which is taken from
 * there, with the traceback of @a co, on @a L. Throws: out of memory.
 */
void lua_push_traceback(lua_State *L, lua_State *co);

/**
 * Resume a fiber's coroutine with the @a nargs values on its top. Returns as
 * lua_resume(). For lua_fiber.c alone.
 */
int lua_call_resume(struct lua_fiber *f, int nargs);

/** Once a state. Throws: out of memory. */
void lua_call_open(lua_State *L);

/** What a waiting coroutine yields, so that it is told from a user's yield. */
void lua_push_park_mark(lua_State *L);

/** Is that at the top of L? */
bool lua_has_park_mark(lua_State *L);
