/*
 * Fibers that run Lua: coroutine, pool, start and end. The module `fiber` is
 * in lua_fiber_module.c.
 *
 * A fiber and its coroutine stay together for life and are used again: making
 * a coroutine costs ten times what taking one from the pool does. One that
 * ended by an error is thrown away, as its stack is not unwound.
 */
#include "lua/lua_fiber.h"

#include <assert.h>
#include <errno.h>
#include <lauxlib.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/diag.h"
#include "base/inject.h"
#include "base/log.h"
#include "lua/lua_call.h"
#include "lua/lua_class.h"
#include "lua/lua_error.h"
#include "lua/lua_lean.h"
#include "lua/lua_limits.h"
#include "lua/lua_preempt.h"
#include "lua/lua_state.h"

enum { POOL_MAX = 1024 }; /* a burst must not hold its memory for ever */

static void slot_clear(lua_State *L, const struct lua_slots *slots,
		       unsigned slot)
{
	lua_pushboolean(L, 0);
	lua_lean_slot_set(L, slots, slot);
}

/* Give the slot its first values. Throws: out of memory. */
static void slot_open(lua_State *L, int table_ref, unsigned slot)
{
	lua_rawgeti(L, LUA_REGISTRYINDEX, table_ref);
	lua_pushboolean(L, 0);
	lua_rawseti(L, -2, slot);
	lua_pop(L, 1);
}

static void fiber_free(struct lua_fiber *f)
{
	lua_State *L = f->vm->L;

	lua_rawgeti(L, LUA_REGISTRYINDEX, f->vm->fibers_ref);
	luaL_unref(L, -1, f->slot);
	lua_pop(L, 1);
	mem_free(f);
}

void lua_fiber_empty_pool(struct lua_vm *vm)
{
	struct list *link;

	while ((link = list_shift(&vm->pool)) != NULL)
		fiber_free(list_entry(link, struct lua_fiber, base.link));
	vm->pooled = 0;
}

/* Make one more fiber into the pool. Throws: out of memory. */
static void pool_refill(lua_State *L, void *arg)
{
	struct lua_vm *vm = arg;
	struct lua_fiber *f;
	lua_State *co;
	int slot;

	lua_rawgeti(L, LUA_REGISTRYINDEX, vm->fibers_ref);
	co = lua_newthread(L);
	slot = luaL_ref(L, -2);
	/* A throw from here on leaves a coroutine in the table: harmless, and
	 * memory is short anyway. */
	slot_open(L, vm->handles.ref, slot);
	slot_open(L, vm->spawners.ref, slot);
	f = mem_zalloc(sizeof *f);
	if (f == NULL) {
		luaL_unref(L, -1, slot);
		diag_set_oom(sizeof *f, "a fiber");
		lua_error_throw(L);
		return;
	}
	lua_pop(L, 1);
	f->vm = vm;
	f->co = co;
	f->slot = slot;
	f->storage_ref = LUA_NOREF;
	list_add(&vm->pool, &f->base.link);
	vm->pooled++;
}

static void fiber_resume(struct fiber *base);

static struct lua_fiber *pool_take(struct lua_vm *vm)
{
	struct list *link = list_shift(&vm->pool);
	struct lua_fiber *f;

	if (link == NULL)
		return NULL;
	vm->pooled--;
	f = list_entry(link, struct lua_fiber, base.link);
	fiber_init(vm->sched, &f->base, fiber_resume);
	f->nargs = 0;
	f->last_errno = 0;
	lua_memory_inherit(vm, f);
	f->name = "lua";
	/* Whoever makes it, and whatever setfenv(0, ...) did in the one before. */
	lua_lean_set_globals(vm->L, f->co);
	if (vm->sched->current != NULL)
		lua_limits_inherit(f, vm->sched->current);
	return f;
}

static const char closing_text[] = "no fiber can start: the state is closing";

struct lua_fiber *lua_fiber_get(struct lua_vm *vm)
{
	struct lua_fiber *f = pool_take(vm);

	if (__builtin_expect(f != NULL, 1))
		return f;
	if (vm->closing) {
		diag_set(ClientError, closing_text);
		return NULL;
	}
	if (lua_vm_protect(vm, pool_refill, vm) != 0)
		return NULL;
	return pool_take(vm);
}

struct lua_fiber *lua_fiber_check_get(lua_State *L)
{
	struct lua_vm *vm = lua_vm_of(L);
	struct lua_fiber *f = pool_take(vm);

	if (__builtin_expect(f != NULL, 1))
		return f;
	if (vm->closing) {
		diag_set(ClientError, closing_text);
		lua_error_throw(L);
		return NULL;
	}
	pool_refill(L, vm);
	return pool_take(vm);
}

