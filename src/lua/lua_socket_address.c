/* The module `socket`: who a socket is, and whom it talks to. */
#include <errno.h>
#include <lauxlib.h>
#include <netinet/in.h>
#include <string.h>
#include <uv.h>

#include "lua/lua_error.h"
#include "lua/lua_socket.h"
#include "net/sock_bind.h"
#include "net/sock_tls.h"

enum { BACKLOG = 256 };

static int option_of(const struct sock *s, int name)
{
	int value = 0;
	socklen_t size = sizeof value;

	getsockopt(s->watch.fd, SOL_SOCKET, name, &value, &size);
	return value;
}

void lua_socket_push_protocol(lua_State *L, int protocol)
{
	if (protocol == IPPROTO_TCP)
		lua_pushliteral(L, "tcp");
	else if (protocol == IPPROTO_UDP)
		lua_pushliteral(L, "udp");
	else
		lua_pushinteger(L, protocol);
}

void lua_socket_push_type(lua_State *L, int type)
{
	switch (type) {
	case SOCK_STREAM:
		lua_pushliteral(L, "SOCK_STREAM");
		break;
	case SOCK_DGRAM:
		lua_pushliteral(L, "SOCK_DGRAM");
		break;
	case SOCK_SEQPACKET:
		lua_pushliteral(L, "SOCK_SEQPACKET");
		break;
	case SOCK_RAW:
		lua_pushliteral(L, "SOCK_RAW");
		break;
	default:
		lua_pushinteger(L, type);
	}
}

bool lua_socket_push_address(lua_State *L, const struct sock_address *addr,
			     const struct sock *s, bool full)
{
	struct sock_address_text text;

	if (addr->size == 0 || !sock_address_format(addr, &text)) {
		lua_pushnil(L);
		return false;
	}
	lua_createtable(L, 0, 5);
	lua_pushstring(L, text.host);
	lua_setfield(L, -2, "host");
	if (addr->addr.ss_family == AF_UNIX) {
		lua_pushlstring(L, text.path, text.path_size);
		lua_setfield(L, -2, "port");
		lua_pushliteral(L, "AF_UNIX");
	} else {
		lua_pushinteger(L, text.port);
		lua_setfield(L, -2, "port");
		lua_pushstring(L, addr->addr.ss_family == AF_INET ? "AF_INET"
								  : "AF_INET6");
	}
	lua_setfield(L, -2, "family");
	if (!full)
		return true;
	lua_socket_push_type(L, s->type);
	lua_setfield(L, -2, "type");
	lua_socket_push_protocol(L, option_of(s, SO_PROTOCOL));
	lua_setfield(L, -2, "protocol");
	return true;
}

static int push_name(lua_State *L, struct lua_socket *s, int rc,
		     const struct sock_address *addr, const char *call)
{
	if (rc != 0)
		return lua_socket_fail(L, s, -errno, call);
	if (!lua_socket_push_address(L, addr, &s->sock, true))
		return lua_socket_fail(L, s, UV_EAFNOSUPPORT, call);
	return 1;
}

/* name(s) -> table | nil, err */
static int l_name(lua_State *L)
{
	struct lua_socket *s = lua_socket_check(L);
	struct sock_address a = { .size = sizeof a.addr };
	int rc = getsockname(s->sock.watch.fd, (struct sockaddr *)&a.addr,
			     &a.size);

	return push_name(L, s, rc, &a, "socket:name()");
}

/* peer(s) -> table | nil, err */
static int l_peer(lua_State *L)
{
	struct lua_socket *s = lua_socket_check(L);
	struct sock_address a = { .size = sizeof a.addr };
	int rc = getpeername(s->sock.watch.fd, (struct sockaddr *)&a.addr,
			     &a.size);

	return push_name(L, s, rc, &a, "socket:peer()");
}

static int parse(lua_State *L, struct sock_address *ret_addr)
{
	struct sock_text host = lua_socket_text(L, 2, "");
	bool is_file = strcmp(host.data, "unix/") == 0;
	struct sock_text port = lua_socket_text(L, 3, is_file ? "" : "0");

	return sock_address_parse(ret_addr, host, port);
}

