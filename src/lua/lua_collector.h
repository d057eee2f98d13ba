/*
 * LuaJIT's collector of one state, made to work in time: so that it ends before the
 * memory does, and never for long at once. doc/internals/memory.md tells how.
 */
#pragma once

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lua_vm;

enum {
	LUA_COLLECTOR_STEP_NS = 1000000, /* of a collection at a time, about */
};

/**
 * The state is above its soft line and grows by @a growth. See that a collection
 * runs, and that it ends in time: before the room that is left is used up.
 */
void lua_collector_pace(struct lua_vm *vm, size_t growth);

/** The collector works as the script has set it, again. */
void lua_collector_unboost(struct lua_vm *vm);

/** Something was refused: most of what there is may be garbage soon. */
void lua_collector_begin_recovery(struct lua_vm *vm);

/** Go on with the recovery for @a ns; memory.recovering: it is not over. */
void lua_collector_recover(struct lua_vm *vm, uint64_t ns);

/** Is it the collector, or a finalizer, that works? */
bool lua_collector_is_running(struct lua_vm *vm);
bool lua_collector_is_finalizing(struct lua_vm *vm);

/** Are @a size bytes in place of @a ptr for the table of all strings? It grows in
 * the turn of whoever makes one too many. Without room everything goes on. */
bool lua_collector_is_of_strings(struct lua_vm *vm, const void *ptr,
				 size_t size);

/** When lua_collector_hurry() is to be content: all that is garbage now is freed. */
unsigned lua_collector_cycles(struct lua_vm *vm);

/**
 * Inside an allocation: see that the collector gets there soon, in the turn of
 * who allocates. True: it is there.
 */
bool lua_collector_hurry(struct lua_vm *vm, unsigned cycles);

/**
 * Inside an allocation, of @a size bytes in place of @a ptr: is it what the
 * running script wants, and not the collector, a finalizer, the compiler or the
 * table of all strings?
 */
bool lua_collector_is_for_script(struct lua_vm *vm, const void *ptr,
				 size_t size);

/**
 * For collectgarbage() of builtins.lua: collect(done) -> nil when the
 * collection is complete, or a number to pass to the next call. First call:
 * without. Takes about a millisecond at most, but for the parts of a
 * collection that LuaJIT cannot divide.
 */
int lua_collector_collect(lua_State *L);

/** The same for 'setstepmul': the script's factor, which ours may stand for. */
int lua_collector_set_stepmul(lua_State *L);
