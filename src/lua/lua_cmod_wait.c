/*
 * How C functions wait: the host of calls, over the fibers of runtime. These
 * run on the C stack of the call, so nothing of Lua that may throw is called.
 */
#include <assert.h>
#include <stddef.h>
#include <uv.h>

#include "base/diag.h"
#include "base/inject.h"
#include "cmod/call.h"
#include "cmod/host.h"
#include "lua/lua_call.h"
#include "lua/lua_cmod.h"
#include "lua/lua_fiber.h"
#include "lua/lua_state.h"
#include "neap/module.h"
#include "runtime/cond.h"
#include "runtime/fiber.h"
#include "runtime/loop.h"

_Static_assert((int)CMOD_EDEADLINE == (int)FIBER_EDEADLINE,
	       "passed through as it is");

/* A wait for a descriptor; its memory is the loop's until it has closed, and
 * the call's until it has looked. */
struct fd_wait {
	struct lua_cmod_wait base;
	uv_poll_t poll;
	struct list link; /* in fd_waits, until it is being closed */
	struct fiber *fiber;
	int fd;
	int events;   /* that came */
	int error;    /* of the descriptor, or 0 */
	bool closing; /* the handle */
	bool looked;  /* nobody will look any more */
	bool closed;
};

/* All of this thread. */
static __thread struct list fd_waits;

static struct list *all_fd_waits(void)
{
	if (fd_waits.next == NULL)
		list_init(&fd_waits);
	return &fd_waits;
}

/*
 * The fiber that may wait. Where the call stands is asked before its first
 * wait; afterwards the coroutine has yielded and there is nothing to ask.
 */
struct fiber *lua_cmod_ready_fiber(struct neap_call *c, bool deaf)
{
	lua_State *L =
		c->host; /* NULL in a fiber made in C, which has waited */
	struct fiber *self = sched_self == NULL ? NULL : sched_self->current;

	if (!(c->flags & CALL_WAITED)) {
		if (lua_wait_ready(L) != NULL)
			return self;
		if (!deaf || diag_last()->type != &FiberIsCancelled)
			return NULL;
		diag_clear();
		return self;
	}
	if ((self->flags & FIBER_CANCELLED) && !deaf) {
		diag_set(FiberIsCancelled, "fiber is cancelled");
		return NULL;
	}
	return self;
}

void lua_cmod_set_deaf(struct fiber *self, bool deaf)
{
	if (deaf)
		self->flags |= FIBER_UNCANCELLABLE;
}

static int host_sleep(struct neap_call *c, uint64_t timeout_ns, bool deaf)
{
	struct fiber *self = lua_cmod_ready_fiber(c, deaf);

	if (self == NULL)
		return -1;
	fiber_park(self, NULL, NULL, timeout_ns);
	self->flags |= FIBER_WAKEABLE;
	lua_cmod_set_deaf(self, deaf);
	return 0;
}

static int host_yield(struct neap_call *c, bool deaf)
{
	struct fiber *self = lua_cmod_ready_fiber(c, deaf);

	if (self == NULL)
		return -1;
	fiber_yield_begin(self);
	return 0;
}

static struct cond *host_cond_new(void)
{
	struct cond *cond = mem_alloc(sizeof *cond);

	if (cond == NULL)
		diag_set_oom(sizeof *cond, "a condition");
	else
		cond_create(cond);
	return cond;
}

static void host_cond_delete(struct cond *cond)
{
	cond_broadcast(cond);
	cond_destroy(cond);
	mem_free(cond);
}

static int host_cond_wait(struct neap_call *c, struct cond *cond,
			  uint64_t timeout_ns, bool deaf)
{
	struct fiber *self = lua_cmod_ready_fiber(c, deaf);

	if (self == NULL)
		return -1;
	cond_wait_begin(cond, self, timeout_ns);
	lua_cmod_set_deaf(self, deaf);
	return 0;
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct fd_wait *w = poll->data;

	uv_poll_stop(poll);
	if (status < 0)
		w->error = status;
	if (events & (UV_READABLE | UV_DISCONNECT))
		w->events |= NEAP_READ;
	if (events & UV_WRITABLE)
		w->events |= NEAP_WRITE;
	fiber_wakeup(w->fiber, 0);
}

static void undo_poll(struct fiber *f, void *arg)
{
	struct fd_wait *w = arg;

	(void)f;
	uv_poll_stop(&w->poll);
}

static void free_if_done(struct fd_wait *w)
{
	if (w->closed && w->looked)
		mem_free(w);
}

