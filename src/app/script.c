/* The main fiber: started, ended, its errors told. See script.h. */
#include "app/script.h"

#include <errno.h>
#include <lauxlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/app.h"
#include "app/configure.h"
#include "app/report.h"
#include "app/worker.h"
#include "base/diag.h"
#include "base/inject.h"
#include "lua/lua_call.h"
#include "lua/lua_error.h"
#include "lua/lua_fiber.h"
#include "lua/lua_paths.h"
#include "lua_src/app.h"

/* load(path, [regular]) -> function | nil, reason, whether it cannot be read; "-" is
 * standard input. @regular: a pipe, which might never end, is none. */
int l_script_load(lua_State *L)
{
	const char *path = luaL_checkstring(L, 1), *what = NULL;
	struct stat st;
	int err = 0;

	if (strcmp(path, "-") == 0) {
		path = NULL;
	} else if (stat(path, &st) != 0 || access(path, R_OK) != 0) {
		err = errno;
	} else if (S_ISDIR(st.st_mode)) {
		err = EISDIR;
	} else if (lua_toboolean(L, 2) && !S_ISREG(st.st_mode)) {
		what = "it is no regular file";
	}
	if (err != 0)
		what = strerror(err);
	if (what != NULL) {
		lua_pushnil(L);
		lua_pushfstring(L, "cannot run '%s': %s", path, what);
		lua_pushboolean(L, true);
		return 3;
	}
	if (luaL_loadfile(L, path) == 0)
		return 1;
	lua_pushnil(L);
	lua_insert(L, -2);
	return 2;
}

/* refuse(text): end with one line and code 1. */
static int l_script_refuse(lua_State *L)
{
	struct worker *w = worker_of(L);

	report_error(w, luaL_checkstring(L, 1));
	w->main_failed = true;
	return 0;
}

static void push_arg_table(lua_State *L, const struct app_script *s)
{
	lua_createtable(L, s->argc, s->script);
	for (int i = 0; i < s->argc; i++) {
		lua_pushstring(L, s->argv[i]);
		lua_rawseti(L, -2, i - s->script);
	}
	lua_setglobal(L, "arg");
}

/* Two tables: the kinds of the steps, and their texts. */
static void push_steps(lua_State *L, const struct app_script *s)
{
	static const char *const kinds[] = {
		[APP_STEP_EVAL] = "eval",
		[APP_STEP_REQUIRE] = "require",
		[APP_STEP_JIT] = "jit",
	};

	lua_createtable(L, s->step_count, 0);
	lua_createtable(L, s->step_count, 0);
	for (int i = 0; i < s->step_count; i++) {
		lua_pushstring(L, kinds[s->steps[i].kind]);
		lua_rawseti(L, -3, i + 1);
		lua_pushstring(L, s->steps[i].text);
		lua_rawseti(L, -2, i + 1);
	}
}

struct starting {
	const struct app_script *script;
	struct lua_fiber *fiber;
};

static void push_body(lua_State *L, void *arg)
{
	static const luaL_Reg functions[] = {
		{ "load", l_script_load },
		{ "refuse", l_script_refuse },
		{ NULL, NULL },
	};
	struct starting *st = arg;
	const struct app_script *s = st->script;

	lua_vm_load_source(L, lua_src_script, lua_src_script_size,
			   "=neap/script.lua");
	lua_newtable(L);
	luaL_register(L, NULL, functions);
	lua_call(L, 1, 1);
	push_steps(L, s);
	if (s->script > 0 && s->config == NULL)
		lua_pushstring(L, s->argv[s->script]);
	else
		lua_pushnil(L);
	lua_xmove(L, st->fiber->co, 4);
}

static void on_main_end(struct lua_fiber *f, bool ok, void *arg)
{
	struct worker *w = arg;
	struct app *app = w->app;

	w->main = NULL;
	if (ok && !w->main_failed) {
		w->main_interrupted = false; /* it has made its own end */
		if (w->id == 1 && !app_is_ending(app) &&
		    app->on_main_end != NULL)
			app->on_main_end(app, app->on_main_end_arg);
		return;
	}
	if (!ok && app_is_ending(app) && lua_fiber_ended_by_cancel(f)) {
		w->main_interrupted = true;
		return;
	}
	if (!ok)
		report_uncaught(w, f);
	w->main_failed = true;
	app_end(app, APP_END_FAILED);
}

static int set_paths(struct worker *w, const struct app_script *script)
{
	const char *path = script->script > 0 ? script->argv[script->script]
					      : NULL;
	char *app_dir = lua_paths_app_dir(path);
	char *share_dir = lua_paths_share_dir();
	int rc = -1;

	if (app_dir != NULL)
		rc = lua_paths_set(&w->vm, app_dir, share_dir);
	mem_free(share_dir);
	mem_free(app_dir);
	return rc;
}

static void set_arguments(lua_State *L, void *arg)
{
	push_arg_table(L, arg);
}

int script_prepare(struct worker *w, const struct app_script *script)
{
	if (set_paths(w, script) != 0 ||
	    lua_vm_protect(&w->vm, set_arguments, (void *)script) != 0)
		return -1;
	return configure_state(w, script->config);
}

int script_start(struct worker *w, const struct app_script *script)
{
	struct starting st = { script, NULL };

	st.fiber = lua_fiber_get(&w->vm);
	if (st.fiber == NULL)
		return -1;
	if (lua_vm_protect(&w->vm, push_body, &st) != 0) {
		lua_fiber_drop(st.fiber);
		return -1;
	}
	lua_fiber_name(st.fiber, "main");
	st.fiber->on_end = on_main_end;
	st.fiber->on_end_arg = w;
	w->main = st.fiber;
	lua_fiber_start_later(st.fiber, 3);
	return 0;
}
