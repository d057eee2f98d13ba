/*
 * Execution limits: how much CPU time a fiber may use, in one go (since it last
 * waited) and in all. Each kind of handler has its own; ticks find who is over,
 * see runtime/ticker.h, and lua_preempt.c ends it.
 */
#pragma once

#include <lua.h>

#include "runtime/fiber.h"

struct lua_account;
struct lua_fiber;
struct lua_vm;

/** What a fiber runs. */
enum lua_limit_group {
	LUA_LIMIT_MAIN, /* the main script, and what it starts */
	LUA_LIMIT_ACTION,
	LUA_LIMIT_FETCH,
	LUA_LIMIT_CONVERTER,
	LUA_LIMIT_FILTER,
	LUA_LIMIT_COMMAND, /* of the console */
	LUA_LIMIT_SERVICE, /* answers a request, or a connection */
	LUA_LIMIT_TASK,
	LUA_LIMIT_COUNT,
};

/** The defaults. */
void lua_limits_create(struct fiber_limits *limits);

/** @a f, not started, belongs to @a group. */
void lua_limits_set_group(struct lua_fiber *f, enum lua_limit_group group);

/** What @a f starts has the limits it has, each with a clock of its own. */
void lua_limits_inherit(struct lua_fiber *f, const struct fiber *parent);

/** Forget those of its own. */
void lua_limits_leave(struct lua_fiber *f);

/** What it has allocated is counted there, if its memory is limited, or NULL. */
struct lua_account *lua_limits_account(const struct lua_fiber *f);

/** limits() and set_limits() of the module `fiber`. */
int lua_limits_get(lua_State *L);
int lua_limits_set(lua_State *L);
