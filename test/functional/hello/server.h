/*
 * The example as the test sees it from outside: its process, its console, and
 * what /proc tells of it. What cannot go on ends the test (fail()).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/** Say why, show the server's log, end it and exit with 1. */
void fail(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));

/** An environment variable that must be there. */
const char *need_env(const char *name);

/** Seconds of the monotonic clock. */
double clock_s(void);

/** The running server. */
struct server {
	pid_t pid;
	int port;
	const char *log;       /* file with what it prints */
	char socket_path[256]; /* of its console */
	int console;           /* connected to it */
	unsigned asked;        /* console lines so far */
};

/** Start `neap script port` and wait until it listens and has a console. */
void server_start(struct server *s, const char *script, const char *log);

/** SIGTERM; returns the exit code (128 + signal). Fails after a minute. */
int server_stop(struct server *s);

/** Type @a line at the console; what it printed is valid until the next. */
const char *server_console(struct server *s, const char *line);

/** Wait until it has closed all HTTP connections that their peers left. */
void server_settle(const struct server *s);

/** What it holds of the system. */
struct holdings {
	unsigned fds;
	unsigned memfds;    /* descriptors of files in memory */
	unsigned maps;      /* lines of /proc/PID/maps */
	unsigned libraries; /* those of a C module of ours */
	size_t rss;         /* bytes */
};

/** Count; mappings whose name holds @a module are libraries. */
void server_holdings(const struct server *s, const char *module,
		     struct holdings *ret);

/** Lines of the log that hold @a text. */
unsigned server_log_lines(const struct server *s, const char *text);
