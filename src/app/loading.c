/* The start of an application of several states. See loading.h. */
#include "app/loading.h"

#include <lauxlib.h>
#include <string.h>

#include "app/app.h"
#include "app/life.h"
#include "app/report.h"
#include "app/worker.h"
#include "base/diag.h"
#include "lua/lua_call.h"
#include "lua/lua_fiber.h"

static const struct app_files no_files;

/* What is in the diag ends the application. */
static int fail(struct worker *w)
{
	struct error *e = diag_take();

	report_error(w, e->message);
	error_unref(e);
	w->main_failed = true;
	app_end(w->app, APP_END_FAILED);
	return -1;
}

static void require_states(lua_State *L, void *arg)
{
	(void)arg;
	lua_getglobal(L, "require");
	lua_pushliteral(L, "neap.states");
	lua_call(L, 1, 0);
}

struct step {
	struct worker *worker;
	const char *name;
	const struct app_files *files;
	struct lua_fiber *fiber; /* NULL: it has ended */
	bool failed;
};

/* {path = string, place = string | nil, args = table | nil} */
static void push_file(lua_State *L, const struct app_file *file)
{
	lua_createtable(L, 0, 3);
	lua_pushstring(L, file->path);
	lua_setfield(L, -2, "path");
	if (file->config != NULL) {
		lua_pushfstring(L, "%s:%d:%d", file->config, (int)file->line,
				(int)file->column);
		lua_setfield(L, -2, "place");
	}
	if (file->args == NULL)
		return;
	lua_createtable(L, file->arg_count, 0);
	for (int i = 0; i < file->arg_count; i++) {
		lua_pushstring(L, file->args[i]);
		lua_rawseti(L, -2, i + 1);
	}
	lua_setfield(L, -2, "args");
}

static void push_step(lua_State *L, void *arg)
{
	struct step *s = arg;

	luaL_checkstack(L, s->files->count + 4, "files to load");
	luaL_checkstack(s->fiber->co, s->files->count + 1, "files to load");
	lua_rawgeti(L, LUA_REGISTRYINDEX, s->worker->steps_ref);
	lua_getfield(L, -1, s->name);
	for (int i = 0; i < s->files->count; i++)
		push_file(L, &s->files->files[i]);
	lua_xmove(L, s->fiber->co, s->files->count + 1);
}

static void on_step_end(struct lua_fiber *f, bool ok, void *arg)
{
	struct step *s = arg;

	s->fiber = NULL;
	/* What the configuration has wrong is told without an error. */
	s->failed = !ok || s->worker->main_failed;
	if (!ok &&
	    !(app_is_ending(s->worker->app) && lua_fiber_ended_by_cancel(f)))
		report_uncaught(s->worker, f);
	/* What the step has opened would keep the loop turning. */
	if (s->worker->loop.running)
		loop_stop(&s->worker->loop);
}

/* A step of the Lua half, in a fiber. Returns -1 when the application ends. */
static int run_step(struct worker *w, const char *name,
		    const struct app_files *files)
{
	struct step s = { w, name, files, lua_fiber_get(&w->vm), false };

	if (s.fiber == NULL)
		return fail(w);
	if (lua_vm_protect(&w->vm, push_step, &s) != 0) {
		lua_fiber_drop(s.fiber);
		return fail(w);
	}
	lua_fiber_name(s.fiber, "load");
	s.fiber->on_end = on_step_end;
	s.fiber->on_end_arg = &s;
	lua_fiber_start(s.fiber, files->count);
	while (s.fiber != NULL && !app_is_ending(w->app)) {
		loop_run(&w->loop, UV_RUN_DEFAULT);
		if (s.fiber == NULL || app_is_ending(w->app) ||
		    uv_loop_alive(&w->loop.uv))
			continue;
		diag_set(ClientError, "loading waits for what can never come: "
				      "nothing else is alive");
		s.fiber->on_end = NULL;
		return fail(w);
	}
	if (s.fiber != NULL) {
		s.fiber->on_end = NULL; /* the end cancels it */
		return -1;
	}
	if (s.failed) {
		w->main_failed = true;
		app_end(w->app, APP_END_FAILED);
	}
	return app_is_ending(w->app) ? -1 : 0;
}

/* Wait until all have come so far. Returns -1 when the application ends. */
static int meet(struct worker *w, enum app_phase phase)
{
	app_arrive(w->app, phase);
	uv_ref((uv_handle_t *)&w->wake);
	while (!app_has_met(w->app, phase) && !app_is_ending(w->app))
		loop_run(&w->loop, UV_RUN_ONCE);
	uv_unref((uv_handle_t *)&w->wake);
	return app_is_ending(w->app) ? -1 : 0;
}

/* All states are loaded and what they have registered is known: is it what the
 * configuration wants? Returns -1 when the application ends. */
static int check_config(struct worker *w)
{
	if (w->app->script->config == NULL)
		return 0;
	if (!worker_is_shared(w) && run_step(w, "check", &no_files) != 0)
		return -1;
	/* The shared state answers what the others ask. */
	if (meet(w, APP_PHASE_CONFIGURED) != 0)
		return -1;
	if (!w->app->script->check_only)
		return 0;
	app_end(w->app, APP_END_CHECKED);
	return -1;
}

/* All files, in both kinds of states. As run_step(). */
static int load(struct worker *w)
{
	const struct app_script *script = w->app->script;
	bool shared = worker_is_shared(w);

	if (run_step(w, "globals", &no_files) != 0 ||
	    run_step(w, "alike", &no_files) != 0)
		return -1;
	if (shared && run_step(w, "load", &script->load) != 0)
		return -1;
	if (meet(w, APP_PHASE_SHARED_LOADED) != 0)
		return -1;
	if (!shared && run_step(w, "load", &script->load_per_thread) != 0)
		return -1;
	return meet(w, APP_PHASE_LOADED);
}

/* What files gave init(). */
static int initialize(struct worker *w)
{
	bool shared = worker_is_shared(w);

	if (shared && run_step(w, "init", &no_files) != 0)
		return -1;
	if (meet(w, APP_PHASE_SHARED_READY) != 0)
		return -1;
	if (!shared && run_step(w, "init", &no_files) != 0)
		return -1;
	return meet(w, APP_PHASE_READY);
}

/* The listeners of a configuration. Of a generation that fails no worker is told to serve,
 * and of one that serves each is before it itself. */
static int serve(struct worker *w)
{
	if (!worker_is_shared(w) && run_step(w, "serve", &no_files) != 0)
		return -1;
	if (meet(w, APP_PHASE_SERVING) != 0)
		return -1;
	life_worker_started(w);
	if (meet(w, APP_PHASE_TOLD) != 0)
		return -1;
	if (w->id == 1 && run_step(w, "serving", &no_files) != 0)
		return -1;
	if (w->id == 1 && w->app->on_serving != NULL)
		w->app->on_serving(w->app);
	return 0;
}

int loading_run(struct worker *w)
{
	if (!app_has_states(w->app->script)) {
		w->started = true;
		return 0;
	}
	if (lua_vm_protect(&w->vm, require_states, NULL) != 0)
		return fail(w);
	if (load(w) != 0)
		return -1;
	if (w->id == 1 && handlers_seal(&w->app->handlers) != 0)
		return fail(w);
	if (meet(w, APP_PHASE_CHECKED) != 0 || check_config(w) != 0)
		return -1;
	if (initialize(w) != 0)
		return -1;
	w->started = true;
	if (run_step(w, "start", &no_files) != 0)
		return -1;
	return w->app->script->config == NULL ? 0 : serve(w);
}
