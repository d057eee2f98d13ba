/* The module `socket`: names of the system's numbers. */
#include <lauxlib.h>
#include <netdb.h>
#include <sys/socket.h>

#include "lua/lua_socket.h"

struct constant {
	const char *name;
	int value;
};

/* clang-format off */
#define C(name) { #name, name }
static const struct constant domains[] = {
	C(AF_INET), C(AF_INET6), C(AF_LOCAL), C(AF_NETLINK), C(AF_PACKET),
	C(AF_UNIX), C(AF_UNSPEC), C(PF_INET), C(PF_INET6), C(PF_LOCAL),
	C(PF_NETLINK), C(PF_PACKET), C(PF_UNIX), C(PF_UNSPEC), { NULL, 0 },
};
static const struct constant types[] = {
	C(SOCK_DGRAM), C(SOCK_RAW), C(SOCK_RDM), C(SOCK_SEQPACKET),
	C(SOCK_STREAM), { NULL, 0 },
};
static const struct constant message_flags[] = {
	C(MSG_CONFIRM), C(MSG_CTRUNC), C(MSG_DONTROUTE), C(MSG_DONTWAIT),
	C(MSG_EOR), C(MSG_ERRQUEUE), C(MSG_FASTOPEN), C(MSG_MORE),
	C(MSG_NOSIGNAL), C(MSG_OOB), C(MSG_PEEK), C(MSG_TRUNC),
	C(MSG_WAITALL), { NULL, 0 },
};
static const struct constant lookup_flags[] = {
	C(AI_ADDRCONFIG), C(AI_ALL), C(AI_CANONNAME), C(AI_NUMERICHOST),
	C(AI_NUMERICSERV), C(AI_PASSIVE), C(AI_V4MAPPED), { NULL, 0 },
};
static const struct constant shutdowns[] = {
	{ "R", SHUT_RD }, { "READ", SHUT_RD }, { "receive", SHUT_RD },
	{ "W", SHUT_WR }, { "WRITE", SHUT_WR }, { "send", SHUT_WR },
	{ "RW", SHUT_RDWR }, { "READ_WRITE", SHUT_RDWR },
	{ "both", SHUT_RDWR }, { NULL, 0 },
};
static const struct constant levels[] = {
	{ "SOL_SOCKET", SOL_SOCKET }, { "socket", SOL_SOCKET }, { NULL, 0 },
};
static const struct constant events[] = {
	{ "IN", IO_IN }, { "OUT", IO_OUT }, { NULL, 0 },
};
#undef C
/* clang-format on */

static void add(lua_State *L, const char *name, const struct constant *all)
{
	lua_newtable(L);
	for (; all->name != NULL; all++) {
		lua_pushinteger(L, all->value);
		lua_setfield(L, -2, all->name);
	}
	lua_setfield(L, -2, name);
}

void lua_socket_open_names(lua_State *L)
{
	add(L, "domains", domains);
	add(L, "types", types);
	add(L, "message_flags", message_flags);
	add(L, "lookup_flags", lookup_flags);
	add(L, "shutdowns", shutdowns);
	add(L, "levels", levels);
	add(L, "events", events);
}
