/* Waiting for descriptors that are not ours alone. See fd_watch.h. */
#include "runtime/fd_watch.h"

#include <assert.h>

#include "runtime/loop.h"

enum { BATCH = 64 }; /* in one round of the loop */

static void on_ready(uv_poll_t *poll, int status, int events)
{
	struct epoll_set *set = poll->data;
	struct epoll_event ready;

	(void)status, (void)events;
	/* One by one: what an owner does may stop the wait of another. */
	for (int i = 0; i < BATCH; i++) {
		struct fd_watch *w;

		if (!set->open || epoll_set_read(set, &ready, 1) != 1)
			break;
		w = ready.data.ptr;
		if (w == NULL)
			continue;
		fd_watch_stop(w);
		w->fn(w);
	}
}

int fd_watch_start(struct loop *loop, struct fd_watch *w, int fd, int events,
		   fd_watch_f fn)
{
	struct epoll_set *set = &loop->fd_watches;
	int rc;

	assert(w->in == NULL);
	rc = epoll_set_open(set, &loop->uv, on_ready, "fd_watch.set");
	if (rc == 0)
		rc = epoll_set_add(set, &w->link, fd,
				   (uint32_t)events | EPOLLONESHOT, w);
	if (rc != 0)
		return rc;
	w->in = set;
	w->fn = fn;
	w->abandoned = false;
	epoll_set_want(set);
	return 0;
}

void fd_watch_abandon(struct fd_watch *w)
{
	if (w->in == NULL || w->abandoned)
		return;
	w->abandoned = true;
	epoll_set_unwant(w->in);
}

void fd_watch_stop(struct fd_watch *w)
{
	if (w->in == NULL)
		return;
	fd_watch_abandon(w);
	epoll_set_remove(w->in, &w->link);
	w->in = NULL;
}
