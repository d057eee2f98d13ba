/* Errors of finalizers, for which nobody waits: into the server's log. */
#pragma once

#include <lua.h>

struct lua_vm;

/** Once a state. Throws: out of memory. */
void lua_finalizer_open(lua_State *L);

/** The state is closed: tell what was not told. */
void lua_finalizer_close(struct lua_vm *vm);
