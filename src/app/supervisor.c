/* Generations of a configured server. See supervisor.h. */
#include "app/supervisor.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app/life.h"
#include "app/pulse.h"
#include "app/reload_ask.h"
#include "app/upgrade.h"
#include "base/diag.h"
#include "base/inject.h"
#include "base/list.h"
#include "base/log.h"
#include "cmod/crash.h"
#include "net/inherit.h"
#include "net/listen_share.h"
#include "runtime/loop.h"
#include "runtime/notify.h"

/* As a worker's thread has, which it is. */
enum { STACK_SIZE = 8 * 1024 * 1024 };

/* Unless the service manager wants to know more often. */
enum { PULSE_MS = 5000 };

/* How many generations may be on their way to the end: each has its states. One that is
 * stuck in C code never comes there. */
enum { ENDING_MAX = 16 };

/* How long a worker that is stuck keeps us from saying that the next generation serves
 * alone. */
enum { CLOSE_MS = 2000 };

struct generation {
	struct list link; /* of all, the youngest last */
	struct app app;
	struct plan *plan;
	unsigned number;
	pthread_t thread;
	bool alive; /* the application is made, and not destroyed; under the lock */
	/* Told the main thread; atomic. */
	bool serves, closed, ended;
	bool left;         /* it has ended, but for threads that do not */
	bool over;         /* the main thread has seen its end, or that */
	uint64_t asked_ns; /* when it was asked to end first; 0: not yet */
	bool told;         /* the main thread knows that it serves */
	bool late;         /* it was too long about it, which has been told */
	int code, handles;
	char *failure; /* why it has not come to serve; NULL: not known */
};

/* There is one in a process, as there is one set of signals. */
static struct {
	const struct supervisor *how;
	struct loop loop;
	struct signals signals;
	uv_async_t wake;
	uv_timer_t pulse; /* looks after the workers */
	uv_timer_t close; /* the time that `before` has */
	uv_timer_t start; /* the time to come to serve that who is next has */
	struct list all;
	struct generation *current; /* serves; NULL: not yet, or it has ended */
	struct generation *before;  /* still accepts beside it; NULL: none */
	unsigned count;             /* generations so far */
	bool ending;
	int heir; /* process that replaces this one, until that is told; 0: none */
	bool quit_waits; /* SIGQUIT came before there was one that serves */
	bool turning;    /* all workers, at the last look */
	int end_signal;
	int code;
	int handles;
	bool left_behind;
	pthread_mutex_t lock; /* also of: */
	bool gone;            /* there is no main thread any more */
} self;

/* Also by threads that are left behind. */
static void wake_main(void)
{
	pthread_mutex_lock(&self.lock);
	if (!self.gone)
		uv_async_send(&self.wake);
	pthread_mutex_unlock(&self.lock);
}

/* On the generation's thread: all its workers serve. */
static void on_serving(struct app *app)
{
	struct generation *g = list_entry(app, struct generation, app);

	__atomic_store_n(&g->serves, true, __ATOMIC_RELEASE);
	wake_main();
}

/* On a thread of the generation: none of its workers accepts any more. */
static void on_closed(struct app *app)
{
	struct generation *g = list_entry(app, struct generation, app);

	__atomic_store_n(&g->closed, true, __ATOMIC_RELEASE);
	wake_main();
}

static void set_alive(struct generation *g, bool alive)
{
	pthread_mutex_lock(&self.lock);
	g->alive = alive;
	pthread_mutex_unlock(&self.lock);
}

static char *copy(const char *text)
{
	return text == NULL ? NULL : mem_strdup(text);
}

/* However long their C code takes: until then all they may use is there. When the process
 * ends meanwhile, so does this. */
static void wait_for_left(struct generation *g)
{
	bool gone;

	__atomic_store_n(&g->left, true, __ATOMIC_RELEASE);
	wake_main();
	app_join_left(&g->app);
	pthread_mutex_lock(&self.lock);
	gone = self.gone;
	pthread_mutex_unlock(&self.lock);
	while (gone)
		pause();
}

