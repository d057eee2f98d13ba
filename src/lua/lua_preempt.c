/* Makes a fiber that computes give way. See lua_preempt.h. */
#include "lua/lua_preempt.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>
#include <ucontext.h>
#include <uv.h>

#include "base/diag.h"
#include "lua/lua_call.h"
#include "lua/lua_error.h"
#include "lua/lua_fiber.h"
#include "lua/lua_internal.h"
#include "lua/lua_limits.h"
#include "lua/lua_look.h"
#include "lua/lua_profile.h"
#include "lua/lua_state.h"
#include "runtime/ticker.h"

static const char preempt_mark;

void lua_push_preempt_mark(lua_State *L)
{
	lua_pushlightuserdata(L, (void *)&preempt_mark);
}

bool lua_has_preempt_mark(lua_State *L)
{
	return lua_gettop(L) > 0 && lua_touserdata(L, -1) == &preempt_mark;
}

bool lua_preempt_take(struct lua_vm *vm, lua_State *co)
{
	lua_Debug ar;

	if (vm->hook.yielded != co)
		return false;
	vm->hook.yielded = NULL;
	/* A C module may have resumed it since, and it has yielded by itself:
	 * then a C function is what it stands in. */
	return lua_getstack(co, 0, &ar) && lua_getinfo(co, "S", &ar) &&
	       *ar.what != 'C';
}

void lua_preempt_look(const struct lua_vm *vm, struct lua_busy *ret)
{
	enum { TRIES = 1000 };
	const atomic_uint *version = &vm->hook.busy_version;

	for (int i = 0; i < TRIES; i++) {
		unsigned before = atomic_load(version);

		*ret = vm->hook.busy[before % 2];
		atomic_thread_fence(memory_order_acquire);
		if (atomic_load(version) == before)
			return;
	}
	*ret = (struct lua_busy){ 0 }; /* written all the time */
}

void lua_preempt_text(const struct lua_busy *busy, struct lua_vm *vm, char *to,
		      size_t room)
{
	size_t n;

	lua_where_text(&busy->where, vm, to, room);
	n = strlen(to);
	if (n > 0 && *busy->stack != '\0')
		snprintf(to + n, room - n, ", called at %s", busy->stack);
}

static double seconds(uint64_t ns)
{
	return (double)ns / 1e9;
}

static void set_memory_diag(const struct lua_fiber *f)
{
	const struct lua_account *a = lua_limits_account(f);

	if (a == NULL) /* somebody has just lifted the limit */
		diag_set(OutOfMemory, "memory limit of fiber '%s'", f->name);
	else
		diag_set(OutOfMemory,
			 "memory limit of fiber '%s': %zu KiB used, the limit "
			 "is %zu KiB",
			 f->name, (a->found + 1023) / 1024, a->limit / 1024);
}

void lua_preempt_set_over_diag(const struct lua_fiber *f)
{
	const struct fiber *b = &f->base;

	switch (b->over) {
	case FIBER_OVER_BURST:
		diag_set(LimitExceeded,
			 "execution limit of %s '%s': %.3f s of CPU time since "
			 "its last wait, the limit is %.3f s",
			 b->limits->group, f->name, seconds(b->burst_ns),
			 seconds(b->limits->burst_ns));
		break;
	case FIBER_OVER_TOTAL:
		diag_set(
			LimitExceeded,
			"execution limit of %s '%s': %.3f s of CPU time in all, "
			"the limit is %.3f s",
			b->limits->group, f->name, seconds(b->total_ns),
			seconds(b->limits->total_ns));
		break;
	case FIBER_OVER_MEMORY:
		set_memory_diag(f);
		break;
	default:
		diag_set(FiberIsCancelled,
			 "fiber is cancelled, and went on computing for %.3f s",
			 seconds(b->total_ns - b->cancel_ns));
	}
}

#if NEAP_LUAJIT_SYSTEM || !defined(__x86_64__)

