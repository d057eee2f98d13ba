/* The event loop of one worker. See loop.h. */
#include "runtime/loop.h"

#include <poll.h>
#include <stdio.h>
#include <unistd.h>

enum { LOOP_CLOSE_MS = 2000 };

int loop_create(struct loop *loop)
{
	int rc;

	loop->running = false;
	drain_create(&loop->drain);
	loop->port.open = false;
	loop->fd_watches.open = false;
	loop->io_watches.open = false;
	loop->wakes.open = false;
	loop->uv.backend_fd = -1;
	rc = uv_loop_init(&loop->uv);
	/* When a later step of its own fails libuv leaves this open. */
	if (rc != 0 && loop->uv.backend_fd >= 0)
		close(loop->uv.backend_fd);
	return rc;
}

int loop_run(struct loop *loop, uv_run_mode mode)
{
	if (loop->running)
		return UV_EBUSY;
	loop->running = true;
	uv_run(&loop->uv, mode);
	loop->running = false;
	return 0;
}

void loop_stop(struct loop *loop)
{
	uv_stop(&loop->uv);
}

bool loop_is_wanted(const struct loop *loop, uint64_t *ret_timer_in)
{
	int timeout = uv_loop_alive(&loop->uv) ? uv_backend_timeout(&loop->uv)
					       : -1;
	struct pollfd ready = { .fd = loop->uv.backend_fd, .events = POLLIN };
	uint64_t due, now;

	*ret_timer_in = UINT64_MAX;
	if (timeout == 0 || poll(&ready, 1, 0) != 0)
		return true;
	if (timeout < 0)
		return false;
	due = (uv_now(&loop->uv) + (uint64_t)timeout) * 1000000;
	now = uv_hrtime();
	*ret_timer_in = due - now;
	return due <= now;
}

struct closing {
	loop_stuck_f on_stuck;
	void *arg;
	int count;
};

static void close_stuck(uv_handle_t *h, void *arg)
{
	struct closing *c = arg;
	uv_os_fd_t fd;
	char detail[48];

	if (uv_is_closing(h))
		return;
	c->count++;
	if (uv_fileno(h, &fd) == 0)
		snprintf(detail, sizeof detail, "descriptor %d", fd);
	else
		snprintf(detail, sizeof detail, "%s",
			 uv_is_active(h) ? "active" : "inactive");
	if (c->on_stuck != NULL)
		c->on_stuck(uv_handle_type_name(h->type), detail, c->arg);
	uv_close(h, NULL);
}

static void count_closing(uv_handle_t *h, void *arg)
{
	*(int *)arg += uv_is_closing(h) != 0;
}

/* Close callbacks that are due. They may close further handles: what a chain of
 * them has not reached yet is not stuck, and must not be closed twice. */
static void finish_closing(struct loop *loop, uint64_t end)
{
	int closing;

	do {
		uv_run(&loop->uv, UV_RUN_NOWAIT);
		closing = 0;
		uv_walk(&loop->uv, count_closing, &closing);
	} while (closing > 0 && uv_hrtime() < end);
}

int loop_destroy(struct loop *loop, loop_stuck_f on_stuck, void *arg)
{
	struct closing c = { on_stuck, arg, 0 };
	uint64_t end = uv_hrtime() + LOOP_CLOSE_MS * 1000000ull;

	if (loop->running)
		return UV_EBUSY;
	pool_port_close(&loop->port);
	wake_port_close(&loop->wakes);
	epoll_set_close(&loop->fd_watches);
	epoll_set_close(&loop->io_watches);
	finish_closing(loop, end);
	uv_walk(&loop->uv, close_stuck, &c);
	/* Thread-pool requests cannot be cut: wait for them, with an end. */
	while (uv_run(&loop->uv, UV_RUN_NOWAIT) != 0 && uv_hrtime() < end)
		uv_sleep(1);
	return uv_loop_close(&loop->uv) == 0 ? c.count : UV_EBUSY;
}
