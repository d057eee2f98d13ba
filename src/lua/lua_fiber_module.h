/* The files of the module `fiber` among themselves. */
#pragma once

#include <lua.h>

struct lua_fiber;

/** The running fiber; throws when there is none. */
struct lua_fiber *lua_fiber_check_self(lua_State *L);

/** The fiber given at @a idx by object or id; throws when it is dead. */
struct lua_fiber *lua_fiber_check_alive(lua_State *L, int idx);

/** Make a fiber of the function and the arguments on the stack, which its object
 * replaces; for errors the caller is fiber.@a name. To be started. Throws. */
struct lua_fiber *lua_fiber_make(lua_State *L, const char *name);

/** Put their functions into the table at the top. */
void lua_fiber_open_wait(lua_State *L);
void lua_fiber_open_info(lua_State *L);
void lua_fiber_open_slice(lua_State *L);
void lua_fiber_open_group(lua_State *L);
void lua_fiber_open_offload(lua_State *L);
