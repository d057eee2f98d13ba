/* The files of the module `fiber` among themselves. */
#pragma once

#include <lua.h>

struct fiber_handle;
struct lua_fiber;

/** The running fiber; throws when there is none. */
struct lua_fiber *lua_fiber_check_self(lua_State *L);

/** The fiber given at @a idx by object or id; throws when it is dead. */
struct lua_fiber *lua_fiber_check_alive(lua_State *L, int idx);

/** Put the object of a fiber that is to be below the function at @a idx and its
 * arguments; for errors the caller is fiber.@a name. Throws. */
struct fiber_handle *lua_fiber_make_handle(lua_State *L, int idx,
					   const char *name);

/** Make the fiber of @a h, the object at @a idx, and of all that is above it, which
 * goes. To be started. Throws. */
struct lua_fiber *lua_fiber_make_of(lua_State *L, int idx,
				    struct fiber_handle *h);

/** Put their functions into the table at the top. */
void lua_fiber_open_wait(lua_State *L);
void lua_fiber_open_info(lua_State *L);
void lua_fiber_open_slice(lua_State *L);
void lua_fiber_open_group(lua_State *L);
void lua_fiber_open_offload(lua_State *L);
