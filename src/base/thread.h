/* Threads that serve a small purpose of ours beside those that run scripts. */
#pragma once

#include <pthread.h>

/**
 * Start a thread with a small stack (256 KiB) that is called @a name in lists of
 * threads and takes no signals: those are for the others. Returns 0 or errno.
 */
int thread_start_helper(pthread_t *ret, const char *name, void *(*fn)(void *),
			void *arg);