int lua_preempt_start(struct lua_vm *vm, uint64_t slice_ns)
{
	(void)vm;
	(void)slice_ns;
	diag_set(ClientError, "fibers that compute cannot be made to give way "
			      "by this build: it has not our own LuaJIT");
	return -1;
}

void lua_preempt_stop(struct lua_vm *vm)
{
	(void)vm;
}

void lua_preempt_spare(lua_State *L)
{
	(void)L;
}

void lua_preempt_firm(lua_State *L)
{
	(void)L;
}

bool lua_preempt_is_firm(const struct lua_vm *vm)
{
	(void)vm;
	return false;
}

void lua_preempt_catch_up(struct lua_vm *vm)
{
	(void)vm;
}

void lua_preempt_over(struct lua_vm *vm)
{
	(void)vm;
}

bool lua_preempt_hide(struct lua_vm *vm)
{
	(void)vm;
	return false;
}

void lua_preempt_show(struct lua_vm *vm, bool was_set)
{
	(void)vm, (void)was_set;
}

bool lua_preempt_before(struct lua_fiber *f)
{
	(void)f;
	return false;
}

void lua_preempt_outer(struct lua_vm *vm)
{
	(void)vm;
}

void lua_preempt_after(struct lua_fiber *f)
{
	(void)f;
}

bool lua_preempt_sample(struct lua_vm *vm, bool on)
{
	(void)vm, (void)on;
	return false;
}

#else

#include <lj_bc.h>
#include <lj_dispatch.h>
#include <lj_frame.h>
#include <lj_vm.h>
#include <luajit.h>
#include <lj_jit.h>

/* Is @a pc in the machine code of a trace? The list is changed by C code only,
 * and vmstate says that none of it runs. */
static bool is_in_trace(global_State *g, uintptr_t pc)
{
	const jit_State *J = G2J(g);
	const MCode *area = J->mcarea;
	size_t size = J->szmcarea;

	if (g->vmstate < 0)
		return false;
	while (area != NULL) {
		const MCLink *next = (const MCLink *)area;

		if (pc - (uintptr_t)area < size)
			return true;
		area = next->next;
		size = next->size;
	}
	return false;
}

/*
 * May the hook be set while the thread stands at @a pc? In the interpreter and in
 * a trace, and in a C function that one of them has called: but for a change of
 * the hooks nothing there minds. Not in other C code of the interpreter's, which
 * may be about to record, nor in that of a hook, ours above all: vmstate tells of
 * a C function there, too.
 */
static bool is_safe(global_State *g, uintptr_t pc)
{
	const jit_State *J = G2J(g);

	if (*(const volatile TraceState *)&J->state & LJ_TRACE_ACTIVE ||
	    luaJIT_hookbusy != 0)
		return false;
	return pc - (uintptr_t)lj_vm_asm_begin < NEAP_LUAJIT_VM_SIZE ||
	       (g->vmstate == ~LJ_VMST_C && !(g->hookmask & HOOK_ACTIVE)) ||
	       is_in_trace(g, pc);
}

static void on_hook(lua_State *L, lua_Debug *ar);

/* At the next instruction. What hook the script has comes back afterwards. Ticks keep
 * off meanwhile: one that armed it in between would have ours taken for the script's,
 * which then never went. */
static void arm(struct lua_vm *vm)
{
	const global_State *g = G(vm->L);

	luaJIT_hookbusy++;
	if (g->hookf != on_hook) {
		/* 0: it was about to be called. Counted down from there it
		 * would not be before the count has wrapped. */
		vm->hook.user_left = g->hookcount > 0 ? g->hookcount : 1;
		vm->hook.user = g->hookf;
		vm->hook.user_mask = g->hookmask & HOOK_EVENTMASK;
		vm->hook.user_count = g->hookcstart;
	}
	vm->hook.armed = true;
	vm->hook.glance = false;
	lua_sethook(vm->L, on_hook, LUA_MASKCOUNT, 1);
	luaJIT_hookbusy--;
}

