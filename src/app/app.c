/* The application: what the workers have in common. See app.h. */
#include "app/app.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "app/configure.h"
#include "app/life.h"
#include "app/patref.h"
#include "app/proc_vars.h"
#include "app/process_info.h"
#include "app/report.h"
#include "app/watch.h"
#include "app/worker.h"
#include "base/diag.h"
#include "base/inject.h"
#include "base/log.h"
#include "config/settings.h"
#include "net/listener.h"

/* Beyond the time its fibers have, for a worker to close its state. */
enum { CLOSE_MS = 3000 };

/* Bytes of a failure that are kept. */
enum { FAILURE_MAX = 8192 };

/* The end as a whole: hooks, fibers, output, threads of workers and of the pool
 * have the same time each, and all of them a little more. */
enum { CANCEL_TIMES = 5, END_SLACK_S = 8, END_MAX_S = 1000000000 };

static uint64_t running_fiber(void)
{
	if (sched_self == NULL || sched_self->current == NULL)
		return 0;
	return sched_self->current->id;
}

static void wake_all(struct app *app)
{
	for (unsigned i = 0; i < app->threads; i++)
		worker_wake(&app->workers[i]);
}

/* With the lock held. */
static void set_end(struct app *app, enum app_end why)
{
	__atomic_store_n(&app->end, why, __ATOMIC_RELEASE);
	wake_all(app);
}

/* This worker need not wait for its own call. */
static void stop_here(void)
{
	struct worker *self = worker_self();

	if (self != NULL)
		loop_stop(&self->loop);
}

void app_end(struct app *app, enum app_end why)
{
	pthread_mutex_lock(&app->lock);
	if (app->end == APP_GOES_ON)
		set_end(app, why);
	pthread_mutex_unlock(&app->lock);
	stop_here();
}

/* Also in a hook or while draining: it still says the code. */
void app_exit(struct app *app, int code)
{
	pthread_mutex_lock(&app->lock);
	if (app->end != APP_END_EXIT) {
		app->exit_code = code;
		set_end(app, APP_END_EXIT);
	}
	pthread_mutex_unlock(&app->lock);
	stop_here();
}

bool app_claim_report(struct app *app, const char *text)
{
	bool first;

	pthread_mutex_lock(&app->lock);
	first = !app->reported;
	app->reported = true;
	if (first) {
		app->failure = mem_strdup(text);
		if (app->failure != NULL && strlen(text) > FAILURE_MAX)
			app->failure[FAILURE_MAX] = '\0';
	}
	pthread_mutex_unlock(&app->lock);
	return first;
}

void app_enter_idle(struct app *app)
{
	bool all;

	pthread_mutex_lock(&app->lock);
	all = ++app->idle == app->threads;
	pthread_mutex_unlock(&app->lock);
	if (all)
		app_end(app, APP_END_IDLE);
}

void app_leave_idle(struct app *app)
{
	pthread_mutex_lock(&app->lock);
	app->idle--;
	pthread_mutex_unlock(&app->lock);
}

void app_arrive(struct app *app, enum app_phase phase)
{
	pthread_mutex_lock(&app->lock);
	if (__atomic_add_fetch(&app->met[phase], 1, __ATOMIC_RELEASE) ==
	    app->threads)
		wake_all(app);
	pthread_mutex_unlock(&app->lock);
}

static bool reopens_log(const struct app *app, int signo)
{
	return signo == SIGUSR1 ||
	       (signo == SIGHUP &&
		settings_text(app->settings, SETTING_LOG_FILE) != NULL);
}

void app_ask(struct app *app, int signo)
{
	if (reopens_log(app, signo))
		return;
	pthread_mutex_lock(&app->lock);
	__atomic_store_n(&app->asked, true, __ATOMIC_RELEASE);
	if (app->end == APP_GOES_ON)
		app->end_signal = signo;
	set_end(app, app->end == APP_GOES_ON ? APP_END_SIGNAL : app->end);
	pthread_mutex_unlock(&app->lock);
	stop_here();
}