static int run(struct generation *g)
{
	int code;

	if (app_create(&g->app, &g->plan->settings, self.how->modules,
		       g->number) != 0) {
		struct error *e = diag_take();

		fprintf(stderr, "neap: %s\n", e->message);
		g->failure = copy(e->message);
		error_unref(e);
		return 1;
	}
	g->app.on_serving = on_serving;
	g->app.on_closed = on_closed;
	set_alive(g, true);
	wake_main();
	code = app_run(&g->app, &g->plan->script);
	pthread_mutex_lock(&g->app.lock);
	g->failure = copy(g->app.failure);
	pthread_mutex_unlock(&g->app.lock);
	if (g->app.left_behind > 0) {
		g->code = code;
		wait_for_left(g);
	}
	set_alive(g, false);
	self.how->on_end(&g->app);
	g->handles = app_destroy(&g->app);
	return code;
}

static void *thread_main(void *arg)
{
	char signal_stack[CRASH_STACK_SIZE];
	struct generation *g = arg;

	pthread_setname_np(pthread_self(), "neap-worker-1");
	crash_enter_thread(signal_stack, sizeof signal_stack);
	g->code = run(g);
	crash_leave_thread();
	__atomic_store_n(&g->ended, true, __ATOMIC_RELEASE);
	wake_main();
	return NULL;
}

/* Takes the plan over. Returns 0, or -1 with diag set. */
static int start(struct plan *plan)
{
	struct generation *g = mem_zalloc(sizeof *g);
	pthread_attr_t attr;
	int rc;

	if (g == NULL) {
		self.how->free(plan);
		diag_set_oom(sizeof *g, "the server");
		return -1;
	}
	g->plan = plan;
	g->number = ++self.count;
	rc = pthread_attr_init(&attr);
	if (rc == 0) {
		pthread_attr_setstacksize(&attr, STACK_SIZE);
		rc = pthread_create(&g->thread, &attr, thread_main, g);
		pthread_attr_destroy(&attr);
	}
	if (rc != 0) {
		self.how->free(plan);
		mem_free(g);
		diag_set_system(rc, "cannot start the server's thread");
		return -1;
	}
	list_add_tail(&self.all, &g->link);
	return 0;
}

static void replace(struct app *app)
{
	app_end(app, APP_END_REPLACED);
}

static void ask(struct app *app)
{
	app_ask(app, self.end_signal);
}

/* Call @a f with its application, if there is one now. */
static void tell(struct generation *g, void (*f)(struct app *app))
{
	pthread_mutex_lock(&self.lock);
	if (g->alive)
		f(&g->app);
	pthread_mutex_unlock(&self.lock);
}

/* One that is not made yet is asked when it is. */
static void ask_end(struct generation *g)
{
	if (g->asked_ns == 0)
		g->asked_ns = uv_hrtime();
	tell(g, self.end_signal != 0 ? ask : replace);
}

static void end_all(void)
{
	list_foreach(link, &self.all)
		ask_end(list_entry(link, struct generation, link));
}

/* To those who asked, those who watch and the service manager, for which it is over
 * either way. */
static void answer_reload(unsigned number, const char *why)
{
	life_reload(why == NULL ? EVENT_RELOAD_DONE : EVENT_RELOAD_FAILED,
		    number, why);
	reload_asks_answer(RELOAD_CONFIGURATION, number, why);
	if (why == NULL)
		notify_say("READY=1\nSTATUS=generation %u serves", number);
	else
		notify_say("READY=1\nSTATUS=the reload has failed: %.*s",
			   (int)strcspn(why, "\n"), why);
}

static void fail_reload(unsigned number)
{
	struct error *e = diag_take();

	log_error("the reload has failed, nothing has changed: %s", e->message);
	answer_reload(number, e->message);
	error_unref(e);
}

static bool has_ended(const struct generation *g)
{
	return __atomic_load_n(&g->ended, __ATOMIC_ACQUIRE) ||
	       __atomic_load_n(&g->left, __ATOMIC_ACQUIRE);
}

