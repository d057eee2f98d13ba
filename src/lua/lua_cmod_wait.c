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
#include "runtime/fiber.h"
#include "runtime/loop.h"

/* A wait for a descriptor; its memory is the loop's until it has closed. */
struct fd_wait {
	uv_poll_t poll;
	struct fiber *fiber;
	int events; /* that came */
	int error;  /* of the descriptor, or 0 */
};

/*
 * The fiber that may wait. Where the call stands is asked before its first
 * wait; afterwards the coroutine has yielded and there is nothing to ask.
 */
static struct fiber *ready_fiber(struct neap_call *c, bool deaf)
{
	lua_State *L = c->host;
	struct fiber *self = lua_vm_of(L)->sched->current;

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

static void set_deaf(struct fiber *self, bool deaf)
{
	if (deaf)
		self->flags |= FIBER_UNCANCELLABLE;
}

static int host_sleep(struct neap_call *c, uint64_t timeout_ns, bool deaf)
{
	struct fiber *self = ready_fiber(c, deaf);

	if (self == NULL)
		return -1;
	fiber_park(self, NULL, NULL, timeout_ns);
	self->flags |= FIBER_WAKEABLE;
	set_deaf(self, deaf);
	return 0;
}

static int host_yield(struct neap_call *c, bool deaf)
{
	struct fiber *self = ready_fiber(c, deaf);

	if (self == NULL)
		return -1;
	fiber_yield_begin(self);
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

static void on_closed(uv_handle_t *handle)
{
	mem_free(handle->data);
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
	rc = uv_poll_start(&w->poll, wanted, on_poll);
	if (rc != 0)
		uv_close((uv_handle_t *)&w->poll, on_closed);
	return rc;
}

static int host_wait_fd(struct neap_call *c, int fd, int events,
			uint64_t timeout_ns, bool deaf)
{
	struct fiber *self = ready_fiber(c, deaf);
	struct fd_wait *w;
	int rc;

	if (self == NULL)
		return -1;
	w = mem_zalloc(sizeof *w);
	if (w == NULL) {
		diag_set_oom(sizeof *w, "a wait for a descriptor");
		return -1;
	}
	w->fiber = self;
	rc = start_poll(w, &self->sched->loop->uv, fd, events);
	if (rc != 0) {
		diag_set_system(rc, "cannot wait for descriptor %d", fd);
		return -1;
	}
	c->host_wait = w;
	fiber_park(self, undo_poll, w, timeout_ns);
	set_deaf(self, deaf);
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

void lua_cmod_forget_wait(struct neap_call *c)
{
	struct fd_wait *w = c->host_wait;

	c->host_wait = NULL;
	if (w != NULL)
		uv_close((uv_handle_t *)&w->poll, on_closed);
}

static struct fiber *host_self(void)
{
	return sched_self == NULL ? NULL : sched_self->current;
}

static bool host_is_cancelled(void)
{
	struct fiber *self = host_self();

	return self != NULL && (self->flags & FIBER_CANCELLED) != 0;
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
	};

	cmod_set_host(&host);
}
