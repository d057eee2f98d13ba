/* The module `socket`: options of sockets. */
#include <errno.h>
#include <lauxlib.h>
#include <math.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "lua/lua_error.h"
#include "lua/lua_socket.h"

enum { TEXT_MAX = 256 };

/** What the value of an option is. */
enum kind {
	KIND_INT,
	KIND_TEXT,
	KIND_TIME,   /* seconds */
	KIND_LINGER, /* linger() is for it */
};

enum { READ_ONLY = 1 };

struct option {
	const char *name;
	int level;
	int number;
	enum kind kind;
	int flags;
};

/* clang-format off */
#define S(name) { #name, SOL_SOCKET, name, KIND_INT, 0 }
#define R(name) { #name, SOL_SOCKET, name, KIND_INT, READ_ONLY }
#define T(name) { #name, IPPROTO_TCP, name, KIND_INT, 0 }
#define I(name) { #name, IPPROTO_IP, name, KIND_INT, 0 }
#define V(name) { #name, IPPROTO_IPV6, name, KIND_INT, 0 }
static const struct option options[] = {
	R(SO_ACCEPTCONN), S(SO_BROADCAST), S(SO_BUSY_POLL), S(SO_DEBUG),
	R(SO_DOMAIN), S(SO_DONTROUTE), R(SO_ERROR), R(SO_INCOMING_CPU),
	S(SO_KEEPALIVE), S(SO_MARK), S(SO_OOBINLINE), S(SO_PASSCRED),
	R(SO_PEERCRED), S(SO_PRIORITY), R(SO_PROTOCOL), S(SO_RCVBUF),
	S(SO_RCVBUFFORCE), S(SO_RCVLOWAT), S(SO_REUSEADDR), S(SO_REUSEPORT),
	S(SO_SNDBUF), S(SO_SNDBUFFORCE), S(SO_SNDLOWAT), S(SO_TIMESTAMP),
	R(SO_TYPE), S(SO_ZEROCOPY),
	{ "SO_BINDTODEVICE", SOL_SOCKET, SO_BINDTODEVICE, KIND_TEXT, 0 },
	{ "SO_LINGER", SOL_SOCKET, SO_LINGER, KIND_LINGER, 0 },
	{ "SO_RCVTIMEO", SOL_SOCKET, SO_RCVTIMEO, KIND_TIME, 0 },
	{ "SO_SNDTIMEO", SOL_SOCKET, SO_SNDTIMEO, KIND_TIME, 0 },
	T(TCP_CORK), T(TCP_DEFER_ACCEPT), T(TCP_FASTOPEN), T(TCP_KEEPCNT),
	T(TCP_KEEPIDLE), T(TCP_KEEPINTVL), T(TCP_LINGER2), T(TCP_MAXSEG),
	T(TCP_NODELAY), T(TCP_NOTSENT_LOWAT), T(TCP_QUICKACK),
	T(TCP_SYNCNT), T(TCP_THIN_DUPACK), T(TCP_THIN_LINEAR_TIMEOUTS),
	T(TCP_TIMESTAMP), T(TCP_USER_TIMEOUT), T(TCP_WINDOW_CLAMP),
	{ "TCP_CONGESTION", IPPROTO_TCP, TCP_CONGESTION, KIND_TEXT, 0 },
	I(IP_FREEBIND), I(IP_MTU_DISCOVER), I(IP_MULTICAST_LOOP),
	I(IP_MULTICAST_TTL), I(IP_RECVERR), I(IP_TOS), I(IP_TRANSPARENT),
	I(IP_TTL),
	V(IPV6_MULTICAST_HOPS), V(IPV6_MULTICAST_LOOP), V(IPV6_TCLASS),
	V(IPV6_UNICAST_HOPS), V(IPV6_V6ONLY),
};
#undef S
#undef R
#undef T
#undef I
#undef V

static const struct { const char *name; int number; } protocols[] = {
	{ "ip", IPPROTO_IP }, { "icmp", IPPROTO_ICMP }, { "tcp", IPPROTO_TCP },
	{ "udp", IPPROTO_UDP }, { "ipv6", IPPROTO_IPV6 },
	{ "ipv6-icmp", IPPROTO_ICMPV6 }, { "sctp", IPPROTO_SCTP },
	{ "udplite", IPPROTO_UDPLITE },
};
/* clang-format on */

/* The option of that level; the name may be its number. */
static const struct option *find(lua_State *L, int level, int arg)
{
	static __thread struct option unnamed;
	const size_t count = sizeof options / sizeof *options;
	const char *name;

	if (lua_type(L, arg) == LUA_TNUMBER) {
		unnamed = (struct option){ "that one", level,
					   (int)lua_tointeger(L, arg), KIND_INT,
					   0 };
		return &unnamed;
	}
	name = lua_tostring(L, arg);
	for (size_t i = 0; name != NULL && i < count; i++) {
		if (options[i].level == level &&
		    strcmp(options[i].name, name) == 0)
			return &options[i];
	}
	lua_error_usage(L, "Unknown socket option name: %s",
			name != NULL ? name : luaL_typename(L, arg));
	return NULL;
}

static int set_int(lua_State *L, int fd, const struct option *o)
{
	int value = lua_type(L, 4) == LUA_TBOOLEAN ? lua_toboolean(L, 4)
						   : (int)lua_tointeger(L, 4);

	if (lua_type(L, 4) != LUA_TBOOLEAN && lua_type(L, 4) != LUA_TNUMBER)
		lua_error_usage(L,
				"socket:setsockopt(): a number or a boolean is "
				"wanted for %s, not %s",
				o->name, luaL_typename(L, 4));
	return setsockopt(fd, o->level, o->number, &value, sizeof value);
}

