/* Waiting for descriptors that are not ours alone. See fd_watch.h. */
#include "runtime/fd_watch.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/inject.h"
#include "runtime/loop.h"

/* EPOLLIN and POLLIN are the same number on Linux, and so are the others. */
_Static_assert(EPOLLIN == POLLIN && EPOLLOUT == POLLOUT, "the same bits");

enum { BATCH = 64 }; /* in one round of the loop */

static void on_ready(uv_poll_t *poll, int status, int events)
{
	struct fd_watches *ws = poll->data;
	struct epoll_event ready;

	(void)status, (void)events;
	/* One by one: what an owner does may stop the wait of another. */
	for (int i = 0; i < BATCH; i++) {
		struct fd_watch *w;

		if (!ws->open || epoll_wait(ws->set, &ready, 1, 0) != 1)
			break;
		w = ready.data.ptr;
		fd_watch_stop(w);
		w->fn(w);
	}
}

static int open_set(struct fd_watches *ws, uv_loop_t *loop)
{
	int rc;

	if (inject("fd_watch.set"))
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

static int add(struct fd_watch *w, int fd, int events)
{
	struct epoll_event ev = { .events = (uint32_t)events | EPOLLONESHOT,
				  .data.ptr = w };

	return epoll_ctl(w->in->set, EPOLL_CTL_ADD, fd, &ev) == 0 ? 0 : -errno;
}

int fd_watch_start(struct loop *loop, struct fd_watch *w, int fd, int events,
		   fd_watch_f fn)
{
	struct fd_watches *ws = &loop->fd_watches;
	int rc;

	assert(w->in == NULL);
	if (!ws->open) {
		rc = open_set(ws, &loop->uv);
		if (rc != 0)
			return rc;
	}
	w->in = ws;
	w->fn = fn;
	w->fd = fd;
	w->own_fd = w->abandoned = false;
	rc = add(w, fd, events);
	if (rc == UV_EEXIST) {
		w->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
		w->own_fd = w->fd >= 0;
		rc = w->own_fd ? add(w, w->fd, events) : -errno;
		if (rc != 0 && w->own_fd)
			close(w->fd);
	}
	if (rc != 0) {
		w->in = NULL;
		return rc;
	}
	if (ws->wanted++ == 0)
		uv_ref((uv_handle_t *)&ws->poll);
	return 0;
}

void fd_watch_abandon(struct fd_watch *w)
{
	if (w->in == NULL || w->abandoned)
		return;
	w->abandoned = true;
	if (--w->in->wanted == 0)
		uv_unref((uv_handle_t *)&w->in->poll);
}

void fd_watch_stop(struct fd_watch *w)
{
	if (w->in == NULL)
		return;
	fd_watch_abandon(w);
	/* Fails when its owner has closed it, and then it is out already. */
	epoll_ctl(w->in->set, EPOLL_CTL_DEL, w->fd, NULL);
	if (w->own_fd)
		close(w->fd);
	w->in = NULL;
}

static void on_closed(uv_handle_t *handle)
{
	struct fd_watches *ws = handle->data;

	close(ws->set);
}

void fd_watches_close(struct fd_watches *ws)
{
	if (!ws->open)
		return;
	ws->open = false;
	uv_close((uv_handle_t *)&ws->poll, on_closed);
}
