/*
 * What C functions have done on threads while they wait: work of their own and
 * the lookup of addresses. Over libuv's pool.
 *
 * A request cannot be taken back from a thread. Who gives it up leaves it
 * alone, and it frees itself at its end. Work uses the stack of its call, so a
 * call that is given up meanwhile stays until then.
 */
#include <netdb.h>
#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "base/diag.h"
#include "base/inject.h"
#include "cmod/call.h"
#include "cmod/host.h"
#include "lua/lua_cmod.h"
#include "runtime/fiber.h"
#include "runtime/loop.h"

struct work {
	struct lua_cmod_wait base;
	uv_work_t req;
	struct cmod_job *job;
	struct fiber *fiber;      /* NULL: it was given up */
	struct neap_call *orphan; /* to be given up at the end; or NULL */
};

static void run_work(uv_work_t *req)
{
	struct work *w = req->data;

	w->job->run(w->job);
}

static void after_work(uv_work_t *req, int status)
{
	struct work *w = req->data;

	(void)status; /* nobody cancels it */
	if (w->fiber != NULL) {
		fiber_wakeup(w->fiber, 0);
		return;
	}
	call_abandon(w->orphan);
	mem_free(w);
}

/* Only when its call is given up before the end. */
static bool drop_work(struct lua_cmod_wait *base, struct neap_call *c)
{
	struct work *w = (struct work *)base; /* base comes first */

	w->fiber = NULL;
	w->orphan = c;
	return true;
}

int lua_cmod_work(struct neap_call *c, struct cmod_job *job)
{
	struct fiber *self = lua_cmod_ready_fiber(c, true);
	struct work *w;
	int rc;

	if (self == NULL)
		return -1;
	w = mem_zalloc(sizeof *w);
	if (w == NULL) {
		diag_set_oom(sizeof *w, "work for a thread");
		return -1;
	}
	w->base.drop = drop_work;
	w->req.data = w;
	w->job = job;
	w->fiber = self;
	rc = uv_queue_work(&self->sched->loop->uv, &w->req, run_work,
			   after_work);
	if (rc != 0) {
		mem_free(w);
		diag_set_system(rc, "work for a thread");
		return -1;
	}
	c->host_wait = &w->base;
	fiber_park(self, NULL, NULL, UINT64_MAX);
	lua_cmod_set_deaf(self, true);
	return 0;
}

void lua_cmod_end_work(struct neap_call *c)
{
	struct work *w = c->host_wait;

	c->host_wait = NULL;
	mem_free(w);
}

struct lookup {
	struct lua_cmod_wait base;
	uv_getaddrinfo_t req;
	struct fiber *fiber;
	int status;
	bool done;
	bool dropped;
};

static void after_lookup(uv_getaddrinfo_t *req, int status,
			 struct addrinfo *list)
{
	struct lookup *w = req->data;

	(void)list; /* it is in req, too */
	w->done = true;
	w->status = status;
	if (!w->dropped) {
		fiber_wakeup(w->fiber, 0);
		return;
	}
	uv_freeaddrinfo(req->addrinfo);
	mem_free(w);
}

static bool drop_lookup(struct lua_cmod_wait *base, struct neap_call *c)
{
	struct lookup *w = (struct lookup *)base; /* base comes first */

	(void)c;
	if (w->done) {
		uv_freeaddrinfo(w->req.addrinfo);
		mem_free(w);
	} else {
		w->dropped = true;
		uv_cancel((uv_req_t *)&w->req); /* if it has not begun */
	}
	return false;
}

int lua_cmod_lookup(struct neap_call *c, const char *node, const char *service,
		    const struct addrinfo *hints, uint64_t timeout_ns,
		    bool deaf)
{
	struct fiber *self = lua_cmod_ready_fiber(c, deaf);
	struct lookup *w;
	int rc;

	if (self == NULL)
		return -1;
	w = mem_zalloc(sizeof *w);
	if (w == NULL) {
		diag_set_oom(sizeof *w, "a lookup of addresses");
		return -1;
	}
	w->base.drop = drop_lookup;
	w->req.data = w;
	w->fiber = self;
	rc = uv_getaddrinfo(&self->sched->loop->uv, &w->req, after_lookup, node,
			    service, hints);
	if (rc != 0) {
		mem_free(w);
		diag_set_system(rc, "addresses of '%s'",
				node == NULL ? "" : node);
		return -1;
	}
	c->host_wait = &w->base;
	fiber_park(self, NULL, NULL, timeout_ns);
	lua_cmod_set_deaf(self, deaf);
	return 0;
}

int lua_cmod_end_lookup(struct neap_call *c, struct addrinfo **ret_list)
{
	struct lookup *w = c->host_wait;
	int rc = -1;

	if (w->done && w->status == 0) {
		*ret_list = w->req.addrinfo;
		w->req.addrinfo = NULL;
		rc = 0;
	} else if (w->done) {
		diag_set_system(w->status, "cannot look up the addresses");
	} else {
		diag_set(TimedOut, "timed out");
	}
	lua_cmod_forget_wait(c);
	return rc;
}
