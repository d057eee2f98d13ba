/* A part of the module `core`: the process and its variables, the C half of
 * core_process.lua. */
#include <lauxlib.h>

#include "app/proc_vars.h"
#include "app/process_info.h"
#include "app/request.h"
#include "app/taint.h"
#include "app/tools_modules.h"
#include "app/variable.h"
#include "app/worker.h"
#include "lua/lua_error.h"
#include "versions.h"

/* The string of a variable that is being pushed, which may throw. */
struct holder {
	struct request_string *string;
};

static void put_number(lua_State *L, const char *name, double value)
{
	if (value < 0)
		return;
	lua_pushnumber(L, value);
	lua_setfield(L, -2, name);
}

/* info() -> table */
static int l_info(lua_State *L)
{
	struct process_info info = process_info(worker_of(L)->app);
	char taints[TAINT_TEXT];

	lua_newtable(L);
	lua_pushliteral(L, NEAP_VERSION);
	lua_setfield(L, -2, "version");
	lua_pushboolean(L, info.ending);
	lua_setfield(L, -2, "ending");
	put_number(L, "pid", info.pid);
	put_number(L, "uptime", info.uptime);
	put_number(L, "workers", info.workers);
	put_number(L, "memory", info.memory);
	put_number(L, "memory_peak", info.memory_peak);
	put_number(L, "descriptors", info.descriptors);
	put_number(L, "descriptors_limit", info.descriptors_limit);
	put_number(L, "cpu_user", info.cpu_user);
	put_number(L, "cpu_system", info.cpu_system);
	put_number(L, "switches", info.switches);
	put_number(L, "switches_forced", info.switches_forced);
	put_number(L, "log_lost", info.log_lost);
	lua_pushboolean(L, taint_is_any());
	lua_setfield(L, -2, "tainted");
	taint_text(taints);
	lua_pushstring(L, taints);
	lua_setfield(L, -2, "taints");
	return 1;
}

/* get_var(name) -> value */
static int l_get_var(lua_State *L)
{
	struct holder *h = lua_touserdata(L, lua_upvalueindex(1));
	struct request_value v;

	proc_vars_get(luaL_checkstring(L, 1), &v);
	variable_push(L, v, &h->string);
	return 1;
}

/* set_var(name, value, only_if_there) -> whether it is done */
static int l_set_var(lua_State *L)
{
	const char *name = luaL_checkstring(L, 1);
	bool only = lua_toboolean(L, 3), there;
	struct request_value v =
		variable_check(L, 2, name, PROC_VARS_BYTES_MAX);

	if (proc_vars_set(name, v, only, &there) != 0)
		return lua_error_throw(L);
	lua_pushboolean(L, there || !only);
	return 1;
}

static int l_holder_gc(lua_State *L)
{
	struct holder *h = lua_touserdata(L, 1);

	request_string_unref(h->string);
	h->string = NULL;
	return 0;
}

int tools_open_process(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{ "info", l_info },
		{ "set_var", l_set_var },
		{ NULL, NULL },
	};
	struct holder *h;

	lua_newtable(L);
	luaL_register(L, NULL, functions);
	h = lua_newuserdata(L, sizeof *h);
	h->string = NULL;
	lua_newtable(L);
	lua_pushcfunction(L, l_holder_gc);
	lua_setfield(L, -2, "__gc");
	lua_setmetatable(L, -2);
	lua_pushcclosure(L, l_get_var, 1);
	lua_setfield(L, -2, "get_var");
	return 1;
}
