/* Waiting inside a call, for both public headers. All return -1 with the
 * call's error set when the wait cannot begin or the fiber is cancelled. */
#pragma once

#include <stdbool.h>

/** 0 after @a seconds; none, less or NaN is wait_yield(). */
int wait_sleep(double seconds);

/** 0 when the others have run. */
int wait_yield(void);

/** The events (NEAP_READ, NEAP_WRITE) that came, or 0 after @a timeout. */
int wait_fd(int fd, int events, double timeout);

/** The fiber of the running call was told to end. */
bool wait_is_cancelled(void);
