/*
 * What C functions have done on threads of the pool while they wait: work of
 * their own, and the lookup of addresses.
 *
 * Work that has begun cannot be taken back. What uses the stack of its call
 * keeps the call, when that is given up, until it has run; what does not is
 * left alone, and frees itself.
 */
#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <uv.h>

#include "base/diag.h"
#include "base/inject.h"
#include "cmod/call.h"
#include "cmod/crash.h"
#include "cmod/host.h"
#include "lua/lua_cmod.h"
#include "runtime/fiber.h"
#include "runtime/loop.h"
#include "runtime/pool.h"

struct work {
	struct lua_cmod_wait base;
	struct pool_job in_pool;
	struct cmod_job *job;   /* NULL: it has run, and its owner has it */
	struct cmod_func *func; /* that has it done; held */
	struct neap_call *call; /* whose stack it uses, when it does */
	struct fiber *fiber;    /* that waits; NULL: nobody */
	bool is_away;           /* the pool holds it */
	atomic_bool has_run;
};

static struct work *work_of(struct pool_job *job)
{
	return list_entry(job, struct work, in_pool);
}

static void describe(struct pool_job *job, char *buf, size_t size)
{
	const struct cmod_func *f = work_of(job)->func;

	snprintf(buf, size, "work of C function '%s' of module '%s'",
		 cmod_func_symbol(f), cmod_file(cmod_func_module(f)));
}

static void run(struct pool_job *job)
{
	char signal_stack[CRASH_STACK_SIZE];
	struct work *w = work_of(job);

	crash_enter_thread(signal_stack, sizeof signal_stack);
	w->job->run(w->job);
	crash_leave_thread();
	atomic_store(&w->has_run, true);
}

static void work_delete(struct work *w)
{
	cmod_func_unref(w->func);
	/* What the end of a library left behind goes: this may be a thread's
	 * last act. */
	call_outside_begin();
	mem_free(w);
}

/* It has run, and its call was given up meanwhile. */
static void drop_job(struct work *w)
{
	bool on_stack = w->job->on_stack;

	w->job->drop(w->job);
	if (on_stack)
		call_abandon(w->call);
}

static void on_done(struct pool_job *job)
{
	struct work *w = work_of(job);

	w->is_away = false;
	if (w->fiber != NULL) {
		fiber_wakeup(w->fiber, 0);
		return;
	}
	if (w->job != NULL)
		drop_job(w);
	work_delete(w);
}

/* True: the pool has it, and frees it; else nobody does but the caller. */
static bool leave(struct work *w)
{
	w->fiber = NULL;
	if (w->is_away && pool_abandon(&w->in_pool))
		w->is_away = false;
	return w->is_away;
}

static bool drop_work(struct lua_cmod_wait *base, struct neap_call *c)
{
	struct work *w = (struct work *)base; /* base comes first */
	struct cmod_job *job = w->job;

	(void)c;
	if (leave(w))
		return job->on_stack;
	job->drop(job);
	work_delete(w);
	return false;
}

int lua_cmod_submit(struct fiber *self, struct pool_job *job, const char *what,
		    const struct cmod_func *func)
{
	struct loop *loop = self->sched->loop;
	int rc = pool_submit(&loop->port, &loop->uv, job);
	const char *symbol = cmod_func_symbol(func);

	if (rc == 0)
		return 0;
	if (rc == UV_ENOBUFS)
		diag_set(ClientError,
			 "%s '%s': all %u threads are at work and %u calls "
			 "wait for one (offload.threads, offload.queue)",
			 what, symbol, pool_get_limits().threads,
			 pool_get_limits().queue);
	else
		diag_set_system(rc, "%s '%s'", what, symbol);
	return -1;
}

int lua_cmod_work(struct neap_call *c, struct cmod_job *job,
		  uint64_t timeout_ns, bool deaf)
{
	struct fiber *self = lua_cmod_ready_fiber(c, deaf);
	struct work *w;

	assert(!job->on_stack || (deaf && timeout_ns == UINT64_MAX));
	if (self == NULL)
		return -1;
	w = mem_zalloc(sizeof *w);
	if (w == NULL) {
		diag_set_oom(sizeof *w, "work for a thread");
		return -1;
	}
	w->base.drop = drop_work;
	w->in_pool.run = run;
	w->in_pool.done = on_done;
	w->in_pool.describe = describe;
	w->job = job;
	w->func = cmod_func_ref(c->func);
	w->call = c;
	w->fiber = self;
	if (lua_cmod_submit(self, &w->in_pool, "no thread for the work of",
			    w->func) != 0) {
		work_delete(w);
		return -1;
	}
	w->is_away = true;
	c->host_wait = &w->base;
	fiber_park(self, NULL, NULL, timeout_ns);
	lua_cmod_set_deaf(self, deaf);
	return 0;
}

bool lua_cmod_end_work(struct neap_call *c)
{
	struct work *w = c->host_wait;
	bool has_run = atomic_load(&w->has_run);

	if (w->is_away && !w->job->on_stack) {
		lua_cmod_forget_wait(c);
		return false;
	}
	c->host_wait = NULL;
	if (!leave(w)) {
		work_delete(w);
		return has_run;
	}
	/* The coroutine turned out to stand where it cannot be put aside, and a
	 * thread is at work on the stack of the call, which is to go on here:
	 * it has to wait where it is. */
	while (!atomic_load(&w->has_run))
		uv_sleep(1);
	w->job = NULL;
	return true;
}
