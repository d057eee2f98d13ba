/*
 * One helper process of isolated C functions, as the server sees it: started,
 * asked, killed, reaped.
 *
 *   STARTING --READY--> IDLE --lua_cmod_helper_ask()--> BUSY --answer--> IDLE
 *       |                 |                              |
 *       +-----------------+--- death, garbage, time ----+--> DYING
 *                         +--- lua_cmod_helper_close() ------> CLOSING
 *
 * However it ends, it is waited for by its pidfd, never by SIGCHLD, which is
 * not ours alone; and what the library left behind in its session is killed.
 * Everything that comes out of its socket is checked: see isolate_frame.h.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

#include "base/list.h"
#include "cmod/cmod.h"
#include "cmod/isolate_frame.h"
#include "runtime/timer.h"

struct error;
struct loop;
struct sched;

enum lua_cmod_helper_state {
	HELPER_STARTING,
	HELPER_IDLE,
	HELPER_BUSY,
	HELPER_DYING,   /* killed, or dead and not yet reaped */
	HELPER_CLOSING, /* told to end */
	HELPER_REAPED,  /* its handles close */
};

struct lua_cmod_helper;

/** Whom a helper tells what happens. From the loop; Lua is not to be run. */
struct lua_cmod_helper_owner {
	/** It is idle for the first time. */
	void (*on_ready)(struct lua_cmod_helper *h);
	/** The answer is in h->in; what is taken from there is the owner's. The
	 * helper is idle, or dying. */
	void (*on_answer)(struct lua_cmod_helper *h);
	/** What it was started for or asked will not come: @a e (taken over) is
	 * why. Not called when the owner has killed or closed it. */
	void (*on_failed)(struct lua_cmod_helper *h, struct error *e);
	/** The process is gone; the helper is not to be used any more. */
	void (*on_gone)(struct lua_cmod_helper *h);
};

struct lua_cmod_helper {
	struct list link;                          /* the owner's */
	struct list all;                           /* of the thread */
	const struct lua_cmod_helper_owner *owner; /* NULL: nobody is told */
	void *arg;                                 /* the owner's */
	void *work; /* the owner's: what it works at */
	enum lua_cmod_helper_state state;
	bool lost;     /* killed because its socket was closed */
	bool late;     /* killed because it did not end when it was told to */
	bool quiet;    /* the owner is not to be told why it died */
	int exit_kind; /* once reaped: si_code and si_status of waitid() */
	int exit_value;
	pid_t pid;
	int pidfd;
	unsigned handles;  /* open ones */
	uint64_t serial;   /* of the question */
	uint64_t limit_ns; /* that the timer was set for */
	uint64_t cpu_ns;   /* CPU time of the process when last read, ... */
	uint64_t read_ns;  /* ... which was then */
	uint64_t told_ns;  /* the owner's: what of it is counted */
	struct isolate_reader in;
	struct sched *sched;
	struct timer timer; /* ends what takes too long */
	uv_pipe_t pipe;
	uv_poll_t watch; /* of the pidfd; keeps the loop alive when there is
			    something to wait for */
	char name[];     /* "function 'f' of module '/x/m'", for errors */
};

/** What a helper is started for. */
struct lua_cmod_helper_job {
	struct cmod_sealed library;
	const char *symbol; /* "": the library alone, to see whether it loads */
	uint64_t memory;    /* bytes that it may take */
	uint64_t answer_max; /* bytes of an answer */
	uint64_t timeout_ns; /* for loading */
};

/**
 * Start one. Returns it in state STARTING, or NULL with diag set: no process,
 * descriptor or memory to be had. Blocks: until the program is executed.
 */
struct lua_cmod_helper *
lua_cmod_helper_start(struct sched *sched,
		      const struct lua_cmod_helper_job *job,
		      const struct lua_cmod_helper_owner *owner, void *arg);

/**
 * Make an idle one work at the arguments in @a args for at most @a timeout_ns.
 * They may have moved from there afterwards. Returns 0, or UV_E*: it has not
 * got them and is of no use any more; UV_EPIPE when it had died before.
 */
int lua_cmod_helper_ask(struct lua_cmod_helper *h, struct buf *args,
			uint64_t timeout_ns);

/** Kill it; on_failed() is not called. Only on_gone() will be. */
void lua_cmod_helper_kill(struct lua_cmod_helper *h);

/** Let it end by itself, with a deadline; the owner is told of its end. */
void lua_cmod_helper_close(struct lua_cmod_helper *h);

/** The owner ceases to be: nobody is told any more. */
void lua_cmod_helper_disown(struct lua_cmod_helper *h);

/** True when it was closed and ended by itself, all well. */
bool lua_cmod_helper_ended_well(const struct lua_cmod_helper *h);

/** How the process of a reaped one ended, as an error. */
struct error *lua_cmod_helper_end_error(const struct lua_cmod_helper *h);

/** End all of this thread, with a deadline; their handles are closing then. */
void lua_cmod_helpers_end(void);

/** How many of this thread are not yet reaped. */
unsigned lua_cmod_helpers_count(void);
