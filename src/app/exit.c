/*
 * os.exit(), the end of who prints into a closed pipe, and the C half of the module `neap`. See exit.h.
 *
 * os.exit() ends the process in order: the calling fiber stops for good, the
 * loop is left, and the end takes its way as any other. Where a fiber cannot
 * be stopped (inside a callback of a C function) the process ends on the spot.
 */
#include "app/exit.h"

#include <lauxlib.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "app/app.h"
#include "app/worker.h"
#include "base/log.h"
#include "lua/lua_call.h"
#include "lua/lua_error.h"
#include "lua/lua_fiber.h"
#include "lua/lua_memory.h"
#include "lua_src/app.h"
#include "versions.h"

/* Marks the wait of os.exit(); there is nothing to undo. */
static void undo_exit(struct fiber *f, void *arg)
{
	(void)f;
	(void)arg;
}

bool exit_is_waiting(const struct lua_fiber *f)
{
	return f->base.state == FIBER_WAITING && f->base.undo == undo_exit;
}

static void end_here(lua_State *L, struct worker *w, int code)
{
	if (w->hooks_ref != LUA_NOREF && w->hooks == NULL) {
		lua_rawgeti(L, LUA_REGISTRYINDEX, w->hooks_ref);
		lua_pcall(L, 0, 0, 0);
	}
	fflush(NULL);
	_Exit(code);
}

static int stop_for_good(lua_State *L, int code)
{
	struct worker *w = worker_of(L);
	struct fiber *self = w->sched.current;

	if (self == NULL || !lua_isyieldable(L))
		end_here(L, w, code);
	app_exit(w->app, code);
	fiber_park(self, undo_exit, NULL, UINT64_MAX);
	self->flags |= FIBER_UNCANCELLABLE;
	return lua_wait(L);
}

/***
 * os.exit([code])
 * End the process in order: this fiber stops here, shutdown hooks run, other
 * fibers are cancelled, handles are closed. @code is a number, of which the
 * system keeps the lowest 8 bits, or true and false for 0 and 1; default 0.
 * Servers do not drain.
 * Yields: it does not come back.
 */
static int l_exit(lua_State *L)
{
	int code;

	if (lua_isboolean(L, 1))
		code = lua_toboolean(L, 1) ? EXIT_SUCCESS : EXIT_FAILURE;
	else
		code = luaL_optint(L, 1, EXIT_SUCCESS) & 0xff;
	return stop_for_good(L, code);
}

/* What is printed has no reader any more. */
static int l_broken_output(lua_State *L)
{
	struct worker *w = worker_of(L);

	if (w->main == NULL || &w->main->base != w->sched.current)
		return 0;
	return stop_for_good(L, 128 + SIGPIPE);
}

static int l_neap_set_hooks(lua_State *L)
{
	struct worker *w = worker_of(L);

	luaL_checktype(L, 1, LUA_TFUNCTION);
	lua_settop(L, 1);
	w->hooks_ref = luaL_ref(L, LUA_REGISTRYINDEX);
	return 0;
}

static int l_neap_hook_failed(lua_State *L)
{
	log_error("shutdown hook: %s", luaL_checkstring(L, 1));
	return 0;
}

static int luaopen_neap(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{ "set_hooks", l_neap_set_hooks },
		{ "hook_failed", l_neap_hook_failed },
		{ "memory", lua_memory_push },
		{ "usage", lua_error_usage_text },
		{ NULL, NULL },
	};

	const struct worker *w = worker_of(L);

	lua_newtable(L);
	luaL_register(L, NULL, functions);
	lua_pushliteral(L, NEAP_VERSION);
	lua_setfield(L, -2, "version");
	lua_createtable(L, 0, 2);
	lua_pushinteger(L, (lua_Integer)w->id);
	lua_setfield(L, -2, "id");
	lua_pushinteger(L, (lua_Integer)w->app->count);
	lua_setfield(L, -2, "count");
	lua_setfield(L, -2, "worker");
	return 1;
}

const struct lua_module app_module_neap = {
	"neap",
	luaopen_neap,
	lua_src_neap,
};

void exit_open(lua_State *L)
{
	lua_getglobal(L, "os");
	lua_pushcfunction(L, l_exit);
	lua_setfield(L, -2, "exit");
	lua_pop(L, 1);
	lua_vm_of(L)->on_broken_output = l_broken_output;
}
