/*
 * cmod.watch() (the module `cmod`): a function that is called in a fiber of its
 * own for each new build of a module.
 *
 *	the file may have changed -> a moment later, when it is quiet, look
 *	a new build  -> pending, in place of one that was pending
 *	pending, and the function does not run -> call it
 *
 * A watch that is on is kept by the registry, not by its handle, as a server
 * is: who does not want to stop it need not keep the handle.
 */
#include <lauxlib.h>
#include <string.h>

#include "base/diag.h"
#include "base/list.h"
#include "base/log.h"
#include "cmod/watch.h"
#include "lua/lua_call.h"
#include "lua/lua_class.h"
#include "lua/lua_cmod.h"
#include "lua/lua_error.h"
#include "lua/lua_fiber.h"
#include "runtime/file_watch.h"
#include "runtime/loop.h"
#include "runtime/timer.h"

#define QUIET_NS UINT64_C(20000000)   /* after an event, before a look */
#define BURST_NS UINT64_C(200000000)  /* events may put a look off so long */
#define RETRY_NS UINT64_C(1000000000) /* to call, when memory was short */

struct watch_box {
	uintptr_t mark; /* see mark_of() */
	struct cmod_watch file;
	struct file_watch *events; /* NULL: it is stopped, or was not started */
	struct timer timer;        /* of the next look */
	uint64_t burst_ns;         /* first event not looked at; 0: none */
	struct lua_vm *vm;
	struct cmod *pending; /* the function is to be told of it, or NULL */
	bool running;         /* the function runs */
	int fn_ref;           /* registry: the function */
	int self_ref;         /* registry: the handle, while on or running */
	char path[];          /* as given */
};

/* The debug library can put the metatable on any userdata. */
static uintptr_t mark_of(const struct watch_box *box)
{
	return (uintptr_t)box ^ (uintptr_t)0x636d6f6477617463u;
}

static void on_timer(struct timer *t);

static void look_at(struct watch_box *box, uint64_t due_ns)
{
	timer_start(&box->vm->sched->timers, &box->timer, due_ns, on_timer);
}

static void on_event(void *arg)
{
	struct watch_box *box = arg;
	uint64_t now = uv_hrtime(), due = now + QUIET_NS;

	if (box->burst_ns == 0)
		box->burst_ns = now;
	if (due > box->burst_ns + BURST_NS)
		due = box->burst_ns + BURST_NS;
	look_at(box, due);
}

static void release(struct watch_box *box)
{
	luaL_unref(box->vm->L, LUA_REGISTRYINDEX, box->self_ref);
	box->self_ref = LUA_NOREF;
}

/* Of the function; of the handle, too, unless the function runs. */
static void forget(struct watch_box *box)
{
	luaL_unref(box->vm->L, LUA_REGISTRYINDEX, box->fn_ref);
	box->fn_ref = LUA_NOREF;
	if (!box->running)
		release(box);
}

static void stop(struct watch_box *box)
{
	if (box->events == NULL)
		return;
	file_watch_close(box->events);
	box->events = NULL;
	timer_stop(&box->vm->sched->timers, &box->timer);
	cmod_unref(box->pending);
	box->pending = NULL;
	cmod_watch_destroy(&box->file);
	forget(box);
}

struct telling {
	struct watch_box *box;
	struct lua_fiber *fiber;
};

static void push_call(lua_State *L, void *arg)
{
	struct telling *t = arg;
	struct cmod_module_box *m;

	lua_rawgeti(L, LUA_REGISTRYINDEX, t->box->fn_ref);
	m = lua_cmod_push_module(L, t->box->path);
	m->module = t->box->pending;
	t->box->pending = NULL;
	lua_xmove(L, t->fiber->co, 2);
}

static void push_failure(lua_State *L, void *arg)
{
	struct telling *t = arg;

	lua_push_traceback(L, t->fiber->co);
	log_error("cmod.watch: the function for '%s' failed: %s", t->box->path,
		  lua_tostring(L, -1));
}

static void log_diag(const struct watch_box *box)
{
	struct error *e = diag_take();

	log_error("cmod.watch: '%s': %s", box->path, e->message);
	error_unref(e);
}

static void tell(struct watch_box *box);

static void on_fn_end(struct lua_fiber *f, bool ok, void *arg)
{
	struct telling t = { arg, f };
	bool cancelled = !ok && lua_fiber_ended_by_cancel(f);

	t.box->running = false;
	if (!ok && !cancelled &&
	    lua_vm_protect(t.box->vm, push_failure, &t) != 0)
		log_diag(t.box);
	if (t.box->events == NULL)
		release(t.box);
	else if (!cancelled) /* the end of the process is one reason */
		tell(t.box);
}

/* Call the function with the pending build, unless it runs. */
static void tell(struct watch_box *box)
{
	struct telling t = { box, NULL };

	if (box->pending == NULL || box->running)
		return;
	t.fiber = lua_fiber_get(box->vm);
	if (t.fiber == NULL)
		goto fail;
	if (lua_vm_protect(box->vm, push_call, &t) != 0) {
		lua_fiber_drop(t.fiber);
		goto fail;
	}
	lua_fiber_name(t.fiber, "cmod.watch");
	t.fiber->on_end = on_fn_end;
	t.fiber->on_end_arg = box;
	box->running = true;
	lua_fiber_start_later(t.fiber, 1);
	return;
fail:
	log_diag(box);
	look_at(box, uv_hrtime() + RETRY_NS);
}

