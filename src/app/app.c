/* The application: made, run, closed. See app.h. */
#include "app/app.h"

#include <lauxlib.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "app/ending.h"
#include "app/exit.h"
#include "app/report.h"
#include "app/script.h"
#include "base/diag.h"
#include "base/log.h"
#include "config/settings.h"
#include "lua/lua_call.h"
#include "lua/lua_fiber.h"
#include "lua/lua_preempt.h"

static const char app_key;

struct app *app_of(lua_State *L)
{
	struct app *app;

	lua_pushlightuserdata(L, (void *)&app_key);
	lua_rawget(L, LUA_REGISTRYINDEX);
	app = lua_touserdata(L, -1);
	lua_pop(L, 1);
	return app;
}

static uint64_t running_fiber(void)
{
	if (sched_self == NULL || sched_self->current == NULL)
		return 0;
	return sched_self->current->id;
}

static void on_uncaught(struct lua_fiber *f, const char *text, void *arg)
{
	(void)f;
	(void)arg;
	log_error("%s", text);
}

static void on_stall(const char *text, void *arg)
{
	(void)arg;
	log_warn("%s", text);
}

static void on_signal(int signo, void *arg)
{
	struct app *app = arg;

	if (signo == SIGINT && app->on_interrupt != NULL &&
	    app->on_interrupt(app, app->on_interrupt_arg))
		return;
	if (signo == SIGUSR1 ||
	    (signo == SIGHUP &&
	     settings_text(app->settings, SETTING_LOG_FILE) != NULL)) {
		if (log_reopen() != 0) {
			struct error *e = diag_take();

			log_error("%s", e->message);
			error_unref(e);
		}
		return;
	}
	app->end_signal = signo;
	app_end(app, APP_END_SIGNAL);
}

void app_end(struct app *app, enum app_end why)
{
	/* os.exit() in a hook or while draining still says the code. */
	if (app->end == APP_GOES_ON || why == APP_END_EXIT)
		app->end = why;
	loop_stop(&app->loop);
}

static void open_lua(lua_State *L, void *arg)
{
	lua_pushlightuserdata(L, (void *)&app_key);
	lua_pushlightuserdata(L, arg);
	lua_rawset(L, LUA_REGISTRYINDEX);
	exit_open(L);
}

/* The server runs without, where it must; --version says so. */
static void start_slices(struct app *app)
{
	double slice = settings_seconds(app->settings, SETTING_SLICE);
	struct error *e;

	if (slice == 0 ||
	    lua_preempt_start(&app->vm, (uint64_t)(slice * 1e9)) == 0)
		return;
	e = diag_take();
	log_verbose("%s", e->message);
	error_unref(e);
}

int app_create(struct app *app, const struct settings *settings)
{
	int rc;

	memset(app, 0, sizeof *app);
	app->settings = settings;
	app->hooks_ref = LUA_NOREF;
	rc = loop_create(&app->loop);
	if (rc != 0) {
		diag_set_system(rc, "event loop");
		return -1;
	}
	rc = sched_create(&app->sched, &app->loop);
	if (rc != 0) {
		diag_set_system(rc, "scheduler");
		goto fail_sched;
	}
	if (lua_vm_create(&app->vm, &app->sched, on_uncaught, app) != 0)
		goto fail_vm;
	app->vm.on_stall = on_stall;
	if (lua_vm_protect(&app->vm, open_lua, app) != 0 ||
	    lua_vm_register(&app->vm, &app_module_neap) != 0)
		goto fail_open;
	start_slices(app);
	rc = signals_start(&app->signals, &app->loop, on_signal, app);
	if (rc != 0) {
		diag_set_system(rc, "signals");
		goto fail_open;
	}
	if (settings_text(settings, SETTING_LOG_FILE) != NULL)
		signals_set_fatal(SIGHUP, false);
	log_set_fiber_id(running_fiber);
	return 0;
fail_open:
	lua_preempt_stop(&app->vm);
	lua_vm_destroy(&app->vm);
fail_vm:
	sched_close(&app->sched);
fail_sched:
	loop_destroy(&app->loop, NULL, NULL);
	return -1;
}

int app_run(struct app *app, const struct app_script *script)
{
	if (script_start(app, script) != 0) {
		struct error *e = diag_take();

		report_error(app, e->message);
		error_unref(e);
		app->main_failed = true;
		app_end(app, APP_END_FAILED);
	}
	while (app->end == APP_GOES_ON) {
		loop_run(&app->loop, UV_RUN_DEFAULT);
		if (app->end == APP_GOES_ON && !uv_loop_alive(&app->loop.uv))
			app_end(app, APP_END_IDLE);
	}
	return ending_run(app);
}

static void on_stuck(const char *kind, const char *detail, void *arg)
{
	(void)arg;
	fprintf(stderr, "neap: a handle was left open: %s, %s\n", kind, detail);
}

int app_destroy(struct app *app)
{
	int rc;

	lua_preempt_stop(&app->vm);
	lua_vm_destroy(&app->vm);
	sched_close(&app->sched);
	signals_stop(&app->signals);
	log_set_fiber_id(NULL);
	rc = loop_destroy(&app->loop, on_stuck, NULL);
	if (rc == UV_EBUSY) {
		fprintf(stderr, "neap: work in the thread pool did not end\n");
		return 1;
	}
	return rc;
}
