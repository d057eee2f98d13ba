/*
 * Follows one file by its path and tells when it may have changed, too often
 * rather than too seldom: written into, replaced, removed, a link turned, its
 * folder replaced.
 *
 * The kernel tells of changes in the file's folder, and in the folder of what a
 * link leads to. What it does not tell (network file systems, links farther up,
 * a folder made anew, no watches left) a stat finds, once a second and in the
 * thread pool.
 */
#pragma once

struct file_watch;
struct loop;

/** From the loop. May close the watch. */
typedef void (*file_watch_f)(void *arg);

/**
 * Follow @a path, which is absolute and need not exist. Keeps the loop alive.
 * Returns NULL when out of memory.
 */
struct file_watch *file_watch_open(struct loop *loop, const char *path,
				   file_watch_f fn, void *arg);

/** Why the kernel does not tell of changes, and stat has to do: 0 or UV_E*. */
int file_watch_error(const struct file_watch *w);

/** The function is not called any more. The memory goes with the handles. */
void file_watch_close(struct file_watch *w);
