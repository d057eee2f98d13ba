/*
 * Our LuaJIT tells a function of ours of an error that a finalizer has ended by.
 * Its own way writes a line to standard error for each, which a script with
 * enough garbage makes millions of: here they are logged, one a second, and
 * counted.
 */
#include "lua/lua_finalizer.h"

#include "base/clock.h"
#include "base/diag.h"
#include "base/log.h"
#include "lua/lua_error.h"
#include "lua/lua_internal.h"
#include "lua/lua_state.h"

#if !NEAP_LUAJIT_SYSTEM
#include <luajit.h>

enum { PAUSE_NS = 1000000000 };

/* In the midst of a collection: it must not throw, nor take Lua's memory. */
static void on_error(lua_State *L)
{
	struct lua_vm *vm = lua_vm_of(L);
	uint64_t now = clock_ns(CLOCK_MONOTONIC);
	struct error *e;

	if (vm->finalizer.told_ns != 0 &&
	    now - vm->finalizer.told_ns < PAUSE_NS) {
		vm->finalizer.untold++;
		return;
	}
	e = lua_error_from_value(L, -1);
	if (vm->finalizer.untold == 0)
		log_error("a finalizer failed: %s", e->message);
	else
		log_error("a finalizer failed, after %u others: %s",
			  vm->finalizer.untold, e->message);
	error_unref(e);
	vm->finalizer.told_ns = now;
	vm->finalizer.untold = 0;
}

void lua_finalizer_open(void)
{
	/* The same for all threads. */
	__atomic_store_n(&luaJIT_finalizerfailed, on_error, __ATOMIC_RELAXED);
}

#else

void lua_finalizer_open(void)
{
}

#endif

void lua_finalizer_close(struct lua_vm *vm)
{
	if (vm->finalizer.untold != 0)
		log_error("%u more finalizers failed", vm->finalizer.untold);
}
