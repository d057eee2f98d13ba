/*
 * A loop, a scheduler and a Lua state for tests of the lua layer, and what the
 * state has told of errors that nobody caught. One for each thread that wants
 * one, as workers have.
 */
#pragma once

#include "unit.h"

#include <lauxlib.h>
#include <lualib.h>

#include "base/buf.h"
#include "base/diag.h"
#include "base/inject.h"
#include "lua/lua_call.h"
#include "lua/lua_fiber.h"
#include "lua/lua_state.h"
#include "runtime/fiber.h"
#include "runtime/loop.h"

static __thread struct loop world_loop;
static __thread struct sched world_sched;
static __thread struct lua_vm world_vm;

static __thread char
	world_told[8192]; /* uncaught errors, one after the other */
static __thread int world_told_count;

static inline void world_on_uncaught(struct lua_fiber *f, const char *text,
				     void *arg)
{
	size_t used = strlen(world_told);

	assert_non_null(f);
	assert_ptr_equal(arg, &world_vm);
	world_told_count++;
	snprintf(world_told + used, sizeof world_told - used, "%s\n", text);
}

static inline void world_forget(void)
{
	world_told[0] = '\0';
	world_told_count = 0;
}

/** Returns what lua_vm_create() does; without a state nothing is left. */
static inline int world_create(void)
{
	int rc;

	world_forget();
	assert_int_equal(loop_create(&world_loop), 0);
	assert_int_equal(sched_create(&world_sched, &world_loop), 0);
	rc = lua_vm_create(&world_vm, &world_sched, world_on_uncaught,
			   &world_vm);
	if (rc != 0) {
		sched_close(&world_sched);
		assert_int_equal(loop_destroy(&world_loop, NULL, NULL), 0);
	}
	return rc;
}

/** Give up every fiber that is left. */
static inline void world_abandon(void)
{
	while (!list_empty(&world_sched.all))
		lua_fiber_abandon(lua_fiber_of(
			list_entry(world_sched.all.next, struct fiber, all)));
}

static inline void world_destroy(void)
{
	world_abandon();
	lua_vm_destroy(&world_vm);
	sched_close(&world_sched);
	assert_int_equal(loop_destroy(&world_loop, NULL, NULL), 0);
	diag_clear();
}

static inline int world_set_up(void **state)
{
	(void)state;
	return world_create();
}

static inline int world_tear_down(void **state)
{
	(void)state;
	inject_reset();
	world_destroy();
	return 0;
}

/** Run the loop until nothing is alive. */
static inline void world_run(void)
{
	assert_int_equal(loop_run(&world_loop, UV_RUN_DEFAULT), 0);
}

struct world_chunk {
	const char *text;
	struct lua_fiber *f;
};

static inline void world_push_chunk(lua_State *L, void *arg)
{
	struct world_chunk *c = arg;

	if (luaL_loadbuffer(L, c->text, strlen(c->text), "=test") != 0)
		lua_error(L);
	lua_xmove(L, c->f->co, 1);
}

/** A fiber with the chunk, not started; NULL with diag set. */
static inline struct lua_fiber *world_fiber(const char *text)
{
	struct world_chunk c = { text, lua_fiber_get(&world_vm) };

	if (c.f == NULL)
		return NULL;
	if (lua_vm_protect(&world_vm, world_push_chunk, &c) != 0) {
		lua_fiber_drop(c.f);
		return NULL;
	}
	return c.f;
}

/** Run a chunk in a fiber until all is quiet; nothing may go uncaught. */
static inline void world_do(const char *text)
{
	struct lua_fiber *f = world_fiber(text);

	assert_non_null(f);
	lua_fiber_start(f, 0);
	world_run();
	assert_string_equal(world_told, "");
}

static inline void world_collect(lua_State *L, void *arg)
{
	(void)arg;
	lua_gc(L, LUA_GCCOLLECT, 0);
	lua_gc(L, LUA_GCCOLLECT, 0);
}

/** Bytes of the state after a full collection. */
static inline size_t world_memory(void)
{
	assert_int_equal(lua_vm_protect(&world_vm, world_collect, NULL), 0);
	return world_vm.memory.used;
}

#define in_world(test) \
	cmocka_unit_test_setup_teardown(test, world_set_up, world_tear_down)
