/* A configured server: `neap server.yaml`. */
#pragma once

#include <stdbool.h>

struct app_step;
struct lua_module;
struct options;

/** What serves, from the command line and, each time it is read, the configuration. */
struct serve {
	const struct options *options;
	int argc;
	char **argv;
	const struct lua_module *const *modules;
	const struct app_step
		*steps; /* of the command line, in each generation */
	int step_count;
	char **env; /* of the start, for the process of an upgrade */
};

/**
 * Run the server until its end. Returns the exit code, or -1 with diag set: the
 * configuration cannot be used. *ret_left_behind: threads are still running;
 * *ret_handles: how many were left open.
 */
int serve_run(const struct serve *s, bool *ret_left_behind, int *ret_handles);