static int done(lua_State *L, struct lua_socket *s, int rc, const char *call)
{
	if (rc != 0)
		return lua_socket_refuse(L, s, rc, call);
	lua_pushboolean(L, 1);
	return 1;
}

/* bind(s, host, port) -> true | false, err */
static int l_bind(lua_State *L)
{
	struct lua_socket *s = lua_socket_check(L);
	struct sock_address addr;
	int rc = parse(L, &addr);

	if (rc == 0)
		rc = sock_bind(&s->sock, &addr);
	return done(L, s, rc, "socket:bind()");
}

/* bind_server(s, host, port, reuse_port, [name]) -> true | false, err */
static int l_bind_server(lua_State *L)
{
	struct lua_socket *s = lua_socket_check(L);
	struct sock_address addr;
	int rc = parse(L, &addr);

	if (rc == 0)
		rc = sock_bind_server(&s->sock, &addr, lua_toboolean(L, 4),
				      luaL_optstring(L, 5, NULL));
	return done(L, s, rc, "socket.tcp_server(): bind");
}

/***
 * socket_object:listen([backlog]) -> boolean, err
 * Let others connect; @backlog of them (256) may wait to be accepted, but no more
 * than the system allows. Yields: no. Throws: it is closed.
 */
static int l_listen(lua_State *L)
{
	struct lua_socket *s = lua_socket_check(L);
	double backlog = lua_tonumber(L, 2);

	if (lua_isnoneornil(L, 2))
		backlog = BACKLOG;
	else if (lua_type(L, 2) != LUA_TNUMBER || !(backlog >= 0))
		lua_error_usage(L, "Usage: socket:listen([backlog])");
	if (listen(s->sock.watch.fd,
		   backlog < 1 << 30 ? (int)backlog : 1 << 30) != 0)
		return lua_socket_refuse(L, s, -errno, "socket:listen()");
	lua_pushboolean(L, 1);
	return 1;
}

/* accept(s) -> userdata, from | nil, err | false */
static int l_accept(lua_State *L)
{
	struct lua_socket *s = lua_socket_check(L);
	struct lua_socket *new = lua_socket_push(L);
	struct sock_address from;
	int rc = sock_accept(&s->sock, &new->sock, &from);

	if (rc == UV_EAGAIN && s->sock.blocking) {
		lua_pushboolean(L, 0);
		return 1;
	}
	if (rc != 0)
		return lua_socket_fail(L, s, rc, "socket:accept()");
	lua_socket_push_address(L, &from, &new->sock, true);
	return 2;
}

/* connect(s, host, port) -> true | false, err */
static int l_connect(lua_State *L)
{
	struct lua_socket *s = lua_socket_check(L);
	struct sock_address addr;
	int rc = parse(L, &addr);

	if (rc == 0)
		rc = sock_connect(&s->sock, &addr);
	return done(L, s, rc, "socket:sysconnect()");
}

/* connected(s) -> true | false, err: how one that was in progress has ended. */
static int l_connected(lua_State *L)
{
	struct lua_socket *s = lua_socket_check(L);

	return done(L, s, sock_connected(&s->sock), "connect");
}

/* shutdown(s, how) -> true | false, err */
static int l_shutdown(lua_State *L)
{
	struct lua_socket *s = lua_socket_check(L);
	int how = (int)lua_tointeger(L, 2), rc;

	if (s->sock.tls == NULL)
		rc = shutdown(s->sock.watch.fd, how) == 0 ? 0 : -errno;
	else
		rc = how == SHUT_RD ? -EOPNOTSUPP : sock_tls_shutdown(&s->sock);
	return done(L, s, rc, "socket:shutdown()");
}

void lua_socket_open_address(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{ "name", l_name },         { "peer", l_peer },
		{ "bind", l_bind },         { "bind_server", l_bind_server },
		{ "listen", l_listen },     { "accept", l_accept },
		{ "connect", l_connect },   { "connected", l_connected },
		{ "shutdown", l_shutdown }, { NULL, NULL },
	};

	luaL_register(L, NULL, functions);
}
