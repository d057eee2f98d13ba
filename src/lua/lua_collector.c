/* LuaJIT's collector, made to work in time. See lua_collector.h. */
#include "lua/lua_collector.h"

#include <lauxlib.h>
#include <luajit.h>
#include <uv.h>

#include "base/diag.h"
#include "lua/lua_call.h"
#include "lua/lua_internal.h"
#include "lua/lua_memory.h"
#include "lua/lua_state.h"

enum {
	ROOM_MIN = 64,  /* a part of the limit: there is always as much room */
	STEPMUL = 2000, /* of one look at the clock: some 20 to 60 us */
	STEPMUL_LACK = 100000,   /* at each object, after a lack: 1 ms or so */
	STEPMUL_MAX = 100000000, /* ten times this fits in 32 bits */
};

#if !NEAP_LUAJIT_SYSTEM

/* The script's factor comes back with lua_collector_unboost(). */
static void boost(struct lua_vm *vm, size_t stepmul)
{
	global_State *g = G(vm->L);

	if (!vm->memory.boosted) {
		vm->memory.boosted = true;
		vm->memory.stepmul = g->gc.stepmul;
	}
	if (stepmul < vm->memory.stepmul)
		stepmul = vm->memory.stepmul;
	g->gc.stepmul = stepmul < STEPMUL_MAX ? stepmul : STEPMUL_MAX;
}

void lua_collector_unboost(struct lua_vm *vm)
{
	if (!vm->memory.boosted)
		return;
	vm->memory.boosted = false;
	G(vm->L)->gc.stepmul = vm->memory.stepmul;
}

/* Each collection changes the white once all is marked. */
static void note_cycle(struct lua_vm *vm)
{
	uint8_t white = curwhite(G(vm->L));

	if (white == vm->memory.white)
		return;
	vm->memory.white = white;
	vm->memory.cycles++;
}

/* How many collections must have marked all, until what is garbage now is
 * freed: one that is under way may have passed it. */
static unsigned cycles_wanted(struct lua_vm *vm)
{
	uint8_t state = G(vm->L)->gc.state;

	note_cycle(vm);
	return vm->memory.cycles +
	       (state == GCSpropagate || state == GCSatomic ? 2 : 1);
}

/* And has swept. */
static bool is_collected(struct lua_vm *vm, unsigned cycles)
{
	note_cycle(vm);
	return (int)(vm->memory.cycles - cycles) >= 0 &&
	       G(vm->L)->gc.state <= GCSatomic;
}

/* May the collector not be touched? In a finalizer it is kept from running, and
 * its own allocations are no reason to begin with another. */
static bool is_collecting(const global_State *g)
{
	return (g->hookmask & HOOK_GC) || g->vmstate == ~LJ_VMST_GC;
}

/* A part of the limit: what there is between here and there, but something. */
static size_t room(const struct lua_memory *m, size_t from, unsigned part)
{
	size_t left = from < m->limit ? (m->limit - from) / part : 0;

	return left > m->limit / ROOM_MIN ? left : m->limit / ROOM_MIN;
}

/* At which use the next collection begins: above what was left by the last. */
static size_t start_at(const struct lua_memory *m, const global_State *g)
{
	size_t start = g->gc.estimate + room(m, g->gc.estimate, 2);

	return start > m->line ? start : m->line;
}

/*
 * Only fields are set here; LuaJIT looks at them the next time it makes an object, where
 * all that lives is found by marking.
 */
void lua_collector_pace(struct lua_vm *vm, size_t growth)
{
	struct lua_memory *m = &vm->memory;
	global_State *g = G(vm->L);
	unsigned cycles = m->cycles;
	size_t work, stepmul;

	if (is_collecting(g))
		return;
	note_cycle(vm);
	if (cycles != m->cycles)
		lua_memory_settle(m); /* before it counts as half */
	if (m->recovering && !m->suspects_traces &&
	    is_collected(vm, m->recovered))
		m->recovering = false;
	if (g->gc.state == GCSpause && !m->recovering) {
		if (m->used < start_at(m, g)) {
			lua_collector_unboost(vm);
			return;
		}
		if (g->gc.threshold > g->gc.total)
			m->soft++;
	}
	if (g->gc.threshold != m->threshold)
		m->pending = 0;
	m->pending += growth;
	/* In LuaJIT's units a collection costs at most the bytes that are marked
	 * and half of those that are swept. */
	work = 2 * m->used / room(m, m->used, 4) + 1;
	stepmul = work * (m->pending + 1024) / 10;
	boost(vm,
	      m->recovering && stepmul < STEPMUL_LACK ? STEPMUL_LACK : stepmul);
	if (g->gc.threshold > g->gc.total + 1024 || g->gc.state == GCSpause)
		g->gc.threshold = g->gc.total;
	m->threshold = g->gc.threshold;
}

