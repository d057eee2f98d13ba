/*
 * Waiting for descriptors of our own, non-blocking ones that carry much: each
 * is registered once, with its first wait, and stays so to its end. A wait is
 * a link in a list: no system call, no memory.
 *
 *	n = recv(fd, ..) ->	EAGAIN: io_watch_idle(w, IO_IN)
 *				io_watch_wait(w, loop, self, IO_IN, timeout)
 *	the loop	 ->	the fiber goes on and tries again
 *
 * The registration is edge-triggered: after it was told that something is
 * ready, no more is told until somebody has tried and got EAGAIN, or, of a TCP
 * socket, less than was asked for. So whoever waits must have tried since.
 */
#pragma once

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "runtime/epoll_set.h"

struct fiber;
struct loop;

/** What is waited for; both: whichever comes first. */
enum { IO_IN = POLLIN, IO_OUT = POLLOUT };

/** A descriptor; embedded in its owner. */
struct io_watch {
	struct list waiters;  /* fibers */
	struct epoll_set *in; /* NULL: not registered */
	struct epoll_link link;
	int fd;        /* its owner's; -1: none */
	uint8_t maybe; /* IO_IN, IO_OUT: not known to be idle */
	bool ended;  /* its peer has, or there is an error: what is left to read
		       ends in something that is told at once */
	bool urgent; /* something urgent came: reads may end before it */
};

void io_watch_create(struct io_watch *w, int fd);

/** Its end: who waits goes on with 0, and the descriptor is the owner's to
 * close. Twice is harmless. */
void io_watch_destroy(struct io_watch *w);

/** Who waits goes on with 0, and tries again: what it waits for has changed. */
void io_watch_wake(struct io_watch *w);

/** Nothing to read, or no room to write: it has been tried just now. */
static inline void io_watch_idle(struct io_watch *w, int what)
{
	if (w->in != NULL)
		w->maybe &= (uint8_t)~what;
}

/** Is it worth trying? */
static inline bool io_watch_maybe(const struct io_watch *w, int what)
{
	return w->maybe & what;
}

/**
 * The running fiber begins to wait until it is ready for one of @a what, or
 * may be: it tries again, and waits again. As fiber_park(). Returns 0 or, when
 * it cannot be registered, UV_E*.
 */
int io_watch_wait(struct io_watch *w, struct loop *loop, struct fiber *self,
		  int what, uint64_t timeout_ns);
