/*
 * The start of an application of several states: the files of --load run in the
 * shared state, then those of --load-per-thread in each worker's; registered
 * functions are checked, and what a configuration says of them; what they gave
 * init() runs, in the shared state first; then tasks begin, listeners, and main
 * scripts.
 */
#pragma once

struct worker;

/**
 * @a w's part of it, for which its loop turns. Without such files there is
 * nothing to do. Returns 0; or -1, the application is ending, and the user has
 * been told why.
 */
int loading_run(struct worker *w);
