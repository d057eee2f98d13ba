/* An epoll set inside the loop. See epoll_set.h. */
#include "runtime/epoll_set.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/inject.h"

/* EPOLLIN and POLLIN are the same number on Linux, and so are the others. */
_Static_assert(EPOLLIN == POLLIN && EPOLLOUT == POLLOUT, "the same bits");

struct epoll_place {
	void *owner;     /* NULL: not registered */
	uint32_t number; /* of its registration */
};

enum { PLACES_MIN = 64 };

int epoll_set_open(struct epoll_set *s, uv_loop_t *loop, uv_poll_cb on_ready,
		   const char *site)
{
	int rc;

	if (s->open)
		return 0;
	if (inject(site))
		return UV_EMFILE;
	s->fd = epoll_create1(EPOLL_CLOEXEC);
	if (s->fd < 0)
		return -errno;
	rc = uv_poll_init(loop, &s->poll, s->fd);
	if (rc != 0) {
		close(s->fd);
		return rc;
	}
	s->poll.data = s;
	uv_unref((uv_handle_t *)&s->poll);
	rc = uv_poll_start(&s->poll, UV_READABLE, on_ready);
	assert(rc == 0);
	s->places = NULL;
	s->count = 0;
	s->wanted = 0;
	s->open = true;
	return 0;
}

/* See that there is a place for @a fd. */
static int reserve(struct epoll_set *s, int fd)
{
	int count = s->count == 0 ? PLACES_MIN : s->count;
	struct epoll_place *places;

	if (fd < s->count)
		return 0;
	while (count <= fd)
		count *= 2;
	places = mem_realloc(s->places, (size_t)count * sizeof *places);
	if (places == NULL)
		return UV_ENOMEM;
	memset(places + s->count, 0,
	       (size_t)(count - s->count) * sizeof *places);
	s->places = places;
	s->count = count;
	return 0;
}

static int add(struct epoll_set *s, int fd, uint32_t events, void *owner)
{
	struct epoll_event ev = { .events = events };
	int rc = reserve(s, fd);

	if (rc != 0)
		return rc;
	ev.data.u64 = (uint64_t)(s->made + 1) << 32 | (uint32_t)fd;
	if (epoll_ctl(s->fd, EPOLL_CTL_ADD, fd, &ev) != 0)
		return -errno;
	s->places[fd] = (struct epoll_place){ owner, ++s->made };
	return 0;
}

int epoll_set_add(struct epoll_set *s, struct epoll_link *link, int fd,
		  uint32_t events, void *owner)
{
	int rc = add(s, fd, events, owner);

	link->fd = fd;
	link->own_fd = false;
	if (rc == UV_EEXIST) {
		/* Somebody else has the same number, too. */
		link->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
		if (link->fd < 0)
			return -errno;
		link->own_fd = true;
		rc = add(s, link->fd, events, owner);
		if (rc != 0)
			close(link->fd);
	}
	link->number = s->made;
	return rc;
}

void epoll_set_remove(struct epoll_set *s, struct epoll_link *link)
{
	/* Closing takes it out only if there is no duplicate anywhere. If the
	 * number was registered again, it was closed before, and is another's. */
	if (s->places[link->fd].number == link->number) {
		epoll_ctl(s->fd, EPOLL_CTL_DEL, link->fd, NULL);
		s->places[link->fd].owner = NULL;
	}
	if (link->own_fd)
		close(link->fd);
}

int epoll_set_read(struct epoll_set *s, struct epoll_event *events, int max)
{
	int n = epoll_wait(s->fd, events, max, 0);

	for (int i = 0; i < n; i++) {
		uint64_t data = events[i].data.u64;
		const struct epoll_place *p = &s->places[(uint32_t)data];

		events[i].data.ptr = p->number == data >> 32 ? p->owner : NULL;
	}
	return n;
}

static void on_closed(uv_handle_t *handle)
{
	const struct epoll_set *s = handle->data;

	close(s->fd);
	mem_free(s->places);
}

void epoll_set_close(struct epoll_set *s)
{
	if (!s->open)
		return;
	s->open = false;
	uv_close((uv_handle_t *)&s->poll, on_closed);
}
