/*
 * Where the thread of a Lua state stands, told inside a signal handler on that thread: in
 * compiled code, the collector, a function in C, one of a C module; and the Lua functions
 * that have called it. What is read of Lua's memory is copied by the kernel, which minds no
 * bad pointer: C code may be about to change anything.
 */
#pragma once

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lua_vm;

enum {
	LUA_WHERE_STACK = 320, /* bytes of a stack as text */
	LUA_WHERE_NAME = 64,
	LUA_WHERE_FILE = 128,
	LUA_WHERE_TEXT = 384, /* enough for lua_where_text() */
};

enum lua_where_kind {
	LUA_WHERE_UNKNOWN,
	LUA_WHERE_LUA,     /* the interpreter, or a trace */
	LUA_WHERE_TRACE_C, /* C code that a trace has called */
	LUA_WHERE_C,       /* a lua_CFunction */
	LUA_WHERE_MODULE,  /* a function of a module of cmod */
	LUA_WHERE_GC,
	LUA_WHERE_COMPILER,
};

struct lua_where {
	enum lua_where_kind kind;
	uintptr_t pc;
	lua_CFunction code;        /* of LUA_WHERE_C; NULL: unknown */
	char name[LUA_WHERE_NAME]; /* of LUA_WHERE_MODULE, as the next */
	char file[LUA_WHERE_FILE]; /* the end of its path */
};

/** Signal context, on the thread of @a vm. */
void lua_where_look(const struct lua_vm *vm, const void *ucontext,
		    struct lua_where *ret);

/**
 * Signal context: the Lua functions that have called the C code that runs, innermost
 * first, as "app.lua:12 < app.lua:40"; "": none can be told. Of the coroutine that runs
 * alone. LUA_WHERE_STACK bytes.
 */
void lua_where_stack(const struct lua_vm *vm, char *to);

/**
 * Write what C code @a w is in: "C function 'string.rep'", "C function 'f' of module
 * '/x/m.so'", with the symbol of the library that it stands in. "": in none. @a vm: a state of
 * this thread, in which the names of Lua's own functions are looked up. Throws: no.
 */
void lua_where_text(const struct lua_where *w, struct lua_vm *vm, char *to,
		    size_t room);

/** The name of @a code as scripts call it, "string.rep", or its symbol; false: there is
 * neither. */
bool lua_where_name(lua_CFunction code, struct lua_vm *vm, char *to,
		    size_t room);

/** The symbol at @a pc and the library it is of, when that is not the program: "read" and
 * "libc.so.6". */
bool lua_where_symbol(uintptr_t pc, char *name, size_t name_room, char *file,
		      size_t file_room);
