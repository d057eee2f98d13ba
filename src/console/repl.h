/* The console on standard input and output: a session with a reader. */
#pragma once

#include <stdbool.h>

struct repl;
struct worker;

/** Told when the user has left it: end of input, Ctrl-D, \q. The repl can be
 * started again afterwards, not from inside. */
typedef void (*repl_left_f)(struct repl *repl, void *arg);

/**
 * Start it in worker 1: one at a time in the process. @a greeting (may be NULL) is shown
 * on a terminal. NULL with diag set.
 */
struct repl *repl_start(struct worker *w, const char *greeting,
			repl_left_f on_left, void *arg);

/** Take the environment's character set, for what is typed. A console does it
 * itself; with several workers it is done before they start. */
void repl_set_locale(void);

/** The one that runs, or NULL. */
struct repl *repl_running(void);

/** End it: the terminal is as before. Nobody is told. NULL is fine. */
void repl_stop(struct repl *repl);
