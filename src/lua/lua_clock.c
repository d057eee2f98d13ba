/* The C half of clock.lua: what the system's clocks show. */
#include "lua/lua_clock.h"

#include <lauxlib.h>

#include "base/clock.h"
#include "lua/lua_value.h"

static clockid_t own_clock(lua_State *L)
{
	return (clockid_t)lua_tointeger(L, lua_upvalueindex(1));
}

static int l_seconds(lua_State *L)
{
	lua_pushnumber(L, (double)clock_ns(own_clock(L)) / 1e9);
	return 1;
}

static int l_nanoseconds(lua_State *L)
{
	lua_value_push_int64(L, (int64_t)clock_ns(own_clock(L)));
	return 1;
}

static void add(lua_State *L, const char *name, lua_CFunction fn, clockid_t id)
{
	lua_pushinteger(L, id);
	lua_pushcclosure(L, fn, 1);
	lua_setfield(L, -2, name);
}

int luaopen_neap_clock(lua_State *L)
{
	lua_createtable(L, 0, 8);
	add(L, "realtime", l_seconds, CLOCK_REALTIME);
	add(L, "realtime64", l_nanoseconds, CLOCK_REALTIME);
	add(L, "monotonic", l_seconds, CLOCK_MONOTONIC);
	add(L, "monotonic64", l_nanoseconds, CLOCK_MONOTONIC);
	add(L, "proc", l_seconds, CLOCK_PROCESS_CPUTIME_ID);
	add(L, "proc64", l_nanoseconds, CLOCK_PROCESS_CPUTIME_ID);
	add(L, "thread", l_seconds, CLOCK_THREAD_CPUTIME_ID);
	add(L, "thread64", l_nanoseconds, CLOCK_THREAD_CPUTIME_ID);
	return 1;
}