void app_reopen_log(void)
{
	struct error *e;

	if (log_reopen() == 0)
		return;
	e = diag_take();
	log_error("%s", e->message);
	error_unref(e);
}

static void on_signal(int signo, void *arg)
{
	struct app *app = arg;

	if (signo == SIGINT && app->on_interrupt != NULL &&
	    app->on_interrupt(app, app->on_interrupt_arg)) {
		signals_withdraw(signo);
		return;
	}
	if (signo == SIGUSR2) {
		log_warn("SIGUSR2: only a server that a configuration declares "
			 "can be upgraded");
		return;
	}
	if (signo == SIGQUIT) {
		if (app->on_quit != NULL)
			app->on_quit(app);
		return;
	}
	if (!reopens_log(app, signo)) {
		app_ask(app, signo);
		return;
	}
	signals_withdraw(signo);
	app_reopen_log();
}

/* One more than there are workers: the last is for the shared state. */
static int make_workers(struct app *app)
{
	size_t size;

	app->count = settings_number(app->settings, SETTING_WORKERS);
	app->threads = app->count;
	size = (app->count + 1) * sizeof *app->workers;
	app->workers = mem_zalloc(size);
	if (app->workers == NULL) {
		diag_set_oom(size, "the workers");
		return -1;
	}
	for (unsigned i = 0; i <= app->count; i++) {
		app->workers[i].app = app;
		app->workers[i].id = i < app->count ? i + 1 : 0;
		mailbox_create(&app->workers[i].mailbox);
	}
	handlers_create(&app->handlers, app->count);
	return 0;
}

static void free_workers(struct app *app)
{
	handlers_destroy(&app->handlers);
	for (unsigned i = 0; i <= app->count; i++)
		mailbox_destroy(&app->workers[i].mailbox);
	mem_free(app->workers);
	mem_free(app->fingerprint);
	mem_free(app->failure);
}

struct worker *app_shared(struct app *app)
{
	return &app->workers[app->count];
}

struct worker *app_worker(struct app *app, double id)
{
	for (unsigned i = 0; i < app->threads; i++)
		if (app->workers[i].id == id)
			return &app->workers[i];
	return NULL;
}

unsigned app_place(const struct worker *w)
{
	return (unsigned)(w - w->app->workers);
}

const char *app_note_fingerprint(struct app *app, const char *text)
{
	const char *first;

	pthread_mutex_lock(&app->lock);
	if (app->fingerprint == NULL)
		app->fingerprint = mem_strdup(text);
	first = app->fingerprint;
	pthread_mutex_unlock(&app->lock);
	if (first == NULL)
		diag_set_oom(strlen(text), "what a state is made of");
	return first;
}

unsigned app_longest_end(const struct settings *settings)
{
	double seconds =
		settings_seconds(settings, SETTING_DRAIN_TIMEOUT) +
		CANCEL_TIMES *
			settings_seconds(settings, SETTING_CANCEL_TIMEOUT) +
		END_SLACK_S;

	return seconds < END_MAX_S ? (unsigned)seconds : END_MAX_S;
}

static int take_signals(struct app *app)
{
	int rc = signals_start(&app->signals, &app->workers[0].loop, on_signal,
			       app);

	if (rc != 0) {
		diag_set_system(rc, "signals");
		return -1;
	}
	if (settings_text(app->settings, SETTING_LOG_FILE) != NULL)
		signals_set_fatal(SIGHUP, false);
	signals_set_deadline(app_longest_end(app->settings));
	return 0;
}

int app_create(struct app *app, const struct settings *settings,
	       const struct lua_module *const *modules, unsigned generation)
{
	memset(app, 0, sizeof *app);
	process_info_begin();
	app->settings = settings;
	app->generation = generation;
	app->modules = modules;
	if (make_workers(app) != 0)
		return -1;
	pthread_mutex_init(&app->lock, NULL);
	/* Two generations share addresses, be there one worker in each. */
	listener_set_sharers(app->count + (generation > 0));
	if (worker_create(&app->workers[0]) != 0)
		goto fail_worker;
	if (generation == 0 && take_signals(app) != 0)
		goto fail_signals;
	log_set_fiber_id(running_fiber);
	life_watch();
	return 0;
fail_signals:
	worker_destroy(&app->workers[0]);
fail_worker:
	pthread_mutex_destroy(&app->lock);
	free_workers(app);
	return -1;
}

