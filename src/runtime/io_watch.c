/*
 * Waiting for descriptors of our own. See io_watch.h.
 *
 * They lie in an epoll set of ours, as libuv knows no edges. One look into it brings
 * many.
 */
#include "runtime/io_watch.h"

#include <assert.h>

#include "base/inject.h"
#include "runtime/fiber.h"
#include "runtime/loop.h"

enum { BATCH = 256 }; /* in one round of the loop */

/* What a fiber waits for goes with its watch into one pointer. */
enum { MASK = IO_IN | IO_OUT };
_Static_assert(MASK < _Alignof(struct io_watch), "there is room for it");

static struct io_watch *watch_of(void *arg)
{
	return (struct io_watch *)((uintptr_t)arg & ~(uintptr_t)MASK);
}

static void undo(struct fiber *f, void *arg)
{
	(void)f;
	epoll_set_unwant(watch_of(arg)->in);
}

/* Those go on who wait for one of @a what. Nobody runs yet. */
static void wake(struct io_watch *w, uintptr_t what)
{
	list_foreach_safe(link, next, &w->waiters) {
		struct fiber *f = list_entry(link, struct fiber, link);

		if (!((uintptr_t)f->undo_arg & what))
			continue;
		epoll_set_unwant(w->in);
		fiber_wakeup(f, 0);
	}
}

static void take(struct io_watch *w, uint32_t events)
{
	if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		w->ended = true;
	if (events & EPOLLPRI)
		w->urgent = true;
	if (events & (EPOLLRDHUP | EPOLLPRI))
		events |= EPOLLIN;
	if (events & (EPOLLHUP | EPOLLERR))
		events |= EPOLLIN | EPOLLOUT;
	w->maybe |= events & MASK;
	wake(w, events & MASK);
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
	struct epoll_set *set = poll->data;
	struct epoll_event ready[BATCH];
	int n;

	(void)status, (void)events;
	n = epoll_set_read(set, ready, BATCH);
	for (int i = 0; i < n; i++) {
		if (ready[i].data.ptr != NULL)
			take(ready[i].data.ptr, ready[i].events);
	}
}

static int enter(struct epoll_set *set, struct io_watch *w)
{
	int rc;

	if (inject("io_watch.add"))
		return UV_ENOMEM;
	rc = epoll_set_add(set, &w->link, w->fd,
			   EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET,
			   w);
	if (rc != 0)
		return rc;
	w->in = set;
	w->maybe = 0; /* the first look into the set tells */
	return 0;
}

void io_watch_create(struct io_watch *w, int fd)
{
	*w = (struct io_watch){ .fd = fd, .maybe = MASK };
	list_init(&w->waiters);
}

void io_watch_destroy(struct io_watch *w)
{
	if (w->in == NULL)
		return;
	wake(w, MASK);
	epoll_set_remove(w->in, &w->link);
	w->in = NULL;
	w->maybe = MASK;
}

void io_watch_wake(struct io_watch *w)
{
	if (w->in != NULL)
		wake(w, MASK);
}

int io_watch_wait(struct io_watch *w, struct loop *loop, struct fiber *self,
		  int what, uint64_t timeout_ns)
{
	struct epoll_set *set = &loop->io_watches;
	int rc;

	assert(w->in == NULL || w->in == set);
	if (w->in == NULL) {
		rc = epoll_set_open(set, &loop->uv, on_ready, "io_watch.set");
		if (rc == 0)
			rc = enter(set, w);
		if (rc != 0)
			return rc;
	}
	fiber_park(self, undo, (void *)((uintptr_t)w | (uintptr_t)what),
		   timeout_ns);
	list_add_tail(&w->waiters, &self->link);
	epoll_set_want(set);
	return 0;
}
