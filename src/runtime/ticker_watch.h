/*
 * Who comes while a fiber computes alone. A thread that sleeps in poll() on the
 * loop's descriptor, and has the tick come at once when there is an event: so
 * ticks can be far apart meanwhile.
 */
#pragma once

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>

/** All zero: not started. */
struct ticker_watch {
	pthread_t thread, worker;
	int loop_fd;
	int signo; /* the worker's tick; the thread it gets out of its sleep */
	sem_t calls;      /* look at the state */
	atomic_int state; /* enum of ticker_watch.c */
	bool started;
};

/** Start the thread, which sends @a signo to the calling one when there is an event
 * for the loop whose descriptor is @a loop_fd. Both must live until
 * ticker_watch_stop(). The handler does nothing on the thread started. Opens no
 * descriptor. Returns 0 or UV_E*. */
int ticker_watch_start(struct ticker_watch *w, int loop_fd, int signo);

/** Watch, until there was an event. Safe in a signal handler. */
void ticker_watch_arm(struct ticker_watch *w);

/** Do not send the signal any more, but for one that is on its way. Safe in a
 * signal handler. */
void ticker_watch_disarm(struct ticker_watch *w);

/** End the thread. Not started: nothing. */
void ticker_watch_stop(struct ticker_watch *w);
