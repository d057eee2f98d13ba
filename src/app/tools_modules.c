/* The parts of the module `core` that need no request. See tools_modules.h. */
#include "app/tools_modules.h"

#include <lauxlib.h>

#include "lua/lua_call.h"
#include "lua/lua_error.h"
#include "lua_src/app.h"
#include "runtime/fiber.h"

static int open_args(lua_State *L)
{
	lua_createtable(L, 0, 1);
	lua_pushcfunction(L, lua_error_usage_text);
	lua_setfield(L, -2, "usage");
	return 1;
}

/* rest() -> status: the others are let run. As a wait does, and other than fiber.yield(),
 * it begins a new burst: so HAProxy counts. */
static int l_rest(lua_State *L)
{
	struct fiber *self = lua_wait_check(L);

	fiber_park(self, NULL, NULL, UINT64_MAX);
	fiber_wakeup(self, 0);
	return lua_wait(L);
}

static int open_flow(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{ "rest", l_rest },
		{ "failed", lua_wait_failed },
		{ NULL, NULL },
	};

	lua_newtable(L);
	luaL_register(L, NULL, functions);
	return 1;
}

#define MODULE(id, name, open) \
	static const struct lua_module id = { "neap." name, open, lua_src_##id }

MODULE(args, "args", open_args);
MODULE(core_events, "core_events", tools_open_events);
MODULE(core_flow, "core_flow", open_flow);
MODULE(core_httpclient, "core_httpclient", NULL);
MODULE(core_log, "core_log", tools_open_log);
MODULE(core_process, "core_process", tools_open_process);
MODULE(core_queue, "core_queue", NULL);
MODULE(core_socket, "core_socket", NULL);
MODULE(core_text, "core_text", tools_open_text);
MODULE(core_tools, "core_tools", NULL);
MODULE(map, "map", tools_open_map);
MODULE(pieces, "pieces", NULL);
MODULE(regex_class, "regex_class", tools_open_regex);
MODULE(reply, "reply", NULL);

const struct lua_module *const app_tools_modules[] = {
	&args,        &core_events,  &core_flow,  &core_httpclient,
	&core_log,    &core_process, &core_queue, &core_socket,
	&core_text,   &core_tools,   &map,        &pieces,
	&regex_class, &reply,        NULL,
};
