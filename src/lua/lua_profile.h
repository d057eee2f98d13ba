/*
 * What a Lua state spends its time on: stacks of Lua functions, counted. The ticks of
 * lua_preempt.c have it sampled: what a tick finds is noted in its signal handler, and told
 * with the stack at the next safe point, where the hook stands or the turn has ended.
 *
 * Memory is taken at the beginning, once; stacks beyond it are counted together.
 */
#pragma once

#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

struct lua_fiber;
struct lua_profile;
struct lua_vm;
struct lua_where;

/** For any state. NULL: no memory. */
struct lua_profile *lua_profile_new(void);
void lua_profile_free(struct lua_profile *p);

/** From now on, on the thread of @a vm, to @a until_ns of uv_hrtime()'s clock at most. False:
 * it has no ticks. */
bool lua_profile_start(struct lua_vm *vm, struct lua_profile *p,
		       uint64_t until_ns);

/** No more samples; what there is stays. Not started: nothing. */
void lua_profile_stop(struct lua_vm *vm);

/** Number *at and those behind it: a stack as "frame;frame;frame", and its microseconds.
 * Returns false: there are no more. Between two turns. */
bool lua_profile_next(const struct lua_profile *p, unsigned *at,
		      const char **ret_text, uint64_t *ret_us);

/* For lua_preempt.c. */

bool lua_profile_is_over(const struct lua_profile *p, uint64_t now_ns);

/** Signal context: the loop itself has computed for @a cpu_ns. */
void lua_profile_add_loop(struct lua_profile *p, uint64_t cpu_ns);

/** Signal context: @a f was found at @a w. It has computed for @a cpu_ns, and waited
 * by itself for @a blocked_ns. */
void lua_profile_note(struct lua_profile *p, const struct lua_fiber *f,
		      const struct lua_where *w, uint64_t cpu_ns,
		      uint64_t blocked_ns);

/** What was noted in this turn was done by @a L, or what it has called since. Throws: no. */
void lua_profile_take(struct lua_vm *vm, lua_State *L);
