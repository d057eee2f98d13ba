/* Functions of Lua whose work may block. See lua_blocking.h. */
#include "lua/lua_blocking.h"

#include <lauxlib.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

#include "base/diag.h"
#include "lua/lua_call.h"
#include "lua/lua_error.h"
#include "lua/lua_fiber.h"
#include "lua/lua_state.h"
#include "runtime/loop.h"

static __thread struct list all;

static struct list *all_ops(void)
{
	if (all.next == NULL)
		list_init(&all);
	return &all;
}

/* --- lanes --- */

void lua_lane_create(struct lua_lane *lane,
		     void (*destroy)(struct lua_lane *lane))
{
	list_init(&lane->queue);
	lane->current = NULL;
	lane->refs = 1;
	lane->destroy = destroy;
}

struct lua_lane *lua_lane_ref(struct lua_lane *lane)
{
	__atomic_fetch_add(&lane->refs, 1, __ATOMIC_RELAXED);
	return lane;
}

void lua_lane_unref(struct lua_lane *lane)
{
	if (__atomic_sub_fetch(&lane->refs, 1, __ATOMIC_ACQ_REL) == 0)
		lane->destroy(lane);
}

/* --- an operation's way --- */

static struct lua_blocking *op_of(struct pool_job *job)
{
	return list_entry(job, struct lua_blocking, job);
}

/* It goes when neither a fiber nor the machinery has it. */
static void let_go(struct lua_blocking *op)
{
	struct lua_lane *lane = op->lane;

	if (op->held || (op->state != OP_NEW && op->state != OP_ENDED))
		return;
	if (op->all.next != NULL && !op->orphaned)
		list_del(&op->all);
	op->kind->destroy(op);
	if (lane != NULL)
		lua_lane_unref(lane);
}

static void run_in_pool(struct pool_job *job)
{
	struct lua_blocking *op = op_of(job);

	op->kind->run(op);
	atomic_store(&op->has_run, true);
}

static void describe(struct pool_job *job, char *buf, size_t size)
{
	snprintf(buf, size, "%s", op_of(job)->kind->name);
}

static void next_in_lane(struct lua_lane *lane);

/* Done, or failed to begin; the fiber gets @a status. */
static void end(struct lua_blocking *op, int status)
{
	struct fiber *f = op->fiber;

	op->state = OP_ENDED;
	op->fiber = NULL;
	if (op->lane != NULL && op->lane->current == op)
		op->lane->current = NULL;
	if (f != NULL)
		fiber_wakeup(f, status);
	let_go(op);
}

static void end_and_next(struct lua_blocking *op, int status)
{
	struct lua_lane *lane = op->lane;

	if (lane != NULL)
		lua_lane_ref(lane);
	end(op, status);
	if (lane == NULL)
		return;
	next_in_lane(lane);
	lua_lane_unref(lane);
}

static void on_ready(struct fd_watch *w);

static void on_done(struct pool_job *job)
{
	struct lua_blocking *op = op_of(job);

	if (op->orphaned) { /* maybe on another thread: the loop has ended */
		op->state = OP_ENDED;
		let_go(op);
		return;
	}
	op->in_pool = false;
	if (op->again && (op->fiber != NULL || op->kind->rest)) {
		op->again = false;
		on_ready(&op->watch);
		return;
	}
	end_and_next(op, 0);
}

/* As far as it goes. Returns 0: done; UV_EAGAIN: under way; else why not. */
static int go(struct lua_blocking *op)
{
	int want = op->kind->step == NULL ? LUA_BLOCKING_POOL
					  : op->kind->step(op);
	int rc;

	if (want == 0)
		return 0;
	if (want != LUA_BLOCKING_POOL) {
		rc = fd_watch_start(op->loop, &op->watch, op->fd, want,
				    on_ready);
		if (rc == 0) {
			op->state = OP_WATCHING;
			if (op->fiber == NULL &&
			    op->kind->rest == LUA_BLOCKING_REAP)
				fd_watch_abandon(&op->watch);
			return UV_EAGAIN;
		}
		if (rc != UV_EPERM)
			return rc;
	}
	op->job = (struct pool_job){ .run = run_in_pool,
				     .done = on_done,
				     .describe = describe };
	op->in_pool = true;
	rc = pool_submit(&op->loop->port, &op->loop->uv, &op->job);
	if (rc != 0) {
		op->in_pool = false;
		return rc;
	}
	op->state = OP_AWAY;
	return UV_EAGAIN;
}

