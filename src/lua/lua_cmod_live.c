/*
 * Live functions (the module `cmod`): each call looks at the file first, and
 * then goes the way that the options say, as that of any function.
 *
 * With a probe a new build is loaded by a helper process first; the former one
 * serves meanwhile, so that no call waits for it.
 */
#include <lauxlib.h>

#include "base/diag.h"
#include "base/list.h"
#include "lua/lua_cmod.h"
#include "lua/lua_cmod_pool.h"
#include "lua/lua_error.h"
#include "lua/lua_state.h"

const char *lua_cmod_check_live(lua_State *L, struct lua_cmod_options *ret)
{
	const char *path;
	size_t size;

	path = lua_cmod_check_text(L, 1, "cmod.live: the path", &size);
	lua_cmod_check_name(L, 2, "cmod.live: the function's name", &size);
	lua_cmod_read_live_options(L, 3, "cmod.live", ret);
	return path;
}

/* live(path, name, [options, [module]]) -> function that is always the newest
 * build's; @module, of that path, is the first one */
int lua_cmod_live(lua_State *L)
{
	struct lua_cmod_options options;
	const char *path, *name, *cpath;
	struct cmod_module_box *m;
	struct cmod_func_box *box;
	size_t size;
	int rc;

	path = lua_cmod_check_live(L, &options);
	name = lua_tolstring(L, 2, &size);
	lua_settop(L, 4);
	m = lua_isnil(L, 4) ? NULL : lua_cmod_check_loaded_module(L, 4);
	box = lua_cmod_push_func(L, LUA_CLASS_CMOD_LIVE, path, name, &options);
	cpath = lua_cmod_push_cpath(L);
	/* Making it may have run a finalizer, which may have unloaded m. */
	rc = cmod_live_create(&box->live, path, cpath, name, size,
			      m == NULL ? NULL : m->module);
	lua_pop(L, 2);
	if (rc != 0)
		return lua_error_throw(L);
	box->live.probe = options.probe;
	return lua_cmod_func_finish(L, box);
}

static void on_probed(struct lua_cmod_probe *p)
{
	struct cmod_func_box *box = list_entry(p, struct cmod_func_box, probe);
	struct error *e = p->error;

	p->error = NULL;
	cmod_live_probed(&box->live, e);
}

static void probe(struct lua_vm *vm, struct cmod_func_box *box)
{
	struct cmod_sealed sealed = cmod_candidate_sealed(box->live.candidate);

	if (box->probe.helper != NULL)
		return;
	box->probe.on_end = on_probed;
	if (lua_cmod_probe_start(&box->probe, vm->sched, &sealed, 0,
				 UINT64_MAX) != 0)
		cmod_live_probed(&box->live, diag_take());
}

/* Helpers are of one build. Those of the former one end with its calls. */
static void renew_pool(struct lua_vm *vm, struct cmod_func_box *box)
{
	struct lua_cmod_pool *p =
		lua_cmod_pool_new(vm->sched, box->use.func, &box->options);

	if (p == NULL) {
		diag_clear(); /* the former ones serve on */
		return;
	}
	lua_cmod_pool_unref(box->pool);
	box->pool = p;
}

int lua_cmod_call_live(lua_State *L)
{
	struct cmod_func_box *box = lua_cmod_check_callee(L);

	/* The debug library puts this metamethod on any handle. */
	if (!box->is_live)
		return lua_error_usage(L, "function '%s' is not live",
				       box->name);
	cmod_live_follow(&box->live);
	if (box->live.candidate != NULL)
		probe(lua_vm_of(L), box);
	if (box->options.offload)
		return lua_cmod_call_offload(L);
	if (box->pool == NULL)
		return lua_cmod_call_plain(L);
	if (lua_cmod_pool_func(box->pool) != box->use.func)
		renew_pool(lua_vm_of(L), box);
	return lua_cmod_call_isolated(L);
}
