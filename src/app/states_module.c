/*
 * neap.states, C half: registration, calls, and what the start of
 * a state needs. The Lua half is states.lua.
 */
#include "app/states_module.h"

#include <lauxlib.h>
#include <string.h>

#include "app/app.h"
#include "app/loading.h"
#include "app/proc_vars.h"
#include "app/report.h"
#include "app/request.h"
#include "app/request_object.h"
#include "app/session.h"
#include "app/script.h"
#include "app/state_call.h"
#include "app/worker.h"
#include "base/diag.h"
#include "base/log.h"
#include "config/settings.h"
#include "lua/lua_call.h"
#include "lua/lua_class.h"
#include "lua/lua_error.h"
#include "lua/lua_fiber.h"
#include "lua/lua_limits.h"
#include "lua/lua_serialize.h"
#include "lua_src/app.h"
#include "runtime/fiber.h"

/* A call as the caller's Lua half holds it. */
struct call_box {
	struct state_call *call;
	struct fiber *waiter; /* NULL: nobody waits */
};

static enum handler_kind check_kind(lua_State *L, int idx)
{
	const char *name =
		lua_type(L, idx) == LUA_TSTRING ? lua_tostring(L, idx) : "";

	for (int i = 0; i < HANDLER_KIND_COUNT; i++) {
		if (strcmp(handler_kind_names[i], name) == 0)
			return i;
	}
	lua_error_usage(L,
			"kind: one of action, fetch, converter, filter, "
			"service, command is wanted, not '%s'",
			name);
	return 0;
}

static const char *check_name(lua_State *L, int idx)
{
	size_t size = 0;
	const char *name = lua_type(L, idx) == LUA_TSTRING
				   ? lua_tolstring(L, idx, &size)
				   : NULL;

	if (name == NULL || strlen(name) != size)
		lua_error_usage(L, "name: a string without zero bytes is "
				   "wanted");
	return name;
}

/* @idx: the function that counts now. */
static void warn_again(lua_State *L, enum handler_kind kind, const char *name,
		       int idx)
{
	lua_Debug ar;

	lua_pushvalue(L, idx);
	lua_getinfo(L, ">S", &ar);
	log_warn("%s '%s' is registered again: the one of %s:%d counts",
		 handler_kind_names[kind], name, ar.short_src, ar.linedefined);
}

/* register(kind, name, f, [note], [again]): @again has the place that is told when there
 * is one of that name, unless it is @f's; false: nothing is told. */
static int l_register(lua_State *L)
{
	struct worker *w = worker_of(L);
	enum handler_kind kind = check_kind(L, 1);
	const char *name = check_name(L, 2);
	int old = LUA_NOREF, ref;
	const char *note;

	luaL_checktype(L, 3, LUA_TFUNCTION);
	note = luaL_optstring(L, 4, NULL);
	lua_pushvalue(L, 3);
	ref = luaL_ref(L, LUA_REGISTRYINDEX);
	if (handlers_put(&w->app->handlers, kind, name, w->id, ref, &old) !=
	    0) {
		luaL_unref(L, LUA_REGISTRYINDEX, ref);
		return lua_error_throw(L);
	}
	if (old != LUA_NOREF) {
		luaL_unref(L, LUA_REGISTRYINDEX, old);
		if (lua_isfunction(L, 5))
			warn_again(L, kind, name, 5);
		else if (lua_isnoneornil(L, 5))
			warn_again(L, kind, name, 3);
	}
	if (note != NULL &&
	    handlers_note(&w->app->handlers, kind, name, note) != 0)
		return lua_error_throw(L);
	return 0;
}

static const struct handler *check_handler(lua_State *L, struct worker *w)
{
	enum handler_kind kind = check_kind(L, 2);
	const char *name = check_name(L, 3);
	const struct handler *h = handlers_find(&w->app->handlers, kind, name);

	if (h != NULL)
		return h;
	if (!handlers_are_sealed(&w->app->handlers))
		diag_set(ClientError,
			 "%s '%s' cannot be called yet: not all states are "
			 "loaded",
			 handler_kind_names[kind], name);
	else
		diag_set_code(ClientError, ER_NO_SUCH_FUNCTION,
			      "there is no %s '%s': the files of --load and "
			      "--load-per-thread have not registered it",
			      handler_kind_names[kind], name);
	lua_error_throw(L);
	return NULL;
}