static void disarm(struct lua_vm *vm)
{
	luaJIT_hookbusy++;
	vm->hook.armed = vm->hook.glance = false;
	vm->hook.seen = 0;
	if (G(vm->L)->hookf == on_hook) {
		lua_sethook(vm->L, vm->hook.user, vm->hook.user_mask,
			    vm->hook.user_count);
		/* One that counts further than a slice would never be called. */
		G(vm->L)->hookcount = vm->hook.user_left;
	}
	luaJIT_hookbusy--;
}

/* What was asked for is forgotten. */
static void forget(struct lua_vm *vm)
{
	disarm(vm);
	luaJIT_stopmatch = 0;
}

bool lua_preempt_hide(struct lua_vm *vm)
{
	unsigned seen = vm->hook.seen;

	luaJIT_hookbusy++;
	if (G(vm->L)->hookf != on_hook)
		return false;
	disarm(vm);
	vm->hook.seen = seen; /* it goes on where it was */
	return true;
}

void lua_preempt_show(struct lua_vm *vm, bool was_set)
{
	if (was_set)
		arm(vm);
	luaJIT_hookbusy--;
}

enum { OUTSIDE_MAX_NS = 100000000, BUSY_NS = 100000000 };

/* Of what runs outside of its fiber. Its own time, not that of a busy machine. */
static bool takes_too_long(const struct lua_vm *vm)
{
	return ticker_turn_age_cpu_ns(&vm->ticker) > OUTSIDE_MAX_NS;
}

/* Signal context. What runs is told with its stack by the hook, or when its turn ends. */
static void sample(void *arg, const void *ucontext, uint64_t cpu_ns,
		   uint64_t blocked_ns)
{
	struct lua_vm *vm = arg;
	const struct fiber *f = vm->sched->current;
	const global_State *g = G(vm->L);
	struct lua_where where;

	if (lua_profile_is_over(vm->profile, uv_hrtime()))
		return;
	if (f == NULL) {
		lua_profile_add_loop(vm->profile, cpu_ns);
		return;
	}
	lua_where_look(vm, ucontext, &where);
	lua_profile_note(vm->profile, (const struct lua_fiber *)f, &where,
			 cpu_ns, blocked_ns);
	if (vm->memory.running != (const struct lua_fiber *)f)
		return; /* its turn is over */
	if (g->hookf != on_hook && is_safe(G(vm->L), where.pc)) {
		arm(vm);
		vm->hook.glance = true;
	}
	vm->hook.armed = true;
}

bool lua_preempt_sample(struct lua_vm *vm, bool on)
{
	if (vm->sched->ticker != &vm->ticker)
		return false;
	ticker_set_sample(&vm->ticker, on ? sample : NULL);
	return true;
}

/* Signal context. */
static bool ask(void *arg, const void *ucontext)
{
	const ucontext_t *uc = ucontext;
	struct lua_vm *vm = arg;
	bool turn_is_over = vm->memory.running !=
			    lua_fiber_of(vm->sched->current);

	if (vm->stop != NULL) { /* alone in its state: there is no slice */
		if (atomic_load_explicit(vm->stop, memory_order_relaxed))
			vm->sched->current->over = FIBER_OVER_CANCEL;
		if (vm->sched->current->over == FIBER_OVER_NONE)
			return true;
	}
	if (ticker_turn_ns(&vm->ticker) >= BUSY_NS)
		lua_look_note(vm, ucontext);
	if (vm->on_stall != NULL && ticker_turn_ns(&vm->ticker) >= vm->stall_ns)
		vm->hook.armed = true; /* so that it is reported at the end */
	else if (turn_is_over && !takes_too_long(vm))
		return false; /* what follows a turn is short, or see on_hook() */
	if (!turn_is_over && vm->sched->current->over != FIBER_OVER_NONE) {
		/* Matching of patterns looks at this, and no hook ends it. */
		luaJIT_stopmatch = 1;
		vm->hook.armed = true;
	}
	if (!is_safe(G(vm->L), (uintptr_t)uc->uc_mcontext.gregs[REG_RIP])) {
		vm->hook.missed = vm->sched->turns;
		return false;
	}
	arm(vm);
	/* A hook of the script's that does not end: no other would run inside
	 * it. It is not set again, for it would meet the next fiber. */
	if (vm->sched->current->over != FIBER_OVER_NONE &&
	    (G(vm->L)->hookmask & (HOOK_ACTIVE | HOOK_GC)) == HOOK_ACTIVE) {
		hook_leave(G(vm->L));
		vm->hook.user = NULL;
		vm->hook.user_mask = 0;
	}
	return true;
}

