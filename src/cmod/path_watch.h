/*
 * Does a path still lead to the file that it led to? Told by the kernel, for a
 * fraction of what a stat() costs: all that lies on the way is watched, and one
 * call asks whether anything has happened to any of it, or to the mounts.
 *
 * An answer holds for all that was done before it was asked for, by whatever
 * process. What no watch tells of is in path_watch.c; callers look at the file
 * itself now and then.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "cmod/identity.h"

/**
 * Watch the way to @a file, an absolute path, which must lead to @a id.
 * Returns what to give to path_watch_is_still(), or 0 when it cannot be
 * watched, or is another file. Blocks: walks the path. Any thread.
 */
uint64_t path_watch_begin(const char *file, const struct identity *id);

/** Nothing has changed since path_watch_begin() gave @a since. When in doubt:
 * false, and for good. 0 is fine. Any thread. */
bool path_watch_is_still(uint64_t since);

/** Close what this thread holds; the last one closes all. Begins anew when it
 * is used again. Threads that end do so by themselves. */
void path_watch_end(void);
