/*
 * What calls need of the layers above: ways to wait. This layer knows no
 * fibers; whoever runs calls gives these functions once, at start.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct fiber;
struct neap_call;

/**
 * Each of the first three begins a wait of the fiber that runs @a call:
 * returns 0 when it has begun, or -1 with diag set when it cannot (no fiber, a
 * callback in between, cancelled). The call is then put aside; whoever ends
 * the wait goes on with call_resume() and the status. When @a deaf a fiber that
 * is cancelled waits all the same, and a cancel does not end it.
 */
struct cmod_host {
	int (*sleep)(struct neap_call *call, uint64_t timeout_ns, bool deaf);
	int (*yield)(struct neap_call *call, bool deaf);
	/** @a events are NEAP_READ and NEAP_WRITE. */
	int (*wait_fd)(struct neap_call *call, int fd, int events,
		       uint64_t timeout_ns, bool deaf);
	/** What wait_fd() waited for, after it: events, or 0. Ends it. */
	int (*end_wait_fd)(struct neap_call *call);
	/** The fiber that runs, or NULL. */
	struct fiber *(*self)(void);
	/** It was told to end. */
	bool (*is_cancelled)(void);
	/** End the sleep of a fiber; tell it to end. */
	void (*wakeup)(struct fiber *f);
	void (*cancel)(struct fiber *f);
};

/** For the whole process, before the first call. */
void cmod_set_host(const struct cmod_host *host);
