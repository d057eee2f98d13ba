/* The system's clocks in nanoseconds. */
#pragma once

#include <stdint.h>
#include <time.h>

/** What @a id shows. By any thread, and in a signal handler. */
static inline uint64_t clock_ns(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}
