/*
 * A configured server through its reloads. The main thread takes the signals and looks
 * after generations: each is an application on threads of its own, made of what the
 * configuration and the scripts are at that time.
 *
 *	first    --serves--> current
 *	SIGHUP:  next, aside --serves--> current;  the one before drains and ends
 *	                     --fails---> told why; the one before goes on
 *
 * The younger takes over the sockets on which the older listens (net/listen_share.h).
 */
#pragma once

#include <stdbool.h>

#include "app/app.h"
#include "config/settings.h"

/** What a generation is made of. */
struct plan {
	struct settings settings;
	struct app_script script;
};

struct supervisor {
	const struct lua_module *const *modules; /* of upper layers */
	/** Read the configuration. NULL with diag set: told by who called. */
	struct plan *(*make)(void *arg);
	void (*free)(struct plan *plan);
	/** On the main thread: @a plan serves in the place of @a before. */
	void (*on_reload)(const struct plan *plan, const struct plan *before);
	/** On the generation's thread: its end, what upper layers have opened in
	 * it must go. */
	void (*on_end)(struct app *app);
	/** SIGQUIT, on the main thread. */
	void (*on_quit)(struct app *app);
	void *arg;
	char **argv, **env; /* of the process, for one that replaces it */
};

/**
 * Run until the server has ended. @a first is its plan. Returns the exit code;
 * *ret_left_behind: threads are still running, nothing may be torn down; adds the
 * handles that were left open to *ret_handles.
 */
int supervisor_run(const struct supervisor *how, struct plan *first,
		   bool *ret_left_behind, int *ret_handles);
