/* Error objects in Lua: one class over `struct error` of base/diag.h. */
#pragma once

#include <lua.h>

struct error;

/**
 * Push @a e as an error object. Takes over the reference, also when pushing
 * throws (out of memory). Throws: out of memory.
 */
void lua_error_push(lua_State *L, struct error *e);

/** Push this thread's diag (taken). Throws: out of memory. */
void lua_error_push_diag(lua_State *L);

/** `return lua_error_fail(L)`: pushes nil and the diag. */
int lua_error_fail(lua_State *L);

/** `return lua_error_throw(L)`: throws the diag as an error object. */
int lua_error_throw(lua_State *L);

/** Throw an IllegalParams error object with the caller's place. */
int lua_error_usage(lua_State *L, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/** The same as a Lua function of the message, for the Lua halves of modules:
 * `c.usage(text)`. */
int lua_error_usage_text(lua_State *L);

/** about(err, what) -> err: the same error with "what: " before its message. */
int lua_error_about(lua_State *L);

/** The error behind the value at @a idx, or NULL when it is none. Borrowed. */
struct error *lua_error_test(lua_State *L, int idx);

/**
 * An error of any Lua value: the error object itself (referenced), or a
 * LuaError with its text. Never NULL, never throws.
 */
struct error *lua_error_from_value(lua_State *L, int idx);

/** Register the class; once a state, before anything can fail. */
void lua_error_open(lua_State *L);
