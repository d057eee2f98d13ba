/*
 * Loading a library in a helper process first (the module `cmod`). See
 * lua_cmod_probe.h; and for load() and the first build of live():
 *
 *	probe_new()    finds, copies and checks it; starts the helper
 *	probe_wait()   until the helper has loaded it, closed it and ended
 *	probe_finish() loads the very same copy here, or throws what became of
 *	               the helper
 *
 * A box holds it in between; collecting it gives up.
 */
#include "lua/lua_cmod_probe.h"

#include <lauxlib.h>
#include <uv.h>

#include "base/diag.h"
#include "base/list.h"
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
	struct lua_cmod_probe *p = h->arg;

	p->error = e;
}

static void on_gone(struct lua_cmod_helper *h)
{
	struct lua_cmod_probe *p = h->arg;

	p->helper = NULL;
	if (p->error == NULL && !lua_cmod_helper_ended_well(h))
		p->error = lua_cmod_helper_end_error(h);
	p->on_end(p);
}

int lua_cmod_probe_start(struct lua_cmod_probe *p, struct sched *sched,
			 const struct cmod_sealed *library, uint64_t memory,
			 uint64_t timeout_ns)
{
	static const struct lua_cmod_helper_owner owner = { on_ready, on_answer,
							    on_failed,
							    on_gone };
	const struct lua_cmod_helper_job job = {
		.library = *library,
		.symbol = "",
		.memory = memory != 0 ? memory : MEMORY,
		.answer_max = ANSWER_MAX,
		.timeout_ns = timeout_ns != UINT64_MAX ? timeout_ns
						       : TIMEOUT_NS,
	};

	p->helper = lua_cmod_helper_start(sched, &job, &owner, p);
	return p->helper == NULL ? -1 : 0;
}

void lua_cmod_probe_stop(struct lua_cmod_probe *p)
{
	if (p->helper != NULL) {
		lua_cmod_helper_disown(p->helper);
		lua_cmod_helper_kill(p->helper);
	}
	p->helper = NULL;
	error_unref(p->error);
	p->error = NULL;
}

/* --- the probe of a load --- */

struct probe {
	uintptr_t mark;      /* see check_probe() */
	struct cmod *module; /* was loaded before: nothing is to be probed */
	struct cmod_candidate *candidate;
	struct lua_cmod_probe probe; /* of it */
	struct fiber *fiber;         /* that waits */
};

static void wake(struct lua_cmod_probe *probe)
{
	struct probe *p = list_entry(probe, struct probe, probe);
	struct fiber *f = p->fiber;

	p->fiber = NULL;
	if (f != NULL)
		fiber_wakeup(f, 0);
}

/* Cancelled: nobody will ask. */
static void undo(struct fiber *f, void *arg)
{
	struct probe *p = arg;

	(void)f;
	p->fiber = NULL;
	if (p->probe.helper != NULL)
		lua_cmod_helper_kill(p->probe.helper);
}

static void probe_destroy(struct probe *p)
{
	lua_cmod_probe_stop(&p->probe);
	cmod_unref(p->module);
	p->module = NULL;
	cmod_candidate_delete(p->candidate);
	p->candidate = NULL;
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

static int push_probe(lua_State *L, const char *path, uint64_t memory,
		      uint64_t timeout_ns)
{
	struct cmod_sealed sealed;
	const char *cpath;
	struct probe *p;

	lua_wait_check(L);
	p = lua_class_box(L, LUA_CLASS_CMOD_PROBE, sizeof *p);
	*p = (struct probe){ .mark = mark_of(p), .probe.on_end = wake };
	cpath = lua_cmod_push_cpath(L);
	p->module = cmod_look(path, cpath, &p->candidate);
	lua_pop(L, 2);
	if (p->module != NULL)
		return 1;
	if (p->candidate == NULL)
		return lua_error_throw(L);
	sealed = cmod_candidate_sealed(p->candidate);
	if (lua_cmod_probe_start(&p->probe, lua_vm_of(L)->sched, &sealed,
				 memory, timeout_ns) != 0)
		return lua_error_throw(L);
	return 1;
}

/* probe_new(path, options) -> box | nil: no probe is wanted */
static int l_probe_new(lua_State *L)
{
	struct lua_cmod_options options;
	const char *path;
	size_t size;

	path = lua_cmod_check_text(L, 1, "cmod.load: the path", &size);
	lua_cmod_read_load_options(L, 2, "cmod.load", &options);
	if (!options.probe)
		return 0;
	return push_probe(L, path, options.memory, options.timeout_ns);
}

/* probe_live(path, name, options) -> box | nil: the same for live() */
static int l_probe_live(lua_State *L)
{
	struct lua_cmod_options options;
	const char *path = lua_cmod_check_live(L, &options);

	/* The limits among the options are those of calls. */
	return options.probe ? push_probe(L, path, 0, UINT64_MAX) : 0;
}

/* probe_wait(box) -> status; waits */
static int l_probe_wait(lua_State *L)
{
	struct probe *p = check_probe(L);
	struct fiber *self = lua_wait_check(L);

	if (p->probe.helper == NULL) {
		lua_pushinteger(L, 0);
		return 1;
	}
	p->fiber = self;
	fiber_park(self, undo, p, UINT64_MAX);
	return lua_wait(L);
}

static int throw_refused(lua_State *L, struct probe *p, const char *path)
{
	struct error *cause = p->probe.error;

	p->probe.error = NULL;
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

	if (p->probe.error != NULL)
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
	lua_cmod_set_searching(L, "probe_new", l_probe_new);
	lua_cmod_set_searching(L, "probe_live", l_probe_live);
}
