/*
 * A pool of threads for work that blocks. One for the whole process, of our
 * own: libuv's has four threads, which files and host names share, and work
 * that never ends must not take those.
 *
 *	a loop's thread                     a thread of the pool
 *	pool_submit(port, job)  -> queue ->  job->run(job)
 *	job->done(job)          <- port  <-
 *
 * A thread is started when a job finds none idle, up to a limit, and ends when
 * it has been idle for a while. A port belongs to a loop; its functions are for
 * that loop's thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/list.h"

struct pool_job;
struct pool_port;

enum {
	/* Of a thread. What is thread-local lies there, too, which is half a
	 * mebibyte with some tools. */
	POOL_STACK_SIZE = 2 * 1024 * 1024,
	POOL_GUARD_SIZE = 64 * 1024, /* below it */
	POOL_THREADS_MAX = 1024,
};

struct pool_limits {
	unsigned threads; /* at once; at most POOL_THREADS_MAX */
	unsigned queue;   /* jobs that wait for a thread */
	uint64_t idle_ns; /* then a thread ends */
};

typedef void (*pool_job_f)(struct pool_job *job);

enum pool_state {
	POOL_JOB_IDLE,
	POOL_JOB_QUEUED,
	POOL_JOB_RUNNING,
	POOL_JOB_ENDED, /* and waits for its port's thread */
};

/** Embedded in its owner, who sets the functions; the rest all zero. */
struct pool_job {
	pool_job_f run; /* on a thread of the pool */
	/** Afterwards, or when it will not run any more: on the port's thread,
	 * or where pool_port_close() is called, or, when it ran on beyond that,
	 * on a thread of the pool. */
	pool_job_f done;
	/** What it is, for the log. While it runs, on any thread. */
	void (*describe)(struct pool_job *job, char *buf, size_t size);
	struct list link;       /* in the queue, the running or the ended */
	struct list all;        /* in its port */
	struct pool_port *port; /* NULL: none, or closed */
	enum pool_state state;  /* under the pool's lock */
	bool abandoned;         /* the loop is not kept alive for it */
};

/** Where a loop gets its jobs back. All zero is one that was never used. */
struct pool_port {
	uv_async_t async;
	struct list jobs;  /* all that were submitted and are not done */
	struct list ended; /* those of them that have run */
	unsigned wanted;   /* those of them that keep the loop alive */
	bool open;
};

/** Before the first job, else the defaults hold. */
void pool_set_limits(const struct pool_limits *limits);
struct pool_limits pool_get_limits(void);

/**
 * Run @a job on a thread, soon. Returns 0, or UV_ENOBUFS (the queue is full),
 * UV_ECANCELED (the pool has been stopped), or why there is no thread at all.
 */
int pool_submit(struct pool_port *port, uv_loop_t *loop, struct pool_job *job);

/**
 * Nobody waits for @a job any more, which was submitted and is not done.
 * Returns true when it had not begun: it will not, and is the caller's again.
 * Else done() is told as ever, but the loop does not live for it.
 */
bool pool_abandon(struct pool_job *job);

/** The end of a loop: jobs that have not begun or have ended are done here and
 * now. Never used is fine. Closes a handle: the loop must run once more. */
void pool_port_close(struct pool_port *port);

/** Told of a job that does not end, by its description. It must not touch the
 * pool. */
typedef void (*pool_stuck_f)(const char *what, void *arg);

/**
 * The end of the process; all ports are closed. Waits for the threads, then
 * tells @a on_stuck (may be NULL) of each job that still runs. Returns how many
 * threads there are left; when there are any, the process must not run
 * destructors under them. 0: the pool is as new.
 */
unsigned pool_stop(uint64_t timeout_ns, pool_stuck_f on_stuck, void *arg);

/** Threads alive, and jobs in the queue; for tests and figures. */
unsigned pool_threads(void);
unsigned pool_queued(void);
