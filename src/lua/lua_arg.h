/*
 * Checks of arguments, for C functions right below a Lua half: errors are those
 * of Lua's own checks, and name the user's call and place. All of them throw.
 */
#pragma once

#include <lua.h>
#include <stddef.h>

/** "bad argument #n to 'f' (...)". */
int lua_arg_error(lua_State *L, int arg, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/** The same: "@a wanted expected, got ...". */
int lua_arg_type_error(lua_State *L, int arg, const char *wanted);
/** The string or number at @a arg as text; @a ret_size may be NULL. */
const char *lua_arg_string(lua_State *L, int arg, size_t *ret_size);
/** NULL when there is none or nil. */
const char *lua_arg_opt_string(lua_State *L, int arg, size_t *ret_size);
double lua_arg_number(lua_State *L, int arg);
/** The index of the string in @a names, which ends in NULL; @a def may be. */
int lua_arg_option(lua_State *L, int arg, const char *def,
		   const char *const *names);
/** luaL_error() with the place of the user's call. */
int lua_arg_fail(lua_State *L, const char *text);
