/*
 * The module `cmod`: C modules, their functions and calls.
 *
 *	lua_cmod.c         load
 *	lua_cmod_live.c    live: functions that follow their file
 *	lua_cmod_list.c    list
 *	lua_cmod_watch.c   watch
 *	lua_cmod_handle.c  what Lua holds: modules
 *	lua_cmod_func.c    and functions
 *	lua_cmod_call.c    calling one, also when it waits
 *	cmod_index.lua     where handles have their methods from
 *	lua_cmod_quick.h   the short ways of a call and of handles
 *	lua_cmod_wait.c    how functions wait, over the fibers of runtime
 *	lua_cmod_fiber.c   fibers made in C
 *	lua_cmod_work.c    what C functions have done on threads
 *	lua_cmod_offload.c calling one on another thread
 *	lua_cmod_isolate.c calling one in another process
 *	lua_cmod_probe.c   loading a library in another process first
 *	lua_cmod_options.h options of load(), live() and module:load()
 */
#pragma once

#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cmod/cmod.h"
#include "cmod/live.h"
#include "lua/lua_cmod_options.h"
#include "lua/lua_cmod_probe.h"
#include "lua/lua_state.h"

struct cfiber;
struct cmod_job;
struct fiber;
struct lua_cmod_pool;
struct neap_call;
struct pool_job;

/** What a module's userdata holds. */
struct cmod_module_box {
	uintptr_t mark;      /* see lua_cmod_module_mark() */
	struct cmod *module; /* NULL: unloaded */
	char path[];         /* as given */
};

/** What a function's userdata holds; a live function's too. */
struct cmod_func_box {
	uintptr_t mark; /* see lua_cmod_mark() */
	bool is_live;
	union {
		struct cmod_use use;   /* its func is NULL: unloaded */
		struct cmod_live live; /* begins with a use, too */
	};
	struct lua_cmod_options options;
	struct lua_cmod_pool *pool;  /* of one that is isolated, else NULL */
	struct lua_cmod_probe probe; /* of a live one's candidate */
	char name[];                 /* "<module>.<symbol>" */
};

/**
 * What a function's userdata begins with: nothing else does, so that a call
 * can tell its handle without a look at the metatable.
 */
static inline uintptr_t lua_cmod_mark(const struct cmod_func_box *box)
{
	return (uintptr_t)box ^ (uintptr_t)0x636d6f642e66756eu;
}

/** The same for a module. */
static inline uintptr_t lua_cmod_module_mark(const struct cmod_module_box *box)
{
	return (uintptr_t)box ^ (uintptr_t)0x636d6f646d6f6475u;
}

extern const struct lua_module lua_module_cmod;

/** Make the classes of handles; once a state. Throws: out of memory. */
void lua_cmod_open_modules(lua_State *L);
void lua_cmod_open_functions(lua_State *L);

/** What `state` of a handle of @a m, or of a function of it, is. */
const char *lua_cmod_state_name(const struct cmod *m);

/** A module's handle, pushed, with nothing in it. Throws: out of memory. */
struct cmod_module_box *lua_cmod_push_module(lua_State *L, const char *path);

/** The loaded module at @a idx. Throws: usage. */
struct cmod_module_box *lua_cmod_check_loaded_module(lua_State *L, int idx);

/** A function's handle of the class @a id, pushed, with nothing in it but the
 * options. Throws: out of memory. */
struct cmod_func_box *lua_cmod_push_func(lua_State *L, enum lua_class id,
					 const char *path, const char *symbol,
					 const struct lua_cmod_options *o);

/** The function is in it: make what its options want besides. It lies at the
 * top. Returns 1. Throws: out of memory. */
int lua_cmod_func_finish(lua_State *L, struct cmod_func_box *box);

/** The string argument @a idx, which @a what names in errors: not empty and
 * without NULs. Throws: usage. */
const char *lua_cmod_check_text(lua_State *L, int idx, const char *what,
				size_t *ret_size);

/** The same for a function's name: not too long either. */
const char *lua_cmod_check_name(lua_State *L, int idx, const char *what,
				size_t *ret_size);

/** The path, name and options that live() is called with. Returns the path.
 * Throws: usage. */
const char *lua_cmod_check_live(lua_State *L, struct lua_cmod_options *ret);

/** The table `package` and its cpath, pushed; the cpath, or NULL when the user
 * has made it something else than a string. For functions of
 * lua_cmod_set_searching().
 * Throws: no. */
