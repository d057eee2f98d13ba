/*
 * The console over a unix socket: sessions as on the terminal, one for each
 * connection.
 *
 * What a client can cost is bounded: the number of connections, the length of
 * a line, and of an answer's unsent rest, past which no line is evaluated and
 * none is read until the client has read.
 */
#pragma once

struct remote;
struct worker;

/**
 * Listen in worker 1 on the unix socket @a path, mode 0600; the file of a server that is
 * gone is replaced. NULL with diag set.
 */
struct remote *remote_listen(struct worker *w, const char *path);

/** Stop listening and close the connections; what runs there is cancelled. */
void remote_close(struct remote *r);

/** Where it listens. */
const char *remote_path(const struct remote *r);

/** Told once when @a r is about to go, whoever closed it. */
void remote_set_on_close(struct remote *r, void (*fn)(void *arg), void *arg);

/** Close all of the process. */
void remote_close_all(void);
