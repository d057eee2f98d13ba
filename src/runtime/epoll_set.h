/*
 * An epoll set inside the loop: for descriptors that a handle of libuv would
 * change, or whose edges it does not tell. The loop watches the set's own
 * descriptor.
 *
 * The kernel registers an open file under a number. When somebody closes the
 * number, and a duplicate of the file is elsewhere, the registration stays, and
 * its events still come: the owner may be gone by then, and the number another's.
 * So an event tells a number and which registration of it is meant.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <uv.h>

struct epoll_place;

/** All zero is one that was never used. */
struct epoll_set {
	uv_poll_t poll;  /* of the set */
	int fd;          /* the descriptor of the set */
	unsigned wanted; /* what keeps the loop alive for it */
	bool open;
	uint32_t made;              /* registrations so far; wraps */
	struct epoll_place *places; /* by number: the last registration */
	int count;
};

/** One registration; embedded in its owner. */
struct epoll_link {
	int fd;      /* what is registered */
	bool own_fd; /* a duplicate, for the number was in the set already */
	uint32_t number; /* of all that were made */
};

/** Open it, if it is not. @a on_ready is called when there are events to read;
 * poll->data is @a s. @a site names the place for failures on demand. Returns 0
 * or UV_E*. */
int epoll_set_open(struct epoll_set *s, uv_loop_t *loop, uv_poll_cb on_ready,
		   const char *site);

/** Register @a fd for @a events, which are @a owner's. Returns 0 or UV_E*, and
 * then nothing is registered. */
int epoll_set_add(struct epoll_set *s, struct epoll_link *link, int fd,
		  uint32_t events, void *owner);

/** Take it out; once. */
void epoll_set_remove(struct epoll_set *s, struct epoll_link *link);

/** Read up to @a max events without waiting, as epoll_wait(): data.ptr is the
 * owner, NULL if its registration is gone. */
int epoll_set_read(struct epoll_set *s, struct epoll_event *events, int max);

/** The loop is to live for one thing more, or less. */
static inline void epoll_set_want(struct epoll_set *s)
{
	if (s->wanted++ == 0)
		uv_ref((uv_handle_t *)&s->poll);
}

static inline void epoll_set_unwant(struct epoll_set *s)
{
	if (--s->wanted == 0)
		uv_unref((uv_handle_t *)&s->poll);
}

/** The end of a loop. The loop must run once more. */
void epoll_set_close(struct epoll_set *s);
