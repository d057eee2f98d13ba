/*
 * Loading a library in a helper process first (the module `cmod`):
 *
 *	probe_new()    finds, copies and checks it; starts the helper
 *	probe_wait()   until the helper has loaded it, closed it and ended
 *	probe_finish() loads the very same copy here, or throws what became of
 *	               the helper
 *
 * A box holds it in between; collecting it gives up.
 */
#include <lauxlib.h>
#include <uv.h>

#include "base/diag.h"
#include "lua/lua_call.h"
#include "lua/lua_class.h"
#include "lua/lua_cmod.h"
#include "lua/lua_cmod_helper.h"
#include "lua/lua_cmod_options.h"
#include "lua/lua_error.h"
#include "runtime/fiber.h"

static const uint64_t MEMORY = (uint64_t)1 << 30;
static const uint64_t TIMEOUT_NS = 30000000000;
enum { ANSWER_MAX = 1024 * 1024 }; /* of an error's text */

struct probe {
	uintptr_t mark;      /* see check_probe() */
	struct cmod *module; /* was loaded before: nothing is to be probed */
	struct cmod_candidate *candidate;
	struct lua_cmod_helper *helper; /* NULL: it has ended */
	struct fiber *fiber;            /* that waits */
	struct error *error;            /* why it is not to be loaded */
};

static void wake(struct probe *p)
{
	struct fiber *f = p->fiber;

	p->fiber = NULL;
	if (f != NULL)
		fiber_wakeup(f, 0);
}

/* It has survived the loading; now its end. */
static void on_ready(struct lua_cmod_helper *h)
{
	lua_cmod_helper_close(h);
}

static void on_answer(struct lua_cmod_helper *h)
{
	(void)h; /* nothing was asked */
}

static void on_failed(struct lua_cmod_helper *h, struct error *e)
{
	struct probe *p = h->arg;

	p->error = e;
}

static void on_gone(struct lua_cmod_helper *h)
{
	struct probe *p = h->arg;

	p->helper = NULL;
	if (p->error == NULL && !lua_cmod_helper_ended_well(h))
		p->error = lua_cmod_helper_end_error(h);
	wake(p);
}

/* Cancelled: nobody will ask. */
static void undo(struct fiber *f, void *arg)
{
	struct probe *p = arg;

	(void)f;
	p->fiber = NULL;
	if (p->helper != NULL)
		lua_cmod_helper_kill(p->helper);
}

static void probe_destroy(struct probe *p)
{
	if (p->helper != NULL) {
		lua_cmod_helper_disown(p->helper);
		lua_cmod_helper_kill(p->helper);
	}
	p->helper = NULL;
	cmod_unref(p->module);
	p->module = NULL;
	cmod_candidate_delete(p->candidate);
	p->candidate = NULL;
	error_unref(p->error);
	p->error = NULL;
}

static uintptr_t mark_of(const struct probe *p)
{
	return (uintptr_t)p ^ (uintptr_t)0x636d6f642e70726fu;
}

/* By its mark: the debug library puts the metatable on anything. */
static struct probe *check_probe(lua_State *L)
{
	struct probe *p = lua_touserdata(L, 1);

	if (p == NULL || lua_objlen(L, 1) != sizeof *p || p->mark != mark_of(p))
		lua_error_usage(L, "a probe is wanted, not %s",
				luaL_typename(L, 1));
	return p;
}

static int l_probe_gc(lua_State *L)
{
	probe_destroy(check_probe(L));
	return 0;
}

static int start(struct probe *p, struct sched *sched,
		 const struct lua_cmod_options *o)
{
	static const struct lua_cmod_helper_owner owner = { on_ready, on_answer,
							    on_failed,
							    on_gone };
	const struct lua_cmod_helper_job job = {
		.library = cmod_candidate_sealed(p->candidate),
		.symbol = "",
		.memory = o->memory != 0 ? o->memory : MEMORY,
		.answer_max = ANSWER_MAX,
		.timeout_ns = o->timeout_ns != UINT64_MAX ? o->timeout_ns
							  : TIMEOUT_NS,
	};

	p->helper = lua_cmod_helper_start(sched, &job, &owner, p);
	return p->helper == NULL ? -1 : 0;
}

/* probe_new(path, options) -> box | nil: no probe is wanted */
static int l_probe_new(lua_State *L)
{
	struct lua_cmod_options options;
	const char *path, *cpath;
	struct probe *p;
	size_t size;

	path = lua_cmod_check_text(L, 1, "cmod.load: the path", &size);
	lua_cmod_read_load_options(L, 2, "cmod.load", &options);
	if (!options.probe)
		return 0;
	lua_wait_check(L);
	p = lua_class_box(L, LUA_CLASS_CMOD_PROBE, sizeof *p);
	*p = (struct probe){ .mark = mark_of(p) };
	cpath = lua_cmod_push_cpath(L);
	p->module = cmod_look(path, cpath, &p->candidate);
	if (p->module == NULL && (p->candidate == NULL ||
				  start(p, lua_vm_of(L)->sched, &options) != 0))
		return lua_error_throw(L);
	lua_pop(L, 2);
	return 1;
}

/* probe_wait(box) -> status; waits */
static int l_probe_wait(lua_State *L)
{
	struct probe *p = check_probe(L);
	struct fiber *self = lua_wait_check(L);

	if (p->helper == NULL) {
		lua_pushinteger(L, 0);
		return 1;
	}
	p->fiber = self;
	fiber_park(self, undo, p, UINT64_MAX);
	return lua_wait(L);
}

static int throw_refused(lua_State *L, struct probe *p, const char *path)
{
	struct error *cause = p->error;

	p->error = NULL;
	diag_set_code(ClientError, ER_LOAD_MODULE,
		      "cannot load '%s': the probe failed: %s", path,
		      cause->message);
	error_set_cause(diag_last(), cause);
	return lua_error_throw(L);
}

/* probe_finish(box, path) -> module */
static int l_probe_finish(lua_State *L)
{
	struct probe *p = check_probe(L);
	const char *path = luaL_checkstring(L, 2);
	struct cmod_module_box *box;

	if (p->error != NULL)
		return throw_refused(L, p, path);
	box = lua_cmod_push_module(L, path);
	if (p->candidate != NULL)
		box->module = cmod_load_candidate(p->candidate);
	else
		box->module = p->module;
	p->module = NULL;
	probe_destroy(p);
	return box->module != NULL ? 1 : lua_error_throw(L);
}

void lua_cmod_open_probe(lua_State *L)
{
	static const luaL_Reg meta[] = {
		{ "__gc", l_probe_gc },
		{ NULL, NULL },
	};

	lua_class_new(L, LUA_CLASS_CMOD_PROBE, "probe", meta);
	lua_pop(L, 1);
	lua_pushcfunction(L, l_probe_wait);
	lua_setfield(L, -2, "probe_wait");
	lua_pushcfunction(L, l_probe_finish);
	lua_setfield(L, -2, "probe_finish");
	lua_pushcfunction(L, lua_wait_failed);
	lua_setfield(L, -2, "failed");
	lua_getglobal(L, "package");
	lua_pushliteral(L, "cpath");
	lua_pushcclosure(L, l_probe_new, 2);
	lua_setfield(L, -2, "probe_new");
}
