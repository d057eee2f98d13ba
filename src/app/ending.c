/*
 * The end of the application. See ending.h.
 *
 * Each phase runs the loop until it is over or its time is; nothing that a
 * script does can hold up the end for longer than the two timeouts.
 */
#include "app/ending.h"

#include <lauxlib.h>
#include <signal.h>
#include <string.h>

#include "app/app.h"
#include "app/exit.h"
#include "app/report.h"
#include "base/diag.h"
#include "base/log.h"
#include "config/settings.h"
#include "lua/lua_fiber.h"

/* What serves cuts itself short at the deadline; this much later the end no
 * longer waits for it. */
enum { DRAIN_SLACK_MS = 500 };

static void on_late(struct timer *t)
{
	struct app *app = list_entry(t, struct app, phase_timer);

	app->late = true;
}

/* Run the loop until @a done says so. Returns false when the time was over. */
static bool run_until(struct app *app, bool (*done)(struct app *app),
		      double seconds)
{
	app->late = false;
	timer_start(&app->sched.timers, &app->phase_timer,
		    uv_hrtime() + (uint64_t)(seconds * 1e9), on_late);
	/* The timer keeps the loop alive, so each round waits for something. */
	while (!done(app) && !app->late)
		loop_run(&app->loop, UV_RUN_ONCE);
	timer_stop(&app->sched.timers, &app->phase_timer);
	return !app->late || done(app);
}

static bool is_drained(struct app *app)
{
	return app->end == APP_END_EXIT || drain_is_empty(&app->loop.drain);
}

static void drain(struct app *app)
{
	double seconds = settings_seconds(app->settings, SETTING_DRAIN_TIMEOUT);

	if (drain_is_empty(&app->loop.drain)) {
		drain_start(&app->loop.drain, 0);
		return;
	}
	if (app->end == APP_END_SIGNAL)
		log_info("%s: no new work; what is in progress has %g s",
			 strsignal(app->end_signal), seconds);
	drain_start(&app->loop.drain, (uint64_t)(seconds * 1000));
	app->drained =
		run_until(app, is_drained, seconds + DRAIN_SLACK_MS / 1000.0);
	/* Whoever cuts work short has told what it was. */
	if (app->loop.drain.cut > 0)
		app->drained = false;
	list_foreach(link, &app->loop.drain.members) {
		struct drainable *d = list_entry(link, struct drainable, link);

		log_error("%s has not finished after %g s and is cut", d->name,
			  seconds);
	}
}

static void on_hooks_end(struct lua_fiber *f, bool ok, void *arg)
{
	struct app *app = arg;

	(void)f;
	(void)ok; /* the Lua half tells of errors, hook by hook */
	app->hooks = NULL;
}

static bool are_hooks_done(struct app *app)
{
	return app->hooks == NULL || exit_is_waiting(app->hooks);
}

static void run_hooks(struct app *app)
{
	struct lua_fiber *f;

	if (app->hooks_ref == LUA_NOREF)
		return;
	f = lua_fiber_get(&app->vm);
	if (f == NULL) {
		diag_clear();
		log_error("shutdown hooks: not enough memory to run them");
		return;
	}
	lua_rawgeti(f->co, LUA_REGISTRYINDEX, app->hooks_ref);
	memcpy(f->name, "shutdown", sizeof "shutdown");
	f->on_end = on_hooks_end;
	f->on_end_arg = app;
	app->hooks = f;
	lua_fiber_start(f, 0);
	if (!run_until(app, are_hooks_done,
		       settings_seconds(app->settings, SETTING_CANCEL_TIMEOUT)))
		log_error("the shutdown hooks have not ended in time");
}

static void abandon_exited(struct app *app)
{
	list_foreach_safe(link, next, &app->sched.all) {
		struct lua_fiber *f =
			lua_fiber_of(list_entry(link, struct fiber, all));

		if (exit_is_waiting(f))
			lua_fiber_abandon(f);
	}
}

/* Made in C and never started: nobody will start them now. */
static void abandon_new(struct app *app)
{
	list_foreach_safe(link, next, &app->sched.all) {
		struct fiber *f = list_entry(link, struct fiber, all);

		if (f->state == FIBER_NEW)
			lua_fiber_abandon(lua_fiber_of(f));
	}
}

static bool are_fibers_done(struct app *app)
{
	abandon_exited(app);
	return app->sched.count == 0;
}

static void end_fibers(struct app *app)
{
	abandon_exited(app);
	abandon_new(app);
	list_foreach(link, &app->sched.all)
		fiber_cancel(list_entry(link, struct fiber, all));
	if (!run_until(app, are_fibers_done,
		       settings_seconds(app->settings, SETTING_CANCEL_TIMEOUT)))
		log_warn("%u fibers did not end when cancelled and are "
			 "abandoned",
			 app->sched.count);
	while (!list_empty(&app->sched.all))
		lua_fiber_abandon(lua_fiber_of(
			list_entry(app->sched.all.next, struct fiber, all)));
}

/* Nothing can happen any more, and yet there are fibers that wait. */
static void tell_stuck(struct app *app)
{
	unsigned others = app->sched.waiting;

	if (app->main != NULL) {
		report_error(app, "the script waits for what can never come: "
				  "nothing else is alive");
		app->main_failed = true;
		others--;
	}
	if (others > 0)
		log_warn("%u fiber%s waited for what can never come", others,
			 others == 1 ? "" : "s");
}

static int exit_code(struct app *app, bool served, bool interactive)
{
	if (app->end == APP_END_EXIT)
		return app->exit_code;
	if (app->main_failed)
		return 1;
	if (app->end != APP_END_SIGNAL)
		return 0;
	if (served)
		return app->drained ? 0 : 1;
	/* The script or its user was at work, and was stopped. */
	return app->main_interrupted || interactive ? 128 + app->end_signal : 0;
}

int ending_run(struct app *app)
{
	bool served = !drain_is_empty(&app->loop.drain);
	bool interactive = app->interactive;

	if (app->end == APP_END_IDLE)
		tell_stuck(app);
	if (app->end == APP_END_SIGNAL || app->end == APP_END_CONSOLE)
		drain(app);
	run_hooks(app);
	if (app->main != NULL && app->end == APP_END_SIGNAL)
		app->main_interrupted = true; /* unless it ends well */
	end_fibers(app);
	return exit_code(app, served, interactive);
}
