/* The module `fiber`: how long a fiber may compute before it ought to let the
 * others run, and who asks. */
#include <lauxlib.h>
#include <math.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/log.h"
#include "lua/lua_class.h"
#include "lua/lua_error.h"
#include "lua/lua_fiber.h"
#include "lua/lua_fiber_module.h"
#include "lua/lua_lean.h"

enum { SLICE_MAX_NS = 1000000000 }; /* of what is made to give way */

struct slice {
	uint64_t warn_ns;
	uint64_t err_ns;
};

static uint64_t to_ns(lua_State *L, int idx, const char *what)
{
	double v = lua_tonumber(L, idx);

	if (lua_type(L, idx) != LUA_TNUMBER || !(v >= 0))
		lua_error_usage(L,
				"slice%s: a number of seconds is wanted, not "
				"%s",
				what,
				lua_type(L, idx) == LUA_TNUMBER
					? "a negative one or NaN"
					: luaL_typename(L, idx));
	return v >= 1e9 ? UINT64_MAX / 2 : (uint64_t)(v * 1e9);
}

/*
 * What a fiber has of its own is kept small: microseconds and 1, so that 0 is
 * none. What does not fit, over an hour, is never reached.
 */
static uint32_t pack(uint64_t ns)
{
	return ns / 1000 < UINT32_MAX - 1 ? (uint32_t)(ns / 1000) + 1
					  : UINT32_MAX;
}

static uint64_t unpack(uint32_t packed)
{
	return packed == UINT32_MAX ? UINT64_MAX / 2
				    : (uint64_t)(packed - 1) * 1000;
}

/* A slice argument: seconds, or {warn = seconds, err = seconds}. */
static struct slice check_slice(lua_State *L, int idx)
{
	struct slice s;

	if (!lua_istable(L, idx)) {
		s.warn_ns = s.err_ns = to_ns(L, idx, "");
		return s;
	}
	lua_getfield(L, idx, "warn");
	lua_getfield(L, idx, "err");
	s.warn_ns = to_ns(L, -2, ".warn");
	s.err_ns = to_ns(L, -1, ".err");
	lua_pop(L, 2);
	return s;
}

/* How long @a f, which runs, has computed since it last waited. */
static uint64_t used_ns(const struct fiber *f)
{
	const struct ticker *t = f->sched->ticker;
	uint64_t now;

	if (t == NULL || !t->ticking)
		return f->burst_ns;
	now = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	return f->burst_ns + (now > t->cpu ? now - t->cpu : 0);
}

/***
 * fiber.set_max_slice([fiber_object,] slice)
 * fiber_object:set_max_slice(slice)
 * How long @fiber_object (default: each that has no slice of its own) may compute without
 * a wait before `fiber.check_slice()` complains: @slice is seconds, or
 * `{warn = seconds, err = seconds}`; 0.5 and 1 unless set. A number for all also
 * is the slice after which fibers are made to give way, from 0.0001 to 1 s, as
 * `neap --slice` sets it. Yields: no. Throws: the fiber is dead.
 */
static int l_set_max_slice(lua_State *L)
{
	struct lua_vm *vm = lua_lean_vm(L);
	struct lua_fiber *f = NULL;
	struct slice s;
	int arg = 1;

	if (lua_type(L, 1) == LUA_TUSERDATA) {
		f = lua_fiber_check_alive(L, 1);
		arg = 2;
	}
	s = check_slice(L, arg);
	if (f != NULL) {
		f->slice_warn = pack(s.warn_ns);
		f->slice_err = pack(s.err_ns);
		return 0;
	}
	vm->slice_warn_ns = s.warn_ns;
	vm->slice_err_ns = s.err_ns;
	if (vm->sched->ticker != NULL && lua_type(L, arg) == LUA_TNUMBER)
		ticker_set_slice(vm->sched->ticker, s.err_ns < SLICE_MAX_NS
							    ? s.err_ns
							    : SLICE_MAX_NS);
	return 0;
}

/* What holds for @a f in this burst, as values of its clock. */
static struct slice slice_of(const struct lua_fiber *f)
{
	if (f->base.slice_err != 0)
		return (struct slice){ unpack(f->base.slice_warn),
				       unpack(f->base.slice_err) };
	if (f->slice_err != 0)
		return (struct slice){ unpack(f->slice_warn),
				       unpack(f->slice_err) };
	return (struct slice){ f->vm->slice_warn_ns, f->vm->slice_err_ns };
}

static void set(struct lua_fiber *f, struct slice s)
{
	f->base.slice_warn = pack(s.warn_ns);
	f->base.slice_err = pack(s.err_ns);
}

/***
 * fiber.set_slice(slice)
 * Let @slice, as in `fiber.set_max_slice()`, hold for the running fiber until it
 * next waits, counted from now. Yields: no.
 */
static int l_set_slice(lua_State *L)
{
	struct lua_fiber *f = lua_fiber_check_self(L);
	struct slice s = check_slice(L, 1);
	uint64_t used = used_ns(&f->base);

	s.warn_ns += used;
	s.err_ns += used;
	set(f, s);
	return 0;
}

/***
 * fiber.extend_slice(slice)
 * Let the running fiber compute longer by @slice, a number or a table as in
 * `fiber.set_max_slice()`, until it next waits. Yields: no.
 */
static int l_extend_slice(lua_State *L)
{
	struct lua_fiber *f = lua_fiber_check_self(L);
	struct slice more = check_slice(L, 1), s = slice_of(f);

	s.warn_ns += more.warn_ns;
	s.err_ns += more.err_ns;
	set(f, s);
	return 0;
}

/***
 * fiber.check_slice()
 * For long computations: throws an error of type FiberSliceIsExceeded when the
 * running fiber has computed for longer than its slice since it last waited, and
 * logs a warning when it comes near. Being made to give way is not a wait.
 * Yields: no.
 */
static int l_check_slice(lua_State *L)
{
	struct lua_fiber *f = lua_fiber_check_self(L);
	uint64_t used = used_ns(&f->base);
	struct slice s = slice_of(f);

	if (used > s.err_ns) {
		diag_set(FiberSliceIsExceeded, "fiber slice is exceeded");
		return lua_error_throw(L);
	}
	if (used > s.warn_ns) {
		log_warn("fiber %llu '%s' has not waited for %.3f s",
			 (unsigned long long)f->base.id, f->name,
			 (double)used / 1e9);
		s.warn_ns = UINT64_MAX; /* once in a burst */
		set(f, s);
	}
	return 0;
}

void lua_fiber_open_slice(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{ "set_max_slice", l_set_max_slice },
		{ "set_slice", l_set_slice },
		{ "extend_slice", l_extend_slice },
		{ "check_slice", l_check_slice },
		{ NULL, NULL },
	};

	luaL_register(L, NULL, functions);
}