static void on_closed(uv_handle_t *handle)
{
	struct fd_wait *w = handle->data;

	w->closed = true;
	free_if_done(w);
}

static void close_poll(struct fd_wait *w)
{
	if (w->closing)
		return;
	w->closing = true;
	list_del(&w->link);
	uv_close((uv_handle_t *)&w->poll, on_closed);
}

static bool drop_fd_wait(struct lua_cmod_wait *base, struct neap_call *c)
{
	struct fd_wait *w = (struct fd_wait *)base; /* base comes first */

	(void)c;
	close_poll(w);
	w->looked = true;
	free_if_done(w);
	return false;
}

static int start_poll(struct fd_wait *w, uv_loop_t *loop, int fd, int events)
{
	int wanted = 0, rc;

	if (events & NEAP_READ)
		wanted |= UV_READABLE;
	if (events & NEAP_WRITE)
		wanted |= UV_WRITABLE;
	rc = uv_poll_init(loop, &w->poll, fd);
	if (rc != 0) {
		mem_free(w);
		return rc;
	}
	w->poll.data = w;
	w->fd = fd;
	list_add_tail(all_fd_waits(), &w->link);
	rc = uv_poll_start(&w->poll, wanted, on_poll);
	if (rc != 0)
		drop_fd_wait(&w->base, NULL);
	return rc;
}

static int host_wait_fd(struct neap_call *c, int fd, int events,
			uint64_t timeout_ns, bool deaf)
{
	struct fiber *self = lua_cmod_ready_fiber(c, deaf);
	struct fd_wait *w;
	int rc;

	if (self == NULL)
		return -1;
	w = mem_zalloc(sizeof *w);
	if (w == NULL) {
		diag_set_oom(sizeof *w, "a wait for a descriptor");
		return -1;
	}
	w->base.drop = drop_fd_wait;
	w->fiber = self;
	rc = start_poll(w, &self->sched->loop->uv, fd, events);
	if (rc != 0) {
		diag_set_system(rc, "cannot wait for descriptor %d", fd);
		return -1;
	}
	c->host_wait = &w->base;
	fiber_park(self, undo_poll, w, timeout_ns);
	lua_cmod_set_deaf(self, deaf);
	return 0;
}

static int host_end_wait_fd(struct neap_call *c)
{
	struct fd_wait *w = c->host_wait;
	int events = w->events, error = w->error;

	lua_cmod_forget_wait(c);
	if (error == 0)
		return events;
	diag_set_system(error, "wait for a descriptor");
	return -1;
}

static void host_close_fd(int fd)
{
	list_foreach_safe(link, next, all_fd_waits()) {
		struct fd_wait *w = list_entry(link, struct fd_wait, link);

		if (w->fd != fd)
			continue;
		/* Closed now, and not when its call looks: the descriptor's
		 * number may be another's by then. */
		close_poll(w);
		fiber_wakeup(w->fiber, 0);
	}
}

bool lua_cmod_forget_wait(struct neap_call *c)
{
	struct lua_cmod_wait *w = c->host_wait;

	c->host_wait = NULL;
	return w != NULL && w->drop(w, c);
}

static struct fiber *host_self(void)
{
	return sched_self == NULL ? NULL : sched_self->current;
}

/* (What waits without looking at the result ends by asking this.) */
static bool host_is_cancelled(void)
{
	struct fiber *self = host_self();

	if (self == NULL)
		return false;
	return (self->flags & FIBER_CANCELLED) != 0 ||
	       (self->deadline_ns != 0 && uv_hrtime() >= self->deadline_ns);
}

static void host_wakeup(struct fiber *f)
{
	fiber_interrupt(f, 0);
}

void lua_cmod_set_host(void)
{
	static const struct cmod_host host = {
		.sleep = host_sleep,
		.yield = host_yield,
		.wait_fd = host_wait_fd,
		.end_wait_fd = host_end_wait_fd,
		.self = host_self,
		.is_cancelled = host_is_cancelled,
		.wakeup = host_wakeup,
		.cancel = fiber_cancel,
		.fiber_new = lua_cmod_fiber_new,
		.fiber_of = lua_cmod_fiber_of,
		.fiber_start = fiber_start_now,
		.join = lua_cmod_fiber_join,
		.fiber_free = lua_cmod_fiber_free,
		.cond_new = host_cond_new,
		.cond_delete = host_cond_delete,
		.cond_signal = cond_signal,
		.cond_broadcast = cond_broadcast,
		.cond_wait = host_cond_wait,
		.close_fd = host_close_fd,
		.work = lua_cmod_work,
		.end_work = lua_cmod_end_work,
	};

	cmod_set_host(&host);
}