void lua_preempt_catch_up(struct lua_vm *vm)
{
	const global_State *g = G(vm->L);

	if (vm->hook.missed != vm->sched->turns) {
		vm->hook.missed = 0;
		return;
	}
	if (*(const volatile TraceState *)&G2J(g)->state & LJ_TRACE_ACTIVE)
		return;
	if (g->vmstate >= 0 || g->vmstate == ~LJ_VMST_INTERP ||
	    g->vmstate == ~LJ_VMST_C) {
		vm->hook.missed = 0;
		arm(vm);
	}
}

void lua_preempt_over(struct lua_vm *vm)
{
	luaJIT_stopmatch = 1;
	vm->hook.armed = true;
	vm->hook.missed = vm->sched->turns;
	lua_preempt_catch_up(vm);
}

/* Marks that the collector gives to tables and cdata alone, and leaves where they
 * are: our prototypes carry them. */
enum { SPARED = LJ_GC_CDATA_FIN, FIRM = LJ_GC_WEAKKEY };

static void mark(GCproto *pt, uint8_t marks)
{
	ptrdiff_t count = (ptrdiff_t)pt->sizekgc;

	pt->marked |= marks;
	for (ptrdiff_t i = -count; i < 0; i++) {
		GCobj *o = proto_kgc(pt, i);

		if (o->gch.gct == ~LJ_TPROTO)
			mark(gco2pt(o), marks);
	}
}

void lua_preempt_spare(lua_State *L)
{
	mark(funcproto(funcV(L->top - 1)), SPARED);
}

void lua_preempt_firm(lua_State *L)
{
	mark(funcproto(funcV(L->top - 1)), SPARED | FIRM);
}

/* Our own Lua halves are not left in the middle: nobody but a fiber that waits
 * in one may find its tables. They are short. */
static bool is_ours(const GCfunc *fn)
{
	return isluafunc(fn) && (funcproto(fn)->marked & SPARED);
}

static bool is_firm(const GCfunc *fn)
{
	return isluafunc(fn) && (funcproto(fn)->marked & FIRM);
}

/* The innermost Lua function, when what it has called allocates: compiled code keeps
 * its frames elsewhere. */
bool lua_preempt_is_firm(const struct lua_vm *vm)
{
	const global_State *g = G(vm->L);
	lua_State *L = gco2th(gcref(g->cur_L));
	const GCfunc *fn;
	lua_Debug ar;

	if (g->vmstate >= 0 || tvref(g->jit_base) != NULL)
		return false;
	for (int level = 0; lua_getstack(L, level, &ar); level++) {
		fn = frame_func(tvref(L->stack) + (ar.i_ci & 0xffff));
		if (isluafunc(fn))
			return is_firm(fn);
	}
	return false;
}

struct stall {
	lua_State *co;
	struct lua_fiber *f;
	uint64_t ns;
	uint64_t cpu_ns;
};

