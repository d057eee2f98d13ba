/* Calling a registered function in its state. See state_call.h. */
#include "app/state_call.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

#include "app/local_call.h"
#include "app/request_object.h"
#include "app/request.h"
#include "app/worker.h"
#include "base/diag.h"
#include "base/inject.h"
#include "lua/lua_call.h"
#include "lua/lua_error.h"
#include "lua/lua_fiber.h"
#include "lua/lua_limits.h"
#include "lua/lua_serialize.h"

static void on_fiber_end(struct lua_fiber *f, bool ok, void *arg);

const enum lua_limit_group handler_limit_groups[HANDLER_KIND_COUNT] = {
	[HANDLER_ACTION] = LUA_LIMIT_ACTION,
	[HANDLER_FETCH] = LUA_LIMIT_FETCH,
	[HANDLER_CONVERTER] = LUA_LIMIT_CONVERTER,
	[HANDLER_FILTER] = LUA_LIMIT_FILTER,
	[HANDLER_SERVICE] = LUA_LIMIT_SERVICE,
	[HANDLER_COMMAND] = LUA_LIMIT_COMMAND,
	[HANDLER_INTERNAL] = LUA_LIMIT_SERVICE, /* it serves a request */
};

static void unref(struct state_call *c)
{
	if (atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1)
		return;
	buf_destroy(&c->data);
	error_unref(c->error);
	request_unref(c->request);
	mem_free(c);
}

static void ref(struct state_call *c)
{
	atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
}

/* The call that the running fiber of @a w serves, or NULL. */
static struct state_call *served(struct worker *w)
{
	struct fiber *self = w->sched.current;
	struct lua_fiber *f = self == NULL ? NULL : lua_fiber_of(self);

	return f != NULL && f->on_end == on_fiber_end ? f->on_end_arg : NULL;
}

unsigned state_call_depth(struct worker *w, const struct handler *h)
{
	const struct state_call *outer = served(w);
	unsigned depth =
		1 + (outer != NULL ? outer->depth : local_call_depth(w));

	if (depth <= STATE_CALL_DEPTH_MAX)
		return depth;
	diag_set(ClientError,
		 "%s '%s': calls are %d deep inside each other already",
		 handler_kind_names[handler_kind(h)], handler_name(h),
		 STATE_CALL_DEPTH_MAX);
	return 0;
}

struct state_call *state_call_new(struct request *r, const struct handler *h,
				  struct worker *from)
{
	enum context_kind kind = handler_is_shared(h) ? CONTEXT_SHARED
						      : CONTEXT_WORKER;
	unsigned depth = state_call_depth(from, h);
	struct state_call *c;

	if (depth == 0 || request_enter(r, kind) != 0)
		return NULL;
	c = mem_zalloc(sizeof *c);
	if (c == NULL) {
		diag_set_oom(sizeof *c, "a call");
		return NULL;
	}
	atomic_init(&c->refs, 1);
	c->request = request_ref(r);
	c->handler = h;
	c->from = from;
	c->to = request_state(r, kind);
	c->depth = depth;
	c->data.limit = STATE_CALL_BYTES_MAX;
	list_init(&c->link);
	return c;
}

/* The caller is told; the reference of the way goes. On its thread. */
static void end(struct state_call *c)
{
	c->ended = true;
	if (!c->cancelled)
		c->on_end(c, c->on_end_arg);
	unref(c);
}

static void come_home(struct mail *m, bool delivered)
{
	struct state_call *c =
		list_entry(&m->link, struct state_call, mail.link);

	mailbox_release(&c->from->mailbox);
	if (delivered)
		end(c);
	else
		unref(c);
}

/* On the callee's thread, which has nothing of it any more. */
static void answer(struct state_call *c)
{
	if (c->from == c->to) {
		end(c);
		return;
	}
	c->mail.run = come_home;
	if (mailbox_post(&c->from->mailbox, &c->mail, 0) != 0)
		unref(c); /* nobody is there any more */
}

/* The message begins with what failed, and where. */
static struct error *wrap(const struct state_call *c,
			  const struct error_type *type, uint32_t code,
			  const char *text)
{
	char state[32] = "the shared state";

	if (!worker_is_shared(c->to))
		snprintf(state, sizeof state, "worker %u", c->to->id);
	return error_new(type, code, __FILE__, __LINE__, "%s '%s' in %s: %s",
			 handler_kind_names[handler_kind(c->handler)],
			 handler_name(c->handler), state, text);
}

/* What is in the diag ends the call. */
static void fail(struct state_call *c)
{
	struct error *e = diag_take();

	c->error = wrap(c, e->type, e->code, e->message);
	error_unref(e);
	answer(c);
}

struct failure {
	struct state_call *call;
	lua_State *co;
};

static void take_failure(lua_State *L, void *arg)
{
	struct failure *fl = arg;
	const struct error *e = lua_error_test(fl->co, -1);
	const struct error_type *type = e == NULL ? &LuaError : e->type;
	uint32_t code = e == NULL ? LuaError.code : e->code;
	const char *text, *own;

	lua_push_traceback(L, fl->co);
	text = lua_tostring(L, -1);
	/* The frames that called the function are of no use to its author. */
	own = strstr(text, "\nstack traceback:\n\t[C]: in function 'error'"
			   "\n\tneap/neap.remote.lua:"); /* it has its own */
	if (own == NULL)
		own = strstr(text, "\n\tneap/neap.states.lua:");
	if (own != NULL) {
		lua_pushlstring(L, text, own - text);
		text = lua_tostring(L, -1);
	}
	fl->call->error = wrap(fl->call, type, code, text);
}

