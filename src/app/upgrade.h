/*
 * The running server is replaced by a new process of its program, which gets all listening
 * sockets. One at a time; the main thread's.
 *
 *	here:  upgrade_begin --------spawn-------> there:  upgrade_read_environment
 *	       told: it serves <-----ready-------          upgrade_say_ready
 *	       upgrade_finish  ------alone------>          told: it is alone
 *	       told why not    <---why, or end---          upgrade_say_failed
 *
 * What is told goes through a pair of sockets. NEAP_UPGRADE names that and the listening
 * sockets by their descriptors: "1:3:4 own:5 any:6 given web" (the form's version; any: asked for
 * with port 0; given: a service manager's, and its name there). Until the new process is
 * told that it is alone, the sockets are the old one's, too: see net/inherit.h.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>
#include <uv.h>

/** @a why: it has not come to serve; NULL: it does, and waits for upgrade_finish(). */
typedef void (*upgrade_f)(const char *why);

/** Start it: argv[0], looked for anew, in the environment @a env. Returns 0, or -1 with
 * diag set: it cannot be started. */
int upgrade_begin(uv_loop_t *loop, char **argv, char **env, upgrade_f fn);

/** The process; 0: none is under way. */
pid_t upgrade_pid(void);

/** It serves, and is alone now: what it has taken is not ours any more. */
void upgrade_finish(void);

/** It has been too long about it: it is asked to end, or with @a by_force ended. When it has,
 * fn is told @a why, also if it came to serve after all. Nothing is harmless. */
void upgrade_expire(const char *why, bool by_force);

/** It is asked to end, and nobody is told any more. Nothing is harmless. */
void upgrade_give_up(void);

/* --- in the new process --- */

/** Was this process made so? Then its sockets are in the table. Takes the variable out
 * of the environment. Returns 0, or -1 with diag set. */
int upgrade_read_environment(void);

/** It was, and is not alone yet. */
bool upgrade_is_new(void);

/** All workers serve. @a alone is called when the old process is told, or has gone. */
void upgrade_say_ready(uv_loop_t *loop, void (*alone)(void));

/** It does not come to serve. The first time counts; nothing where nobody listens. */
void upgrade_say_failed(const char *why);

/** Close what is open, at the end of the loop. */
void upgrade_close(void);
