/* The module shared: what all workers have in common. */
#pragma once

#include "lua/lua_class.h"
#include "lua/lua_state.h"
#include "runtime/shared_wait.h"

extern const struct lua_module lua_module_shared;

/** A state's handle of an object: the userdata of its class. */
struct lua_shared {
	struct shared_object *object; /* NULL: not yet */
};

/** The name at index 1 of function @a usage, "shared.dict(name, ..)". Throws. */
const char *lua_shared_check_name(lua_State *L, const char *usage);

/** An option of the table at index 2: a whole number. */
struct lua_shared_option {
	const char *name;
	double min, max;
	double value;  /* out: what it is; the default before */
	bool is_given; /* out */
};

/**
 * Read the options at index 2, if there are any. Throws a usage error for what
 * is no option, and for numbers out of their limits.
 */
void lua_shared_read_options(lua_State *L, const char *usage,
			     struct lua_shared_option *options, size_t count);

/**
 * Push a handle of the object with the name at index 1, made by @a options.
 * Returns 0, or -1 with diag set. Throws: out of memory.
 */
int lua_shared_open(lua_State *L, const struct shared_kind *kind,
		    enum lua_class id, const void *options);

/** Set the diag: what exists was made with another @a what. Returns -1. */
int lua_shared_differs(const struct shared_object *o, const char *what,
		       double is, double wanted);

/** The object of the handle at index 1. Throws. */
struct shared_object *lua_shared_check(lua_State *L, enum lua_class id);

/** __gc of handles of class @a id. */
int lua_shared_release(lua_State *L, enum lua_class id);

/** Set the class' methods to the table at index 1. */
int lua_shared_set_methods(lua_State *L, enum lua_class id);

/** A message of the value at @a idx; NULL with diag set. Throws: no. */
struct shared_message *lua_shared_pack(lua_State *L, int idx, size_t limit,
				       const struct shared_object *o);

/** Push the value of @a m. Returns 0, or -1 with diag set. Throws: no. */
int lua_shared_unpack(lua_State *L, const struct shared_message *m);

/**
 * The wait of the running fiber, one for each, which is none; or NULL outside
 * fibers. Kept by the state, finalized when it is closed. Throws: out of memory.
 */
struct shared_wait *lua_shared_wait(lua_State *L);

/** The wait of the running fiber, which has been woken. Throws: no. */
struct shared_wait *lua_shared_wait_over(lua_State *L);

/** What is left in @a w is dropped, or given back to its channel. */
void lua_shared_wait_clear(struct shared_wait *w);

/** Get ready to wait in this state: 0, or -1 with diag set. */
int lua_shared_wait_prepare(lua_State *L);

/** Make the class and the table of waits. Throws: out of memory. */
void lua_shared_wait_open(lua_State *L);

/** Push a table of C functions for the Lua half. */
void lua_shared_dict_open(lua_State *L);
void lua_shared_channel_open(lua_State *L);
void lua_shared_broadcast_open(lua_State *L);
