/*
 * What the parts of a console over sockets have of each other: the server
 * (remote.c), its connections (remote_connection.c), who may speak on one, and for
 * how long (remote_login.c), and what the log has of it (remote_audit.c).
 */
#pragma once

#include <sys/types.h>

#include "base/buf.h"
#include "console/remote.h"
#include "console/remote_peer.h"
#include "console/session.h"
#include "net/listener.h"
#include "net/stream.h"
#include "runtime/drain.h"
#include "runtime/timer.h"

struct worker;

enum { REMOTE_READ_SIZE = 64 * 1024 };

struct remote {
	struct worker *worker;
	uint64_t id;
	struct listener listener;
	struct stream_group group;
	struct list connections;
	unsigned count;
	struct drainable drainable;
	struct timer deadline; /* of the drain */
	struct timer retry;    /* of a connection there was no memory for */
	struct list link;      /* in the list of all */
	bool listening;        /* the listener's handle is open */
	bool draining;
	bool closing;
	bool told_of_flood;  /* as long as it lasts */
	bool told_of_memory; /* since the last connection that was taken */
	bool audit;
	unsigned connections_max;
	unsigned strangers;
	uint64_t idle_ns;
	bool admin; /* see struct remote_options */
	enum admin_level level;
	char password[REMOTE_PASSWORD_MAX + 1]; /* "": none is wanted */
	void (*on_close)(void *arg);
	void *on_close_arg;
	char path[128]; /* or "HOST:PORT" */
	char buffer[REMOTE_READ_SIZE];
};

struct connection {
	struct stream stream;
	struct session session;
	struct remote *remote;
	struct list link;
	struct timer timer; /* FLUSH_MS, VANISHED_MS, or its next turn */
	struct buf in;      /* lines not yet evaluated */
	bool working;       /* inside remote__work() */
	bool at_end;        /* the client sends no more */
	bool broken;        /* it cannot be written to */
	bool leaving;  /* to be closed when all is sent; see remote__leave() */
	bool closing;  /* the handle is being closed */
	bool stranger; /* the password is not told yet */
	bool begun;    /* the session has: it knows its language */
	bool denied;   /* a wrong password will be told */
	unsigned attempts;
	uint64_t idle_ns; /* see struct remote_options */
	struct timer
		patience; /* LOGIN_MS, or the time a client may be silent */
	char who[REMOTE_PEER_SIZE];
};

/* --- remote.c --- */

/** The remote goes when nothing of it is open any more. */
void remote__free_when_done(struct remote *r);

/* --- remote_connection.c --- */

/** Have @a r's connections served here. */
void remote__serve(struct remote *r);

/** Take the connection that the listener has announced. False: there is no memory,
 * and it stays announced. */
bool remote__accept(struct remote *r);

/** Evaluate what has come, as far as may be; and do what is to be done then. */
void remote__work(struct connection *c);

/** The process ends: what is evaluated may finish, lines behind it are dropped, and what
 * would go on until the client sends something ends. */
void remote__drain(struct connection *c);

/** Close when the client has everything, or takes too long. */
void remote__leave(struct connection *c);

/** At once. */
void remote__close(struct connection *c);

void remote__write(struct connection *c, const char *data, size_t size);

/** An answer that is an error, in the form of the language that is spoken. */
void remote__write_error(struct connection *c, const char *text);

/** Who it is is known: the session speaks what the console is for. */
void remote__begin_session(struct connection *c);

/* --- remote_audit.c --- */

/** Log that the client of @a c runs the line, which its session has not yet taken in; of a
 * long one the beginning. */
void remote__audit(const struct connection *c, const struct session_line *line);

/* --- remote_login.c --- */

/** A connection begins: how long it has until it is somebody. */
void remote__expect_login(struct connection *c);

/** The client has sent something, or has an answer: it may be silent again. */
void remote__note_activity(struct connection *c);

/** "\\login PASSWORD", or "login PASSWORD" of admin commands, and nothing else, until it is right. A wrong one is told
 * late: guessing takes its time. */
void remote__log_in(struct connection *c, const char *line, size_t size);
