/*
 * The module `socket`: the PROXY header that a connection begins with. It is read
 * ahead like anything else, so what follows it stays for the next reader.
 */
#include <lauxlib.h>
#include <uv.h>

#include "lua/lua_socket.h"
#include "net/proxy_protocol.h"

/* What has come is not all of it. Returns 0: more has; or UV_E*. */
static int read_more(struct sock *s)
{
	int rc = sock_read_ahead(s, PROXY_HEADER_MAX);

	/* The end of the peer, or of our patience. */
	return rc == UV_EOF || rc == UV_EMSGSIZE ? UV_EPROTO : rc;
}

/* read_proxy(s) -> table: whose it is | true: the proxy's own | false: wait |
 * nil, err */
static int l_read_proxy(lua_State *L)
{
	struct lua_socket *s = lua_socket_check_reader(L);
	struct proxy_header header;
	struct sock_address from = { .size = sizeof from.addr };
	struct sock_text ahead;
	ssize_t n;
	int rc;

	do {
		ahead = sock_ahead(&s->sock);
		n = proxy_header_parse(ahead.data, ahead.size, &header);
		rc = n < 0 ? (int)n : n > 0 ? 0 : read_more(&s->sock);
	} while (n == 0 && rc == 0);
	if (rc == UV_EAGAIN) {
		lua_pushboolean(L, 0);
		return 1;
	}
	if (rc != 0)
		return lua_socket_fail(L, s, rc, "PROXY header");
	sock_take_ahead(&s->sock, (size_t)n, &ahead);
	sock_taken(&s->sock);
	from.addr = header.source;
	lua_pushboolean(L, 1);
	lua_socket_push_address(L, &from, &s->sock, true);
	if (lua_isnil(L, -1))
		lua_pop(L, 1);
	return 1;
}

void lua_socket_open_proxy(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{ "read_proxy", l_read_proxy },
		{ NULL, NULL },
	};

	luaL_register(L, NULL, functions);
}
