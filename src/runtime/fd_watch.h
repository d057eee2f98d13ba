/*
 * Waiting for descriptors that are not ours alone: standard input, terminals,
 * pipes that a child shares, the end of a process.
 *
 * A handle of libuv makes its descriptor non-blocking, which everybody sees who
 * has the same open file: the shell that started us, a child. So these lie in
 * an epoll set of ours (epoll_set.h). Nothing about the descriptor changes.
 */
#pragma once

#include <stdbool.h>

#include "runtime/epoll_set.h"

struct fd_watch;
struct loop;

typedef void (*fd_watch_f)(struct fd_watch *w);

/** One wait; embedded in its owner. All zero: none is under way. */
struct fd_watch {
	struct epoll_set *in; /* NULL: not waiting */
	fd_watch_f fn;
	struct epoll_link link;
	bool abandoned; /* the loop is not kept alive for it */
};

/**
 * Have @a fn called once, from the loop, when @a fd is ready for @a events
 * (POLLIN, POLLOUT) or in error. Returns 0; UV_EPERM: a file of this kind is
 * always ready; or why there is no set.
 */
int fd_watch_start(struct loop *loop, struct fd_watch *w, int fd, int events,
		   fd_watch_f fn);

/** Wait no more; nothing happens when @a w does not. */
void fd_watch_stop(struct fd_watch *w);

/** The loop does not live for this one. */
void fd_watch_abandon(struct fd_watch *w);