static void report(lua_State *L, void *arg)
{
	const struct stall *st = arg;
	struct lua_vm *vm = lua_vm_of(L);
	char in[LUA_BUSY_TEXT] = "";
	struct lua_busy busy;
	lua_Debug ar;
	/* It has ended since: there is what the last tick has seen. */
	bool ended = lua_getstack(st->co, 0, &ar) == 0;

	/* The CPU time tells a call that waits, and a machine that is too busy,
	 * from one that computes. */
	lua_preempt_look(vm, &busy);
	if (busy.seen_ns != 0 && busy.since_ns == vm->ticker.begun) {
		if (ended)
			lua_preempt_text(&busy, NULL, in, sizeof(in));
		else
			lua_where_text(&busy.where, NULL, in, sizeof(in));
	}
	lua_pushfstring(L,
			"fiber %f '%s' kept the others waiting for %d ms, "
			"computing for %d ms of them%s%s",
			(lua_Number)st->f->base.id, st->f->name,
			(int)(st->ns / 1000000), (int)(st->cpu_ns / 1000000),
			*in != '\0' ? ", in " : "", in);
	if (!ended)
		luaL_traceback(L, st->co, lua_tostring(L, -1), 0);
	vm->on_stall(lua_tostring(L, -1), vm->on_uncaught_arg);
}

/* The turn has lasted too long, in C code most likely, and @a co is what ran:
 * it is told once. */
static void report_stall(struct lua_vm *vm, lua_State *co)
{
	struct stall st = { co, lua_fiber_of(vm->sched->current), 0, 0 };

	if (vm->on_stall == NULL || vm->hook.stalled == vm->sched->turns)
		return;
	st.ns = ticker_turn_ns(&vm->ticker);
	if (st.ns < vm->stall_ns || !sched_has_others(vm->sched))
		return;
	st.cpu_ns = ticker_turn_cpu_ns(&vm->ticker);
	vm->hook.stalled = vm->sched->turns;
	if (lua_vm_protect(vm, report, &st) != 0)
		error_unref(diag_take());
}

enum {
	LEVEL_SIZE = 96, /* C stack of a coroutine inside another, about */
	LEVEL_NS = 4000, /* to leave it and to enter it again, at least */
	LEVELS_FREE =
		1000, /* what the loop and fibers inside each other take */
};

/* A fiber with coroutines thousands deep gives way less often, or it would do
 * nothing else. */
static bool is_too_deep(struct lua_vm *vm)
{
	uintptr_t here = (uintptr_t)__builtin_frame_address(0);
	uint64_t levels = (vm->hook.stack_base - here) / LEVEL_SIZE;

	/* Outside: on a stack of a C module's. */
	if (here < vm->stack_end || here > vm->hook.stack_base ||
	    levels < LEVELS_FREE)
		return false;
	return ticker_turn_cpu_ns(&vm->ticker) <
	       vm->ticker.slice_ns + levels * LEVEL_NS;
}

enum {
	LOOPLESS = 1000,   /* instructions: then it is recursion, most likely */
	STRAIGHT = 100000, /* instructions: then somebody means ill */
};

/* Does a round of a loop begin at the instruction, or end? */
static bool is_round(global_State *g, const BCIns *pc)
{
	const BCIns *last;
	BCIns ins = *pc;

	if (bc_op(ins) == BC_JLOOP) /* compiled; this is what was there */
		ins = traceref(G2J(g), bc_d(ins))->startins;
	switch (bc_op(ins)) {
	case BC_FORL:
	case BC_IFORL:
	case BC_JFORL:
	case BC_ITERL:
	case BC_IITERL:
	case BC_JITERL:
	case BC_ITERN: /* of pairs(); it jumps for its ITERL, too */
		return true;
	case BC_LOOP:
	case BC_ILOOP:
		/* That of `repeat`: its comparison jumps back here by itself.
		 * That of `while` comes after the condition. */
		last = pc + bc_j(ins);
		return bc_op(*last) == BC_JMP && last + 1 + bc_j(*last) == pc;
	case BC_JMP:
	case BC_UCLO:
		return bc_j(ins) < 0;
	default:
		return false;
	}
}

/*
 * May it be put aside before the instruction that is to come? Where a round of a
 * loop begins or ends, and, if none comes, where a function begins: so that what
 * has neither loop nor call in it, as `n = n + 1`, is done at once, as scripts
 * expect of fibers that do not wait.
 */
