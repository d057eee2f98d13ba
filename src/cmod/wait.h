/*
 * Waiting inside a call, for both public headers. All return -1 with the call's
 * error set when the wait cannot begin or the fiber is cancelled; when @a deaf,
 * a fiber that has been cancelled waits all the same.
 */
#pragma once

#include <stdbool.h>

struct cmod_host;
struct cmod_job;
struct cond;
struct addrinfo;
struct fiber;

/** 0 after @a seconds; none, less or NaN is wait_yield(). */
int wait_sleep(double seconds, bool deaf);

/** 0 when the others have run. */
int wait_yield(bool deaf);

/** The events (NEAP_READ, NEAP_WRITE) that came, or 0 after @a timeout. */
int wait_fd(int fd, int events, double timeout, bool deaf);

/** 0 when somebody has woken the fiber. */
int wait_wakeup(bool deaf);

/** 0 when @a cond was signalled or somebody has woken the fiber; -1 after
 * @a timeout, too (TimedOut). */
int wait_cond(struct cond *cond, double timeout, bool deaf);

/** 0 when @a f has ended; -1 after @a timeout, too. No cancel ends it. */
int wait_end(struct fiber *f, double timeout);

/** 0 when @a job has run on a thread. No cancel ends it. */
int wait_job(struct cmod_job *job);

/** 0 with *ret_list for freeaddrinfo(); -1 after @a timeout, too. */
int wait_lookup(const char *node, const char *service,
		const struct addrinfo *hints, struct addrinfo **ret_list,
		double timeout, bool deaf);

/** The host, or NULL: there is none yet, or this is an offloaded call's thread,
 * which has no fibers. */
const struct cmod_host *wait_host(void);

/** Whoever called has been told to end: the fiber, or that of a call that was
 * offloaded. */
bool wait_is_cancelled(void);