static void on_ready(struct fd_watch *w)
{
	struct lua_blocking *op = list_entry(w, struct lua_blocking, watch);
	int rc;

	op->state = OP_NEW;
	rc = go(op);
	if (rc != UV_EAGAIN)
		end_and_next(op, rc);
}

static void next_in_lane(struct lua_lane *lane)
{
	struct list *link;

	while (lane->current == NULL &&
	       (link = list_shift(&lane->queue)) != NULL) {
		struct lua_blocking *op =
			list_entry(link, struct lua_blocking, link);
		int rc;

		op->state = OP_NEW;
		lane->current = op;
		rc = go(op);
		if (rc != UV_EAGAIN)
			end(op, rc); /* the lane is its owner's or next's */
	}
}

/* Begin, now or when the lane is free. As go(). */
static int begin(struct lua_blocking *op)
{
	struct lua_lane *lane = op->lane;
	int rc;

	if (lane != NULL && lane->current != NULL) {
		list_add_tail(&lane->queue, &op->link);
		op->state = OP_QUEUED;
		return UV_EAGAIN;
	}
	if (lane != NULL)
		lane->current = op;
	rc = go(op);
	if (rc != UV_EAGAIN && lane != NULL)
		lane->current = NULL;
	return rc;
}

/* Take it back from wherever it is. False: a thread has it. */
static bool recall(struct lua_blocking *op)
{
	switch (op->state) {
	case OP_QUEUED:
		list_del(&op->link);
		break;
	case OP_WATCHING:
		fd_watch_stop(&op->watch);
		break;
	case OP_AWAY:
		if (!pool_abandon(&op->job))
			return false;
		break;
	default:
		break;
	}
	op->state = OP_NEW;
	return true;
}

/* A thread has it, and nobody wants it. */
static void interrupt(struct lua_blocking *op)
{
	if (op->kind->interrupt != NULL)
		op->kind->interrupt(op);
}

/* --- the fiber --- */

static void undo(struct fiber *f, void *arg)
{
	struct lua_blocking *op = arg;

	(void)f;
	op->fiber = NULL;
	if (op->kind->rest == LUA_BLOCKING_REAP)
		fd_watch_abandon(&op->watch);
	if (op->kind->rest != LUA_BLOCKING_DROP)
		return;
	if (!recall(op)) {
		interrupt(op);
	} else if (op->lane != NULL && op->lane->current == op) {
		op->lane->current = NULL;
		next_in_lane(op->lane);
	}
}

struct pushing {
	struct lua_blocking *op;
	lua_State *to;
	int n;
};

static void push_body(lua_State *L, void *arg)
{
	struct pushing *p = arg;

	lua_pushboolean(L, 1);
	p->n = 1 + p->op->kind->push(L, p->op);
	if (!lua_checkstack(p->to, p->n))
		luaL_error(L, "too many results");
	lua_xmove(L, p->to, p->n);
}

/* true and the results, or a status. */
static int push_results(struct lua_vm *vm, lua_State *to,
			struct lua_blocking *op)
{
	struct pushing p = { op, to, 0 };

	if (lua_vm_protect(vm, push_body, &p) == 0)
		return p.n;
	diag_clear();
	lua_pushinteger(to, UV_ENOMEM);
	return 1;
}

/* Here and now, for it cannot be put aside; what a thread does is waited for. */
static void finish_here(struct lua_blocking *op)
{
	bool mine;

	op->held = true;
	mine = op->state != OP_ENDED && recall(op);
	if (mine) {
		op->in_pool = false;
		op->kind->run(op);
		op->state = OP_ENDED;
		if (op->lane != NULL && op->lane->current == op) {
			op->lane->current = NULL;
			next_in_lane(op->lane);
		}
		return;
	}
	while (op->state == OP_AWAY && !atomic_load(&op->has_run))
		uv_sleep(1);
	if (op->again) {
		op->in_pool = op->again = false;
		op->kind->run(op);
	}
}

