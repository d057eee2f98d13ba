/* A request in Lua: the object that the functions of a state get. */
#pragma once

#include <lua.h>

struct request;
struct worker;

/**
 * Push the object of @a r in the state of @a w, whose thread this is: the same
 * for all functions of that state. Returns 0, or -1 with diag set (it is over)
 * and nothing pushed. Throws: out of memory.
 */
int request_push_object(lua_State *L, struct worker *w, struct request *r);

/** The request of the object at @a idx. Throws: it is over. */
struct request *request_check(lua_State *L, int idx);

/** Make the classes and push a table of C functions for the Lua half. */
void request_object_open(lua_State *L);
