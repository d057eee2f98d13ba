/* The end of a worker, in order. */
#pragma once

struct worker;

/**
 * The application ends: drain what serves, run the shutdown hooks, cancel the
 * fibers and abandon those that do not end. Hooks run when all workers have
 * drained, and fibers are cancelled when the hooks of all have ended.
 */
void ending_run(struct worker *w);