void lua_collector_begin_recovery(struct lua_vm *vm)
{
	struct lua_memory *m = &vm->memory;
	global_State *g = G(vm->L);

	m->recovering = true;
	m->recovered = cycles_wanted(vm);
	if (is_collecting(g))
		return;
	boost(vm, STEPMUL_LACK);
	if (g->gc.threshold > g->gc.total)
		g->gc.threshold = g->gc.total;
	m->threshold = g->gc.threshold;
}

/* Steps of a collection, until it is complete or the time is over. Throws: out
 * of memory. */
static bool collect(lua_State *L, unsigned cycles, uint64_t ns)
{
	struct lua_vm *vm = lua_vm_of(L);
	uint64_t start = uv_hrtime(), last = start, now;
	global_State *g = G(L);
	bool done;

	do {
		boost(vm, STEPMUL);
		g->gc.debt = 0; /* or one step would make many */
		lua_gc(L, LUA_GCSTEP, 0);
		done = is_collected(vm, cycles);
		now = uv_hrtime();
		if (now - last > vm->memory.longest_ns)
			vm->memory.longest_ns = now - last;
		last = now;
	} while (!done && now - start < ns);
	if (done)
		lua_collector_unboost(vm);
	return done;
}

unsigned lua_collector_cycles(struct lua_vm *vm)
{
	return cycles_wanted(vm);
}

bool lua_collector_hurry(struct lua_vm *vm, unsigned cycles)
{
	struct lua_memory *m = &vm->memory;
	global_State *g = G(vm->L);

	if (is_collecting(g))
		return false;
	if (!is_collected(vm, cycles)) {
		boost(vm, STEPMUL_LACK);
		if (g->gc.threshold > g->gc.total)
			g->gc.threshold = g->gc.total;
		m->threshold = g->gc.threshold;
		return false;
	}
	if (!m->recovering && m->used < m->line)
		lua_collector_unboost(vm);
	return true;
}

bool lua_collector_is_of_strings(struct lua_vm *vm, const void *ptr,
				 size_t size)
{
	const global_State *g = G(vm->L);

	return ptr == NULL && g->str.num > g->str.mask &&
	       size == ((size_t)g->str.mask + 1) * 2 * sizeof(GCRef);
}

bool lua_collector_is_for_script(struct lua_vm *vm, const void *ptr,
				 size_t size)
{
	const global_State *g = G(vm->L);

	return !is_collecting(g) && g->vmstate != ~LJ_VMST_RECORD &&
	       g->vmstate != ~LJ_VMST_OPT && g->vmstate != ~LJ_VMST_ASM &&
	       !lua_collector_is_of_strings(vm, ptr, size);
}

/*
 * A trace keeps the functions that it was recorded for, and all that they can reach, for
 * as long as it is there: what a fiber died of, for good. So where much is left of a
 * lack, all traces go, and what is needed is compiled again. Returns false: not now, for
 * one of them runs.
 */
static bool flush_traces(lua_State *L, bool *ret_flushed)
{
	struct lua_memory *m = &lua_vm_of(L)->memory;
	const global_State *g = G(L);

	*ret_flushed = false;
	if (!m->suspects_traces || m->used <= m->limit / 2) {
		m->suspects_traces = false;
		return true;
	}
	if (is_collecting(g) || tvref(g->jit_base) != NULL)
		return false;
	m->suspects_traces = false;
	luaJIT_setmode(L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_FLUSH);
	*ret_flushed = true;
	return true;
}

struct recovery {
	uint64_t ns;
};