static void box_clear(struct call_box *box)
{
	struct state_call *call = box->call;

	box->call = NULL;
	state_call_free(call);
}

/* call_new(request, kind, name, ...) -> call */
static int l_call_new(lua_State *L)
{
	struct worker *w = worker_of(L);
	struct request *r = request_check(L, 1);
	const struct handler *h = check_handler(L, w);
	int last = lua_gettop(L);
	struct call_box *box;

	lua_wait_check(L);
	box = lua_class_box(L, LUA_CLASS_STATE_CALL, sizeof *box);
	memset(box, 0, sizeof *box);
	box->call = state_call_new(r, h, w);
	if (box->call == NULL || lua_pack(L, 4, last, &box->call->data) != 0) {
		box_clear(box);
		return lua_error_throw(L);
	}
	return 1;
}

static struct call_box *check_call(lua_State *L)
{
	struct call_box *box = lua_class_check(L, 1, LUA_CLASS_STATE_CALL);

	if (box->call == NULL)
		lua_error_usage(L, "the call has ended");
	return box;
}

/* At the end all states cancel their fibers and close: it is not an error of a
 * caller's whose turn has not come yet, but a cancel. */
static bool is_of_the_end(const struct state_call *call, const struct error *e)
{
	return e != NULL && e->type == &FiberIsCancelled &&
	       app_is_ending(call->from->app);
}

static void on_call_end(struct state_call *call, void *arg)
{
	struct call_box *box = arg;
	struct fiber *waiter = box->waiter;

	if (waiter == NULL)
		return;
	if (is_of_the_end(call, call->error)) {
		fiber_cancel(waiter);
		return;
	}
	box->waiter = NULL;
	fiber_wakeup(waiter, 0);
}

static void undo_call(struct fiber *f, void *arg)
{
	struct call_box *box = arg;

	(void)f;
	box->waiter = NULL;
	state_call_cancel(box->call);
}

/* call_start(call) -> status */
static int l_call_start(lua_State *L)
{
	struct call_box *box = check_call(L);
	struct fiber *self = lua_wait_check(L);

	box->call->on_end = on_call_end;
	box->call->on_end_arg = box;
	if (state_call_start(box->call) != 0) {
		if (is_of_the_end(box->call, diag_last()))
			fiber_cancel(self);
		box_clear(box);
		return lua_error_throw(L);
	}
	if (box->call->ended) {
		lua_pushinteger(L, 0);
		return 1;
	}
	box->waiter = self;
	fiber_park(self, undo_call, box, UINT64_MAX);
	return lua_wait(L);
}

/* call_end(call, status) -> results */
static int l_call_end(lua_State *L)
{
	struct call_box *box = check_call(L);
	int status = luaL_checkint(L, 2), n = -1;

	if (status != 0) {
		lua_wait_set_diag(L, status);
	} else if (box->call->error != NULL) {
		diag_set_error(box->call->error);
		box->call->error = NULL;
	} else {
		n = lua_unpack_packed(L, &box->call->data);
	}
	/* At once: the collector may take its time, and the request waits. */
	box_clear(box);
	return n < 0 ? lua_error_throw(L) : n;
}

static int l_call_gc(lua_State *L)
{
	box_clear(lua_class_check(L, 1, LUA_CLASS_STATE_CALL));
	return 0;
}

/* start_task(f, ...) */
static int l_start_task(lua_State *L)
{
	struct lua_fiber *f;
	int n = lua_gettop(L);

	luaL_checktype(L, 1, LUA_TFUNCTION);
	f = lua_fiber_check_get(L);
	if (!lua_checkstack(f->co, n)) {
		lua_fiber_drop(f);
		diag_set(ClientError, "task: %d arguments are too many", n - 1);
		return lua_error_throw(L);
	}
	lua_fiber_name(f, "task");
	lua_limits_set_group(f, LUA_LIMIT_TASK);
	lua_xmove(L, f->co, n);
	lua_fiber_start_later(f, n - 1);
	return 0;
}

