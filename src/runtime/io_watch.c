/*
 * Waiting for descriptors of our own. See io_watch.h.
 *
 * They lie in an epoll set of ours, as libuv knows no edges; its descriptor is
 * what the loop watches. One look into it brings many.
 */
#include "runtime/io_watch.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/inject.h"
#include "runtime/fiber.h"
#include "runtime/loop.h"

/* EPOLLIN and POLLIN are the same number on Linux, and so are the others. */
_Static_assert(EPOLLIN == POLLIN && EPOLLOUT == POLLOUT, "the same bits");

enum { BATCH = 256 }; /* in one round of the loop */

/* What a fiber waits for goes with its watch into one pointer. */
enum { MASK = IO_IN | IO_OUT };
_Static_assert(MASK < _Alignof(struct io_watch), "there is room for it");

static struct io_watch *watch_of(void *arg)
{
	return (struct io_watch *)((uintptr_t)arg & ~(uintptr_t)MASK);
}

static void leave(struct io_watches *ws)
{
	if (--ws->wanted == 0)
		uv_unref((uv_handle_t *)&ws->poll);
}

static void undo(struct fiber *f, void *arg)
{
	(void)f;
	leave(watch_of(arg)->in);
}

/* Those go on who wait for one of @a what. Nobody runs yet. */
static void wake(struct io_watch *w, uintptr_t what)
{
	list_foreach_safe(link, next, &w->waiters) {
		struct fiber *f = list_entry(link, struct fiber, link);

		if (!((uintptr_t)f->undo_arg & what))
			continue;
		leave(w->in);
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
	const struct io_watches *ws = poll->data;
	struct epoll_event ready[BATCH];
	int n;

	(void)status, (void)events;
	n = epoll_wait(ws->set, ready, BATCH, 0);
	for (int i = 0; i < n; i++)
		take(ready[i].data.ptr, ready[i].events);
}

static int open_set(struct io_watches *ws, uv_loop_t *loop)
{
	int rc;

	if (inject("io_watch.set"))
		return UV_EMFILE;
	ws->set = epoll_create1(EPOLL_CLOEXEC);
	if (ws->set < 0)
		return -errno;
	rc = uv_poll_init(loop, &ws->poll, ws->set);
	if (rc != 0) {
		close(ws->set);
		return rc;
	}
	ws->poll.data = ws;
	uv_unref((uv_handle_t *)&ws->poll);
	rc = uv_poll_start(&ws->poll, UV_READABLE, on_ready);
	assert(rc == 0);
	ws->wanted = 0;
	ws->open = true;
	return 0;
}

static int add(struct io_watches *ws, struct io_watch *w, int fd)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP |
					    EPOLLPRI | EPOLLET,
				  .data.ptr = w };

	if (inject("io_watch.add"))
		return UV_ENOMEM;
	return epoll_ctl(ws->set, EPOLL_CTL_ADD, fd, &ev) == 0 ? 0 : -errno;
}

static int enter(struct io_watches *ws, struct io_watch *w)
{
	int rc = add(ws, w, w->fd);

	if (rc == UV_EEXIST) {
		/* Somebody else has the same number, too. */
		w->other_fd = fcntl(w->fd, F_DUPFD_CLOEXEC, 3);
		if (w->other_fd < 0)
			return -errno;
		rc = add(ws, w, w->other_fd);
		if (rc != 0) {
			close(w->other_fd);
			w->other_fd = -1;
		}
	}
	if (rc != 0)
		return rc;
	w->in = ws;
	w->maybe = 0; /* the first look into the set tells */
	return 0;
}

void io_watch_create(struct io_watch *w, int fd)
{
	*w = (struct io_watch){ .fd = fd, .other_fd = -1, .maybe = MASK };
	list_init(&w->waiters);
}

void io_watch_destroy(struct io_watch *w)
{
	if (w->in == NULL)
		return;
	wake(w, MASK);
	/* Closing takes it out only if there is no duplicate anywhere. */
	epoll_ctl(w->in->set, EPOLL_CTL_DEL,
		  w->other_fd >= 0 ? w->other_fd : w->fd, NULL);
	if (w->other_fd >= 0)
		close(w->other_fd);
	w->other_fd = -1;
	w->in = NULL;
	w->maybe = MASK;
}

int io_watch_wait(struct io_watch *w, struct loop *loop, struct fiber *self,
		  int what, uint64_t timeout_ns)
{
	struct io_watches *ws = &loop->io_watches;
	int rc;

	assert(w->in == NULL || w->in == ws);
	if (w->in == NULL) {
		rc = ws->open ? 0 : open_set(ws, &loop->uv);
		if (rc == 0)
			rc = enter(ws, w);
		if (rc != 0)
			return rc;
	}
	fiber_park(self, undo, (void *)((uintptr_t)w | (uintptr_t)what),
		   timeout_ns);
	list_add_tail(&w->waiters, &self->link);
	if (ws->wanted++ == 0)
		uv_ref((uv_handle_t *)&ws->poll);
	return 0;
}

static void on_closed(uv_handle_t *handle)
{
	const struct io_watches *ws = handle->data;

	close(ws->set);
}

void io_watches_close(struct io_watches *ws)
{
	if (!ws->open)
		return;
	ws->open = false;
	uv_close((uv_handle_t *)&ws->poll, on_closed);
}
