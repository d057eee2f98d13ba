/*
 * Access logs of HTTP servers in Lua: to a file, as lines, or to a function, as
 * tables.
 */
#pragma once

#include <lua.h>
#include <stdint.h>

struct http_access;
struct lua_http_access;
struct lua_http_server;

/** Put the functions of the Lua half into the table on top. Throws: out of memory. */
void lua_http_open_access(lua_State *L);

/** The same of requests. */
void lua_http_open_note(lua_State *L);

/** The server runs: its function, if it has one, is held. Its object is at 1.
 * Throws: out of memory. */
void lua_http_access_anchor(lua_State *L, struct lua_http_server *s);

/** The reverse. Throws: no. */
void lua_http_access_release(struct lua_http_server *s);

/** The server has drained: call @a on_done when all is written or taken, or after a
 * while; now or later. */
void lua_http_access_finish(struct lua_http_server *s,
			    void (*on_done)(struct lua_http_server *s));

/** How many requests could not be logged. */
uint64_t lua_http_access_lost(const struct lua_http_server *s);

/** The server's object is collected. */
void lua_http_access_free(struct lua_http_server *s);
