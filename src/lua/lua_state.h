/*
 * A Lua state of the server: made, given its libraries, closed. It belongs to
 * one worker thread.
 */
#pragma once

#include <lua.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "lua/lua_account.h"
#include "lua/lua_limits.h"
#include "lua/lua_memory.h"
#include "lua/lua_preempt.h"
#include "lua/lua_value.h"
#include "runtime/fiber.h"
#include "runtime/ticker.h"

struct sched;
struct lua_fiber;
struct lua_profile;

/** Told of each error that no fiber caught: message, traceback, spawner. */
typedef void (*lua_uncaught_f)(struct lua_fiber *f, const char *text,
			       void *arg);

/** Told of a fiber that kept all others waiting for long: how long, and its Lua
 * stack. */
typedef void (*lua_stall_f)(const char *text, void *arg);

/** Userdata classes that are checked often; see lua_class.h. */
enum lua_class {
	LUA_CLASS_ERROR,
	LUA_CLASS_FIBER,
	LUA_CLASS_CHANNEL,
	LUA_CLASS_COND,
	LUA_CLASS_CMOD_MODULE,
	LUA_CLASS_CMOD_FUNC,
	LUA_CLASS_CMOD_LIVE,
	LUA_CLASS_CMOD_OFFLOAD,
	LUA_CLASS_CMOD_WATCH,
	LUA_CLASS_CMOD_ISOLATED,
	LUA_CLASS_CMOD_PROBE,
	LUA_CLASS_FILE,
	LUA_CLASS_FIO,
	LUA_CLASS_POPEN,
	LUA_CLASS_SOCKET,
	LUA_CLASS_SOCKET_SERVER,
	LUA_CLASS_TLS_CONTEXT,
	LUA_CLASS_HTTP_SERVER,
	LUA_CLASS_HTTP_REQUEST,
	LUA_CLASS_HTTP_FILE,
	LUA_CLASS_HTTP_ENCODER,
	LUA_CLASS_HTTP_FORM,
	LUA_CLASS_HTTP_CLIENT,
	LUA_CLASS_HTTP_CALL,
	LUA_CLASS_WEBSOCKET,
	LUA_CLASS_SHARED_DICT,
	LUA_CLASS_SHARED_CHANNEL,
	LUA_CLASS_SHARED_BROADCAST,
	LUA_CLASS_SHARED_SUBSCRIPTION,
	LUA_CLASS_SHARED_WAIT,
	LUA_CLASS_REQUEST,
	LUA_CLASS_REQUEST_OWNER,
	LUA_CLASS_SESSION,
	LUA_CLASS_STATE_CALL,
	LUA_CLASS_COUNT,
};

/** A table of the registry with something for each fiber, by its slot. */
struct lua_slots {
	int ref;
	void *table; /* its address */
};

