/* A worker: made, run, closed. See worker.h. */
#include "app/worker.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

#include "app/app.h"
#include "app/config_module.h"
#include "app/core_module.h"
#include "app/ending.h"
#include "app/exit.h"
#include "app/life.h"
#include "app/loading.h"
#include "app/report.h"
#include "app/sample_native.h"
#include "app/script.h"
#include "app/state_call.h"
#include "app/states_module.h"
#include "app/stuck.h"
#include "app/tools_modules.h"
#include "base/diag.h"
#include "base/log.h"
#include "cmod/crash.h"
#include "config/settings.h"
#include "lua/lua_call.h"
#include "lua/lua_fiber.h"
#include "lua/lua_memory.h"
#include "lua/lua_preempt.h"
#include "lua/lua_profile.h"
#include "net/http_trace.h"
#include "net/listen_share.h"

/* As much as the main thread has on most systems: what nests in Lua may go as
 * deep in each worker. */
enum { STACK_SIZE = 8 * 1024 * 1024 };

static const char worker_key;

static __thread struct worker *self;

struct worker *worker_self(void)
{
	return self;
}

const char *worker_name(const struct worker *w, char *to)
{
	snprintf(to, WORKER_NAME, "worker %u%s", w->id,
		 worker_is_shared(w) ? " (the shared state)" : "");
	return to;
}

struct worker *worker_of(lua_State *L)
{
	struct worker *w;

