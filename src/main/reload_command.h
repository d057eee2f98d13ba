/* `neap reload`: has a running server read its configuration again. */
#pragma once

struct buf;
struct config;
struct options;

/**
 * `--pid PID` is done here, by a signal: returns its exit code, or -1: something else was
 * given. With a wrong number the diag is set, and the code is 2; when the process
 * cannot be told, 1.
 */
int reload_by_pid(const struct options *o, int argc, char **argv);

/** Append the Lua text that asks for it through a console: the one of @a config, or with
 * NULL the one that the words name. Returns 0, or -1 with diag set. */
int reload_put_text(const struct options *o, const struct config *config,
		    struct buf *text);
