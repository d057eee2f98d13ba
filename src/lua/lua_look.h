/* What a Lua state is at, for operators. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct lua_vm;

struct lua_look {
	const char *phase;   /* of the collector; NULL: it is not known */
	uint32_t strings;    /* interned; of a system's LuaJIT 0, as below */
	uint32_t coroutines; /* until they are collected */
	uint32_t traces;     /* compiled, that exist now */
	size_t machine_code; /* bytes set aside for them */
};

/** On the state's thread, while it runs nothing. Throws: no. */
void lua_look(const struct lua_vm *vm, struct lua_look *ret);

/**
 * Signal context, on the thread of @a vm, one of whose fibers runs: note for lua_preempt_look() where
 * it stands. For other threads: this one may be in C code that does not end.
 */
void lua_look_note(struct lua_vm *vm, const void *ucontext);
