/*
 * Makes a fiber that computes give way: the layer of Lua under the ticker.
 *
 * The tick, a signal on the worker's own thread, arms a count hook when the
 * interrupted instruction is one where that is sound: in the interpreter's
 * assembly or a compiled trace, with no trace being recorded. The hook runs at
 * the next instruction of Lua, takes itself away and yields. Compiled code
 * looks whether there is a hook because our LuaJIT is built so.
 */
#pragma once

#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

#include "lua/lua_where.h"

struct lua_fiber;
struct lua_vm;

/** Who has kept the others of a state waiting for a while, as ticks have found. */
struct lua_busy {
	uint64_t since_ns; /* uv_hrtime() when its turn began */
	uint64_t seen_ns;  /* and when that was found; 0: never */
	uint64_t fiber;
	char name[32];
	struct lua_where where;      /* when that was found */
	char stack[LUA_WHERE_STACK]; /* of Lua, if it is in C code */
};

/** The last of them; it may be over by now. Any thread, while the state lives. */
void lua_preempt_look(const struct lua_vm *vm, struct lua_busy *ret);

/** Write what it keeps them waiting with, "C function 'f' of module '/x/m.so', called at
 * app.lua:12 < app.lua:40"; "": with nothing in C. As lua_where_text(), of which @a vm
 * is. */
void lua_preempt_text(const struct lua_busy *busy, struct lua_vm *vm, char *to,
		      size_t room);

enum { LUA_BUSY_TEXT = LUA_WHERE_TEXT + LUA_WHERE_STACK + 16 };

/**
 * Slices of @a slice_ns for the fibers of this vm. Returns 0, or -1 with diag
 * set: ClientError when this build cannot (the system's LuaJIT, the thread
 * sanitizer), SystemError.
 */
int lua_preempt_start(struct lua_vm *vm, uint64_t slice_ns);

/** Also when it was not started. */
void lua_preempt_stop(struct lua_vm *vm);

/**
 * The Lua function at the top, just loaded, and those in it are ours: they are
 * not left in the middle. Not by name: any script may name its chunks as it likes.
 */
void lua_preempt_spare(lua_State *L);

/** The same, and they end also when the fiber is over a limit: they clean up, or pass
 * on what does. It meets the limit behind them. They must be short but for waits. */
void lua_preempt_firm(lua_State *L);

/** Inside an allocation: is it for one of these? */
bool lua_preempt_is_firm(const struct lua_vm *vm);

/**
 * Inside an allocation: a tick of this turn came while C code ran, and the hook
 * is set now, if it can be. For a fiber that mostly has the collector work for
 * it, which no tick finds in Lua.
 */
void lua_preempt_catch_up(struct lua_vm *vm);

/** Inside an allocation: the running fiber is over a limit, and is to hear of it
 * as soon as that can be. */
void lua_preempt_over(struct lua_vm *vm);

/** Take our hook away, if it is set, which is told, while the script asks for its own.
 * No tick sets it before lua_preempt_show(). */
bool lua_preempt_hide(struct lua_vm *vm);
void lua_preempt_show(struct lua_vm *vm, bool was_set);

/** Before @a f is resumed: what was asked of another one is forgotten, and it is
 * told what it cannot learn by a wait's status. True: that other one is outside,
 * lua_preempt_outer() is wanted afterwards. */
bool lua_preempt_before(struct lua_fiber *f);

/** A fiber inside the running one was made to give way: so is the running one,
 * whose turn it is. */
void lua_preempt_outer(struct lua_vm *vm);

/** After the resume of @a f when vm->hook.armed: the hook goes. */
void lua_preempt_after(struct lua_fiber *f);

/**
 * Was @a co just suspended by the hook, not by itself? To be asked once, right
 * after its resume has returned, by who resumed it.
 */
bool lua_preempt_take(struct lua_vm *vm, lua_State *co);

/** The diag says which limit @a f is over. */
void lua_preempt_set_over_diag(const struct lua_fiber *f);

/** Have vm->profile told what runs at each tick, or no more. False: there are no ticks. */
bool lua_preempt_sample(struct lua_vm *vm, bool on);

/** What a coroutine yields whose inner one was made to give way. */
void lua_push_preempt_mark(lua_State *L);
bool lua_has_preempt_mark(lua_State *L);
