/*
 * The options of cmod.load(), cmod.live() and module:load(): where and under
 * what limits a function runs. All are read here, so that a wrong one is always
 * refused the same way.
 */
#pragma once

#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

enum { LUA_CMOD_WORKERS_MAX = 64 }; /* helper processes of one function */

struct lua_cmod_options {
	bool offload;        /* on a thread of the pool */
	bool isolate;        /* isolate = 'process': in a helper process */
	bool probe;          /* load in a helper process first */
	uint64_t timeout_ns; /* of a call; UINT64_MAX: none */
	uint64_t memory;     /* bytes a helper may take; 0: not said */
	unsigned workers;    /* helpers of one function; 0: not said */
};

/**
 * Read the options at @a idx: a table, nil or none. @a what begins the
 * messages. Throws: usage, naming the option (unknown, of a wrong type or
 * value, or one that another excludes or is wanted for).
 */
void lua_cmod_read_options(lua_State *L, int idx, const char *what,
			   struct lua_cmod_options *ret);

/** The same where there are none yet. */
void lua_cmod_read_no_options(lua_State *L, int idx, const char *what);

/** The same for cmod.load(). */
void lua_cmod_read_load_options(lua_State *L, int idx, const char *what,
				struct lua_cmod_options *ret);

/** The same for cmod.live(): those of a function, and `probe`. */
void lua_cmod_read_live_options(lua_State *L, int idx, const char *what,
				struct lua_cmod_options *ret);