static int set_text(lua_State *L, int fd, const struct option *o)
{
	struct sock_text text = lua_socket_text(L, 4, NULL);

	return setsockopt(fd, o->level, o->number, text.data,
			  (socklen_t)text.size);
}

static int set_time(lua_State *L, int fd, const struct option *o)
{
	double seconds = lua_tonumber(L, 4);
	struct timeval t;

	if (lua_type(L, 4) != LUA_TNUMBER || !(seconds >= 0))
		lua_error_usage(L,
				"socket:setsockopt(): a number of seconds is "
				"wanted for %s",
				o->name);
	seconds = seconds < 1e9 ? seconds : 1e9;
	t.tv_sec = (time_t)seconds;
	t.tv_usec = (suseconds_t)((seconds - (double)t.tv_sec) * 1e6);
	return setsockopt(fd, o->level, o->number, &t, sizeof t);
}

/* setsockopt(s, level, name, value) -> true | false, err */
static int l_setsockopt(lua_State *L)
{
	struct lua_socket *s = lua_socket_check(L);
	const struct option *o = find(L, (int)lua_tointeger(L, 2), 3);
	int fd = s->sock.watch.fd, rc;

	if (o->flags & READ_ONLY)
		lua_error_usage(L, "Socket option %s is read only", o->name);
	switch (o->kind) {
	case KIND_TEXT:
		rc = set_text(L, fd, o);
		break;
	case KIND_TIME:
		rc = set_time(L, fd, o);
		break;
	case KIND_LINGER:
		return lua_error_usage(L, "Use s:linger(active[, timeout])");
	default:
		rc = set_int(L, fd, o);
	}
	if (rc != 0)
		return lua_socket_refuse(L, s, -errno, "socket:setsockopt()");
	lua_pushboolean(L, 1);
	return 1;
}

/* getsockopt(s, level, name) -> value | nil, err */
static int l_getsockopt(lua_State *L)
{
	struct lua_socket *s = lua_socket_check(L);
	const struct option *o = find(L, (int)lua_tointeger(L, 2), 3);
	union {
		int number;
		struct timeval time;
		char text[TEXT_MAX];
	} value = { 0 };
	socklen_t size = o->kind == KIND_TEXT   ? sizeof value.text
			 : o->kind == KIND_TIME ? sizeof value.time
						: sizeof value.number;

	if (o->kind == KIND_LINGER)
		return lua_error_usage(L, "Use s:linger()");
	if (getsockopt(s->sock.watch.fd, o->level, o->number, &value, &size) !=
	    0)
		return lua_socket_fail(L, s, -errno, "socket:getsockopt()");
	if (o->kind == KIND_TEXT)
		lua_pushlstring(L, value.text, strnlen(value.text, size));
	else if (o->kind == KIND_TIME)
		lua_pushnumber(L, (double)value.time.tv_sec +
					  (double)value.time.tv_usec / 1e6);
	else
		lua_pushinteger(L, value.number);
	return 1;
}

/***
 * socket_object:linger([active], [timeout]) -> boolean, number | nil, err
 * With @active true, closing it goes on in the background for @timeout seconds
 * (0) until the other side has everything, and then cuts the connection; with 0 at
 * once. With false it is as ever. Without arguments what is set. The result is what
 * is set now. Yields: no. Throws: it is closed.
 */
static int l_linger(lua_State *L)
{
	struct lua_socket *s = lua_socket_check(L);
	struct linger l = { 0, 0 };
	socklen_t size = sizeof l;
	double timeout = lua_tonumber(L, 3);
	int rc;

	if (lua_isnoneornil(L, 2)) {
		rc = getsockopt(s->sock.watch.fd, SOL_SOCKET, SO_LINGER, &l,
				&size);
		rc = rc == 0 ? 0 : -errno;
	} else {
		if (!lua_isnoneornil(L, 3) &&
		    (lua_type(L, 3) != LUA_TNUMBER || !(timeout >= 0)))
			lua_error_usage(L, "Usage: socket:linger([active"
					   "[, timeout]])");
		l.l_onoff = lua_toboolean(L, 2);
		l.l_linger = timeout < 1e6 ? (int)timeout : 1000000;
		rc = sock_set_linger(&s->sock, l.l_onoff, l.l_linger);
	}
	if (rc != 0)
		return lua_socket_fail(L, s, rc, "socket:linger()");
	lua_pushboolean(L, l.l_onoff);
	lua_pushinteger(L, l.l_linger);
	return 2;
}

/* protocol(name) -> number | nil: there is none of that name. */
static int l_protocol(lua_State *L)
{
	const size_t count = sizeof protocols / sizeof *protocols;
	const char *name = lua_tostring(L, 1);
	struct protoent entry, *found = NULL;
	char buf[1024];

	for (size_t i = 0; i < count; i++) {
		if (strcmp(protocols[i].name, name) == 0) {
			lua_pushinteger(L, protocols[i].number);
			return 1;
		}
	}
	if (getprotobyname_r(name, &entry, buf, sizeof buf, &found) != 0 ||
	    found == NULL)
		return 0;
	lua_pushinteger(L, found->p_proto);
	return 1;
}

void lua_socket_open_options(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{ "setsockopt", l_setsockopt },
		{ "getsockopt", l_getsockopt },
		{ "linger", l_linger },
		{ "protocol", l_protocol },
		{ NULL, NULL },
	};

	luaL_register(L, NULL, functions);
}
