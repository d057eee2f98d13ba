/* Checks of arguments below a Lua half. See lua_arg.h. */
#include "lua/lua_arg.h"

#include <lauxlib.h>
#include <stdarg.h>
#include <string.h>

/* Level 0 is the C function, 1 its Lua half, 2 who called that. */
enum { HALF = 1, USER = 2 };

int lua_arg_fail(lua_State *L, const char *text)
{
	luaL_where(L, USER);
	lua_pushstring(L, text);
	lua_concat(L, 2);
	return lua_error(L);
}

int lua_arg_error(lua_State *L, int arg, const char *fmt, ...)
{
	lua_Debug ar;
	va_list ap;

	memset(&ar, 0, sizeof ar);
	if (lua_getstack(L, HALF, &ar))
		lua_getinfo(L, "n", &ar);
	if (ar.name == NULL)
		ar.name = "?";
	if (ar.namewhat != NULL && strcmp(ar.namewhat, "method") == 0)
		arg--;
	/* The file of io.read() is not the user's argument. */
	if (lua_toboolean(L, lua_upvalueindex(1)))
		arg--;
	luaL_where(L, USER);
	if (arg == 0)
		lua_pushfstring(L, "calling '%s' on bad self (", ar.name);
	else
		lua_pushfstring(L, "bad argument #%d to '%s' (", arg, ar.name);
	va_start(ap, fmt);
	lua_pushvfstring(L, fmt, ap);
	va_end(ap);
	lua_pushliteral(L, ")");
	lua_concat(L, 4);
	return lua_error(L);
}

int lua_arg_type_error(lua_State *L, int arg, const char *wanted)
{
	return lua_arg_error(L, arg, "%s expected, got %s", wanted,
			     luaL_typename(L, arg));
}

const char *lua_arg_string(lua_State *L, int arg, size_t *ret_size)
{
	const char *s = lua_tolstring(L, arg, ret_size);

	if (s == NULL)
		lua_arg_type_error(L, arg, "string");
	return s;
}

const char *lua_arg_opt_string(lua_State *L, int arg, size_t *ret_size)
{
	return lua_isnoneornil(L, arg) ? NULL
				       : lua_arg_string(L, arg, ret_size);
}

double lua_arg_number(lua_State *L, int arg)
{
	if (!lua_isnumber(L, arg))
		lua_arg_type_error(L, arg, "number");
	return lua_tonumber(L, arg);
}

int lua_arg_option(lua_State *L, int arg, const char *def,
		   const char *const *names)
{
	const char *s = lua_arg_opt_string(L, arg, NULL);

	if (s == NULL)
		s = def;
	if (s == NULL)
		return lua_arg_type_error(L, arg, "string");
	for (int i = 0; names[i] != NULL; i++) {
		if (strcmp(names[i], s) == 0)
			return i;
	}
	return lua_arg_error(L, arg, "invalid option '%s'", s);
}
