/*
 * The module `socket`: what its C files share. A socket in Lua is a table, whose
 * first element is the userdata; every function here takes the table.
 */
#pragma once

#include <lua.h>
#include <stdbool.h>

#include "net/sock.h"

struct tls_context;
struct tls_info;

/** The userdata. */
struct lua_socket {
	int err; /* errno of its last operation; 0: it went well */
	struct sock sock;
};

/** The socket of argument 1, open or not. Throws: it is none. */
struct lua_socket *lua_socket_check_any(lua_State *L);

/** The same; throws when it is closed. */
struct lua_socket *lua_socket_check_open(lua_State *L);

/** The same for an operation: its last error is forgotten. */
struct lua_socket *lua_socket_check(lua_State *L);

/** The same for one that reads: not in a finalizer, which may run while a reader
 * pushes what it has in the buffer of the thread. */
struct lua_socket *lua_socket_check_reader(lua_State *L);

/** Push a userdata with a closed socket. Throws: out of memory. */
struct lua_socket *lua_socket_push(lua_State *L);

/** `return lua_socket_fail(..)`: @a rc, a negative errno, is its last error and
 * errno(); pushes nil and an error object that names @a call. */
int lua_socket_fail(lua_State *L, struct lua_socket *s, int rc,
		    const char *call);

/** The same with false in place of nil. */
int lua_socket_refuse(lua_State *L, struct lua_socket *s, int rc,
		      const char *call);

/** A text argument; numbers are texts, too; nil is @a def. Throws: neither. */
struct sock_text lua_socket_text(lua_State *L, int idx, const char *def);

/** Push a table of @a addr: host, family and port; false when it is of no known
 * kind: nil is pushed. @a full: also type and protocol, of @a s. */
bool lua_socket_push_address(lua_State *L, const struct sock_address *addr,
			     const struct sock *s, bool full);

/** Push the name of a protocol or type, or its number when it has none. */
void lua_socket_push_protocol(lua_State *L, int protocol);
void lua_socket_push_type(lua_State *L, int type);

/** The TLS context of the userdata at @a idx. Throws: it is none. */
struct tls_context *lua_socket_check_tls_context(lua_State *L, int idx);

/** Push a table of @a info, as socket_object:tls_info() has it. */
void lua_socket_push_tls_info(lua_State *L, const struct tls_info *info);

/** Add to the table at the top. Each file has its own. Throws: out of memory. */
void lua_socket_open_data(lua_State *L);
void lua_socket_open_address(lua_State *L);
void lua_socket_open_options(lua_State *L);
void lua_socket_open_names(lua_State *L);
void lua_socket_open_resolve(lua_State *L);
void lua_socket_open_server(lua_State *L);
void lua_socket_open_proxy(lua_State *L);
void lua_socket_open_tls(lua_State *L);

/** The C half of socket.lua. */
int luaopen_neap_socket(lua_State *L);
