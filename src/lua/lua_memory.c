/* The memory of one Lua state. See lua_memory.h. */
#include "lua/lua_memory.h"

#include <lauxlib.h>
#include <uv.h>

#include "base/diag.h"
#include "base/inject.h"
#include "lua/lua_call.h"
#include "lua/lua_fiber.h"
#include "lua/lua_internal.h"
#include "lua/lua_preempt.h"
#include "lua/lua_state.h"

enum {
	OVERDRAFT = 8, /* a part of the limit, above it: see may_overdraw() */
	SMALL = 64, /* a part of the limit: who grew by less is no offender */
	SHARE = 8,  /* nor who grew by less than this part of all growth */
	STEP_NS = 1000000,       /* of a collection of ours at a time, about */
	RECOVERY_NS = 100000000, /* the same, after an allocation was refused */
	STEPMUL = 2000, /* and of one look at the clock: some 20 to 60 us */
	STEPMUL_LACK = 100000,   /* at each object, after a lack: 1 ms or so */
	STEPMUL_MAX = 100000000, /* ten times this fits in 32 bits */
};

/* What the fiber that runs has grown by since it was last settled. */
static void settle(struct lua_memory *m)
{
	int64_t growth = (int64_t)(m->used - m->mark);

	if (m->running != NULL)
		m->running->grown += growth;
	m->grown += growth;
	m->mark = m->used;
}

#if !NEAP_LUAJIT_SYSTEM

/* The script's factor comes back with unboost(). */
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

static void unboost(struct lua_vm *vm)
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

	return left > m->limit / SMALL ? left : m->limit / SMALL;
}

/* At which use the next collection begins: above what was left by the last. */
static size_t start_at(const struct lua_memory *m, const global_State *g)
{
	size_t start = g->gc.estimate + room(m, g->gc.estimate, 2);

	return start > m->line ? start : m->line;
}

/*
 * The state is above its soft line and grows. See that a collection runs, and
 * that it ends in time: before the room that is left is used up. Only fields
 * are set here; LuaJIT looks at them the next time it makes an object, where
 * all that lives is found by marking.
 */
