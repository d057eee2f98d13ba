/*
 * Fibers made in C: fibers of runtime that run on the C stack of a call and
 * have no coroutine. They are struct lua_fiber like the others, so that Lua
 * finds, names, wakes, cancels and joins them; what Lua needs for that is made
 * when it first asks.
 *
 *	fiber_new() -> NEW -> fiber_start() -> runs, waits, ... -> ends
 *	   joinable from C: kept, in `unjoined`, until cfiber_join()
 *	   else: freed
 *
 * One that ends at once does so on the C stack of who has started it.
 */
#include <assert.h>
#include <lauxlib.h>
#include <stdio.h>

#include "base/diag.h"
#include "base/inject.h"
#include "base/list.h"
#include "base/log.h"
#include "cmod/call.h"
#include "cmod/cfiber.h"
#include "lua/lua_cmod.h"
#include "lua/lua_fiber.h"
#include "lua/lua_state.h"
#include "runtime/fiber.h"

struct c_fiber {
	struct lua_fiber base;
	struct cfiber c;
	struct list link; /* in `unjoined` */
};

/* Those of this thread that have ended and may be joined. */
static __thread struct list unjoined;

static struct list *all_unjoined(void)
{
	if (unjoined.next == NULL)
		list_init(&unjoined);
	return &unjoined;
}

static struct c_fiber *c_fiber_of(struct lua_fiber *f)
{
	return (struct c_fiber *)f; /* base comes first */
}

static void c_fiber_delete(struct c_fiber *f)
{
	list_del(&f->link);
	cfiber_destroy(&f->c);
	lua_fiber_name(&f->base, "");
	mem_free(f);
}

static void tell_failure(const struct c_fiber *f)
{
	const struct cmod_func *func = f->c.call->func;

	log_error("fiber %llu '%s', made by C function '%s' of module '%s', "
		  "has failed: %s",
		  (unsigned long long)f->base.base.id, f->base.name,
		  cmod_func_symbol(func), cmod_file(cmod_func_module(func)),
		  f->c.error->message);
}

/* The body has ended, or never will be gone on with: the call is given back. */
static void finish(struct c_fiber *f)
{
	struct neap_call *outer = call_current;

	/* A finalizer that is run by what Lua does now may make a call. */
	call_current = NULL;
	lua_fiber_end_foreign(&f->base, f->c.error);
	call_current = outer;
	if (f->c.joinable || f->c.joining)
		list_add_tail(all_unjoined(), &f->link);
	else
		c_fiber_delete(f);
}

static void resume(struct fiber *base)
{
	struct c_fiber *f = c_fiber_of(lua_fiber_of(base));

	if (!cfiber_run(&f->c, base->status))
		return;
	if (f->c.error != NULL && !f->c.joinable && !f->c.joining &&
	    !(base->flags & (FIBER_CANCELLED | FIBER_JOINABLE)))
		tell_failure(f);
	cfiber_end(&f->c);
	finish(f);
}

static void abandon(struct lua_fiber *base)
{
	struct c_fiber *f = c_fiber_of(base);
	struct neap_call *c = f->c.call;

	f->c.call = NULL;
	f->c.result = -1;
	diag_set(FiberIsCancelled, "fiber is abandoned");
	f->c.error = diag_take();
	if (!lua_cmod_forget_wait(c))
		call_abandon(c);
	finish(f);
}

static const struct lua_guest guest = { .abandon = abandon };

/* The state that the call belongs to. */
static struct lua_vm *vm_of(const struct neap_call *c)
{
	if (c->host != NULL)
		return lua_vm_of(c->host);
	return lua_fiber_of(sched_self->current)->vm;
}

struct fiber *lua_cmod_fiber_new(struct neap_call *maker,
				 struct neap_call *body, const char *name)
{
	struct lua_vm *vm = vm_of(maker);
	struct c_fiber *f;

	if (vm->closing) {
		diag_set(ClientError,
			 "no fiber can start: the state is closing");
		return NULL;
	}
	f = mem_zalloc(sizeof *f);
	if (f == NULL) {
		diag_set_oom(sizeof *f, "a fiber");
		return NULL;
	}
	if (name != NULL &&
	    lua_fiber_set_name(&f->base, name, strnlen(name, FIBER_NAME_MAX)) !=
		    0) {
		mem_free(f);
		return NULL;
	}
	if (name == NULL)
		f->base.name = "";
	list_init(&f->link);
	f->base.vm = vm;
	f->base.storage_ref = LUA_NOREF;
	f->base.guest = &guest;
	cfiber_create(&f->c, body);
	fiber_init(vm->sched, &f->base.base, resume);
	return &f->base.base;
}

struct cfiber *lua_cmod_fiber_of(struct fiber *f)
{
	return f->resume == resume ? &c_fiber_of(lua_fiber_of(f))->c : NULL;
}

int lua_cmod_fiber_join(struct neap_call *c, struct fiber *f,
			uint64_t timeout_ns)
{
	struct fiber *self = lua_cmod_ready_fiber(c, true);

	if (self == NULL)
		return -1;
	fiber_join_begin(self, f, timeout_ns);
	lua_cmod_set_deaf(self, true);
	return 0;
}

void lua_cmod_fiber_free(struct fiber *f)
{
	assert(fiber_is_dead(f));
	c_fiber_delete(c_fiber_of(lua_fiber_of(f)));
}

void lua_cmod_free_unjoined(void)
{
	struct list *link;

	while ((link = list_shift(all_unjoined())) != NULL)
		c_fiber_delete(list_entry(link, struct c_fiber, link));
}
