/*
 * Calling a function in a fiber of its own of the same state, and waiting for what
 * it returns: so that its limits, its error and its end are its own. What does not
 * wait costs no switch.
 */
#pragma once

#include <lua.h>

struct lua_fiber;
struct worker;

/**
 * local_call(handler, f, ...) -> true, value | false, text | nil, call: f(...) in a
 * fiber of the group and name of @a handler, a record as lightuserdata. `value` is
 * its first result; `text` its error with the traceback. With a call it has begun to
 * wait, and local_wait() tells the outcome. Throws: calls are too deep inside each
 * other.
 */
int l_local_call(lua_State *L);

/**
 * local_wait(call) -> true, value | false, text | status: once. A status is a number
 * other than 0, that of the wait for it, which was given up: the fiber is cancelled
 * then.
 */
int l_local_wait(lua_State *L);

/** caller_storage() -> table: fiber.storage of who waits for the function that the running
 * fiber was made for; its own, when nobody does. Throws: outside of fibers. */
int l_local_caller_storage(lua_State *L);

/** How deep inside other calls the one is that the running fiber of @a w serves; 0: it
 * serves none. */
unsigned local_call_depth(const struct worker *w);

/** set_leave(metatable): an error with it is the way out of a function, and its [1]
 * the result. */
int l_local_call_set_leave(lua_State *L);

/** @a f is about to be abandoned: who waits for it does not any more. */
void local_call_abandon(struct lua_fiber *f);
