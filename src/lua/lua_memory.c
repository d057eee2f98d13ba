/* The memory of one Lua state. See lua_memory.h. */
#include "lua/lua_memory.h"

#include "base/diag.h"
#include "base/inject.h"
#include "lua/lua_collector.h"
#include "lua/lua_fiber.h"
#include "lua/lua_preempt.h"
#include "lua/lua_state.h"

enum {
	OVERDRAFT = 8, /* a part of the limit, above it: see may_overdraw() */
	SMALL = 64, /* a part of the limit: who grew by less is no offender */
	SHARE = 8,  /* nor who grew by less than this part of all growth */
	RECOVERY_NS = 100000000, /* to collect, after a lack */
};

void lua_memory_settle(struct lua_memory *m)
{
	int64_t growth = (int64_t)(m->used - m->mark);

	if (m->running != NULL)
		m->running->grown += growth;
	m->grown += growth;
	m->mark = m->used;
}

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
 * them and will be refused, or has left its garbage. And by who has grown where it
 * leaves the scope of a group: calls there may have the stack grow.
 */
static bool may_overdraw(struct lua_vm *vm, size_t growth)
{
	struct lua_memory *m = &vm->memory;

	if (lua_collector_is_finalizing(vm))
		return false;
	if (m->own != 0 || m->running == NULL || lua_collector_is_running(vm) ||
	    lua_preempt_is_firm(vm))
		return true;
	lua_memory_settle(m);
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
	if (m->running != NULL && !lua_collector_is_finalizing(vm))
		m->running->crisis = m->crisis;
	lua_collector_begin_recovery(vm);
}

/* Above the line: is there room, and does the collector keep up? */
static bool make_room(struct lua_vm *vm, const void *ptr, size_t growth,
		      size_t size)
{
	if (!is_admitted(vm, growth)) {
		if (!lua_collector_is_of_strings(vm, ptr, size))
			refuse(vm);
		return false;
	}
	lua_collector_pace(vm, growth);
	if (lua_collector_is_finalizing(vm))
		vm->memory.mark += growth; /* in whose turn, is chance */
	return true;
}

/* What is asked for seldom, out of the way of lua_memory_alloc(). */
static __attribute__((noinline)) void *
alloc_with_care(struct lua_vm *vm, void *ptr, size_t old_size, size_t size)
{
	struct lua_memory *m = &vm->memory;
	void *p;

	if (vm->hook.missed != 0)
		lua_preempt_catch_up(vm);
	if (size > old_size && size - old_size + m->used > m->line &&
	    !make_room(vm, ptr, size - old_size, size))
		return NULL;
	p = m->alloc(m->alloc_arg, ptr, old_size, size);
	if (p == NULL && size != 0) {
		m->failures++;
		return NULL;
	}
	m->used += size - old_size;
	if (m->used > m->peak)
		m->peak = m->used;
	return p;
}

/*
 * Every object that is made or freed comes here: programs that make many small
 * ones spend a part of twenty in it. LuaJIT's old_size is 0 for what is new.
 */
void *lua_memory_alloc(void *arg, void *ptr, size_t old_size, size_t size)
{
	struct lua_vm *vm = arg;
	struct lua_memory *m = &vm->memory;
	size_t used = m->used - old_size + size;
	void *p;

	if (size > old_size && inject("lua.alloc"))
		return NULL;
	if (__builtin_expect(vm->hook.missed != 0, 0))
		return alloc_with_care(vm, ptr, old_size, size);
	if (size == 0) {
		m->used = used;
		return m->alloc(m->alloc_arg, ptr, old_size, 0);
	}
	if (__builtin_expect(used > m->line && size > old_size, 0))
		return alloc_with_care(vm, ptr, old_size, size);
	p = m->alloc(m->alloc_arg, ptr, old_size, size);
	if (__builtin_expect(p == NULL, 0)) {
		m->failures++;
		return NULL;
	}
	m->used = used;
	if (used > m->peak)
		m->peak = used;
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
		lua_collector_recover(vm, LUA_COLLECTOR_STEP_NS);
	lua_memory_settle(m);
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
			lua_collector_unboost(vm);
	} else if (rc != 0 && rc != LUA_YIELD &&
		   grown(m, m->running) > (int64_t)(m->limit / SMALL)) {
		m->lacked = true; /* it failed, and leaves much */
	}
}

void lua_memory_turn_end(struct lua_vm *vm, struct lua_fiber *outer, int rc)
{
	struct lua_memory *m = &vm->memory;

	lua_memory_settle(m);
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
	vm->memory.suspects_traces = true;
	lua_collector_begin_recovery(
		vm); /* anew: only now its memory is garbage */
	lua_collector_recover(vm, RECOVERY_NS);
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
