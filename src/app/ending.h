/* The end of the application, in order. */
#pragma once

struct app;

/**
 * Drain what serves, run the shutdown hooks, cancel the fibers and abandon
 * those that do not end. Returns the process's exit code.
 */
int ending_run(struct app *app);