static void recover_protected(lua_State *L, void *arg)
{
	const struct recovery *r = arg;
	struct lua_vm *vm = lua_vm_of(L);
	struct lua_memory *m = &vm->memory;
	bool flushed;

	if (!is_collected(vm, m->recovered) && !collect(L, m->recovered, r->ns))
		return;
	if (!flush_traces(L, &flushed))
		return;
	if (flushed) {
		lua_collector_begin_recovery(vm);
		if (!collect(L, m->recovered, r->ns))
			return;
	}
	m->recovering = false;
}

/* What it throws is memory again; the next turn goes on. */
void lua_collector_recover(struct lua_vm *vm, uint64_t ns)
{
	struct recovery r = { ns };

	if (lua_vm_protect(vm, recover_protected, &r) != 0)
		error_unref(diag_take());
}

bool lua_collector_is_running(struct lua_vm *vm)
{
	return G(vm->L)->vmstate == ~LJ_VMST_GC;
}

bool lua_collector_is_finalizing(struct lua_vm *vm)
{
	return (G(vm->L)->hookmask & HOOK_GC) != 0;
}

int lua_collector_collect(lua_State *L)
{
	struct lua_vm *vm = lua_vm_of(L);
	unsigned cycles;

	if (lua_isnoneornil(L, 1))
		cycles = cycles_wanted(vm);
	else
		cycles = (unsigned)luaL_checknumber(L, 1);
	if (lua_collector_is_finalizing(
		    vm)) { /* as LuaJIT has it in a finalizer */
		lua_gc(L, LUA_GCCOLLECT, 0);
		return 0;
	}
	if (collect(L, cycles, LUA_COLLECTOR_STEP_NS))
		return 0;
	lua_pushnumber(L, cycles);
	return 1;
}

int lua_collector_set_stepmul(lua_State *L)
{
	struct lua_memory *m = &lua_vm_of(L)->memory;
	int stepmul = luaL_optint(L, 1, 0), old = (int)m->stepmul;

	if (m->boosted)
		m->stepmul = (uint32_t)stepmul;
	else
		old = lua_gc(L, LUA_GCSETSTEPMUL, stepmul);
	lua_pushinteger(L, old);
	return 1;
}

#else

/* The system's library shows nothing of its collector: there is the limit, and
 * no soft line. */
void lua_collector_unboost(struct lua_vm *vm)
{
	(void)vm;
}

void lua_collector_pace(struct lua_vm *vm, size_t growth)
{
	(void)vm;
	(void)growth;
}

void lua_collector_begin_recovery(struct lua_vm *vm)
{
	vm->memory.recovering = true;
}

bool lua_collector_is_of_strings(struct lua_vm *vm, const void *ptr,
				 size_t size)
{
	(void)vm;
	(void)ptr;
	(void)size;
	return false;
}

/* Nor can a fiber be ended there: there are no limits of fibers. */
unsigned lua_collector_cycles(struct lua_vm *vm)
{
	(void)vm;
	return 0;
}

bool lua_collector_hurry(struct lua_vm *vm, unsigned cycles)
{
	(void)vm;
	(void)cycles;
	return false;
}

bool lua_collector_is_for_script(struct lua_vm *vm, const void *ptr,
				 size_t size)
{
	(void)vm;
	(void)ptr;
	(void)size;
	return false;
}

static void recover_protected(lua_State *L, void *arg)
{
	(void)arg;
	lua_gc(L, LUA_GCCOLLECT, 0);
}

void lua_collector_recover(struct lua_vm *vm, uint64_t ns)
{
	(void)ns;
	vm->memory.recovering = false;
	if (lua_vm_protect(vm, recover_protected, NULL) != 0)
		error_unref(diag_take());
}

bool lua_collector_is_running(struct lua_vm *vm)
{
	(void)vm;
	return false;
}

bool lua_collector_is_finalizing(struct lua_vm *vm)
{
	(void)vm;
	return false;
}

int lua_collector_collect(lua_State *L)
{
	lua_gc(L, LUA_GCCOLLECT, 0);
	return 0;
}

int lua_collector_set_stepmul(lua_State *L)
{
	lua_pushinteger(L, lua_gc(L, LUA_GCSETSTEPMUL, luaL_optint(L, 1, 0)));
	return 1;
}

#endif
