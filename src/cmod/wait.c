/* Waiting inside a call: asks the host to begin it and puts the call aside. */
#include "cmod/wait.h"

#include <math.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/diag.h"
#include "cmod/call.h"
#include "cmod/host.h"
#include "cmod/lookup.h"
#include "cmod/offload.h"
#include "neap/module.h"

/* Each state sets it anew, to the same, while calls of others read it. */
static const struct cmod_host *_Atomic host;

void cmod_set_host(const struct cmod_host *new_host)
{
	atomic_store_explicit(&host, new_host, memory_order_release);
}

/* For ever, when it does not fit: three hundred years. */
static uint64_t to_ns(double seconds)
{
	return seconds < 1e10 ? (uint64_t)(seconds * 1e9) : UINT64_MAX;
}

/* Less than zero is for ever, NaN not at all. */
static uint64_t timeout_ns(double timeout)
{
	if (isnan(timeout))
		return 0;
	return timeout < 0 ? UINT64_MAX : to_ns(timeout);
}

static int fail(void)
{
	return call_set_error(diag_take());
}

/*
 * A wait could not begin. A function that is cancelled should end; one that
 * tries again and again instead lets the others run each time, so that it holds
 * up nobody but itself.
 */
static int fail_begin(struct neap_call *c)
{
	bool cancelled = diag_last()->type == &FiberIsCancelled;

	fail();
	if (!cancelled)
		return -1;
	if (!(c->flags & CALL_REFUSED))
		c->flags |= CALL_REFUSED;
	else if (host->yield(c, true) == 0)
		call_wait(c);
	else
		diag_clear();
	return -1;
}

static int fail_status(int status)
{
	if (status == UV_ECANCELED)
		diag_set(FiberIsCancelled, "fiber is cancelled");
	else if (status == UV_ENOTSUP)
		diag_set(IllegalParams,
			 "cannot wait here: the coroutine was resumed inside "
			 "a callback of a C function, which cannot be put "
			 "aside");
	else if (status == UV_ETIMEDOUT)
		diag_set(TimedOut, "timed out");
	else if (status == CMOD_EDEADLINE)
		diag_set(TimedOut, "the deadline is over");
	else
		diag_set_system(status, "wait");
	return fail();
}

/* The running call, when it may wait as far as this layer knows. */
static struct neap_call *waiter(void)
{
	struct neap_call *c = call_current;

	if (c == NULL || host == NULL) {
		diag_set(IllegalParams, "cannot wait here: not inside a call "
					"of a function");
		fail();
		return NULL;
	}
	if (c->flags & CALL_OFFLOADED) {
		diag_set(IllegalParams,
			 "cannot wait for that here: a call that "
			 "is offloaded has no fibers");
		fail();
		return NULL;
	}
	if (c->flags & CALL_NO_WAIT) {
		fail_status(UV_ENOTSUP);
		return NULL;
	}
	return c;
}

/* Of a wait that has blocked its thread. */
static int blocked(int got)
{
	return got < 0 ? fail() : got;
}

static int sleep_ns(uint64_t ns, bool deaf)
{
	struct offload *o = offload_current();
	struct neap_call *c;
	int status;

	if (o != NULL)
		return blocked(offload_sleep(o, ns, deaf));
	c = waiter();
	if (c == NULL)
		return -1;
	if (host->sleep(c, ns, deaf) != 0)
		return fail_begin(c);
	status = call_wait(c);
	/* The end of its time is how a sleep ends; so is a wakeup. */
	if (status == 0 || status == UV_ETIMEDOUT)
		return 0;
	return fail_status(status);
}

int wait_sleep(double seconds, bool deaf)
{
	return seconds > 0 ? sleep_ns(to_ns(seconds), deaf) : wait_yield(deaf);
}

int wait_wakeup(bool deaf)
{
	/* Nobody can wake a thread, so it is as if somebody had. */
	if (offload_current() != NULL)
		return wait_yield(deaf);
	return sleep_ns(UINT64_MAX, deaf);
}

int wait_yield(bool deaf)
{
	struct offload *o = offload_current();
	struct neap_call *c;
	int status;

	if (o != NULL)
		return blocked(offload_yield(o, deaf));
	c = waiter();
	if (c == NULL)
		return -1;
	if (host->yield(c, deaf) != 0)
		return fail_begin(c);
	status = call_wait(c);
	return status == 0 ? 0 : fail_status(status);
}

