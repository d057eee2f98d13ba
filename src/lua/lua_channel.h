/* Channels in Lua: the C half of fiber.channel(). */
#pragma once

#include <lua.h>

/** Push the table of C functions: new, put, put_end, get, get_end, close,
 * info, set_methods. */
void lua_channel_open(lua_State *L);
