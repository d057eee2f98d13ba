/* Values of variables from and to Lua. See variable.h. */
#include "app/variable.h"

#include <lauxlib.h>

#include "base/diag.h"
#include "lua/lua_error.h"

struct request_value variable_check(lua_State *L, int idx, const char *name,
				    size_t max)
{
	struct request_value v = { REQUEST_NIL, { 0 } };
	const char *data;
	size_t size;

	switch (lua_type(L, idx)) {
	case LUA_TNONE:
	case LUA_TNIL:
		break;
	case LUA_TBOOLEAN:
		v.kind = REQUEST_BOOLEAN;
		v.boolean = lua_toboolean(L, idx);
		break;
	case LUA_TNUMBER:
		v.kind = REQUEST_NUMBER;
		v.number = lua_tonumber(L, idx);
		break;
	case LUA_TSTRING:
		data = lua_tolstring(L, idx, &size);
		if (size > max) {
			diag_set(ClientError,
				 "variable '%s': %zu bytes are more than all "
				 "of its kind may have, %zu",
				 name, size, max);
			lua_error_throw(L);
		}
		v.kind = REQUEST_STRING;
		v.string = request_string_new(data, size);
		if (v.string == NULL)
			lua_error_throw(L);
		break;
	default:
		lua_error_usage(L,
				"variable '%s': a string, a number or a "
				"boolean is wanted, not %s: other values "
				"cannot go from one state to another",
				name, luaL_typename(L, idx));
	}
	return v;
}

void variable_push(lua_State *L, struct request_value v,
		   struct request_string **held)
{
	switch (v.kind) {
	case REQUEST_NIL:
		lua_pushnil(L);
		break;
	case REQUEST_BOOLEAN:
		lua_pushboolean(L, v.boolean);
		break;
	case REQUEST_NUMBER:
		lua_pushnumber(L, v.number);
		break;
	case REQUEST_STRING:
		/* One is left there only when the last push has thrown. */
		request_string_unref(*held);
		*held = v.string;
		lua_pushlstring(L, v.string->data, v.string->size);
		*held = NULL;
		request_string_unref(v.string);
		break;
	}
}