const char *lua_cmod_push_cpath(lua_State *L);

/** A function that knows these two, into the table at the top. Throws: out of
 * memory. */
void lua_cmod_set_searching(lua_State *L, const char *name, lua_CFunction fn);

/** Make a class with these methods; @a index gives its fields, that is, all other
 * keys. Throws: out of memory. */
void lua_cmod_open_class(lua_State *L, enum lua_class id, const char *name,
			 const luaL_Reg *meta, lua_CFunction index,
			 const luaL_Reg *methods);

/** In such an @a index: push nil and return the key. Throws: usage. */
const char *lua_cmod_index_key(lua_State *L);

/** The function live(). */
int lua_cmod_live(lua_State *L);

/** The function watch(), and the class of its handles; once a state. */
int lua_cmod_watch(lua_State *L);
void lua_cmod_open_watch(lua_State *L);

/** The function list(), pushed. Throws: out of memory. */
void lua_cmod_push_list(lua_State *L);

/** The functions of load() with a probe, into the table at the top. Throws: out
 * of memory. */
void lua_cmod_open_probe(lua_State *L);

/** The metamethods __call. */
int lua_cmod_call_plain(lua_State *L);
int lua_cmod_call_live(lua_State *L);
int lua_cmod_call_offload(lua_State *L);
int lua_cmod_call_isolated(lua_State *L);

/** The handle that is called, which lies in slot 1. Throws: usage. */
struct cmod_func_box *lua_cmod_check_callee(lua_State *L);

/** Push nil and the diag as an error. Returns 2. Throws: no. */
int lua_cmod_push_failure(lua_State *L);

/**
 * Push what a call that has ended gives, made aside and moved to @a to: a
 * coroutine that has yielded. Returns how many values; *ret_failed tells that
 * they are nil and an error. Throws: no.
 */
int lua_cmod_move_outcome(struct lua_vm *vm, lua_State *to, struct neap_call *c,
			  bool *ret_failed);

/** The same for the diag alone. */
int lua_cmod_move_failure(struct lua_vm *vm, lua_State *to);

/** Count one more of a handle's calls or errors. Returns how many now. */
static inline uint64_t lua_cmod_count(uint64_t *n)
{
	uint64_t now = *n + 1;

	/* One writer, the handle's thread; list() reads from others. */
	__atomic_store_n(n, now, __ATOMIC_RELAXED);
	return now;
}

/** What calls need in a state. Throws: out of memory. */
void lua_cmod_open_call(lua_State *L);

/** Teach calls to wait; once a process, again is harmless. */
void lua_cmod_set_host(void);

/** What a call waits for; the first part of it. */
struct lua_cmod_wait {
	/** Nobody waits for it any more. True when a thread still uses the
	 * stack of @a c: then call_abandon() comes when that is over. */
	bool (*drop)(struct lua_cmod_wait *w, struct neap_call *c);
};

/** A call that waits is given up: what it waits for must not find it. True when
 * the call must stay; whoever uses it gives it up later. */
bool lua_cmod_forget_wait(struct neap_call *c);

/** The fiber of @a c, when it may wait; else NULL with diag set. When @a deaf it
 * may also when it is cancelled. */
struct fiber *lua_cmod_ready_fiber(struct neap_call *c, bool deaf);

/** After fiber_park(): no cancel ends this wait, if @a deaf. */
void lua_cmod_set_deaf(struct fiber *self, bool deaf);

/* Parts of the host; see cmod/host.h. */
struct fiber *lua_cmod_fiber_new(struct neap_call *maker,
				 struct neap_call *body, const char *name);
struct cfiber *lua_cmod_fiber_of(struct fiber *f);
int lua_cmod_fiber_join(struct neap_call *c, struct fiber *f,
			uint64_t timeout_ns);
void lua_cmod_fiber_free(struct fiber *f);
int lua_cmod_work(struct neap_call *c, struct cmod_job *job,
		  uint64_t timeout_ns, bool deaf);
bool lua_cmod_end_work(struct neap_call *c);

/** Submit @a job to the pool for the loop of @a self. @a what, which is of
 * @a func, begins the message. Returns 0, or -1 with diag set. */
int lua_cmod_submit(struct fiber *self, struct pool_job *job, const char *what,
		    const struct cmod_func *func);

/** Free the fibers made in C that were kept for a join which never came; when
 * the state ends. */
void lua_cmod_free_unjoined(void);