static bool is_starting(void)
{
	const struct generation *last =
		list_entry(self.all.prev, struct generation, link);

	return !list_empty(&self.all) && last != self.current && !last->late &&
	       !has_ended(last);
}

/* With a reload, or an upgrade here or there: one at a time, what is asked for meanwhile
 * comes behind it. */
static bool is_busy(void)
{
	return self.ending || is_starting() || self.before != NULL ||
	       upgrade_pid() != 0 || upgrade_is_new();
}

/* Into @a text; @a seconds have gone by. */
static const char *describe_late(char *text, size_t size, double seconds)
{
	snprintf(text, size,
		 "it has not come to serve within %g s (start_timeout)",
		 seconds);
	return text;
}

static void limit_start(uv_timer_cb fn, const struct settings *settings)
{
	double seconds = settings_seconds(settings, SETTING_START_TIMEOUT);

	if (seconds > 0)
		uv_timer_start(&self.start, fn, (uint64_t)(seconds * 1000), 0);
}

/* It is left to its end, however long that takes: the next one may come. */
static void on_reload_late(uv_timer_t *timer)
{
	struct generation *g =
		list_entry(self.all.prev, struct generation, link);
	char text[80];

	(void)timer;
	if (!is_starting() || self.current == NULL)
		return;
	g->late = true;
	diag_set(ClientError, "%s",
		 describe_late(text, sizeof text,
			       settings_seconds(&g->plan->settings,
						SETTING_START_TIMEOUT)));
	fail_reload(g->number);
	wake_main();
}

/* Room for one more, or -1 with diag set; the log gets where the oldest stands. */
static int make_room(void)
{
	struct generation *oldest = NULL;
	unsigned count = 0;

	list_foreach(link, &self.all) {
		struct generation *g =
			list_entry(link, struct generation, link);

		if (g == self.current)
			continue;
		count++;
		oldest = oldest == NULL ? g : oldest;
	}
	if (count < ENDING_MAX)
		return 0;
	diag_set(ClientError,
		 "%u generations have not ended yet, which is the most there "
		 "can be; the oldest is %u, which was asked to end %.0f s ago: "
		 "the log tells where it stands",
		 count, oldest->number,
		 (double)(uv_hrtime() - oldest->asked_ns) / 1e9);
	tell(oldest, pulse_ask_all);
	return -1;
}

static void begin_reload(void)
{
	struct plan *plan;

	if (is_busy() || !reload_asks_begin(RELOAD_CONFIGURATION))
		return;
	log_info("reload: the configuration is read again");
	notify_reloading();
	life_reload(EVENT_RELOAD_BEGIN, self.count + 1, NULL);
	plan = make_room() == 0 ? self.how->make(self.how->arg) : NULL;
	if (plan == NULL || start(plan) != 0) {
		fail_reload(self.count + 1);
		return;
	}
	limit_start(on_reload_late, &plan->settings);
}

static void warn_unused(const struct inherited *e, void *arg)
{
	char text[200];

	(void)arg;
	inherit_format(e, text, sizeof text);
	log_warn(
		"the socket '%s' (%s), which was given to the process, is used by "
		"no listener",
		e->name, text);
}

/* The one before accepts nothing more, has ended, or is too late to be waited for: what
 * comes from now on is the current one's. */
static void finish_take_over(void)
{
	struct generation *g = self.current;

	uv_timer_stop(&self.close);
	self.before = NULL;
	if (g == NULL) {
		answer_reload(self.count, "the new generation has ended");
		return;
	}
	log_info("reload: generation %u serves, the one before ends with the "
		 "work it has",
		 g->number);
	answer_reload(g->number, NULL);
}

static void on_close_late(uv_timer_t *timer)
{
	(void)timer;
	log_warn(
		"reload: a worker of the generation before is busy and may accept "
		"once more");
	finish_take_over();
	wake_main();
}

/* In the new process of an upgrade: the one before accepts nothing more. */
static void on_alone(void)
{
	log_info("upgrade: this process serves");
	notify_say("READY=1\nSTATUS=serving");
	wake_main();
}