static void on_fiber_end(struct lua_fiber *f, bool ok, void *arg)
{
	struct state_call *c = arg;
	struct failure fl = { c, f->co };

	c->fiber = NULL;
	list_del(&c->link);
	if (ok || lua_vm_protect(&c->to->vm, take_failure, &fl) == 0)
		answer(c);
	else
		fail(c);
}

struct serving {
	struct state_call *call;
	struct lua_fiber *fiber;
	int nargs; /* out */
};

/* The Lua half's serve(), the function, the request's object, the arguments. */
static void push_body(lua_State *L, void *arg)
{
	enum { FIRST = 3 };
	struct serving *s = arg;
	const struct state_call *c = s->call;
	int n;

	lua_rawgeti(L, LUA_REGISTRYINDEX, c->to->serve_ref);
	lua_rawgeti(L, LUA_REGISTRYINDEX, handler_ref(c->handler, c->to->id));
	if (request_push_object(L, c->to, c->request) != 0)
		lua_error_throw(L);
	n = lua_unpack_packed(L, &c->data);
	if (n < 0)
		lua_error_throw(L);
	luaL_checkstack(s->fiber->co, n + FIRST, "the arguments of a call");
	lua_xmove(L, s->fiber->co, n + FIRST);
	s->nargs = n + FIRST - 1;
}

/* On the callee's thread. */
static void serve(struct state_call *c)
{
	struct worker *w = c->to;
	struct serving s = { c, lua_fiber_get(&w->vm), 0 };

	if (s.fiber == NULL) {
		fail(c);
		return;
	}
	if (lua_vm_protect(&w->vm, push_body, &s) != 0) {
		struct error *e = diag_take();

		lua_fiber_drop(s.fiber);
		diag_set_error(e);
		fail(c);
		return;
	}
	buf_destroy(&c->data);
	lua_fiber_name(s.fiber, handler_name(c->handler));
	s.fiber->on_end = on_fiber_end;
	s.fiber->on_end_arg = c;
	lua_limits_set_group(s.fiber,
			     handler_limit_groups[handler_kind(c->handler)]);
	c->fiber = s.fiber;
	list_add_tail(&w->calls, &c->link);
	lua_fiber_start(s.fiber, s.nargs);
}

/* Of the type that fibers end by at that time. */
static void set_closing(const struct state_call *c)
{
	if (worker_is_shared(c->to))
		diag_set(FiberIsCancelled, "the shared state is closing");
	else
		diag_set(FiberIsCancelled, "worker %u is closing", c->to->id);
}

static void arrive(struct mail *m, bool delivered)
{
	struct state_call *c =
		list_entry(&m->link, struct state_call, mail.link);

	if (delivered) {
		serve(c);
		return;
	}
	set_closing(c);
	fail(c);
}

int state_call_start(struct state_call *c)
{
	int rc;

	ref(c); /* of the way, until end() */
	c->started = true;
	if (c->from == c->to) {
		serve(c);
		return 0;
	}
	c->mail.run = arrive;
	mailbox_hold(&c->from->mailbox);
	rc = mailbox_post(&c->to->mailbox, &c->mail, STATE_CALLS_WAITING_MAX);
	if (rc == 0)
		return 0;
	mailbox_release(&c->from->mailbox);
	c->started = false;
	unref(c);
	if (rc == UV_EAGAIN)
		diag_set(ClientError,
			 "%d calls wait for that state already, which is the "
			 "most",
			 STATE_CALLS_WAITING_MAX);
	else
		set_closing(c);
	return -1;
}

static void cancel_fiber(struct state_call *c)
{
	if (c->fiber != NULL)
		fiber_cancel(&c->fiber->base);
}

/* It comes behind the call itself, so that is ended or has a fiber. */
static void arrive_cancel(struct mail *m, bool delivered)
{
	struct state_call *c =
		list_entry(&m->link, struct state_call, cancel.link);

	if (delivered)
		cancel_fiber(c);
	unref(c);
}

void state_call_cancel(struct state_call *c)
{
	if (c->cancelled)
		return;
	c->cancelled = true;
	if (!c->started || c->ended)
		return;
	if (c->from == c->to) {
		cancel_fiber(c);
		return;
	}
	ref(c);
	c->cancel.run = arrive_cancel;
	if (mailbox_post(&c->to->mailbox, &c->cancel, 0) != 0)
		unref(c); /* it fails what it has by itself */
}

void state_call_free(struct state_call *c)
{
	if (c == NULL)
		return;
	state_call_cancel(c);
	unref(c);
}

void state_call_abandon(struct lua_fiber *f)
{
	struct state_call *c = f->on_end_arg;

	if (f->on_end != on_fiber_end)
		return;
	f->on_end = NULL;
	c->fiber = NULL;
	list_del(&c->link);
	set_closing(c);
	fail(c);
}

void state_calls_end(struct worker *w)
{
	struct list *link;

	while ((link = list_shift(&w->calls)) != NULL) {
		struct state_call *c =
			list_entry(link, struct state_call, link);

		c->fiber = NULL;
		set_closing(c);
		fail(c);
	}
}

int l_state_call_finish(lua_State *L)
{
	struct state_call *c = served(worker_of(L));

	if (c == NULL)
		return lua_error_usage(L, "no call is served here");
	buf_destroy(&c->data);
	if (lua_pack(L, 1, lua_gettop(L), &c->data) != 0)
		return lua_error_throw(L);
	return 0;
}
