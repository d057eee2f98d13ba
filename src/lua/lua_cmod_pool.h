/*
 * The helper processes of one isolated function, and the calls that wait for
 * one: a few helpers, started when they are needed, and a queue.
 *
 * It belongs to a handle and to each call that is under way: a function that is
 * unloaded meanwhile still answers those.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "cmod/call.h"

struct cmod_func;
struct fiber;
struct lua_cmod_helper;
struct lua_cmod_options;
struct lua_cmod_pool;
struct sched;

/** A call. */
struct lua_cmod_isolated {
	struct neap_call call;          /* arguments and results; no C stack */
	struct list link;               /* in the queue */
	struct lua_cmod_pool *pool;     /* held */
	struct lua_cmod_helper *helper; /* that works at it; NULL: none */
	struct fiber *fiber;            /* that waits; NULL: nobody */
	bool tried; /* its first helper turned out to be dead */
};

/**
 * A pool for @a func, which is held. Starts nothing. NULL with diag set: out of
 * memory.
 */
struct lua_cmod_pool *lua_cmod_pool_new(struct sched *sched,
					struct cmod_func *func,
					const struct lua_cmod_options *o);

/** The handle is gone. NULL is fine. */
void lua_cmod_pool_unref(struct lua_cmod_pool *p);

/** The function of it. */
struct cmod_func *lua_cmod_pool_func(const struct lua_cmod_pool *p);

/** A call; arguments go into ic->call.in. NULL with diag set: out of memory. */
struct lua_cmod_isolated *lua_cmod_isolated_new(struct lua_cmod_pool *p);

/** It is not under way. NULL is fine. */
void lua_cmod_isolated_delete(struct lua_cmod_isolated *ic);

/**
 * Whether one more may wait. Returns 0, or -1 with diag set: too many do.
 */
int lua_cmod_pool_check(const struct lua_cmod_pool *p);

/**
 * Have it done. @a fiber has been parked, with lua_cmod_isolated_undo(), and is
 * woken when ic->call has its results or its error.
 */
void lua_cmod_isolated_begin(struct lua_cmod_isolated *ic, struct fiber *fiber);

/** The fiber waits no more. As a fiber_undo_f. */
void lua_cmod_isolated_undo(struct fiber *fiber, void *arg);