/** One Lua state with what the C side keeps for it. */
struct lua_vm {
	lua_State *L; /* the main coroutine: never runs user code */
	struct sched *sched;
	bool quiet;     /* what its scripts log is dropped */
	bool offloaded; /* it is one of lua_scratch.c: nothing may wait */
	/* Set by another thread: what runs is to end. NULL: nobody does. */
	const atomic_bool *stop;
	struct lua_memory memory;
	struct lua_samples samples; /* of fibers with a memory limit */
	struct list pool;           /* idle fibers with their coroutines */
	unsigned pooled;
	int fibers_ref;            /* registry: slot -> coroutine */
	struct lua_slots handles;  /* slot -> fiber object, when it has one */
	struct lua_slots spawners; /* slot -> function that spawned it */
	struct {
		int ref;               /* registry: the metatable */
		const void *metatable; /* its address */
		const char *name;      /* for messages; static */
	} classes[LUA_CLASS_COUNT];
	uint64_t park_bits; /* the park mark as our LuaJIT has it */
	struct {
		void *table; /* values between fiber.lua and lua_channel.c */
		int place;   /* where the next one is to lie */
	} hand;
	int noted_ref;       /* registry: {error value, its first traceback} */
	int error_box_ref;   /* registry: an empty error object, or false */
	char blocked_by[64]; /* of the last wait that could not be */
	uintptr_t stack_end; /* of this thread's C stack; 0: unknown */
	uintptr_t stack_low; /* below this nothing more should nest */
	bool closing;        /* lua_vm_destroy() has begun: no more fibers */
	struct fiber_limits limits[LUA_LIMIT_COUNT];
	uint64_t ended_over[FIBER_OVER_COUNT]; /* fibers that were, by why */
	uint64_t slice_warn_ns; /* of fibers, for fiber.check_slice() */
	uint64_t slice_err_ns;
	struct ticker ticker;
	struct lua_profile
		*profile; /* NULL: there is none, which is the rule */
	struct {          /* of lua_preempt.c */
		/* Set in a signal handler. (gcc reads a volatile bool once, where
		 * UBSan checks it.) */
		volatile sig_atomic_t armed;
		bool glance;   /* set for a look at the stack alone */
		unsigned seen; /* instructions since it was set */
		const lua_State *yielded; /* made to give way just now */
		uintptr_t stack_base;     /* about where the loop stands */
		uint64_t deep_turn;       /* with coroutines thousands deep */
		uint64_t deep_age;        /* when it was back in the last one */
		lua_Hook user;            /* the script's own, meanwhile */
		uint64_t stalled;         /* the turn that was reported last */
		volatile uint64_t missed; /* the turn whose tick found C code */
		int user_mask;
		int user_count;
		int user_left; /* instructions before its next call */
		/* The one at busy_version % 2 was written last and is left
		 * alone until the next one has been. */
		atomic_uint busy_version;
		struct lua_busy busy[2];
		volatile sig_atomic_t noting; /* the other one is written */
	} hook;
	struct {
		uint64_t told_ns; /* when the last one was logged; 0: none */
		unsigned untold;  /* those that were not, since */
	} finalizer;              /* errors of finalizers */
	struct lua_value_refs values; /* null and other kept values */
	/* Nobody reads standard output any more; NULL: nobody cares. */
	lua_CFunction on_broken_output;
	lua_uncaught_f on_uncaught;
	void *on_uncaught_arg;
	lua_stall_f on_stall; /* NULL: nobody wants to know; same argument */
	uint64_t stall_ns;    /* a turn this long is told to it */
};

/** The registry's field with the globals of the server's own Lua, when scripts have
 * others: see lua_libraries.h. */
#define LUA_VM_GLOBALS "neap.globals"

/** The registry's field with the loaders of modules that files go before: what came
 * under a name that scripts may have a module of their own for. */
#define LUA_VM_BEHIND_FILES "neap.behind_files"

/** A Lua module of the server: preloaded under its name. */
struct lua_module {
	const char *name;   /* as require() knows it */
	lua_CFunction open; /* C half: returns its table; NULL: none */
	const char *source; /* Lua half, a string: gets the C half as `...` and
			       returns the module; NULL: C half alone */
	bool divisible;     /* the Lua half may be left in the middle */
	bool behind_files;  /* a file that is found by this name goes before */
};

/** Push Lua of ours, compiled, with our own globals. Throws: out of memory. */
void lua_vm_load_source(lua_State *L, const char *source, size_t size,
			const char *name);

/**
 * Run a Lua half of ours, with the @a nargs values on top as its arguments:
 * they are replaced by its one result. It is not left in the middle. Throws what
 * it throws.
 */
void lua_vm_run_source(lua_State *L, const char *source, const char *name,
		       int nargs);

/**
 * Make a state for this thread's scheduler, with Lua's libraries and the
 * modules of this layer. The memory is the caller's. Returns 0, or -1 with
 * diag set. Yields: no.
 */
int lua_vm_create(struct lua_vm *vm, struct sched *sched,
		  lua_uncaught_f on_uncaught, void *arg);

/** Add a module of an upper layer. Returns 0, or -1 with diag set. */
int lua_vm_register(struct lua_vm *vm, const struct lua_module *module);

/** Close the state: every fiber must have ended. Runs finalizers. */
void lua_vm_destroy(struct lua_vm *vm);

/** Whether half of this thread's C stack is used up: nothing more should nest
 * there. */
bool lua_vm_stack_is_low(lua_State *L);

/** The vm of any of its coroutines. No search: it is the allocator's data. */
static inline struct lua_vm *lua_vm_of(lua_State *L)
{
	void *vm;

	lua_getallocf(L, &vm);
	return vm;
}