void lua_fiber_name(struct lua_fiber *f, const char *name)
{
	void *old = f->owns_name ? (void *)f->name : NULL;

	f->owns_name = false;
	f->name = name;
	/* A tick that comes in between reads the name: see note_busy(). */
	atomic_signal_fence(memory_order_seq_cst);
	if (__builtin_expect(old != NULL, 0))
		mem_free(old);
}

int lua_fiber_set_name(struct lua_fiber *f, const char *name, size_t size)
{
	char *copy = mem_alloc(size + 1);

	if (copy == NULL) {
		diag_set_oom(size + 1, "the name of a fiber");
		return -1;
	}
	memcpy(copy, name, size);
	copy[size] = '\0';
	lua_fiber_name(f, copy);
	f->owns_name = true;
	return 0;
}

void lua_fiber_start(struct lua_fiber *f, int nargs)
{
	f->nargs = nargs;
	fiber_start(&f->base);
}

void lua_fiber_start_later(struct lua_fiber *f, int nargs)
{
	f->nargs = nargs;
	fiber_start_later(&f->base);
}

static bool is_own_half(const lua_Debug *ar)
{
	return strncmp(ar->source, "=neap/", sizeof "=neap/" - 1) == 0;
}

void lua_fiber_set_spawner(lua_State *L, struct lua_fiber *f)
{
	int line = lua_lean_push_caller(L);
	lua_Debug ar;

	for (int level = 0; line == 0 && lua_getstack(L, level, &ar); level++) {
		lua_getinfo(L, "Sl", &ar);
		/* Our own halves start fibers for others. */
		if (ar.currentline <= 0 || is_own_half(&ar))
			continue;
		lua_getinfo(L, "f", &ar);
		line = ar.currentline;
	}
	if (line == 0)
		return;
	lua_lean_slot_set(L, &f->vm->spawners, f->slot);
	f->spawn_line = line;
}

bool lua_fiber_place(const struct lua_fiber *f, char *to, size_t room)
{
	lua_Debug ar;

	for (int level = 0; f->co != NULL && lua_getstack(f->co, level, &ar);
	     level++) {
		lua_getinfo(f->co, "Sl", &ar);
		if (ar.currentline <= 0 || is_own_half(&ar))
			continue;
		snprintf(to, room, "%s:%d", ar.short_src, ar.currentline);
		return true;
	}
	return false;
}

/* The Lua objects that know the fiber are told that it has ended. */
static void leave_lua(struct lua_fiber *f)
{
	struct lua_vm *vm = f->vm;

	if (f->handle != NULL) {
		f->handle->fiber = NULL;
		f->handle = NULL;
		slot_clear(vm->L, &vm->handles, f->slot);
	}
	if (f->spawn_line != 0) {
		f->spawn_line = 0;
		slot_clear(vm->L, &vm->spawners, f->slot);
	}
	if (f->storage_ref != LUA_NOREF) {
		luaL_unref(vm->L, LUA_REGISTRYINDEX, f->storage_ref);
		f->storage_ref = LUA_NOREF;
	}
	lua_fiber_name(f, "");
	f->on_end = NULL;
	f->slice_err = 0;
	lua_limits_leave(f);
}

/* And the memory goes back. */
static void fiber_release(struct lua_fiber *f, bool reusable)
{
	struct lua_vm *vm = f->vm;

	leave_lua(f);
	if (!reusable || vm->pooled >= POOL_MAX) {
		fiber_free(f);
		return;
	}
	lua_lean_clear(f->co);
	list_add(&vm->pool, &f->base.link);
	vm->pooled++;
}

void lua_fiber_drop(struct lua_fiber *f)
{
	fiber_finish(&f->base, false);
	fiber_release(f, true);
}

void lua_fiber_take_back(struct lua_fiber *f)
{
	if (__builtin_expect(f->base.state == FIBER_RUNNING, 1))
		return;
	fiber_unpark(&f->base);
	if (f->guest != NULL)
		f->guest->abandon(f);
}

void lua_fiber_abandon(struct lua_fiber *f)
{
	bool foreign = f->co == NULL;

	fiber_unpark(&f->base);
	if (f->guest != NULL)
		f->guest->abandon(f);
	if (foreign) /* its guest is all of it, and has ended it */
		return;
	fiber_finish(&f->base, true);
	fiber_release(f, false);
}

void lua_fiber_push_report(lua_State *L, struct lua_fiber *f)
{
	lua_Debug ar;

	lua_push_traceback(L, f->co);
	if (f->spawn_line != 0) {
		lua_rawgeti(L, LUA_REGISTRYINDEX, f->vm->spawners.ref);
		lua_rawgeti(L, -1, f->slot);
		lua_remove(L, -2);
		lua_getinfo(L, ">S", &ar);
		lua_pushfstring(L, "%s\nfiber %f '%s' spawned at %s:%d",
				lua_tostring(L, -1), (lua_Number)f->base.id,
				f->name, ar.short_src, f->spawn_line);
		lua_remove(L, -2);
	}
}

