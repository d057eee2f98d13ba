/*
 * A Lua state of the server: made, given its libraries, closed. It belongs to
 * one worker thread.
 */
#pragma once

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/list.h"

struct sched;
struct lua_fiber;

/** One Lua state with what the C side keeps for it. */
struct lua_vm {
	lua_State *L;          /* the main coroutine: never runs user code */
	struct sched *sched;
	lua_Alloc alloc;       /* LuaJIT's own allocator, wrapped */
	void *alloc_arg;
	size_t memory;         /* bytes in use */
	size_t memory_peak;
	struct list pool;      /* idle fibers with their coroutines */
	unsigned pooled;
	unsigned slots;        /* fibers ever made: each has a slot number */
	unsigned *free_slots;  /* numbers given back */
	unsigned free_count;
	int fibers_ref;        /* registry: slot -> coroutine */
	int handles_ref;       /* registry: slot -> fiber object */
	int spawners_ref;      /* registry: slot -> function that spawned it */
	void (*on_uncaught)(struct lua_fiber *f, const char *text, void *arg);
	void *on_uncaught_arg; /* told of each error that no fiber caught */
	bool closing;
};

/** A Lua module of the server: preloaded under @a name. */
struct lua_module {
	const char *name;    /* as require() knows it */
	lua_CFunction open;  /* C half: pushes its table; NULL: none */
	const char *source;  /* Lua half: gets the C half as `...`, returns the
				module; NULL: the C half is the module */
	size_t source_size;
};

/**
 * Make a state for this thread's scheduler, with Lua's libraries, ours and
 * the search paths. Returns 0, or -1 with diag set. The memory is the caller's.
 */
int lua_vm_create(struct lua_vm *vm, struct sched *sched);

/** Add a module of an upper layer. Returns 0, or -1 with diag set. */
int lua_vm_register(struct lua_vm *vm, const struct lua_module *module);

/** Close the state: every fiber must have ended. Runs finalizers. */
void lua_vm_destroy(struct lua_vm *vm);

/** The vm of any of its coroutines. No search: it is the allocator's data. */
struct lua_vm *lua_vm_of(lua_State *L);