/* Ask what serves what it is at, or what will. */
static void ask_state(void)
{
	self.quit_waits = self.current == NULL;
	if (self.current == NULL)
		return;
	tell(self.current, pulse_ask_stuck);
	if (self.how->on_quit != NULL)
		tell(self.current, self.how->on_quit);
}

/* It serves, beside the one before, which is told to have no new work from now on. */
static void take_over(struct generation *g)
{
	struct generation *before = self.current;

	g->told = true;
	uv_timer_stop(&self.start);
	self.current = g;
	signals_set_deadline(app_longest_end(&g->plan->settings));
	listen_share_each_unused(g->number, warn_unused, NULL);
	if (self.quit_waits)
		ask_state();
	if (before == NULL && upgrade_is_new()) {
		upgrade_say_ready(&self.loop.uv, on_alone);
		return;
	}
	if (before == NULL) {
		notify_say("READY=1\nSTATUS=serving");
		return;
	}
	if (self.how->on_reload != NULL)
		self.how->on_reload(g->plan, before->plan);
	self.before = before;
	uv_timer_start(&self.close, on_close_late, CLOSE_MS, 0);
	ask_end(before);
}

/* --- upgrades: see upgrade.h --- */

static void fail_upgrade(const char *why)
{
	uv_timer_stop(&self.start);
	log_error("the upgrade has failed, nothing has changed: %s", why);
	reload_asks_answer(RELOAD_PROGRAM, 0, why);
	notify_say("READY=1\nSTATUS=the upgrade has failed: %.*s",
		   (int)strcspn(why, "\n"), why);
}

/* All that comes from now on is the new process's. */
static void finish_upgrade(void)
{
	uv_timer_stop(&self.close);
	log_info("upgrade: process %d serves, this one ends with the work it "
		 "has",
		 self.heir);
	reload_asks_begin(RELOAD_PROGRAM); /* who has asked meanwhile, too */
	reload_asks_answer(RELOAD_PROGRAM, (unsigned)self.heir, NULL);
	self.heir = 0;
}

static void on_pass_late(uv_timer_t *timer)
{
	(void)timer;
	log_warn("upgrade: a worker is busy and may accept once more");
	finish_upgrade();
}

/* The manager hears who serves from the process that it knows, before the other
 * speaks. */
static void on_upgrade(const char *why)
{
	uv_timer_stop(&self.start);
	if (self.ending) {
		upgrade_give_up();
		return;
	}
	if (why != NULL) {
		fail_upgrade(why);
		wake_main();
		return;
	}
	self.heir = upgrade_pid();
	notify_say("MAINPID=%d\nREADY=1\nSTATUS=process %d serves", self.heir,
		   self.heir);
	notify_end();
	upgrade_finish();
	self.ending = true;
	signals_end_without();
	uv_timer_start(&self.close, on_pass_late, CLOSE_MS, 0);
	end_all();
	wake_main();
}

/* It may be stuck so that it does not end when it is asked to. */
static void on_upgrade_stuck(uv_timer_t *timer)
{
	(void)timer;
	log_error("upgrade: process %d does not end and is killed",
		  upgrade_pid());
	upgrade_expire("", true);
}

static void on_upgrade_late(uv_timer_t *timer)
{
	const struct settings *settings;
	char text[80];

	if (self.current == NULL)
		return;
	settings = &self.current->plan->settings;
	describe_late(text, sizeof text,
		      settings_seconds(settings, SETTING_START_TIMEOUT));
	log_error("upgrade: process %d: %s, and is asked to end", upgrade_pid(),
		  text);
	upgrade_expire(text, false);
	uv_timer_start(timer, on_upgrade_stuck,
		       app_longest_end(settings) * 1000ull, 0);
}

