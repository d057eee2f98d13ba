/*
 * The end of a worker. See ending.h.
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
#include "app/local_call.h"
#include "app/report.h"
#include "app/state_call.h"
#include "app/upgrade.h"
#include "app/worker.h"
#include "base/diag.h"
#include "base/log.h"
#include "config/settings.h"
#include "lua/lua_blocking.h"
#include "lua/lua_call.h"
#include "lua/lua_fiber.h"

/* What serves cuts itself short at the deadline; this much later the end no
 * longer waits for it. */
enum { DRAIN_SLACK_MS = 500 };

/* And this much later nobody waits for a worker that has not drained. */
enum { MEET_SLACK_MS = 1500 };

enum { FOR_EVER_S = 1000000000 }; /* some thirty years */

static void on_late(struct timer *t)
{
	struct worker *w = list_entry(t, struct worker, phase_timer);

	w->late = true;
}

/* Run the loop until @a done says so. Returns false when the time was over. */
static bool run_until(struct worker *w, bool (*done)(struct worker *w),
		      double seconds)
{
	w->late = false;
	timer_start(&w->sched.timers, &w->phase_timer,
		    uv_hrtime() + (uint64_t)(seconds * 1e9), on_late);
	/* The timer keeps the loop alive, so each round waits for something. */
	while (!done(w) && !w->late)
		loop_run(&w->loop, UV_RUN_ONCE);
	timer_stop(&w->sched.timers, &w->phase_timer);
	return !w->late || done(w);
}

static bool is_drained(struct worker *w)
{
	return app_end_reason(w->app) == APP_END_EXIT ||
	       drain_is_empty(&w->loop.drain);
}

static void start_drain(struct worker *w, double seconds)
{
	drain_start(&w->loop.drain, (uint64_t)(seconds * 1000));
	app_arrive(w->app, APP_PHASE_CLOSED);
	if (app_has_met(w->app, APP_PHASE_CLOSED) && w->app->on_closed != NULL)
		w->app->on_closed(w->app);
}

static void drain(struct worker *w)
{
	double seconds =
		settings_seconds(w->app->settings, SETTING_DRAIN_TIMEOUT);

	if (drain_is_empty(&w->loop.drain)) {
		start_drain(w, 0);
		return;
	}
	if (app_end_reason(w->app) == APP_END_SIGNAL)
		log_info("%s: no new work; what is in progress has %g s",
			 strsignal(w->app->end_signal), seconds);
	start_drain(w, seconds);
	w->drained =
		run_until(w, is_drained, seconds + DRAIN_SLACK_MS / 1000.0);
	/* Whoever cuts work short has told what it was. */
	if (w->loop.drain.cut > 0)
		w->drained = false;
	list_foreach(link, &w->loop.drain.members) {
		struct drainable *d = list_entry(link, struct drainable, link);

		log_error("%s has not finished after %g s and is cut", d->name,
			  seconds);
	}
}

static void tell_failed_hook(lua_State *L, void *arg)
{
	const struct lua_fiber *f = arg;

	lua_push_traceback(L, f->co);
	log_error("shutdown hook: %s", lua_tostring(L, -1));
}

/* The Lua half tells of errors, hook by hook. What comes here no hook can catch:
 * it was over a limit. */
static void on_hooks_end(struct lua_fiber *f, bool ok, void *arg)
{
	struct worker *w = arg;

	w->hooks = NULL;
	w->hooks_cut = !ok;
	if (!ok && lua_vm_protect(&w->vm, tell_failed_hook, f) != 0) {
		diag_clear();
		log_error("shutdown hook: not enough memory to tell its error");
	}
}

static bool are_hooks_done(struct worker *w)
{
	return w->hooks == NULL || exit_is_waiting(w->hooks);
}

/* Returns false when there is no memory. */
static bool start_hooks(struct worker *w)
{
	struct lua_fiber *f = lua_fiber_get(&w->vm);

	if (f == NULL) {
		diag_clear();
		log_error("shutdown hooks: not enough memory to run them");
		return false;
	}
	lua_rawgeti(f->co, LUA_REGISTRYINDEX, w->hooks_ref);
	lua_fiber_name(f, "shutdown");
	f->on_end = on_hooks_end;
	f->on_end_arg = w;
	w->hooks = f;
	lua_fiber_start(f, 0);
	return true;
}

/* One that ends its fiber, by os.exit() or over a limit, has been taken from the
 * list before it ran: another fiber goes on behind it. */
static void run_hooks(struct worker *w)
{
	uint64_t end = uv_hrtime() +
		       (uint64_t)(settings_seconds(w->app->settings,
						   SETTING_CANCEL_TIMEOUT) *
				  1e9);

	if (w->hooks_ref == LUA_NOREF)
		return;
	do {
		uint64_t now = uv_hrtime();

		w->hooks_cut = false;
		if (!start_hooks(w))
			return;
		if (!run_until(w, are_hooks_done,
			       now < end ? (double)(end - now) / 1e9 : 0)) {
			log_error("the shutdown hooks have not ended in time");
			return;
		}
		if (w->hooks != NULL) { /* it waits in os.exit() */
			w->hooks->on_end = NULL;
			w->hooks = NULL;
			w->hooks_cut = true;
		}
	} while (w->hooks_cut);
}

