/* Values of variables from and to Lua. */
#pragma once

#include <lua.h>

#include "app/request.h"

/**
 * The value at @a idx for variable @a name, of at most @a max bytes; a string comes with
 * a reference. Throws: it is none that another state can have, or too large.
 */
struct request_value variable_check(lua_State *L, int idx, const char *name,
				    size_t max);

/**
 * Push @a v, whose reference is taken over. When that throws it is left in @a held, which
 * belongs to an object that releases it with its end. Throws: out of memory.
 */
void variable_push(lua_State *L, struct request_value v,
		   struct request_string **held);
