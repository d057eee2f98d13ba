/*
 * Fibers that run Lua: pooled coroutines under the scheduler of runtime, and
 * the module `fiber`.
 */
#pragma once

#include <lua.h>
#include <stdbool.h>

#include "runtime/fiber.h"

struct error;
struct fiber_handle;
struct lua_vm;

enum { FIBER_NAME_MAX = 255 }; /* bytes */

struct lua_fiber;

/**
 * What goes on in a fiber in place of its coroutine: a function of a C module
 * that was put aside on its C stack. The coroutine has yielded once, by
 * lua_wait(), and stays so until the guest has ended, whatever it waits for in
 * between. Whoever becomes the guest sets f->guest after lua_wait_ready().
 */
struct lua_guest {
	/** The wait ended with @a status. Returns -1 when it waits again, or, when
	 * it has ended and is the guest no more, the number of values it has
	 * pushed on @a to: the results of the function that called lua_wait().
	 * With UV_ENOTSUP it cannot wait again. Throws: no. */
	int (*resume)(struct lua_fiber *f, lua_State *to, int status);
	/** It never goes on: what it holds must go. */
	void (*abandon)(struct lua_fiber *f);
};

struct lua_fiber {
	struct fiber base;
	struct lua_vm *vm;
	lua_State *co;   /* anchored in the vm's table of fibers; NULL: made in
			  C, see lua_cmod_fiber.c: it runs no Lua */
	unsigned slot;   /* index in the vm's tables; from 1; 0: none yet, which
			  only one made in C has */
	int nargs;       /* what it is resumed with lies on co, so many; -1:
			  the status of its wait */
	int spawn_line;  /* line of the spawner; 0: unknown */
	int last_errno;  /* the C library's errno, while it does not run */
	int storage_ref; /* registry: fiber.storage, or LUA_NOREF */
	bool owns_name;
	int64_t grown;         /* bytes the state grew by in its turns; see
			  lua_memory.c */
	unsigned grown_cycles; /* collections seen when that was counted */
	unsigned crisis;       /* something was refused to it in that crisis */
	/* A slice of its own, for fiber.check_slice(), in packed microseconds:
	 * see lua_fiber_slice.c. */
	uint32_t slice_warn;
	uint32_t slice_err;          /* 0: none */
	struct fiber_handle *handle; /* its object in Lua; NULL: none yet */
	/* Told when the body has ended, before the fiber is pooled: the results,
	 * or the error value, lie on co. May be NULL. An error goes to the vm's
	 * on_uncaught only when this is NULL. */
	void (*on_end)(struct lua_fiber *f, bool ok, void *arg);
	void *on_end_arg;
	struct own_limits *own_limits; /* NULL: none of its own */
	const struct lua_guest *guest; /* NULL: none, which is the rule */
	void *guest_arg;
	const char *name; /* see lua_fiber_set_name() */
};

/** The fiber as Lua holds it: a userdata. Outlives the fiber. */
struct fiber_handle {
	struct lua_fiber *fiber; /* NULL: it has ended */
	uint64_t id;
	bool joinable;
	bool failed; /* ended by an error */
	bool joined;
	int results; /* how many lie in its environment table */
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

/** The same from Lua; throws: out of memory. */
struct lua_fiber *lua_fiber_check_get(lua_State *L);

/** Push its fiber.storage. Throws: out of memory. */
void lua_fiber_push_storage(lua_State *L, struct lua_fiber *f);

/** Name it; @a name is of static storage, or outlives the fiber. */
void lua_fiber_name(struct lua_fiber *f, const char *name);

/** Name it by a copy of @a size bytes, FIBER_NAME_MAX at most. Returns 0, or -1
 * with diag set: out of memory, and it keeps the name it has. */
int lua_fiber_set_name(struct lua_fiber *f, const char *name, size_t size);

/** Run it at once until it waits or ends; it may be gone afterwards. */
void lua_fiber_start(struct lua_fiber *f, int nargs);

/** Run it in the next round. */
void lua_fiber_start_later(struct lua_fiber *f, int nargs);

/** Remember the Lua function that runs on L as the one that spawned @a f.
 * Throws: no. */
void lua_fiber_set_spawner(lua_State *L, struct lua_fiber *f);

/** For on_end of a failed fiber: push its error as text, with the traceback and
 * the place that spawned it; the error value is taken from f->co. Throws: out of
 * memory. */
void lua_fiber_push_report(lua_State *L, struct lua_fiber *f);

/** For on_end of a failed fiber: it was cancelled, and this is its error. */
bool lua_fiber_ended_by_cancel(struct lua_fiber *f);

/**
 * @a f was woken just now, and the @a count values on top of its coroutine come
 * straight from the one who did: the function that waited seems to return them
 * in place of a status. Not for one that has a guest.
 */
static inline void lua_fiber_hand(struct lua_fiber *f, int count)
{
	f->nargs = count;
}

/** Give up a fiber that was not started. */
void lua_fiber_drop(struct lua_fiber *f);

/**
 * End a fiber that does not end by itself: its wait is undone and it never
 * runs again; nothing in it is told. For the end of a state, after
 * fiber_cancel() has not helped.
 */
void lua_fiber_abandon(struct lua_fiber *f);

/** Let the group that @a f is in, if any, count it as ended: it waits for what
 * does not come. In no fiber. Throws: no. */
void lua_fiber_leave_group(struct lua_fiber *f);

/**
 * The running fiber may have begun a wait that it will not carry out: take it
 * back, if so. Throws: no.
 */
void lua_fiber_take_back(struct lua_fiber *f);

/**
 * A fiber made in C has ended: its memory remains the caller's. @a failure is
 * its error, NULL when it went well. What Lua holds of it is told, and gets
 * the outcome when it is joinable.
 */
void lua_fiber_end_foreign(struct lua_fiber *f, struct error *failure);

/** Push the object of @a f, made when first asked for. Throws: out of memory. */
void lua_fiber_push(lua_State *L, struct lua_fiber *f);

/** Push an object without a fiber. Throws: out of memory. */
struct fiber_handle *lua_fiber_push_handle(lua_State *L);

/** Pop the object at the top: it is @a f's now. Throws: no. */
void lua_fiber_bind(lua_State *L, struct lua_fiber *f, struct fiber_handle *h);

/** Write where @a f, which does not run, stands in Lua: "app.lua:12". Our own halves
 * are passed over. Returns false: it does not, or only there. Throws: no. */
bool lua_fiber_place(const struct lua_fiber *f, char *to, size_t room);

/** Free the idle fibers of a state that is about to be closed. */
void lua_fiber_empty_pool(struct lua_vm *vm);

/** The module. */
int luaopen_neap_fiber(lua_State *L);
