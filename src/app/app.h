/*
 * The application: the loop, the scheduler and the Lua state of the process
 * around one script, from its start to its end. See doc/cli.md for what the
 * end looks like from outside.
 *
 *	app_create -> (register modules) -> app_run -> app_destroy
 */
#pragma once

#include <stdbool.h>

#include "lua/lua_state.h"
#include "runtime/fiber.h"
#include "runtime/loop.h"
#include "runtime/signals.h"

struct app;
struct lua_fiber;
struct settings;

/** Why the application ends; the first reason counts. */
enum app_end {
	APP_GOES_ON,
	APP_END_IDLE,    /* nothing is alive any more */
	APP_END_SIGNAL,  /* asked by a signal: drain first */
	APP_END_CONSOLE, /* the console was left: drain first */
	APP_END_EXIT,    /* os.exit() */
	APP_END_FAILED,  /* the main script failed */
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

/** What the main fiber does. Texts must outlive the application. */
struct app_script {
	const struct app_step *steps;
	int step_count;
	int argc;
	char **argv;
	int script; /* argv index of the script's path; 0: none */
};

struct app {
	struct loop loop;
	struct sched sched;
	struct lua_vm vm;
	struct signals signals;
	const struct settings *settings;
	struct lua_fiber *main; /* NULL: not started, or it has ended */
	bool main_interrupted;  /* it ended by being cancelled */
	bool main_failed;
	enum app_end end;
	int end_signal;          /* of APP_END_SIGNAL */
	int exit_code;           /* of APP_END_EXIT */
	int hooks_ref;           /* registry: runs the shutdown hooks */
	struct lua_fiber *hooks; /* runs them now */
	bool interactive;        /* a console is open on standard input */
	bool drained;            /* the last drain ended in time */
	bool late;               /* the time of this phase is over */
	struct timer phase_timer;
	/* Told when the main script has ended well and the application goes
	 * on. May be NULL. */
	void (*on_main_end)(struct app *app, void *arg);
	void *on_main_end_arg;
	/* Takes SIGINT instead of the end; returns false to leave it. */
	bool (*on_interrupt)(struct app *app, void *arg);
	void *on_interrupt_arg;
};

/**
 * Make loop, scheduler, Lua state and signal handlers. The memory is the
 * caller's. Returns 0, or -1 with diag set.
 */
int app_create(struct app *app, const struct settings *settings);

/** Run @a script to the application's end. Returns the exit code. */
int app_run(struct app *app, const struct app_script *script);

/**
 * Close everything. Handles that their owners left open are named on stderr.
 * Returns how many; 0 is as it should be.
 */
int app_destroy(struct app *app);

/** Ask for the end; the first reason counts. */
void app_end(struct app *app, enum app_end why);

static inline bool app_is_ending(const struct app *app)
{
	return app->end != APP_GOES_ON;
}

/** The application of a Lua state. Throws: no. */
struct app *app_of(lua_State *L);
