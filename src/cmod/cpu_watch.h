/* The watcher of threads that make calls; for cpu.c alone. See cpu.h. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/** Have this thread watched for the next while. False: there is no thread to
 * watch it. */
bool cpu_watch(void);

/** What it has seen of this thread; see struct cpu_thread. */
struct cpu_sight {
	const void *seen;
	uint64_t seen_first, seen_last, outside;
};
struct cpu_sight cpu_watch_sight(void);