	lua_pushlightuserdata(L, (void *)&worker_key);
	lua_rawget(L, LUA_REGISTRYINDEX);
	w = lua_touserdata(L, -1);
	lua_pop(L, 1);
	return w;
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

static void on_wake(uv_async_t *async)
{
	uv_stop(async->loop);
}

void worker_wake(struct worker *w)
{
	if (w->awake)
		uv_async_send(&w->wake);
}

static void set_awake(struct worker *w, bool awake)
{
	pthread_mutex_lock(&w->app->lock);
	w->awake = awake;
	pthread_mutex_unlock(&w->app->lock);
}

static void open_lua(lua_State *L, void *arg)
{
	lua_pushlightuserdata(L, (void *)&worker_key);
	lua_pushlightuserdata(L, arg);
	lua_rawset(L, LUA_REGISTRYINDEX);
	exit_open(L);
}

static int register_all(struct worker *w, const struct lua_module *const *m)
{
	for (; *m != NULL; m++) {
		if (lua_vm_register(&w->vm, *m) != 0)
			return -1;
	}
	return 0;
}

static int register_modules(struct worker *w)
{
	if (lua_vm_register(&w->vm, &app_module_neap) != 0 ||
	    lua_vm_register(&w->vm, &app_module_states) != 0 ||
	    lua_vm_register(&w->vm, &app_module_config) != 0 ||
	    register_all(w, core_modules) != 0 ||
	    register_all(w, app_tools_modules) != 0 ||
	    register_all(w, sample_modules) != 0)
		return -1;
	return register_all(w, w->app->modules);
}

/* The server runs without, where it must; --version says so. */
static void start_slices(struct worker *w)
{
	double slice = settings_seconds(w->app->settings, SETTING_SLICE);
	double stall = settings_seconds(w->app->settings, SETTING_STALL);
	struct error *e;

	if (stall != 0) {
		w->vm.on_stall = on_stall;
		w->vm.stall_ns = (uint64_t)(stall * 1e9);
	}
	if (slice == 0 ||
	    lua_preempt_start(&w->vm, (uint64_t)(slice * 1e9)) == 0)
		return;
	e = diag_take();
	log_verbose("%s", e->message);
	error_unref(e);
}

int worker_create(struct worker *w)
{
	int rc;

	self = w;
	listen_share_set_generation(w->app->generation);
	log_set_worker(w->app->count > 1 || worker_is_shared(w)
			       ? (int)w->id
			       : LOG_NO_WORKER);
	w->hooks_ref = w->serve_ref = w->steps_ref = LUA_NOREF;
	list_init(&w->calls);
	rc = loop_create(&w->loop);
	if (rc != 0) {
		diag_set_system(rc, "event loop");
		return -1;
	}
	rc = uv_async_init(&w->loop.uv, &w->wake, on_wake);
	if (rc != 0) {
		diag_set_system(rc, "event loop");
		goto fail_wake;
	}
	uv_unref((uv_handle_t *)&w->wake);
	rc = sched_create(&w->sched, &w->loop);
	if (rc != 0) {
		diag_set_system(rc, "scheduler");
		goto fail_sched;
	}
	if (lua_vm_create(&w->vm, &w->sched, on_uncaught, w) != 0)
		goto fail_vm;
	if (lua_vm_protect(&w->vm, open_lua, w) != 0 ||
	    register_modules(w) != 0 ||
	    lua_memory_set_limit(&w->vm, settings_size(w->app->settings,
						       SETTING_MEMORY)) != 0)
		goto fail_open;
	rc = mailbox_open(&w->mailbox, &w->loop);
	if (rc != 0) {
		diag_set_system(rc, "work from other workers");
		goto fail_open;
	}
	start_slices(w);
	stuck_enter(w);
	set_awake(w, true);
	return 0;
fail_open:
	lua_vm_destroy(&w->vm);
fail_vm:
	sched_close(&w->sched);
fail_sched:
	uv_close((uv_handle_t *)&w->wake, NULL);
fail_wake:
	loop_destroy(&w->loop, NULL, NULL);
	return -1;
}

static bool is_alive(struct worker *w)
{
	return uv_loop_alive(&w->loop.uv);
}

/*
 * Nothing is alive here. The last worker of which that is true ends the
 * application; the others wait for the end, or for what comes from outside.
 */
static void wait_idle(struct worker *w)
{
	w->idle = true;
	if (w->main != NULL) {
		/* It can never end: see tell_stuck(). */
		app_end(w->app, APP_END_IDLE);
		return;
	}
	app_enter_idle(w->app);
	while (!app_is_ending(w->app) && !is_alive(w)) {
		uv_ref((uv_handle_t *)&w->wake);
		loop_run(&w->loop, UV_RUN_ONCE);
		uv_unref((uv_handle_t *)&w->wake);
	}
	if (app_is_ending(w->app))
		return;
	app_leave_idle(w->app);
	w->idle = false;
}

static void start_script(struct worker *w)
{
	struct error *e;

	if (app_is_ending(w->app))
		return;
	if (script_prepare(w, w->app->script) == 0) {
		if (loading_run(w) != 0 || worker_is_shared(w) ||
		    script_start(w, w->app->script) == 0)
			return;
	}
	e = diag_take();
	report_error(w, e->message);
	error_unref(e);
	w->main_failed = true;
	app_end(w->app, APP_END_FAILED);
}

void worker_run(struct worker *w)
{
	start_script(w);
	if (!app_is_ending(w->app))
		life_worker_started(w);
	while (!app_is_ending(w->app)) {
		loop_run(&w->loop, UV_RUN_DEFAULT);
		if (!app_is_ending(w->app) && !is_alive(w))
			wait_idle(w);
	}
	life_worker_stops(w);
	ending_run(w);
}

static void on_stuck(const char *kind, const char *detail, void *arg)
{
	(void)arg;
	fprintf(stderr, "neap: a handle was left open: %s, %s\n", kind, detail);
}

int worker_destroy(struct worker *w)
{
	int rc;

	set_awake(w, false);
	stuck_leave();
	/* Who wants it takes it back by mail, which comes no more. */
	lua_profile_stop(&w->vm);
	http_trace_stop_all();
	mailbox_close(&w->mailbox);
	state_calls_end(w);
	lua_preempt_stop(&w->vm);
	lua_vm_destroy(&w->vm);
	sched_close(&w->sched);
	uv_close((uv_handle_t *)&w->wake, NULL);
	/* Not before finalizers have run: they may hang. */
	if (w->id == 1 && w->app->generation == 0)
		signals_stop(&w->app->signals);
	rc = loop_destroy(&w->loop, on_stuck, NULL);
	log_set_worker(LOG_NO_WORKER);
	self = NULL;
	if (rc == UV_EBUSY) {
		fprintf(stderr, "neap: work in the thread pool did not end\n");
		return 1;
	}
	return rc;
}

/* The state could not be made: the application ends without this worker. */
static void fail(struct worker *w)
{
	struct error *e = diag_take();

	report_error(w, e->message);
	error_unref(e);
	w->main_failed = true;
	app_end(w->app, APP_END_FAILED);
	for (int phase = 0; phase < APP_PHASE_COUNT; phase++)
		app_arrive(w->app, phase);
}

static void *thread_main(void *arg)
{
	char signal_stack[CRASH_STACK_SIZE], name[32];
	struct worker *w = arg;
	int handles;

	if (worker_is_shared(w))
		memcpy(name, "neap-shared", sizeof "neap-shared");
	else
		snprintf(name, sizeof name, "neap-worker-%u", w->id);
	pthread_setname_np(pthread_self(), name);
	crash_enter_thread(signal_stack, sizeof signal_stack);
	if (worker_create(w) == 0) {
		worker_run(w);
		handles = worker_destroy(w);
		pthread_mutex_lock(&w->app->lock);
		w->app->handles += handles;
		pthread_mutex_unlock(&w->app->lock);
	} else {
		fail(w);
	}
	crash_leave_thread();
	return NULL;
}

int worker_start(struct worker *w)
{
	pthread_attr_t attr;
	int rc = pthread_attr_init(&attr);

	if (rc == 0) {
		pthread_attr_setstacksize(&attr, STACK_SIZE);
		rc = pthread_create(&w->thread, &attr, thread_main, w);
		pthread_attr_destroy(&attr);
	}
	if (rc != 0) {
		diag_set_system(rc, "cannot start its thread");
		return -1;
	}
	w->has_thread = true;
	return 0;
}