static void begin_upgrade(void)
{
	struct error *e;

	if (is_busy() || self.current == NULL ||
	    !reload_asks_begin(RELOAD_PROGRAM))
		return;
	notify_reloading();
	if (upgrade_begin(&self.loop.uv, self.how->argv, self.how->env,
			  on_upgrade) == 0) {
		log_info("upgrade: '%s' starts, as process %d",
			 self.how->argv[0], upgrade_pid());
		limit_start(on_upgrade_late, &self.current->plan->settings);
		return;
	}
	e = diag_take();
	fail_upgrade(e->message);
	error_unref(e);
}

/* A second one is refused, not kept: whoever has sent it sees nothing of the first. */
static void on_upgrade_signal(void)
{
	if (upgrade_pid() != 0)
		log_warn("upgrade: refused: process %d is starting already",
			 upgrade_pid());
	else if (self.ending)
		log_warn("upgrade: refused: the server ends");
	else
		reload_asks_want(RELOAD_PROGRAM);
}

static bool has_closed(const struct generation *g)
{
	return __atomic_load_n(&g->closed, __ATOMIC_ACQUIRE) || has_ended(g);
}

/* To who waits here, or, of the first one, in the process that it was to replace. */
static void tell_not_serving(const struct generation *g, bool first)
{
	const char *why = g->failure;
	char text[64];

	snprintf(text, sizeof text, "it has ended by itself with code %d",
		 g->code);
	if (why == NULL)
		why = text;
	if (first) {
		upgrade_say_failed(why);
		return;
	}
	log_error("the reload has failed, nothing has changed");
	answer_reload(g->number, why);
}

static void forget(struct generation *g)
{
	pthread_join(g->thread, NULL);
	list_del(&g->link);
	if (g->left && !self.ending)
		log_info("reload: generation %u has ended after all",
			 g->number);
	self.handles += g->handles;
	mem_free(g->failure);
	self.how->free(g->plan);
	mem_free(g);
}

/* It has ended, or all of it has but threads that are left. */
static void on_ended(struct generation *g)
{
	bool current = g == self.current, first = self.count == 1;

	g->over = true;
	if (g->asked_ns == 0)
		g->asked_ns = uv_hrtime();
	if (current || (first && !g->told)) {
		/* It has ended by itself, or was asked to: so does the server. */
		self.current = NULL;
		self.code = g->code;
		self.ending = true;
		end_all();
		if (!g->told)
			tell_not_serving(g, true);
	} else if (!g->told && !g->late && !self.ending) {
		uv_timer_stop(&self.start);
		tell_not_serving(g, false);
	} else if (!self.ending &&
		   __atomic_load_n(&g->left, __ATOMIC_ACQUIRE)) {
		log_warn(
			"reload: generation %u does not end: what it has stays "
			"until its threads do",
			g->number);
	} else if (!self.ending) {
		log_info("reload: generation %u has ended", g->number);
	}
}

/* The process need not wait for anyone any more. */
static bool are_over(void)
{
	list_foreach(link, &self.all) {
		if (!list_entry(link, struct generation, link)->over)
			return false;
	}
	return true;
}

static void look(uv_async_t *async)
{
	(void)async;
	list_foreach_safe(link, next, &self.all) {
		struct generation *g =
			list_entry(link, struct generation, link);

		if (g == self.before && has_closed(g))
			finish_take_over();
		if (!g->told && !g->late && !self.ending &&
		    __atomic_load_n(&g->serves, __ATOMIC_ACQUIRE))
			take_over(g);
		if (has_ended(g) && !g->over)
			on_ended(g);
		else if (self.ending || g->late)
			ask_end(g);
		if (__atomic_load_n(&g->ended, __ATOMIC_ACQUIRE))
			forget(g);
	}
	if (self.heir != 0 &&
	    (self.current == NULL || has_closed(self.current)))
		finish_upgrade();
	begin_reload();
	begin_upgrade();
	if (are_over())
		uv_stop(&self.loop.uv);
}