/* The other threads. One that cannot be started ends the application. */
static void start_others(struct app *app)
{
	for (unsigned i = 1; i < app->threads; i++) {
		struct worker *w = &app->workers[i];
		struct error *e;

		if (!app_is_ending(app)) {
			if (worker_start(w) == 0)
				continue;
			e = diag_take();
			report_error(w, e->message);
			error_unref(e);
			w->main_failed = true;
			app_end(app, APP_END_FAILED);
		}
		/* Nobody needs to wait for who never was. */
		for (int phase = 0; phase < APP_PHASE_COUNT; phase++)
			app_arrive(app, phase);
	}
}

static void tell_left(const struct worker *w, double seconds)
{
	char name[WORKER_NAME];

	worker_name(w, name);
	if (w->app->generation > 0)
		log_error("%s of generation %u does not end: it is left behind "
			  "after %g s",
			  name, w->app->generation, seconds);
	else
		log_error("%s does not end: the process leaves it after %g s",
			  name, seconds);
}

/* All have had their time to end their fibers, together with this one. */
static void join_others(struct app *app)
{
	double seconds =
		settings_seconds(app->settings, SETTING_CANCEL_TIMEOUT);
	struct timespec end;

	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += (time_t)seconds + CLOSE_MS / 1000;
	for (unsigned i = 1; i < app->threads; i++) {
		struct worker *w = &app->workers[i];

		if (!w->has_thread)
			continue;
		if (pthread_timedjoin_np(w->thread, NULL, &end) == 0) {
			w->has_thread = false;
			continue;
		}
		app->left_behind++;
		tell_left(w, seconds);
	}
}

void app_join_left(struct app *app)
{
	for (unsigned i = 1; i < app->threads; i++) {
		struct worker *w = &app->workers[i];

		if (!w->has_thread)
			continue;
		pthread_join(w->thread, NULL);
		w->has_thread = false;
	}
	app->left_behind = 0;
}

static int exit_code(const struct app *app)
{
	bool failed = app->left_behind > 0, at_work = false;
	bool served = false, drained = true;

	if (app_end_reason(app) == APP_END_EXIT)
		return app->exit_code;
	/* Not one that still runs: it may be writing there. */
	for (unsigned i = 0; i < app->threads; i++) {
		const struct worker *w = &app->workers[i];

		if (w->has_thread)
			continue;
		failed |= w->main_failed;
		served |= w->served;
		drained &= !w->served || w->drained;
		at_work |= w->main_interrupted || w->interactive;
	}
	if (failed)
		return 1;
	if (app_end_reason(app) != APP_END_SIGNAL)
		return 0;
	if (served)
		return drained ? 0 : 1;
	/* The script or its user was at work, and was stopped. */
	return at_work ? 128 + app->end_signal : 0;
}

int app_run(struct app *app, const struct app_script *script)
{
	app->script = script;
	configure_process(script->config);
	if (script->load.count > 0)
		app->threads++;
	if (app->threads > 1 && app->generation == 0 && watch_start(app) != 0) {
		struct error *e = diag_take();

		report_error(&app->workers[0], e->message);
		error_unref(e);
		app->workers[0].main_failed = true;
		app_end(app, APP_END_FAILED);
	}
	start_others(app);
	worker_run(&app->workers[0]);
	watch_stop();
	join_others(app);
	return exit_code(app);
}

void app_end_process(void)
{
	life_end();
	log_set_fiber_id(NULL);
	listener_set_sharers(1);
	patrefs_end();
	proc_vars_end();
}

int app_destroy(struct app *app)
{
	app->handles += worker_destroy(&app->workers[0]);
	if (app->generation == 0)
		app_end_process();
	pthread_mutex_destroy(&app->lock);
	free_workers(app);
	return app->handles;
}