static void report(lua_State *L, void *arg)
{
	struct lua_fiber *f = arg;

	lua_fiber_push_report(L, f);
	f->vm->on_uncaught(f, lua_tostring(L, -1), f->vm->on_uncaught_arg);
}

bool lua_fiber_ended_by_cancel(struct lua_fiber *f)
{
	struct error *e = lua_error_test(f->co, -1);

	return (f->base.flags & FIBER_CANCELLED) && e != NULL &&
	       e->type == &FiberIsCancelled;
}

static void report_uncaught(struct lua_fiber *f)
{
	struct error *e;

	/* A cancelled fiber that ends by it has done as it was told. */
	if (lua_fiber_ended_by_cancel(f))
		return;
	if (lua_vm_protect(f->vm, report, f) == 0)
		return;
	e = diag_take();
	f->vm->on_uncaught(f, e->message, f->vm->on_uncaught_arg);
	error_unref(e);
}

/* The results of a joinable fiber move into its object, so that the fiber
 * itself can go. Without memory for that, the error is the result. Of one that has
 * failed the error alone, from the top: below it are its variables, which closures
 * may share. */
static void keep_results(lua_State *L, void *arg)
{
	struct lua_fiber *f = arg;
	int count = f->handle->failed ? 1 : lua_gettop(f->co);

	lua_rawgeti(L, LUA_REGISTRYINDEX, f->vm->handles.ref);
	lua_rawgeti(L, -1, f->slot);
	lua_createtable(L, count, 0);
	for (int i = count; i > 0; i--) {
		lua_xmove(f->co, L, 1);
		lua_rawseti(L, -2, i);
	}
	lua_setfenv(L, -2);
	f->handle->results = count;
}

static void end_joinable(struct lua_fiber *f, bool ok)
{
	struct fiber_handle *h = f->handle;

	h->joinable = true;
	h->failed = !ok;
	if (lua_vm_protect(f->vm, keep_results, f) != 0) {
		error_unref(diag_take());
		h->failed = true;
		h->results = 0;
	}
}

struct foreign_end {
	struct lua_fiber *f;
	struct error *failure; /* held; NULL: none */
};

/* As keep_results(). */
static void keep_failure(lua_State *L, void *arg)
{
	struct foreign_end *end = arg;

	lua_rawgeti(L, LUA_REGISTRYINDEX, end->f->vm->handles.ref);
	lua_rawgeti(L, -1, end->f->slot);
	lua_createtable(L, 1, 0);
	if (end->failure != NULL) {
		diag_set_error(error_ref(end->failure));
		lua_error_push_diag(L);
		lua_rawseti(L, -2, 1);
	}
	lua_setfenv(L, -2);
	end->f->handle->results = end->failure != NULL;
}

void lua_fiber_end_foreign(struct lua_fiber *f, struct error *failure)
{
	struct foreign_end end = { f, failure };
	struct fiber_handle *h = f->handle;

	if (h != NULL && (f->base.flags & FIBER_JOINABLE)) {
		h->joinable = true;
		h->failed = failure != NULL;
		if (lua_vm_protect(f->vm, keep_failure, &end) != 0) {
			error_unref(diag_take());
			h->failed = true;
			h->results = 0;
		}
	}
	fiber_finish(&f->base, failure != NULL);
	leave_lua(f);
	if (f->slot == 0)
		return;
	lua_rawgeti(f->vm->L, LUA_REGISTRYINDEX, f->vm->fibers_ref);
	luaL_unref(f->vm->L, -1, f->slot);
	lua_pop(f->vm->L, 1);
	f->slot = 0;
}

static void fiber_end(struct lua_fiber *f, bool ok)
{
	if (f->on_end != NULL)
		f->on_end(f, ok, f->on_end_arg);
	else if (f->base.flags & FIBER_JOINABLE)
		end_joinable(f, ok);
	else if (!ok)
		report_uncaught(f);
	fiber_finish(&f->base, !ok);
	fiber_release(f, ok);
}

static void push_lack(lua_State *L, void *arg)
{
	struct lua_fiber *f = arg;

	diag_set(OutOfMemory, "not enough memory");
	lua_error_push_diag(L);
	lua_settop(f->co, -2);
	lua_xmove(L, f->co, 1);
}

static void push_over(lua_State *L, void *arg)
{
	struct lua_fiber *f = arg;

	lua_preempt_set_over_diag(f);
	lua_error_push_diag(L);
	lua_settop(f->co, -2);
	lua_xmove(L, f->co, 1);
}

