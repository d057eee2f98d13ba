/* What a Lua state is at. See lua_look.h. */
#include "lua/lua_look.h"

#include <string.h>
#include <uv.h>

#include "lua/lua_fiber.h"
#include "lua/lua_internal.h"
#include "lua/lua_state.h"

/* The thread may be taken off its processor in the midst of this. */
void lua_look_note(struct lua_vm *vm, const void *ucontext)
{
	const struct lua_fiber *f = lua_fiber_of(vm->sched->current);
	unsigned next = atomic_load(&vm->hook.busy_version) + 1;
	struct lua_busy *b = &vm->hook.busy[next % 2];
	size_t n = strnlen(f->name, sizeof(b->name) - 1);

	if (vm->hook.noting)
		return; /* a tick's note, which was interrupted, says the same */
	vm->hook.noting = 1;
	lua_where_look(vm, ucontext, &b->where);
	*b->stack = '\0';
	if (b->where.kind == LUA_WHERE_C || b->where.kind == LUA_WHERE_MODULE)
		lua_where_stack(vm, b->stack);
	/* Without ticks nobody knows. */
	b->since_ns = vm->sched->ticker != NULL ? vm->ticker.begun : 0;
	b->seen_ns = uv_hrtime();
	b->fiber = f->base.id;
	memcpy(b->name, f->name, n);
	b->name[n] = '\0';
	atomic_store(&vm->hook.busy_version, next);
	vm->hook.noting = 0;
}

#if NEAP_LUAJIT_SYSTEM

void lua_look(const struct lua_vm *vm, struct lua_look *ret)
{
	(void)vm;
	*ret = (struct lua_look){ 0 };
}

#else

#include <lj_dispatch.h>
#include <lj_jit.h>

static const char *phase_of(const global_State *g)
{
	switch (g->gc.state) {
	case GCSpause:
		return "pause";
	case GCSpropagate:
		return "mark";
	case GCSatomic:
		return "atomic";
	case GCSsweepstring:
		return "sweep strings";
	case GCSsweep:
		return "sweep";
	case GCSfinalize:
		return "finalize";
	default:
		return NULL;
	}
}

void lua_look(const struct lua_vm *vm, struct lua_look *ret)
{
	const global_State *g = G(vm->L);
	const jit_State *J = L2J(vm->L);

	*ret = (struct lua_look){
		.phase = phase_of(g),
		.strings = g->str.num,
		.coroutines = g->gc.threads,
		.machine_code = J->szallmcarea,
	};
	for (MSize i = 1; i < J->sizetrace; i++)
		ret->traces += gcref(J->trace[i]) != NULL;
}

#endif
