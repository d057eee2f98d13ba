/*
 * Children: started, waited for by their pidfd (SIGCHLD is not ours alone),
 * reaped.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

enum {
	PROCESS_SETSID = 1 << 0,
	PROCESS_SETPGID = 1 << 1,         /* a group of its own */
	PROCESS_CLOSE_FDS = 1 << 2,       /* all beyond those that it gets */
	PROCESS_DEFAULT_SIGNALS = 1 << 3, /* every action is the default */
	PROCESS_EMPTY_MASK = 1 << 4,      /* no signal is blocked */
	PROCESS_SEARCH = 1 << 5, /* a path without '/' is looked for in PATH */
};

/** What to start. */
struct process_spec {
	const char *path;
	char *const *argv;
	char *const *env; /* NULL: ours */
	int fds[3];       /* what 0, 1, 2 become; negative: closed */
	const int *more; /* what 3 and on become; they are above all of these */
	unsigned more_count;
	unsigned flags;
};

struct process {
	pid_t pid;  /* 0: none, or reaped */
	int pidfd;  /* readable when it has ended */
	int status; /* as waitpid() gives it; once reaped */
};

/** Blocks until the program is executed. Returns 0 or UV_E*. Any thread. */
int process_spawn(const struct process_spec *spec, struct process *ret_process);

/** `/bin/sh -c command`; the same. */
int process_shell(const char *command, const int fds[3],
		  struct process *ret_process);

/** Reap it if it has ended; or, with @a block, when it has. True: reaped, its
 * pidfd closed. */
bool process_reap(struct process *p, bool block);

/** Nobody will wait for it: it is reaped some time after its end. */
void process_disown(struct process *p);
