/*
 * Calling a C function on a thread of the pool (the module `cmod`): the fiber
 * waits, the loop does not.
 *
 *	__call: pack -> pool_submit -> park, the call being the fiber's guest
 *	a thread: offload_run
 *	on_done: wake the fiber -> guest_resume: unpack
 *
 * Two may hold the call: the fiber that waits, and the pool while it has the
 * job. A fiber that is cancelled or runs out of time goes its way at once; what
 * it leaves behind holds its function and its instance until it has ended, and
 * is deleted then, its results unseen.
 */
#include <assert.h>
#include <stdio.h>
#include <uv.h>

#include "base/diag.h"
#include "base/inject.h"
#include "cmod/offload.h"
#include "lua/lua_call.h"
#include "lua/lua_cmod.h"
#include "lua/lua_cmod_quick.h"
#include "lua/lua_error.h"
#include "lua/lua_fiber.h"
#include "lua/lua_serialize.h"
#include "runtime/fiber.h"
#include "runtime/pool.h"

/* One call. */
struct away {
	struct pool_job job;
	struct offload *call;
	struct fiber *fiber; /* that waits; NULL: nobody */
	uint64_t timeout_ns; /* of the call, for its error */
	bool in_pool;        /* the pool holds it */
	bool held;           /* the fiber does */
};

static struct away *away_of(struct pool_job *job)
{
	return list_entry(job, struct away, job);
}

static void let_go(struct away *a)
{
	if (a->in_pool || a->held)
		return;
	offload_delete(a->call);
	mem_free(a);
}

static void describe(struct pool_job *job, char *buf, size_t size)
{
	const struct cmod_func *f = away_of(job)->call->call.func;

	snprintf(buf, size, "C function '%s' of module '%s'",
		 cmod_func_symbol(f), cmod_file(cmod_func_module(f)));
}

static void run(struct pool_job *job)
{
	offload_run(away_of(job)->call);
}

static void on_done(struct pool_job *job)
{
	struct away *a = away_of(job);

	a->in_pool = false;
	if (a->fiber != NULL)
		fiber_wakeup(a->fiber, 0);
	let_go(a);
}

/* The fiber waits no more: cancelled, out of time, or given up. */
static void undo(struct fiber *f, void *arg)
{
	struct away *a = arg;

	(void)f;
	a->fiber = NULL;
	if (!a->in_pool)
		return;
	if (pool_abandon(&a->job))
		a->in_pool = false;
	else
		offload_cancel(a->call);
}

static void set_failure(struct lua_vm *vm, const struct away *a, int status)
{
	if (status == UV_ETIMEDOUT)
		diag_set(TimedOut,
			 "function '%s' has not ended within %g s: what it "
			 "gives will be dropped",
			 cmod_func_symbol(a->call->call.func),
			 (double)a->timeout_ns / 1e9);
	else
		lua_wait_set_diag(vm->L, status);
}

static int guest_resume(struct lua_fiber *f, lua_State *to, int status)
{
	struct away *a = f->guest_arg;
	struct neap_call *c = &a->call->call;
	bool failed = true;
	int n;

	f->guest = NULL;
	if (status == 0) {
		n = lua_cmod_move_outcome(f->vm, to, c, &failed);
	} else {
		set_failure(f->vm, a, status);
		n = lua_cmod_move_failure(f->vm, to);
	}
	if (failed)
		cmod_func_count_error(c->func);
	a->held = false;
	let_go(a);
	return n;
}

/* The fiber is given up: undo() has run if it was needed. */
static void guest_abandon(struct lua_fiber *f)
{
	struct away *a = f->guest_arg;

	f->guest = NULL;
	a->held = false;
	let_go(a);
}

/* Arguments into a new call; NULL with diag set. Runs __serialize functions. */
static struct away *away_new(lua_State *L, struct cmod_func_box *box)
{
	struct away *a = mem_zalloc(sizeof *a);
	struct buf *in;

	if (a == NULL) {
		diag_set_oom(sizeof *a, "an offloaded call");
		return NULL;
	}
	a->job.run = run;
	a->job.done = on_done;
	a->job.describe = describe;
	a->timeout_ns = box->options.timeout_ns;
	a->call = offload_new(box->use.func);
	if (a->call == NULL)
		goto fail_call;
	in = &a->call->call.in;
	if (lua_cmod_pack(L, in) != 0)
		goto fail_pack;
	return a;
fail_pack:
	offload_delete(a->call);
fail_call:
	mem_free(a);
	return NULL;
}

/* Begin the wait. Returns 0, or -1 with diag set. */
static int begin(lua_State *L, struct away *a)
{
	struct fiber *self = lua_wait_ready(L);

	if (self == NULL)
		return -1;
	/* One that was cancelled before waits for nothing, but it does wait:
	 * the others shall have their turn. */
	if (!(self->flags & FIBER_CANCELLED)) {
		if (lua_cmod_submit(self, &a->job, "cannot offload a call of",
				    a->call->call.func) != 0)
			return -1;
		a->in_pool = true;
	}
	a->fiber = self;
	a->held = true;
	fiber_park(self, undo, a, a->timeout_ns);
	return 0;
}

int lua_cmod_call_offload(lua_State *L)
{
	static const struct lua_guest guest = { guest_resume, guest_abandon };
	struct cmod_func_box *box = lua_cmod_check_callee(L);
	struct away *a = away_new(L, box);
	struct lua_fiber *f;

	if (a == NULL)
		return lua_cmod_push_failure(L);
	/* A __serialize function among the arguments may have unloaded it. */
	if (box->use.func == NULL) {
		let_go(a);
		return lua_error_usage(L, "function '%s' is unloaded",
				       box->name);
	}
	lua_cmod_count(&box->use.calls);
	if (begin(L, a) != 0) {
		lua_cmod_count(&box->use.errors);
		let_go(a);
		return lua_cmod_push_failure(L);
	}
	f = lua_fiber_of(a->fiber);
	assert(f->guest == NULL);
	f->guest = &guest;
	f->guest_arg = a;
	return lua_wait(L);
}