static bool is_boundary(struct lua_vm *vm, lua_State *L)
{
	const BCIns *pc = cframe_pc(cframe_raw(L->cframe)) - 1;
	const GCfunc *fn = curr_func(L);

	if (is_ours(fn))
		return false;
	if (vm->hook.user_mask != 0)
		return true; /* the script's hook wants to see what comes */
	if (is_round(G(L), pc) || vm->hook.seen > STRAIGHT)
		return true;
	return vm->hook.seen > LOOPLESS && isluafunc(fn) &&
	       pc == proto_bc(funcproto(fn)) + 1;
}

static void on_hook(lua_State *L, lua_Debug *ar)
{
	struct lua_vm *vm = lua_vm_of(L);
	struct fiber *f = vm->sched->current;

	(void)ar;
	if (vm->hook.seen++ == 0 && f != NULL)
		report_stall(vm, L);
	if (f == NULL || f->state != FIBER_RUNNING) {
		/* It has begun to wait, and a coroutine of it passes that on. */
		disarm(vm);
		return;
	}
	if (L == vm->L && takes_too_long(vm)) {
		/* __tostring of an error that is being reported: it runs outside
		 * of the fiber, and cannot be put aside. */
		disarm(vm);
		luaL_error(L, "took too long outside of its fiber");
	}
	if (vm->profile != NULL)
		lua_profile_take(vm, L);
	if (f->over != FIBER_OVER_NONE) {
		/* The hook stays: whatever catches this meets it again. */
		if (is_firm(curr_func(L)))
			return;
		lua_preempt_set_over_diag(lua_fiber_of(f));
		lua_error_throw(L);
	}
	if (vm->hook.glance) {
		disarm(vm);
		return;
	}
	if (!is_boundary(vm, L))
		return; /* the hook stays until then */
	disarm(vm);
	if (fiber_has_news(f)) {
		fiber_tell_cancel(f);
		lua_wait_throw(L, UV_ECANCELED);
	}
	if (f->deadline_ns != 0 && fiber_is_late(f, uv_hrtime())) {
		f->deadline_ns |= FIBER_DEADLINE_TOLD;
		lua_wait_throw(L, FIBER_EDEADLINE);
	}
	if (!lua_isyieldable(L) || is_too_deep(vm))
		return; /* the next tick asks again */
	vm->hook.yielded = L;
	lua_yield(L, 0);
}

int lua_preempt_start(struct lua_vm *vm, uint64_t slice_ns)
{
	int rc = ticker_create(&vm->ticker, vm->sched, slice_ns, ask, vm);

	vm->hook.stack_base = (uintptr_t)__builtin_frame_address(0);
	if (rc == UV_ENOTSUP)
		diag_set(ClientError,
			 "fibers that compute cannot be made to give way under "
			 "the thread sanitizer");
	else if (rc != 0)
		diag_set_system(rc, "timer of the time slices");
	return rc == 0 ? 0 : -1;
}

void lua_preempt_stop(struct lua_vm *vm)
{
	if (vm->sched->ticker == &vm->ticker)
		ticker_destroy(&vm->ticker);
}

bool lua_preempt_before(struct lua_fiber *f)
{
	bool again = false;

	/* The one before was over its limit, and a tick found it just after it
	 * had ended; or it is outside of this one and is to be asked again. */
	if (f->vm->hook.armed) {
		again = f->vm->sched->depth > 1;
		forget(f->vm);
	}
	if (f->base.flags & FIBER_PUT_ASIDE) {
		f->base.flags &= ~FIBER_PUT_ASIDE;
		if (fiber_has_news(&f->base))
			arm(f->vm);
	}
	/* What it has computed elsewhere was too much, or no tick of its short
	 * turns could end it. */
	if (f->base.over != FIBER_OVER_NONE)
		arm(f->vm);
	return again;
}

void lua_preempt_outer(struct lua_vm *vm)
{
	arm(vm);
}

void lua_preempt_after(struct lua_fiber *f)
{
	struct lua_vm *vm = f->vm;

	forget(vm);
	if (vm->profile != NULL)
		lua_profile_take(vm, f->co);
	report_stall(vm, f->co);
}

#endif
