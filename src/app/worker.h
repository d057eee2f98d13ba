/*
 * A worker: a thread with a loop, a scheduler and a Lua state of its own, that
 * runs the script from its start to the application's end. Fibers, timers and
 * sockets stay with their worker. All workers are made and ended by the same
 * code; without a configuration worker 1 is the main thread.
 *
 *	worker_create -> worker_run -> worker_destroy
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <uv.h>

#include "app/pulse.h"
#include "lua/lua_state.h"
#include "runtime/fiber.h"
#include "runtime/loop.h"
#include "runtime/mailbox.h"

struct app;
struct lua_fiber;

struct worker {
	struct loop loop;
	struct sched sched;
	struct lua_vm vm;
	struct app *app;
	unsigned id;            /* from 1; 0: the shared state's */
	struct mailbox mailbox; /* from other workers; the application's */
	struct pulse pulse;     /* of who looks after the workers */
	struct list calls;      /* struct state_call: that are served here */
	int serve_ref;          /* registry: parts of states.lua */
	int steps_ref;
	const void *leave;      /* metatable: see local_call.h */
	bool started;           /* everything is loaded, here and elsewhere */
	bool told;              /* subscribers of events, that it serves */
	struct lua_fiber *main; /* NULL: not started, or it has ended */
	bool main_interrupted;  /* it ended by being cancelled */
	bool main_failed;
	bool idle;               /* nothing is alive here */
	int hooks_ref;           /* registry: runs the shutdown hooks */
	struct lua_fiber *hooks; /* runs them now */
	bool hooks_cut;          /* one took its fiber with it */
	bool served;             /* it had servers when the end began */
	bool interactive;        /* a console, at that time */
	bool drained;            /* the last drain ended in time */
	bool late;               /* the time of this phase is over */
	struct timer phase_timer;
	uv_async_t wake;  /* the application has changed: see worker_wake() */
	bool awake;       /* `wake` is open; under the application's lock */
	pthread_t thread; /* of all but worker 1 */
	bool has_thread;
};

/**
 * Make loop, scheduler and Lua state for this thread; app and id are set, the
 * rest is zero. Returns 0, or -1 with diag set.
 */
int worker_create(struct worker *w);

/** Run the application's script until the application has ended. */
void worker_run(struct worker *w);

/** Close everything. Returns how many handles their owners left open. */
int worker_destroy(struct worker *w);

/** Start a thread that does all three. Returns 0, or -1 with diag set. */
int worker_start(struct worker *w);

/** Make the worker look again, from any thread that has the application's lock;
 * one that is not made yet, or closed, needs it not. */
void worker_wake(struct worker *w);

static inline bool worker_is_shared(const struct worker *w)
{
	return w->id == 0;
}

/** How messages call it: "worker 2". Returns @a to, of WORKER_NAME bytes. In signal
 * handlers, too. */
enum { WORKER_NAME = 40 };
const char *worker_name(const struct worker *w, char *to);

/** The worker of a Lua state. Throws: no. */
struct worker *worker_of(lua_State *L);

/** The worker of this thread; NULL: none. */
struct worker *worker_self(void);
