/* What a Lua state is at. See lua_look.h. */
#include "lua/lua_look.h"

#include "lua/lua_internal.h"
#include "lua/lua_state.h"

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
		.machine_code = J->szallmcarea,
	};
	for (MSize i = 1; i < J->sizetrace; i++)
		ret->traces += gcref(J->trace[i]) != NULL;
}

#endif