/* counts() -> requests, contexts, sessions */
static int l_counts(lua_State *L)
{
	struct request_counts counts = request_counts();

	lua_pushinteger(L, counts.requests);
	lua_pushinteger(L, counts.contexts);
	lua_pushinteger(L, session_count());
	return 3;
}

/* limits() -> lines: what a state's limits are */
static int l_limits(lua_State *L)
{
	const struct lua_vm *vm = lua_vm_of(L);

	lua_newtable(L);
	for (int i = 0; i < LUA_LIMIT_COUNT; i++) {
		const struct fiber_limits *l = &vm->limits[i];

		lua_pushfstring(L, "limits of %s: %f %f", l->group,
				(lua_Number)l->burst_ns,
				(lua_Number)l->total_ns);
		lua_rawseti(L, -2, i + 1);
	}
	lua_pushfstring(L, "memory: %f", (lua_Number)vm->memory.limit);
	lua_rawseti(L, -2, LUA_LIMIT_COUNT + 1);
	lua_pushfstring(L, "slice: %f",
			vm->sched->ticker == NULL
				? 0
				: (lua_Number)vm->ticker.slice_ns);
	lua_rawseti(L, -2, LUA_LIMIT_COUNT + 2);
	return 1;
}

/* note_fingerprint(text) -> the first state's */
static int l_note_fingerprint(lua_State *L)
{
	size_t size;
	const char *text = luaL_checklstring(L, 1, &size), *first;

	first = app_note_fingerprint(worker_of(L)->app, text);
	if (first == NULL)
		return lua_error_throw(L);
	lua_pushstring(L, first);
	return 1;
}

/* declare_var(name): the configuration names a variable of the process */
static int l_declare_var(lua_State *L)
{
	proc_vars_declare(luaL_checkstring(L, 1));
	return 0;
}

static int l_is_started(lua_State *L)
{
	lua_pushboolean(L, worker_of(L)->started);
	return 1;
}

/* refuse(text): the configuration is wrong; the application ends. */
static int l_refuse(lua_State *L)
{
	struct worker *w = worker_of(L);

	report_config(w, luaL_checkstring(L, 1));
	w->main_failed = true;
	return 0;
}

/* opener() -> name of a module | nil */
static int l_opener(lua_State *L)
{
	const struct worker *w = worker_of(L);

	if (w->id != 1 || w->app->script->opener == NULL)
		return 0;
	lua_pushstring(L, w->app->script->opener);
	return 1;
}

/* set_steps(serve, steps) */
static int l_set_steps(lua_State *L)
{
	struct worker *w = worker_of(L);

	lua_settop(L, 2);
	w->steps_ref = luaL_ref(L, LUA_REGISTRYINDEX);
	w->serve_ref = luaL_ref(L, LUA_REGISTRYINDEX);
	return 0;
}

static int luaopen_neap_states(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{ "register", l_register },
		{ "call_new", l_call_new },
		{ "call_start", l_call_start },
		{ "call_end", l_call_end },
		{ "start_task", l_start_task },
		{ "counts", l_counts },
		{ "limits", l_limits },
		{ "declare_var", l_declare_var },
		{ "note_fingerprint", l_note_fingerprint },
		{ "is_started", l_is_started },
		{ "set_steps", l_set_steps },
		{ "opener", l_opener },
		{ "finish", l_state_call_finish },
		{ "load", l_script_load },
		{ "refuse", l_refuse },
		{ "usage", lua_error_usage_text },
		{ NULL, NULL },
	};
	static const luaL_Reg call_meta[] = {
		{ "__gc", l_call_gc },
		{ NULL, NULL },
	};
	const struct worker *w = worker_of(L);

	lua_class_new(L, LUA_CLASS_STATE_CALL, "call", call_meta);
	lua_pop(L, 1);
	request_object_open(L);
	luaL_register(L, NULL, functions);
	lua_pushinteger(L, (lua_Integer)w->id);
	lua_setfield(L, -2, "id");
	lua_pushinteger(L, (lua_Integer)w->app->count);
	lua_setfield(L, -2, "count");
	lua_pushinteger(L, (lua_Integer)w->app->generation);
	lua_setfield(L, -2, "generation");
	return 1;
}

const struct lua_module app_module_states = {
	"neap.states",
	luaopen_neap_states,
	lua_src_states,
};
