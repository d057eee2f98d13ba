/*
 * The application: what belongs to the process around one script. Settings,
 * signals, the reason of the end and the exit code are here; the loops and Lua
 * states are the workers', see worker.h. The thread that calls is worker 1; the
 * others get threads of their own. See doc/cli.md for what the end looks like
 * from outside.
 *
 *	app_create -> app_run -> app_destroy
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "app/handlers.h"
#include "runtime/signals.h"

struct app;
struct config;
struct lua_module;
struct settings;
struct worker;

/** Why the application ends; the first reason counts. */
enum app_end {
	APP_GOES_ON,
	APP_END_IDLE,     /* nothing is alive any more, in no worker */
	APP_END_SIGNAL,   /* asked by a signal: drain first */
	APP_END_CONSOLE,  /* the console was left: drain first */
	APP_END_EXIT,     /* os.exit() */
	APP_END_CHECKED,  /* nothing else was wanted */
	APP_END_REPLACED, /* by a younger generation: drain first */
	APP_END_FAILED,   /* a main script failed */
};

enum app_step_kind {
	APP_STEP_EVAL,    /* run a chunk of text */
	APP_STEP_REQUIRE, /* require a module, "g=mod" into global g */
	APP_STEP_JIT,     /* a command to the JIT compiler */
};

struct app_step {
	enum app_step_kind kind;
	const char *text;
};

/** A file that is run in a state. */
struct app_file {
	const char *path;
	const char *const *args; /* what it gets as `...` and `arg`; NULL: its
				    path, and the script's */
	int arg_count;
	const char *config; /* which names it, there; NULL: none does */
	unsigned line, column;
};

/** In this order. */
struct app_files {
	const struct app_file *files;
	int count;
};

/** What the main fibers do. Texts must outlive the application. */
struct app_script {
	struct app_files load;            /* in the shared state */
	struct app_files load_per_thread; /* in each worker's */
	const char
		*opener; /* a module whose open() is called in worker 1 when it
			       serves a configuration; NULL: none */
	const struct app_step *steps;
	int step_count;
	int argc;
	char **argv;
	int script;            /* argv index of the script's path, or of the
		       configuration's; 0: none */
	struct config *config; /* what is served; NULL: nothing */
	bool check_only;       /* end where it would begin to serve */
};

static inline bool app_has_states(const struct app_script *s)
{
	return s->load.count > 0 || s->load_per_thread.count > 0 ||
	       s->config != NULL;
}

/** Where the workers wait for each other: at the start, when there are files
 * to load, and on the way to the end. */
enum app_phase {
	APP_PHASE_SHARED_LOADED,
	APP_PHASE_LOADED,
	APP_PHASE_CHECKED,      /* the registered functions */
	APP_PHASE_CONFIGURED,   /* and what a configuration wants of them */
	APP_PHASE_SHARED_READY, /* what init() was given has run */
	APP_PHASE_READY,
	APP_PHASE_SERVING, /* what a configuration declares */
	APP_PHASE_TOLD,   /* that each of them does, to subscribers of events */
	APP_PHASE_CLOSED, /* what served accepts nothing more */
	APP_PHASE_DRAINED,
	APP_PHASE_HOOKS_RUN,
	APP_PHASE_COUNT,
};

struct app {
	const struct settings *settings;
	unsigned generation; /* 0: it is the process's only one, and has its
				signals */
	const struct lua_module *const *modules; /* of upper layers */
	const struct app_script *script;
	struct worker *workers; /* the first is worker 1, and so on; behind them
				   that of the shared state, worker 0 */
	unsigned count;         /* of them, without that: who serve */
	unsigned threads;       /* with it, when there is one: all */
	unsigned next_worker;   /* for requests of the shared state; atomic */
	struct handlers handlers;
	unsigned left_behind; /* threads that did not end in time */
	int handles;          /* left open, of those that have ended */
	struct signals signals;
	bool interactive; /* a console is open on standard input */
	/* Told in worker 1 when its main script has ended well and the
	 * application goes on. May be NULL. */
	void (*on_main_end)(struct app *app, void *arg);
	void *on_main_end_arg;
	/* Takes SIGINT instead of the end; returns false to leave it. */
	bool (*on_interrupt)(struct app *app, void *arg);
	void *on_interrupt_arg;
	/* Told in worker 1 when all serve what the configuration declares.
	 * May be NULL. */
	void (*on_serving)(struct app *app);
	/* Told in any worker, maybe more than once, when all of them have been told
	 * to drain and accept nothing more. May be NULL. */
	void (*on_closed)(struct app *app);
	/* SIGQUIT: says what the process is at. May be NULL. */
	void (*on_quit)(struct app *app);