static void pace(struct lua_vm *vm, size_t growth)
{
	struct lua_memory *m = &vm->memory;
	global_State *g = G(vm->L);
	unsigned cycles = m->cycles;
	size_t work, stepmul;

	if (is_collecting(g))
		return;
	note_cycle(vm);
	if (cycles != m->cycles)
		settle(m); /* before it counts as half */
	if (m->recovering && is_collected(vm, m->recovered))
		m->recovering = false;
	if (g->gc.state == GCSpause && !m->recovering) {
		if (m->used < start_at(m, g)) {
			unboost(vm);
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

/* Something was refused: most of what there is may be garbage soon. */
static void begin_recovery(struct lua_vm *vm)
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
		unboost(vm);
	return done;
}

unsigned lua_memory_cycles(struct lua_vm *vm)
{
	return cycles_wanted(vm);
}

bool lua_memory_hurry(struct lua_vm *vm, unsigned cycles)
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
		unboost(vm);
	return true;
}

/* The table of all strings grows in the turn of whoever makes one too many. Without
 * room for it everything goes on. */
static bool is_of_strings(struct lua_vm *vm, const void *ptr, size_t size)
{
	const global_State *g = G(vm->L);

	return ptr == NULL && g->str.num > g->str.mask &&
	       size == ((size_t)g->str.mask + 1) * 2 * sizeof(GCRef);
}

bool lua_memory_is_for_script(struct lua_vm *vm, const void *ptr, size_t size)
{
	const global_State *g = G(vm->L);

	return !is_collecting(g) && g->vmstate != ~LJ_VMST_RECORD &&
	       g->vmstate != ~LJ_VMST_OPT && g->vmstate != ~LJ_VMST_ASM &&
	       !is_of_strings(vm, ptr, size);
}

struct recovery {
	uint64_t ns;
};

static void recover_protected(lua_State *L, void *arg)
{
	const struct recovery *r = arg;
	struct lua_memory *m = &lua_vm_of(L)->memory;

	if (collect(L, m->recovered, r->ns))
		m->recovering = false;
}

/* What it throws is memory again; the next turn goes on. */
static void recover(struct lua_vm *vm, uint64_t ns)
{
	struct recovery r = { ns };

	if (is_collected(vm, vm->memory.recovered))
		vm->memory.recovering = false;
	else if (lua_vm_protect(vm, recover_protected, &r) != 0)
		error_unref(diag_take());
}

static bool is_collector(struct lua_vm *vm)
{
	return G(vm->L)->vmstate == ~LJ_VMST_GC;
}

static bool is_finalizer(struct lua_vm *vm)
{
	return (G(vm->L)->hookmask & HOOK_GC) != 0;
}

int lua_memory_collect(lua_State *L)
{
	struct lua_vm *vm = lua_vm_of(L);
	unsigned cycles;

	if (lua_isnoneornil(L, 1))
		cycles = cycles_wanted(vm);
	else
		cycles = (unsigned)luaL_checknumber(L, 1);
	if (is_finalizer(vm)) { /* as LuaJIT has it in a finalizer */
		lua_gc(L, LUA_GCCOLLECT, 0);
		return 0;
	}
	if (collect(L, cycles, STEP_NS))
		return 0;
	lua_pushnumber(L, cycles);
	return 1;
}

int lua_memory_set_stepmul(lua_State *L)
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
static void unboost(struct lua_vm *vm)
{
	(void)vm;
}

static void pace(struct lua_vm *vm, size_t growth)
{
	(void)vm;
	(void)growth;
}

static void begin_recovery(struct lua_vm *vm)
{
	vm->memory.recovering = true;
}

static bool is_of_strings(struct lua_vm *vm, const void *ptr, size_t size)
{
	(void)vm;
	(void)ptr;
	(void)size;
	return false;
}

/* Nor can a fiber be ended there: there are no limits of fibers. */
unsigned lua_memory_cycles(struct lua_vm *vm)
{
	(void)vm;
	return 0;
}

bool lua_memory_hurry(struct lua_vm *vm, unsigned cycles)
{
	(void)vm;
	(void)cycles;
	return false;
}

bool lua_memory_is_for_script(struct lua_vm *vm, const void *ptr, size_t size)
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

static void recover(struct lua_vm *vm, uint64_t ns)
{
	(void)ns;
	vm->memory.recovering = false;
	if (lua_vm_protect(vm, recover_protected, NULL) != 0)
		error_unref(diag_take());
}

static bool is_collector(struct lua_vm *vm)
{
	(void)vm;
	return false;
}

static bool is_finalizer(struct lua_vm *vm)
{
	(void)vm;
	return false;
}

int lua_memory_collect(lua_State *L)
{
	lua_gc(L, LUA_GCCOLLECT, 0);
	return 0;
}

int lua_memory_set_stepmul(lua_State *L)
{
	lua_pushinteger(L, lua_gc(L, LUA_GCSETSTEPMUL, luaL_optint(L, 1, 0)));
	return 1;
}

#endif

/* Growth of lately: half of it counts after each collection. */
static int64_t fade(const struct lua_memory *m, int64_t *growth,
		    unsigned *cycles)
{
	unsigned halves = m->cycles - *cycles;

	*growth = halves < 63 ? *growth / (INT64_C(1) << halves) : 0;
	*cycles = m->cycles;
	return *growth;
}

static int64_t grown(const struct lua_memory *m, struct lua_fiber *f)
{
	return fade(m, &f->grown, &f->grown_cycles);
}

/* Who grew by less is not the reason for a lack: by little, or by a small part
 * of what all grew by, most of which may be garbage not yet collected. */
static int64_t innocence(struct lua_memory *m)
{
	int64_t part = fade(m, &m->grown, &m->grown_cycles) / SHARE;
	int64_t little = (int64_t)(m->limit / SMALL);

	return part > little ? part : little;
}

/* Has something been refused to it, and there was no room since? It may hold
 * what it took, and come back for more. */
static bool is_offender(const struct lua_memory *m, const struct lua_fiber *f)
{
	return m->in_crisis && f->crisis == m->crisis;
}

/*
 * May the limit be overdrawn, by an eighth at most? By who is not the reason for
 * the lack: the server itself (the report of an error, a fiber's end), the
 * collector, and fibers that have hardly grown, while one that has is beside
 * them and will be refused, or has left its garbage.
 */
static bool may_overdraw(struct lua_vm *vm, size_t growth)
{
	struct lua_memory *m = &vm->memory;

	if (is_finalizer(vm))
		return false;
	if (m->own != 0 || m->running == NULL || is_collector(vm))
		return true;
	settle(m);
	return !is_offender(m, m->running) &&
	       grown(m, m->running) + (int64_t)growth < innocence(m);
}

static bool is_admitted(struct lua_vm *vm, size_t growth)
{
	struct lua_memory *m = &vm->memory;

	if (growth <= m->limit && m->used + growth <= m->limit)
		return true;
	return growth <= m->limit / OVERDRAFT &&
	       m->used + growth <= m->limit + m->limit / OVERDRAFT &&
	       may_overdraw(vm, growth);
}

static void refuse(struct lua_vm *vm)
{
	struct lua_memory *m = &vm->memory;

	m->failures++;
	if (m->limit == 0)
		return;
	m->lacked = true;
	if (!m->in_crisis) {
		m->in_crisis = true;
		m->crisis++;
	}
	if (m->running != NULL && !is_finalizer(vm))
		m->running->crisis = m->crisis;
	begin_recovery(vm);
}

void *lua_memory_alloc(void *arg, void *ptr, size_t old_size, size_t size)
{
	struct lua_vm *vm = arg;
	struct lua_memory *m = &vm->memory;
	size_t old = ptr == NULL ? 0 : old_size;
	void *p;

	if (__builtin_expect(vm->hook.missed != 0, 0))
		lua_preempt_catch_up(vm);
	if (size > old && inject("lua.alloc"))
		return NULL;
	if (size > old && size - old + m->used > m->line) {
		if (!is_admitted(vm, size - old)) {
			if (!is_of_strings(vm, ptr, size))
				refuse(vm);
			return NULL;
		}
		pace(vm, size - old);
		if (is_finalizer(vm))
			m->mark += size - old; /* in whose turn, is chance */
	}
	p = m->alloc(m->alloc_arg, ptr, old_size, size);
	if (p == NULL && size != 0) {
		m->failures++;
		return NULL;
	}
	m->used += size - old;
	if (m->used > m->peak)
		m->peak = m->used;
	return p;
}

void lua_memory_create(struct lua_vm *vm)
{
	struct lua_memory *m = &vm->memory;

	m->alloc = lua_getallocf(vm->L, &m->alloc_arg);
	m->used = (size_t)lua_gc(vm->L, LUA_GCCOUNT, 0) * 1024 +
		  (size_t)lua_gc(vm->L, LUA_GCCOUNTB, 0);
	m->peak = m->mark = m->used;
	m->line = SIZE_MAX;
	lua_setallocf(vm->L, lua_memory_alloc, vm);
}

int lua_memory_set_limit(struct lua_vm *vm, size_t limit)
{
	struct lua_memory *m = &vm->memory;

	if (limit != 0 && limit / 2 < m->used) {
		diag_set(IllegalParams,
			 "a memory limit of %zu KiB: the Lua state takes %zu "
			 "already, and should have twice that",
			 limit / 1024, m->used / 1024);
		return -1;
	}
	m->limit = limit;
	m->line = limit == 0 ? SIZE_MAX : limit / 4 * 3;
	return 0;
}

struct lua_fiber *lua_memory_turn(struct lua_vm *vm, struct lua_fiber *f)
{
	struct lua_memory *m = &vm->memory;
	struct lua_fiber *outer = m->running;

	if (m->recovering)
		recover(vm, STEP_NS);
	settle(m);
	m->running = f;
	return outer;
}

/* In a state above its soft line, or one that was there. */
static void look_around(struct lua_vm *vm, int rc)
{
	struct lua_memory *m = &vm->memory;

	if (m->used < m->line) {
		m->in_crisis = false;
		if (!m->recovering)
			unboost(vm);
	} else if (rc != 0 && rc != LUA_YIELD &&
		   grown(m, m->running) > (int64_t)(m->limit / SMALL)) {
		m->lacked = true; /* it failed, and leaves much */
	}
}

void lua_memory_turn_end(struct lua_vm *vm, struct lua_fiber *outer, int rc)
{
	struct lua_memory *m = &vm->memory;

	settle(m);
	if (m->boosted || m->in_crisis)
		look_around(vm, rc);
	m->running = outer;
}

void lua_memory_inherit(struct lua_vm *vm, struct lua_fiber *f)
{
	const struct lua_fiber *maker = vm->memory.running;

	f->grown = maker == NULL ? 0 : maker->grown;
	f->grown_cycles = maker == NULL ? 0 : maker->grown_cycles;
	f->crisis = maker == NULL ? vm->memory.crisis - 1 : maker->crisis;
}

void lua_memory_recover(struct lua_vm *vm)
{
	vm->memory.lacked = false;
	begin_recovery(vm); /* anew: only now its memory is garbage */
	recover(vm, RECOVERY_NS);
}

static void push_number(lua_State *L, const char *name, double v)
{
	lua_pushnumber(L, v);
	lua_setfield(L, -2, name);
}

int lua_memory_push(lua_State *L)
{
	const struct lua_memory *m = &lua_vm_of(L)->memory;

	lua_createtable(L, 0, 7);
	push_number(L, "used", (double)m->used);
	push_number(L, "peak", (double)m->peak);
	push_number(L, "limit", (double)m->limit);
	push_number(L, "soft_limit", m->limit == 0 ? 0 : (double)m->line);
	push_number(L, "soft_collections", (double)m->soft);
	push_number(L, "failures", (double)m->failures);
	push_number(L, "longest_step", (double)m->longest_ns / 1e9);
	return 1;
}