static void on_timer(struct timer *t)
{
	struct watch_box *box = list_entry(t, struct watch_box, timer);
	uint64_t again;
	struct cmod *m;

	box->burst_ns = 0;
	m = cmod_watch_look(&box->file, uv_hrtime(), &again);
	if (again != UINT64_MAX)
		look_at(box, again);
	if (m != NULL) {
		cmod_unref(box->pending);
		box->pending = m;
	}
	tell(box);
}

/* The kernel's watches may run out for many at once: told once. */
static void tell_of_stat(const struct watch_box *box)
{
	static bool told;
	int rc = file_watch_error(box->events);

	if (__atomic_exchange_n(&told, rc != 0, __ATOMIC_RELAXED) || rc == 0)
		return;
	log_warn("cmod.watch: the kernel cannot tell of changes of '%s': %s "
		 "(see fs.inotify.max_user_watches, max_user_instances and "
		 "ulimit -n); files are looked at once a second instead",
		 box->file.file, uv_strerror(rc));
}

static struct watch_box *push_box(lua_State *L, const char *path)
{
	size_t size = strlen(path) + 1;
	struct watch_box *box = lua_newuserdata(L, sizeof *box + size);

	memset(box, 0, sizeof *box);
	box->mark = mark_of(box);
	box->vm = lua_vm_of(L);
	box->fn_ref = box->self_ref = LUA_NOREF;
	memcpy(box->path, path, size);
	lua_class_metatable(L, LUA_CLASS_CMOD_WATCH);
	lua_setmetatable(L, -2);
	return box;
}

/* What the registry keeps, before anything is held that it must keep alive. */
static void anchor(lua_State *L, struct watch_box *box)
{
	lua_pushvalue(L, 2);
	box->fn_ref = luaL_ref(L, LUA_REGISTRYINDEX);
	lua_pushvalue(L, -1);
	box->self_ref = luaL_ref(L, LUA_REGISTRYINDEX);
}

int lua_cmod_watch(lua_State *L)
{
	struct watch_box *box;
	const char *path, *cpath;
	size_t size;

	path = lua_cmod_check_text(L, 1, "cmod.watch: the path", &size);
	if (lua_type(L, 2) != LUA_TFUNCTION)
		lua_error_usage(L,
				"cmod.watch(path, fn): a function is wanted, "
				"not %s",
				luaL_typename(L, 2));
	lua_cmod_read_no_options(L, 3, "cmod.watch");
	box = push_box(L, path);
	anchor(L, box);
	cpath = lua_cmod_push_cpath(L);
	if (cmod_watch_create(&box->file, path, cpath) != 0)
		goto fail;
	box->events = file_watch_open(box->vm->sched->loop, box->file.file,
				      on_event, box);
	if (box->events == NULL) {
		diag_set_oom(strlen(box->file.file), "a watch");
		goto fail_events;
	}
	tell_of_stat(box);
	on_event(box); /* it may have changed since it was loaded */
	lua_pop(L, 2);
	return 1;
fail_events:
	cmod_watch_destroy(&box->file);
fail:
	forget(box);
	return lua_error_throw(L);
}

static struct watch_box *check_watch(lua_State *L)
{
	struct watch_box *box = lua_class_check(L, 1, LUA_CLASS_CMOD_WATCH);

	if (lua_objlen(L, 1) <= sizeof *box || box->mark != mark_of(box))
		lua_error_usage(L, "a watch is wanted, not a userdata that "
				   "looks like one");
	return box;
}

/***
 * watch:stop() -> boolean
 * End the watching; a call of the function that runs goes on, and no further one
 * comes. False: it was stopped before. Yields: no.
 */
static int l_watch_stop(lua_State *L)
{
	struct watch_box *box = check_watch(L);

	lua_pushboolean(L, box->events != NULL);
	stop(box);
	return 1;
}

static int l_watch_gc(lua_State *L)
{
	struct watch_box *box = check_watch(L);

	box->running = false; /* at the end of the state nothing runs */
	stop(box);
	forget(box); /* one that was never on, for want of memory */
	return 0;
}

/***
 * watch.path -> string | nil
 * The path as given to `cmod.watch()`; nil, as all fields, once it is stopped.
 */

/***
 * watch.file -> string | nil
 * The file that is watched, links not followed.
 */
static int l_watch_index(lua_State *L)
{
	struct watch_box *box = check_watch(L);
	const char *key = lua_cmod_index_key(L);

	if (box->events == NULL)
		return 1;
	if (strcmp(key, "path") == 0)
		lua_pushstring(L, box->path);
	else if (strcmp(key, "file") == 0)
		lua_pushstring(L, box->file.file);
	return 1;
}

static int l_watch_tostring(lua_State *L)
{
	struct watch_box *box = check_watch(L);

	lua_pushfstring(L, "watch: %s%s", box->path,
			box->events == NULL ? " (stopped)" : "");
	return 1;
}

static int l_watch_serialize(lua_State *L)
{
	struct watch_box *box = check_watch(L);

	lua_createtable(L, 0, 1);
	if (box->events == NULL)
		return 1;
	lua_pushstring(L, box->path);
	lua_setfield(L, -2, "path");
	return 1;
}

void lua_cmod_open_watch(lua_State *L)
{
	static const luaL_Reg meta[] = {
		{ "__gc", l_watch_gc },
		{ "__tostring", l_watch_tostring },
		{ "__serialize", l_watch_serialize },
		{ NULL, NULL },
	};
	static const luaL_Reg methods[] = {
		{ "stop", l_watch_stop },
		{ NULL, NULL },
	};

	lua_cmod_open_class(L, LUA_CLASS_CMOD_WATCH, "watch", meta,
			    l_watch_index, methods);
}