static int guest_resume(struct lua_fiber *f, lua_State *to, int status)
{
	struct lua_blocking *op = f->guest_arg;
	int n = 1;

	f->guest = NULL;
	if (status == UV_ENOTSUP && op->kind->interrupt == NULL) {
		finish_here(op);
		status = 0;
	}
	if (status == 0)
		n = push_results(f->vm, to, op);
	else
		lua_pushinteger(to, status);
	op->held = false;
	let_go(op);
	return n;
}

static void guest_abandon(struct lua_fiber *f)
{
	struct lua_blocking *op = f->guest_arg;

	f->guest = NULL;
	op->held = false;
	let_go(op);
}

static int give(lua_State *L, struct lua_blocking *op)
{
	int n = push_results(lua_vm_of(L), L, op);

	op->state = OP_ENDED;
	let_go(op);
	return n;
}

static int refuse(lua_State *L, struct lua_blocking *op)
{
	op->state = OP_ENDED;
	let_go(op);
	lua_pushinteger(L, UV_ENOTSUP);
	return 1;
}

int lua_blocking_failed(lua_State *L)
{
	int status = luaL_checkint(L, 1);

	if (status == UV_ENOBUFS)
		diag_set(ClientError,
			 "all %u threads are at work and %u pieces of work "
			 "wait for one (offload.threads, offload.queue)",
			 pool_get_limits().threads, pool_get_limits().queue);
	else if (status == UV_ENOMEM)
		diag_set(OutOfMemory, "not enough memory");
	else
		lua_wait_set_diag(L, status);
	return lua_error_throw(L);
}

int lua_blocking_do(lua_State *L, struct lua_blocking *op)
{
	static const struct lua_guest guest = { guest_resume, guest_abandon };
	struct lua_vm *vm = lua_vm_of(L);
	struct fiber *self = vm->sched->current;
	bool is_free = op->lane == NULL || op->lane->current == NULL;
	int rc = UV_EAGAIN, want = LUA_BLOCKING_POOL;

	op->loop = vm->sched->loop;
	if (is_free && op->kind->step != NULL)
		want = op->kind->step(op);
	if (want == 0)
		return give(L, op);
	if (vm->offloaded && want == POLLIN)
		return refuse(L, op); /* nothing could end it */
	if (vm->offloaded || self == NULL || vm->closing ||
	    !lua_isyieldable(L)) {
		op->kind->run(op);
		return give(L, op);
	}
	self = lua_wait_ready(L);
	list_add_tail(all_ops(), &op->all);
	/* One that was cancelled before waits for nothing, but it does wait:
	 * the others shall have their turn. */
	if (!(self->flags & FIBER_CANCELLED)) {
		op->fiber = self;
		rc = begin(op);
	}
	if (rc == 0)
		return give(L, op);
	if (rc != UV_EAGAIN) {
		op->state = OP_ENDED;
		let_go(op);
		lua_pushinteger(L, rc);
		return 1;
	}
	op->held = true;
	fiber_park(self, undo, op, UINT64_MAX);
	lua_fiber_of(self)->guest = &guest;
	lua_fiber_of(self)->guest_arg = op;
	return lua_wait(L);
}

void lua_blocking_leave(struct loop *loop, struct lua_blocking *op)
{
	int rc;

	op->loop = loop;
	list_add_tail(all_ops(), &op->all);
	rc = begin(op);
	if (rc == UV_EAGAIN)
		return;
	op->state = OP_ENDED;
	let_go(op);
}

bool lua_blocking_has_output(void)
{
	list_foreach(link, all_ops()) {
		struct lua_blocking *op =
			list_entry(link, struct lua_blocking, all);

		if (op->kind->rest == LUA_BLOCKING_FINISH &&
		    op->state != OP_ENDED)
			return true;
	}
	return false;
}

void lua_blocking_end(void)
{
	struct list *link;

	while ((link = list_shift(all_ops())) != NULL) {
		struct lua_blocking *op =
			list_entry(link, struct lua_blocking, all);

		op->fiber = NULL;
		op->held = false;
		op->orphaned = true;
		if (!recall(op)) {
			interrupt(op);
			continue; /* on_done() frees it */
		}
		if (op->lane != NULL && op->lane->current == op)
			op->lane->current = NULL;
		let_go(op);
	}
}
