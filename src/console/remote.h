/*
 * The console over sockets: sessions as on the terminal, one for each connection.
 *
 * What a client can cost is bounded: the number of connections, the length of
 * a line, and of an answer's unsent rest, past which no line is evaluated and
 * none is read until the client has read.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "console/admin.h"

struct remote;
struct tls_context;
struct worker;

enum {
	REMOTE_PASSWORD_MIN = 8, /* bytes */
	REMOTE_PASSWORD_MAX = 256,
};

struct remote_options {
	const char *path; /* of a unix socket; NULL: TCP */
	mode_t mode;      /* of its file */
	const char *host; /* of TCP */
	unsigned port;
	const char *password; /* to be told before anything else; NULL: none */
	struct tls_context *tls; /* a server's; NULL: none */
	unsigned connections;
	uint64_t
		idle_ns; /* a client that is silent for so long goes; 0: never */
	bool audit;      /* each line is logged */
	bool admin;      /* lines are admin commands, from the first on */
	enum admin_level level; /* of those, at most; not admin: no Lua */
};

/** May it be served so? Returns 0, or -1 with diag set. */
int remote_options_check(const struct remote_options *o);

/**
 * Listen in worker 1; the file of a server that is gone is replaced. TCP wants a
 * password, or a TLS context that requires certificates. NULL with diag set.
 */
struct remote *remote_listen(struct worker *w, const struct remote_options *o);

/** Stop listening and close the connections; what runs there is cancelled. */
void remote_close(struct remote *r);

/** Where it listens: the path, or "HOST:PORT". */
const char *remote_path(const struct remote *r);

/** What a console is like; its texts are valid until it goes. */
struct remote_info {
	uint64_t id;
	const char *path; /* see remote_path() */
	bool admin;
	enum admin_level level;
	unsigned connections, connections_max, strangers;
};

/** The first of this thread whose id is above @a above, which are in their order. False:
 * there is none. */
bool remote_look(uint64_t above, struct remote_info *ret);

/** Told once when @a r is about to go, whoever closed it. */
void remote_set_on_close(struct remote *r, void (*fn)(void *arg), void *arg);

/** Close all of this thread. */
void remote_close_all(void);