static void on_signal(int signo, void *arg)
{
	(void)arg;
	switch (signo) {
	case SIGUSR1:
		app_reopen_log();
		return;
	case SIGQUIT:
		ask_state();
		return;
	case SIGHUP:
		app_reopen_log();
		reload_asks_want(RELOAD_CONFIGURATION);
		break;
	case SIGUSR2:
		on_upgrade_signal();
		break;
	default:
		uv_timer_stop(&self.start);
		upgrade_give_up();
		notify_say("STOPPING=1\nSTATUS=ending");
		self.ending = true;
		self.end_signal = signo;
		end_all();
		break;
	}
	wake_main();
}

static void beat(struct app *app)
{
	self.turning = pulse_beat(app);
}

/* The manager hears of us only while everything turns, this thread too. */
static void on_pulse(uv_timer_t *timer)
{
	(void)timer;
	if (self.current == NULL || upgrade_is_new())
		return;
	self.turning = true;
	tell(self.current, beat);
	if (self.turning)
		notify_say("WATCHDOG=1");
}

static int start_pulse(void)
{
	uint64_t every_ms = notify_watchdog_ns() / 2 / 1000000;
	int rc = uv_timer_init(&self.loop.uv, &self.pulse);

	if (rc != 0)
		return rc;
	uv_unref((uv_handle_t *)&self.pulse);
	if (every_ms == 0 || every_ms > PULSE_MS)
		every_ms = PULSE_MS;
	return uv_timer_start(&self.pulse, on_pulse, every_ms, every_ms);
}

static int open_main(void)
{
	int rc = loop_create(&self.loop);

	if (rc != 0)
		goto fail;
	rc = uv_async_init(&self.loop.uv, &self.wake, look);
	if (rc != 0)
		goto fail_loop;
	rc = signals_start(&self.signals, &self.loop, on_signal, NULL);
	if (rc != 0)
		goto fail_wake;
	signals_set_fatal(SIGHUP, false);
	rc = start_pulse();
	if (rc != 0)
		goto fail_signals;
	rc = uv_timer_init(&self.loop.uv, &self.close);
	if (rc != 0)
		goto fail_pulse;
	rc = uv_timer_init(&self.loop.uv, &self.start);
	if (rc != 0)
		goto fail_close;
	reload_asks_open(wake_main);
	return 0;
fail_close:
	uv_close((uv_handle_t *)&self.close, NULL);
fail_pulse:
	uv_close((uv_handle_t *)&self.pulse, NULL);
fail_signals:
	signals_stop(&self.signals);
fail_wake:
	uv_close((uv_handle_t *)&self.wake, NULL);
fail_loop:
	loop_destroy(&self.loop, NULL, NULL);
fail:
	diag_set_system(rc, "the main thread's loop");
	return -1;
}

static void close_main(void)
{
	pthread_mutex_lock(&self.lock);
	self.gone = true;
	pthread_mutex_unlock(&self.lock);
	reload_asks_close();
	upgrade_give_up();
	upgrade_close();
	app_end_process();
	signals_stop(&self.signals);
	uv_close((uv_handle_t *)&self.pulse, NULL);
	uv_close((uv_handle_t *)&self.close, NULL);
	uv_close((uv_handle_t *)&self.start, NULL);
	uv_close((uv_handle_t *)&self.wake, NULL);
	self.handles += loop_destroy(&self.loop, NULL, NULL);
}

int supervisor_run(const struct supervisor *how, struct plan *first,
		   bool *ret_left_behind, int *ret_handles)
{
	memset(&self, 0, sizeof self);
	list_init(&self.all);
	pthread_mutex_init(&self.lock, NULL);
	self.how = how;
	self.code = 1;
	if (open_main() != 0) {
		how->free(first);
		goto fail;
	}
	signals_set_deadline(app_longest_end(&first->settings));
	if (start(first) != 0)
		goto fail_start;
	while (!are_over())
		loop_run(&self.loop, UV_RUN_DEFAULT);
	self.left_behind = !list_empty(&self.all);
	close_main();
	*ret_left_behind = self.left_behind;
	*ret_handles += self.handles;
	return self.code;
fail_start:
	close_main();
fail : {
	struct error *e = diag_take();

	fprintf(stderr, "neap: %s\n", e->message);
	error_unref(e);
	return 1;
}
}
