/*
 * What calls need of the layers above: ways to wait. This layer knows no
 * fibers; whoever runs calls gives these functions once, at start.
 */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

struct cfiber;
struct cond;
struct fiber;
struct neap_call;

/** Work for a thread. */
struct cmod_job {
	void (*run)(struct cmod_job *job); /* on a thread of a pool */
	/** Nobody waits for it any more, and it does not run: what it holds is
	 * to be freed. On any thread. */
	void (*drop)(struct cmod_job *job);
	/** It lies on the stack of its call, which has to stay until it has
	 * run. */
	bool on_stack;
};

/** The status of a wait that the deadline of its fiber has ended. */
enum { CMOD_EDEADLINE = -ETIME };

/**
 * Each of those that say "begins" begins a wait of the fiber that runs @a call:
 * returns 0 when it has begun, or -1 with diag set when it cannot (no fiber, a
 * callback in between, cancelled). The call is then put aside; whoever ends
 * the wait goes on with call_resume() and the status. When @a deaf a fiber that
 * is cancelled waits all the same, and a cancel does not end it.
 */
struct cmod_host {
	/** Begins. */
	int (*sleep)(struct neap_call *call, uint64_t timeout_ns, bool deaf);
	/** Begins. */
	int (*yield)(struct neap_call *call, bool deaf);
	/** Begins. @a events are NEAP_READ and NEAP_WRITE. */
	int (*wait_fd)(struct neap_call *call, int fd, int events,
		       uint64_t timeout_ns, bool deaf);
	/** What wait_fd() waited for, after it: events, or 0. Ends it. */
	int (*end_wait_fd)(struct neap_call *call);
	/** The fiber that runs, or NULL. */
	struct fiber *(*self)(void);
	/** It was told to end, or its deadline is over. */
	bool (*is_cancelled)(void);
	/** End the sleep of a fiber; tell it to end. */
	void (*wakeup)(struct fiber *f);
	void (*cancel)(struct fiber *f);

	/**
	 * Make a fiber whose body is @a body (see cfiber.h); @a maker is the call
	 * that wants it. It is not started. NULL with diag set: out of memory.
	 */
	struct fiber *(*fiber_new)(struct neap_call *maker,
				   struct neap_call *body, const char *name);
	/** Its cfiber, or NULL when it was not made in C. Also after its end. */
	struct cfiber *(*fiber_of)(struct fiber *f);
	/** Run it at once, inside the caller, until it waits or ends. */
	void (*fiber_start)(struct fiber *f);
	/** Begins: 0 when @a f has ended, UV_ETIMEDOUT. Deaf. */
	int (*join)(struct neap_call *call, struct fiber *f,
		    uint64_t timeout_ns);
	/** Free a fiber that has ended and was kept for this. */
	void (*fiber_free)(struct fiber *f);

	/** Conditions. NULL with diag set: out of memory. */
	struct cond *(*cond_new)(void);
	/** Those who wait are woken. */
	void (*cond_delete)(struct cond *cond);
	void (*cond_signal)(struct cond *cond);
	void (*cond_broadcast)(struct cond *cond);
	/** Begins. */
	int (*cond_wait)(struct neap_call *call, struct cond *cond,
			 uint64_t timeout_ns, bool deaf);

	/** Forget that anybody waits for @a fd: their waits end with nothing. */
	void (*close_fd)(int fd);
	/** Begins: @a job runs on a thread. For one on the call's stack
	 * nothing but its end ends the wait: to be called without a timeout,
	 * and deaf. */
	int (*work)(struct neap_call *call, struct cmod_job *job,
		    uint64_t timeout_ns, bool deaf);
	/** After it. True: the job has run, and is the caller's again. False:
	 * it is left alone, or has not run. */
	bool (*end_work)(struct neap_call *call);
};

/** For the whole process, before the first call. */
void cmod_set_host(const struct cmod_host *host);