/* The events that came, or -1 with diag set. */
static int loop_wait_fd(struct neap_call *c, int fd, int events,
			uint64_t timeout_ns, bool deaf)
{
	int status, got;

	if (host->wait_fd(c, fd, events, timeout_ns, deaf) != 0)
		return fail_begin(c);
	status = call_wait(c);
	got = host->end_wait_fd(c);
	if (status != 0 && status != UV_ETIMEDOUT)
		return fail_status(status);
	return got < 0 ? fail() : got;
}

int wait_fd(int fd, int events, double timeout, bool deaf)
{
	struct offload *o = offload_current();
	struct neap_call *c = o != NULL ? NULL : waiter();
	uint64_t ns;

	if (o == NULL && c == NULL)
		return -1;
	if ((events & ~(NEAP_READ | NEAP_WRITE)) != 0 || events == 0) {
		diag_set(IllegalParams,
			 "wait for a descriptor: events %d are "
			 "not NEAP_READ, NEAP_WRITE or both",
			 events);
		return fail();
	}
	ns = timeout_ns(timeout);
	if (o != NULL)
		return blocked(offload_wait_fd(o, fd, events, ns, deaf));
	return loop_wait_fd(c, fd, events, ns, deaf);
}

int wait_cond(struct cond *cond, double timeout, bool deaf)
{
	struct neap_call *c = waiter();
	int status;

	if (c == NULL)
		return -1;
	if (host->cond_wait(c, cond, timeout_ns(timeout), deaf) != 0)
		return fail_begin(c);
	status = call_wait(c);
	return status == 0 ? 0 : fail_status(status);
}

int wait_end(struct fiber *f, double timeout)
{
	struct neap_call *c = waiter();
	int status;

	if (c == NULL)
		return -1;
	if (host->join(c, f, timeout_ns(timeout)) != 0)
		return fail();
	status = call_wait(c);
	return status == 0 ? 0 : fail_status(status);
}

/* On this thread: it is one that may be blocked. Jobs run outside of calls. */
static void run_here(struct cmod_job *job)
{
	struct neap_call *c = call_current;

	call_current = NULL;
	job->run(job);
	call_current = c;
}

int wait_job(struct cmod_job *job)
{
	struct neap_call *c;
	int status;

	if (offload_current() != NULL) {
		run_here(job);
		return 0;
	}
	c = waiter();
	if (c == NULL)
		return -1;
	if (host->work(c, job, UINT64_MAX, true) != 0)
		return fail();
	status = call_wait(c);
	return host->end_work(c) ? 0 : fail_status(status);
}

/* Make @a l. Returns 0; or -1 with the call's error set, *ret_left telling
 * whether it is left to itself. */
static int look_up(struct lookup *l, uint64_t timeout_ns, bool deaf,
		   bool *ret_left)
{
	struct offload *o = offload_current();
	struct neap_call *c;
	int status;

	*ret_left = false;
	if (o != NULL) {
		if (offload_check(o, deaf) != 0)
			return fail();
		run_here(lookup_job(l));
		return 0;
	}
	c = waiter();
	if (c == NULL)
		return -1;
	if (host->work(c, lookup_job(l), timeout_ns, deaf) != 0)
		return fail_begin(c);
	status = call_wait(c);
	*ret_left = !host->end_work(c);
	/* It may have come after the timeout, and before this was told. */
	return *ret_left ? fail_status(status) : 0;
}

int wait_lookup(const char *node, const char *service,
		const struct addrinfo *hints, struct addrinfo **ret_list,
		double timeout, bool deaf)
{
	struct lookup *l = lookup_new(node, service, hints);
	bool left;
	int rc;

	if (l == NULL)
		return fail();
	rc = look_up(l, timeout_ns(timeout), deaf, &left);
	if (left)
		return -1;
	if (rc == 0 && lookup_take(l, ret_list) != 0)
		rc = fail();
	lookup_delete(l);
	return rc;
}

bool wait_is_cancelled(void)
{
	const struct offload *o = offload_current();

	if (o != NULL)
		return atomic_load(&o->cancelled);
	return host != NULL && host->is_cancelled();
}

const struct cmod_host *wait_host(void)
{
	return offload_current() != NULL ? NULL : host;
}
