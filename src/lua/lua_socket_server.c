/*
 * The module `socket`: what a tcp_server is to the end of the process. It
 * lets nobody in any more, and who is in has until the deadline.
 */
#include <errno.h>
#include <lauxlib.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

#include "base/diag.h"
#include "base/log.h"
#include "lua/lua_class.h"
#include "lua/lua_error.h"
#include "lua/lua_socket.h"
#include "net/sock_bind.h"
#include "runtime/drain.h"
#include "runtime/fiber.h"
#include "runtime/loop.h"
#include "runtime/timer.h"

enum {
	BUSY_MS = 1000, /* since the last connection came: more are coming */
	LATE_MS = 100,  /* for who has knocked to come in, before closing */
};

/** The userdata; its environment holds the socket. */
struct server {
	struct drainable drainable;
	struct timer deadline;
	struct timer
		late; /* until the listener closes, who knocked is let in */
	uint64_t entered_ns; /* when the last one came; 0: nobody has */
	struct timers *timers;
	struct lua_socket *listener; /* NULL: it has stopped */
	unsigned connections;
	bool ends;
	char name[64];
};

static struct server *check_server(lua_State *L)
{
	return lua_class_check(L, 1, LUA_CLASS_SOCKET_SERVER);
}

static void settle(struct server *s)
{
	if (s->listener != NULL || s->connections > 0)
		return;
	timer_stop(s->timers, &s->deadline);
	drain_remove(&s->drainable);
}

/* The fiber that accepts goes on, and sees it. */
static void stop_listening(struct server *s)
{
	timer_stop(s->timers, &s->late);
	if (s->listener != NULL)
		sock_close(&s->listener->sock);
	s->listener = NULL;
}

static void on_late(struct timer *t)
{
	struct server *s = list_entry(t, struct server, late);

	stop_listening(s);
	settle(s);
}

/* Somebody is in the queue, or may be half in. */
static bool are_coming(const struct server *s)
{
	struct pollfd p = { .fd = s->listener->sock.watch.fd,
			    .events = POLLIN };

	return (s->entered_ns != 0 &&
		uv_hrtime() - s->entered_ns < BUSY_MS * 1000000ull) ||
	       poll(&p, 1, 0) > 0;
}

static void end_listening(struct server *s, uint64_t deadline_ms)
{
	bool coming = are_coming(s);

	if (sock_bind_refuse(&s->listener->sock) || !coming) {
		stop_listening(s);
		return;
	}
	if (deadline_ms > LATE_MS)
		deadline_ms = LATE_MS;
	timer_start(s->timers, &s->late, uv_hrtime() + deadline_ms * 1000000,
		    on_late);
}

static void on_deadline(struct timer *t)
{
	struct server *s = list_entry(t, struct server, deadline);

	stop_listening(s);
	s->drainable.cut = s->connections;
	log_error("%s: %u connection%s not finished in time: cut", s->name,
		  s->connections, s->connections == 1 ? " was" : "s were");
	drain_remove(&s->drainable);
}

static void on_drain_start(struct drainable *d, uint64_t deadline_ms)
{
	struct server *s = list_entry(d, struct server, drainable);

	s->ends = true;
	if (s->listener != NULL && sock_is_open(&s->listener->sock))
		end_listening(s, deadline_ms);
	if (s->connections > 0 || timer_active(&s->late))
		timer_start(s->timers, &s->deadline,
			    uv_hrtime() + deadline_ms * 1000000, on_deadline);
	settle(s);
}

/* server(socket, name) -> userdata | nil, err: the process is ending. */
static int l_server(lua_State *L)
{
	struct lua_socket *listener = lua_socket_check(L);
	struct sched *sched = lua_vm_of(L)->sched;
	struct server *s;

	s = lua_class_box(L, LUA_CLASS_SOCKET_SERVER, sizeof *s);
	memset(s, 0, sizeof *s);
	snprintf(s->name, sizeof s->name, "socket server %.40s",
		 lua_tostring(L, 2));
	s->drainable.name = s->name;
	s->drainable.start = on_drain_start;
	s->timers = &sched->timers;
	lua_createtable(L, 1, 0);
	lua_pushvalue(L, 1);
	lua_rawseti(L, -2, 1);
	lua_setfenv(L, -2);
	if (drain_add(&sched->loop->drain, &s->drainable) != 0)
		return lua_socket_fail(L, listener, UV_ECANCELED,
				       "socket.tcp_server(): the program is "
				       "ending");
	s->listener = listener;
	return 1;
}

/* server_enter(server) -> how many there are */
static int l_enter(lua_State *L)
{
	struct server *s = check_server(L);

	s->entered_ns = uv_hrtime();
	lua_pushinteger(L, ++s->connections);
	return 1;
}

/* server_count(server) -> number */
static int l_count(lua_State *L)
{
	lua_pushinteger(L, check_server(L)->connections);
	return 1;
}

/* server_leave(server) */
static int l_leave(lua_State *L)
{
	struct server *s = check_server(L);

	s->connections--;
	settle(s);
	return 0;
}

/* server_ends(server) -> boolean: nobody knocks any more. */
static int l_ends(lua_State *L)
{
	lua_pushboolean(L, check_server(L)->ends);
	return 1;
}

/* server_stop(server): the fiber that accepts has ended. */
static int l_stop(lua_State *L)
{
	struct server *s = check_server(L);

	timer_stop(s->timers, &s->late);
	s->listener = NULL;
	settle(s);
	return 0;
}

static int l_gc(lua_State *L)
{
	struct server *s = check_server(L);

	timer_stop(s->timers, &s->late);
	s->listener = NULL;
	s->connections = 0;
	settle(s);
	return 0;
}

void lua_socket_open_server(lua_State *L)
{
	static const luaL_Reg meta[] = { { "__gc", l_gc }, { NULL, NULL } };
	static const luaL_Reg functions[] = {
		{ "server", l_server },
		{ "server_enter", l_enter },
		{ "server_count", l_count },
		{ "server_leave", l_leave },
		{ "server_ends", l_ends },
		{ "server_stop", l_stop },
		{ NULL, NULL },
	};

	luaL_register(L, NULL, functions);
	lua_class_new(L, LUA_CLASS_SOCKET_SERVER, "socket server", meta);
	lua_pop(L, 1);
}
