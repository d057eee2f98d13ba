/* Errors of finalizers, for which nobody waits: into the server's log. */
#pragma once

struct lua_vm;

/** From now on. Once for each state, before it runs anything. */
void lua_finalizer_open(void);

/** The state is closed: tell what was not told. */
void lua_finalizer_close(struct lua_vm *vm);
