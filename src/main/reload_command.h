/* `neap reload`, `neap upgrade`: has a running server read its configuration again, or a new
 * process take its place. */
#pragma once

struct buf;
struct config;
struct options;
struct settings;

/**
 * `--pid PID`: told by a signal here, if there is no better way: returns its exit code,
 * with diag set if it is not 0 (2: a wrong number; 1: it cannot be told). -1: something else
 * was given, or *ret_config is what it serves, and has its console.
 */
int reload_by_pid(const struct options *o, int argc, char **argv,
		  struct settings *settings, struct config **ret_config);

/** Append the Lua text that asks for what @a word says through a console: the one of @a config,
 * or with NULL the one that the words name. Returns 0, or -1 with diag set. */
int reload_put_text(const struct options *o, const char *word,
		    const struct config *config, struct buf *text);