/* What a fiber over its limit ends by: the limit, though the matcher of patterns,
 * which was told first, has only a text for it. */
static void name_over(struct lua_fiber *f)
{
	const struct error *e = lua_error_test(f->co, -1);

	if (e != NULL &&
	    (e->type == &LimitExceeded || e->type == &OutOfMemory ||
	     e->type == &FiberIsCancelled))
		return;
	if (lua_vm_protect(f->vm, push_over, f) != 0)
		error_unref(diag_take());
}

/* LuaJIT's error for it is a string. Who gets the fiber's failure can tell an
 * error object by its type; without memory for one the string remains. */
static void name_lack(struct lua_fiber *f)
{
	if (lua_vm_protect(f->vm, push_lack, f) != 0)
		error_unref(diag_take());
}

static void resume(struct lua_fiber *f)
{
	struct fiber *base = &f->base;
	int nargs = f->nargs, outer = errno, rc;

	errno = f->last_errno;
	if (nargs >= 0) {
		f->nargs = -1;
	} else if (f->guest != NULL) {
		nargs = f->guest->resume(f, f->co, base->status);
		if (nargs < 0) { /* it waits again */
			f->last_errno = errno;
			errno = outer;
			return;
		}
	} else {
		lua_pushinteger(f->co, base->status);
		nargs = 1;
	}
	rc = lua_call_resume(f, nargs);
	f->last_errno = errno;
	errno = outer; /* of the fiber that has started this one */
	if (rc != LUA_YIELD) {
		lua_fiber_take_back(f);
		if (rc != 0 && base->over != FIBER_OVER_NONE) {
			f->vm->ended_over[base->over]++;
			name_over(f);
		} else if (rc == LUA_ERRMEM) {
			name_lack(f);
		}
		fiber_end(f, rc == 0);
		return;
	}
	if (__builtin_expect(lua_lean_has_park_mark(f->co) &&
				     base->state != FIBER_RUNNING,
			     1)) {
		lua_lean_clear(f->co);
		return;
	}
	if (lua_preempt_take(f->vm, f->co) || lua_has_preempt_mark(f->co)) {
		lua_settop(f->co, 0);
		fiber_preempt_begin(base);
		f->nargs = 0; /* it does not know that it was put aside */
		if (base->sched->depth > 1)
			lua_preempt_outer(f->vm);
		return;
	}
	if (!lua_has_park_mark(f->co))
		lua_fiber_take_back(f);
	lua_settop(f->co, 0);
	/* A yield of the user's with no coroutine around it: give others a
	 * turn, as fiber.yield() would. */
	if (base->state == FIBER_RUNNING) {
		fiber_yield_begin(base);
		f->nargs = 0; /* no status is wanted there */
	}
}

static void fiber_resume(struct fiber *base)
{
	struct lua_vm *vm = lua_fiber_of(base)->vm;

	resume(lua_fiber_of(base)); /* it may be gone after this */
	if (__builtin_expect(vm->memory.lacked, 0))
		lua_memory_recover(vm);
}

struct fiber_handle *lua_fiber_push_handle(lua_State *L)
{
	struct fiber_handle *h = lua_lean_box(L, LUA_CLASS_FIBER, sizeof *h);

	*h = (struct fiber_handle){ NULL };
	return h;
}

void lua_fiber_bind(lua_State *L, struct lua_fiber *f, struct fiber_handle *h)
{
	lua_lean_slot_set(L, &f->vm->handles, f->slot);
	h->fiber = f;
	h->id = f->base.id;
	f->handle = h;
}

/* A fiber made in C has no place in the state's tables before it is asked
 * for. Throws: out of memory, and then the slot is lost; harmless. */
static void open_foreign(lua_State *L, struct lua_fiber *f)
{
	int slot;

	lua_rawgeti(L, LUA_REGISTRYINDEX, f->vm->fibers_ref);
	lua_pushboolean(L, 1);
	slot = luaL_ref(L, -2);
	slot_open(L, f->vm->handles.ref, slot);
	slot_open(L, f->vm->spawners.ref, slot);
	lua_pop(L, 1);
	f->slot = slot;
}

void lua_fiber_push(lua_State *L, struct lua_fiber *f)
{
	struct fiber_handle *h;

	if (f->handle == NULL) {
		if (f->slot == 0)
			open_foreign(L, f);
		h = lua_fiber_push_handle(L);
		lua_pushvalue(L, -1);
		lua_fiber_bind(L, f, h);
		return;
	}
	lua_rawgeti(L, LUA_REGISTRYINDEX, f->vm->handles.ref);
	lua_rawgeti(L, -1, f->slot);
	lua_remove(L, -2);
}
