/*
 * Fibers that run Lua: pooled coroutines under the scheduler of runtime, and
 * the module `fiber`.
 */
#pragma once

#include <lua.h>
#include <stdbool.h>

#include "runtime/fiber.h"

struct lua_vm;

struct lua_fiber {
	struct fiber base;
	struct lua_vm *vm;
	lua_State *co;       /* anchored in the vm's table of fibers */
	unsigned slot;       /* index in the vm's tables; from 1 */
	int spawn_line;      /* line of the spawner; 0: unknown */
	int storage_ref;     /* registry reference of fiber.storage or NOREF */
	int nargs;           /* for the first resume */
	char name[32];       /* "lua" unless named; cut */
	/* Told when the body has ended, before the fiber is pooled or kept; the
	 * results or the error value lie on co. NULL: errors are uncaught. */
	void (*on_end)(struct lua_fiber *f, bool ok, void *arg);
	void *on_end_arg;
};

/** The lua_fiber around @a f; every fiber of a vm is one. */
static inline struct lua_fiber *lua_fiber_of(struct fiber *f)
{
	return (struct lua_fiber *)f; /* base comes first */
}

/**
 * A fiber from the pool, its coroutine empty. Push the function and its
 * arguments on f->co: only values that cannot throw (lua_rawgeti of registry
 * references, numbers, booleans, nil), or from inside lua_vm_protect(). Then
 * lua_fiber_start(). NULL with diag set: out of memory.
 */
struct lua_fiber *lua_fiber_get(struct lua_vm *vm);

/** Run it at once until it waits or ends; it may be gone afterwards. */
void lua_fiber_start(struct lua_fiber *f, int nargs);

/** The running fiber, or NULL when L runs outside one. */
struct lua_fiber *lua_fiber_self(lua_State *L);

/** Give up a fiber from lua_fiber_get() that was not started. */
void lua_fiber_drop(struct lua_fiber *f);

/** The module. */
int luaopen_neap_fiber(lua_State *L);