	pthread_mutex_t lock;          /* of what follows */
	enum app_end end;              /* read without the lock */
	int end_signal;                /* of APP_END_SIGNAL */
	bool asked;                    /* by a signal; read without the lock */
	int exit_code;                 /* of APP_END_EXIT */
	bool reported;                 /* a failure has been told: */
	char *failure;                 /* its text; NULL: no memory */
	char *fingerprint;             /* of the first state; NULL: not yet */
	unsigned idle;                 /* workers with nothing alive */
	unsigned met[APP_PHASE_COUNT]; /* who has come there; read without */
};

/**
 * Make the state of worker 1 and, for @a generation 0, the signal handlers. Each
 * worker's state has the @a modules (ends with NULL) beside those of the layers below.
 * The memory is the caller's. Returns 0, or -1 with diag set.
 */
int app_create(struct app *app, const struct settings *settings,
	       const struct lua_module *const *modules, unsigned generation);

/**
 * Start the other workers and run @a script in each of them to the
 * application's end. Returns the exit code. When app->left_behind is not zero
 * then, threads are still running: the process must leave without destroying
 * anything.
 */
int app_run(struct app *app, const struct app_script *script);

/** Wait for the threads that app_run() has left, however long that takes: then the
 * application may be destroyed. */
void app_join_left(struct app *app);

/**
 * Close everything. Handles that their owners left open are named on stderr.
 * Returns how many; 0 is as it should be.
 */
int app_destroy(struct app *app);

/** What belongs to the process rather than to a generation: when the last one has been
 * destroyed. app_destroy() does it for the only one. */
void app_end_process(void);

/** Ask for the end; the first reason counts. On any worker's thread. */
void app_end(struct app *app, enum app_end why);

/** The end by the signal @a signo, which may be no request to end. On any
 * thread. */
void app_ask(struct app *app, int signo);

/** A signal asks for the end, be it under way for another reason. */
static inline bool app_is_asked(const struct app *app)
{
	return __atomic_load_n(&app->asked, __ATOMIC_ACQUIRE);
}

/** Open the log's file again; what is wrong goes into the log. Any thread. */
void app_reopen_log(void);

/** How long the end may take after a signal, in seconds. */
unsigned app_longest_end(const struct settings *settings);

/** The end by os.exit(@a code), which comes before any other reason. */
void app_exit(struct app *app, int code);

static inline enum app_end app_end_reason(const struct app *app)
{
	return __atomic_load_n(&app->end, __ATOMIC_ACQUIRE);
}

static inline bool app_is_ending(const struct app *app)
{
	return app_end_reason(app) != APP_GOES_ON;
}

/* For the workers. */

/** True for the first that has a failure to tell, which is kept: one message is enough,
 * for most often all workers fail for the same reason. */
bool app_claim_report(struct app *app, const char *text);

/** Remember @a text, what a state is made of, when it is the first. Returns the
 * first one, or NULL with diag set: OutOfMemory. */
const char *app_note_fingerprint(struct app *app, const char *text);

/** The worker that runs the shared state, if there is one. */
struct worker *app_shared(struct app *app);

/** The worker with the number @a id, of the shared state's 0. NULL: there is none. */
struct worker *app_worker(struct app *app, double id);

/** Where @a w stands in app->workers: below app->threads. */
unsigned app_place(const struct worker *w);

/** Nothing is alive in one more worker: the last one ends the application. */
void app_enter_idle(struct app *app);
void app_leave_idle(struct app *app);

/** One more worker has come to the end of @a phase; the last one wakes all. */
void app_arrive(struct app *app, enum app_phase phase);

static inline bool app_has_met(const struct app *app, enum app_phase phase)
{
	return __atomic_load_n(&app->met[phase], __ATOMIC_ACQUIRE) ==
	       app->threads;
}
