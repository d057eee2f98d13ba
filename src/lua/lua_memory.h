/*
 * The memory of one Lua state: counted, limited, and who is to answer for a lack.
 * doc/internals/memory.md tells how.
 */
#pragma once

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lua_fiber;
struct lua_vm;

/** Part of struct lua_vm. */
struct lua_memory {
	lua_Alloc alloc; /* LuaJIT's own allocator */
	void *alloc_arg;
	size_t used;  /* bytes the state has now */
	size_t peak;  /* and at most ever */
	size_t limit; /* 0: none */
	size_t line;  /* above it each growth is looked at: the soft line;
			 SIZE_MAX without a limit */
	size_t mark;  /* used, when the growth of running was last settled */
	struct lua_fiber *running; /* whom growth is charged to; NULL: nobody */
	int64_t grown;             /* by all: see struct lua_fiber */
	unsigned grown_cycles;     /* of that */
	unsigned own;              /* protected calls of the server's own */
	uint64_t failures;         /* allocations refused, the system's too */
	uint64_t soft;             /* collections begun because of the line */
	uint64_t longest_ns; /* the longest step of a collection of ours */
	/* Of the collector's pace. */
	unsigned cycles;    /* collections that were seen to mark all; wraps */
	unsigned recovered; /* cycles at the end of the recovery */
	unsigned crisis;    /* times when something was refused, until there
			       was room again; wraps */
	bool in_crisis;     /* one is on */
	bool recovering; /* something was refused: collect before each turn */
	bool lacked;     /* and in the turn that runs */
	bool suspects_traces; /* of keeping what a recovery is to free */
	bool boosted;         /* stepmul is ours, not the script's */
	uint8_t white;        /* changes with each collection */
	uint32_t stepmul;     /* the script's, while boosted */
	size_t threshold;     /* as it was seen last: a step of the collector
			       changes it */
	size_t pending;       /* bytes allocated since */
};

/** The allocator of a state; @a vm is its argument. */
void *lua_memory_alloc(void *vm, void *ptr, size_t old_size, size_t size);

/** Begin to count for a state that was just made. */
void lua_memory_create(struct lua_vm *vm);

/**
 * Limit the state to @a limit bytes, 0: no limit. Returns 0, or -1 with diag
 * set: IllegalParams, it has nearly as much already.
 */
int lua_memory_set_limit(struct lua_vm *vm, size_t limit);

/** Charge what the fiber that runs has grown by since this was last done. */
void lua_memory_settle(struct lua_memory *m);

/** The turn of @a f begins; returns whose was interrupted, for the end. */
struct lua_fiber *lua_memory_turn(struct lua_vm *vm, struct lua_fiber *f);

/** The turn of the running one has ended, with @a rc of lua_resume(). */
void lua_memory_turn_end(struct lua_vm *vm, struct lua_fiber *outer, int rc);

/** @a f is new: what it may take depends on who made it. */
void lua_memory_inherit(struct lua_vm *vm, struct lua_fiber *f);

/**
 * After a turn in which something was refused (memory.lacked), when what its
 * fiber died of is garbage: collect, so that others find room again. Of a large
 * state only a part is done here, and the rest before each of the next turns.
 */
void lua_memory_recover(struct lua_vm *vm);

/** Push a table of what is used; see neap.memory(). Throws: out of memory. */
int lua_memory_push(lua_State *L);
