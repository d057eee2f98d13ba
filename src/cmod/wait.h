/* Waiting inside a call, for both public headers. All return -1 with the
 * call's error set when the wait cannot begin or the fiber is cancelled. */
#pragma once

struct cmod_host;

/** 0 after @a seconds; none, less or NaN is wait_yield(). */
int wait_sleep(double seconds);

/** 0 when the others have run. */
int wait_yield(void);

/** The events (NEAP_READ, NEAP_WRITE) that came, or 0 after @a timeout. */
int wait_fd(int fd, int events, double timeout);

/** 0 when somebody has woken the fiber. */
int wait_wakeup(void);

/** The host, or NULL before there is one. */
const struct cmod_host *wait_host(void);
