/* The module `socket`: names of hosts. */
#include <errno.h>
#include <lauxlib.h>
#include <string.h>
#include <uv.h>

#include "base/diag.h"
#include "lua/lua_call.h"
#include "lua/lua_error.h"
#include "lua/lua_socket.h"
#include "net/resolve.h"

enum { FOUND_MAX = 256 }; /* of one host */

static int fail(lua_State *L, int err)
{
	lua_pushnil(L);
	lua_error_push_diag(L);
	errno = err;
	return 2;
}

static void push_one(lua_State *L, const struct addrinfo *found)
{
	struct sock_address addr = { .size = found->ai_addrlen };

	memcpy(&addr.addr, found->ai_addr, found->ai_addrlen);
	if (!lua_socket_push_address(L, &addr, NULL, false))
		return;
	lua_socket_push_type(L, found->ai_socktype);
	lua_setfield(L, -2, "type");
	lua_socket_push_protocol(L, found->ai_protocol);
	lua_setfield(L, -2, "protocol");
	if (found->ai_canonname != NULL) {
		lua_pushstring(L, found->ai_canonname);
		lua_setfield(L, -2, "canonname");
	}
}

static int push_found(lua_State *L, const struct addrinfo *found)
{
	lua_newtable(L);
	for (int i = 1; found != NULL && i <= FOUND_MAX;
	     found = found->ai_next) {
		if (found->ai_family != AF_INET && found->ai_family != AF_INET6)
			continue;
		push_one(L, found);
		lua_rawseti(L, -2, i++);
	}
	return 1;
}

static int answered(lua_State *L, const struct resolve_key *key,
		    const struct resolve_answer *a)
{
	int err, rc = resolve_status(a, &err);
	const char *host = key->host != NULL ? key->host : "";

	if (rc == 0)
		return push_found(L, resolve_found(a));
	if (rc == EAI_SYSTEM)
		diag_set_system(err, "socket.getaddrinfo(): %.256s", host);
	else
		diag_set(ClientError, "socket.getaddrinfo(): %.256s: %s", host,
			 gai_strerror(rc));
	return fail(L, rc == EAI_SYSTEM ? err : EINVAL);
}

/* A text without zero bytes, or NULL for nil. */
static const char *text_of(lua_State *L, int arg)
{
	struct sock_text text = lua_socket_text(L, arg, "");

	if (lua_isnoneornil(L, arg))
		return NULL;
	if (strlen(text.data) != text.size)
		lua_error_usage(L, "socket.getaddrinfo(): a name with a zero "
				   "byte in it");
	return text.data;
}

/* resolve(host, service, family, type, protocol, flags, due) -> table | nil,
 * err | status: once more, when that is 0. */
static int l_resolve(lua_State *L)
{
	struct resolve_key key = {
		.host = text_of(L, 1),
		.service = text_of(L, 2),
		.family = (int)lua_tointeger(L, 3),
		.type = (int)lua_tointeger(L, 4),
		.protocol = (int)lua_tointeger(L, 5),
		.flags = (int)lua_tointeger(L, 6),
	};
	uint64_t left = lua_wait_left(L, 7);
	struct fiber *self = lua_wait_check(L);
	struct resolve_answer *a;
	int rc = resolve_ask(self, &key, &a);

	if (rc == 0)
		return answered(L, &key, a);
	if (rc == UV_EAGAIN && left > 0) {
		resolve_wait(a, self, left);
		return lua_wait(L);
	}
	if (rc == UV_EAGAIN) {
		diag_set(TimedOut, "socket.getaddrinfo(): timed out");
		return fail(L, ETIMEDOUT);
	}
	diag_set_system(rc, "socket.getaddrinfo()%s",
			rc == UV_ENOBUFS ? ": too many wait for an answer"
					 : "");
	return fail(L, -rc);
}

/* forget() */
static int l_forget(lua_State *L)
{
	(void)L;
	resolve_forget();
	return 0;
}

void lua_socket_open_resolve(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{ "resolve", l_resolve },
		{ "forget", l_forget },
		{ NULL, NULL },
	};

	luaL_register(L, NULL, functions);
}