static void abandon(struct lua_fiber *f)
{
	state_call_abandon(f);
	local_call_abandon(f);
	lua_fiber_abandon(f);
}

static void abandon_exited(struct worker *w)
{
	list_foreach_safe(link, next, &w->sched.all) {
		struct lua_fiber *f =
			lua_fiber_of(list_entry(link, struct fiber, all));

		if (!exit_is_waiting(f))
			continue;
		lua_fiber_leave_group(f);
		abandon(f);
	}
}

/* Made in C and never started: nobody will start them now. */
static void abandon_new(struct worker *w)
{
	list_foreach_safe(link, next, &w->sched.all) {
		struct fiber *f = list_entry(link, struct fiber, all);

		if (f->state == FIBER_NEW)
			abandon(lua_fiber_of(f));
	}
}

static bool are_fibers_done(struct worker *w)
{
	abandon_exited(w);
	return w->sched.count == 0;
}

static void end_fibers(struct worker *w)
{
	abandon_exited(w);
	abandon_new(w);
	list_foreach(link, &w->sched.all)
		fiber_cancel(list_entry(link, struct fiber, all));
	if (!run_until(w, are_fibers_done,
		       settings_seconds(w->app->settings,
					SETTING_CANCEL_TIMEOUT)))
		log_warn("%u fibers did not end when cancelled and are "
			 "abandoned",
			 w->sched.count);
	while (!list_empty(&w->sched.all))
		abandon(lua_fiber_of(
			list_entry(w->sched.all.next, struct fiber, all)));
}

/* Nothing can happen any more, and yet there are fibers that wait. */
static void tell_stuck(struct worker *w)
{
	unsigned others = w->sched.waiting;

	if (w->main != NULL) {
		report_error(w, "the script waits for what can never come: "
				"nothing else is alive");
		w->main_failed = true;
		others--;
	}
	if (others > 0)
		log_warn("%u fiber%s waited for what can never come", others,
			 others == 1 ? "" : "s");
}

static bool have_drained(struct worker *w)
{
	return app_has_met(w->app, APP_PHASE_DRAINED);
}

static bool have_run_hooks(struct worker *w)
{
	return app_has_met(w->app, APP_PHASE_HOOKS_RUN);
}

/* One that is stuck is waited for as long as one that is slow may take. */
static void meet(struct worker *w, enum app_phase phase,
		 bool (*all)(struct worker *w), double seconds)
{
	app_arrive(w->app, phase);
	run_until(w, all, seconds + MEET_SLACK_MS / 1000.0);
}

static bool is_output_done(struct worker *w)
{
	(void)w;
	return !lua_blocking_has_output();
}

static bool is_output_done_or_asked(struct worker *w)
{
	return is_output_done(w) || app_is_asked(w->app);
}

/* What fibers have written and threads are still writing. A reader may take its
 * time, as with any program; but not when we were told to end, be it meanwhile. */
static void finish_output(struct worker *w)
{
	run_until(w, is_output_done_or_asked, FOR_EVER_S);
	if (!run_until(w, is_output_done,
		       settings_seconds(w->app->settings,
					SETTING_CANCEL_TIMEOUT)))
		log_warn("output that nobody reads is given up");
}

/* Of one that fails when its first listeners are open: who came there would have been
 * served by what goes on, the generation before or the process before. */
static bool has_predecessor(const struct app *app)
{
	return app->generation > 1 ||
	       (app->generation == 1 && upgrade_is_new());
}

void ending_run(struct worker *w)
{
	const struct settings *settings = w->app->settings;
	double patience = settings_seconds(settings, SETTING_CANCEL_TIMEOUT);
	enum app_end why = app_end_reason(w->app);
	bool drains = why == APP_END_SIGNAL || why == APP_END_CONSOLE ||
		      why == APP_END_REPLACED ||
		      (why == APP_END_FAILED && has_predecessor(w->app));

	w->served = !drain_is_empty(&w->loop.drain);
	w->interactive = w->id == 1 && w->app->interactive;
	if (why == APP_END_IDLE && w->idle)
		tell_stuck(w);
	if (drains)
		drain(w);
	meet(w, APP_PHASE_DRAINED, have_drained,
	     drains ? settings_seconds(settings, SETTING_DRAIN_TIMEOUT)
		    : patience);
	run_hooks(w);
	meet(w, APP_PHASE_HOOKS_RUN, have_run_hooks, patience);
	if (w->main != NULL && app_end_reason(w->app) == APP_END_SIGNAL)
		w->main_interrupted = true; /* unless it ends well */
	end_fibers(w);
	finish_output(w);
}
