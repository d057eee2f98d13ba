/* Lua states of the pool's threads. See lua_scratch.h. */
#include "lua/lua_scratch.h"

#include <lauxlib.h>
#include <pthread.h>
#include <string.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/inject.h"
#include "base/log.h"
#include "lua/lua_call.h"
#include "lua/lua_error.h"
#include "lua/lua_fiber.h"
#include "lua/lua_libraries.h"
#include "lua/lua_memory.h"
#include "lua/lua_preempt.h"
#include "lua/lua_serialize.h"
#include "lua/lua_state.h"
#include "lua_src/lua.h"
#include "runtime/loop.h"

enum {
	/* Half of it is how often the tick looks whether to go on. */
	SLICE_NS = 10000000,
	/* A state with more than this afterwards is not worth its memory. */
	KEEP_MAX = 16 << 20,
	/* Instructions between two looks, where there is no tick. */
	LOOK_COUNT = 10000,
	REPORT_MAX = 64 * 1024,
};

struct scratch {
	struct loop loop;
	struct sched sched;
	struct lua_vm vm;
	int run_ref;                 /* registry: of scratch.lua */
	struct lua_scratch_run *run; /* NULL: none is under way */
	bool ended;                  /* it has, and run tells how */
	bool spoilt;                 /* not to be used again */
};

static pthread_key_t key;
static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static int key_status;

static struct scratch *scratch_of(lua_State *L)
{
	return list_entry(lua_vm_of(L), struct scratch, vm);
}

static void scratch_delete(struct scratch *s)
{
	lua_vm_destroy(&s->vm);
	sched_close(&s->sched);
	loop_destroy(&s->loop, NULL, NULL);
	mem_free(s);
}

static void on_thread_end(void *arg)
{
	scratch_delete(arg);
}

static void make_key(void)
{
	key_status = pthread_key_create(&key, on_thread_end);
}

/* What cannot be told of a result: lua_pack() takes all for arguments. */
static void name_result(void)
{
	static const char argument[] = "argument ";
	struct error *e = diag_take();

	if (strncmp(e->message, argument, sizeof argument - 1) == 0)
		diag_set(IllegalParams, "fiber.offload: result %s",
			 e->message + sizeof argument - 1);
	else
		diag_set(IllegalParams, "fiber.offload: the results: %s",
			 e->message);
	error_unref(e);
}

/* finish(...): the results of the run. */
static int l_finish(lua_State *L)
{
	struct lua_scratch_run *run = scratch_of(L)->run;

	if (lua_pack(L, 1, lua_gettop(L), &run->out) == 0)
		return 0;
	if (diag_last()->type == &IllegalParams ||
	    diag_last()->type == &ClientError)
		name_result();
	return lua_error_throw(L);
}

static void open_scratch(lua_State *L, void *arg)
{
	struct scratch *s = arg;

	lua_createtable(L, 0, 2);
	lua_pushcfunction(L, l_finish);
	lua_setfield(L, -2, "finish");
	lua_pushcfunction(L, lua_error_usage_text);
	lua_setfield(L, -2, "usage");
	lua_vm_run_source(L, lua_src_scratch, "=neap/scratch.lua", 1);
	s->run_ref = luaL_ref(L, LUA_REGISTRYINDEX);
}

static void on_uncaught(struct lua_fiber *f, const char *text, void *arg)
{
	(void)f;
	(void)arg;
	log_error("%s", text);
}

/* NULL with diag set. */
static struct scratch *scratch_new(void)
{
	struct scratch *s = mem_zalloc(sizeof *s);
	int rc;

	if (s == NULL) {
		diag_set_oom(sizeof *s, "a Lua state for offloaded functions");
		return NULL;
	}
	rc = loop_create(&s->loop);
	if (rc != 0) {
		diag_set_system(rc, "event loop");
		goto fail_loop;
	}
	rc = sched_create(&s->sched, &s->loop);
	if (rc != 0) {
		diag_set_system(rc, "scheduler");
		goto fail_sched;
	}
	if (lua_vm_create(&s->vm, &s->sched, on_uncaught, NULL) != 0)
		goto fail_vm;
	s->vm.offloaded = true;
	if (lua_libraries_apply(&s->vm) != 0 ||
	    lua_vm_protect(&s->vm, open_scratch, s) != 0)
		goto fail_open;
	return s;
fail_open:
	lua_vm_destroy(&s->vm);
fail_vm:
	sched_close(&s->sched);
fail_sched:
	loop_destroy(&s->loop, NULL, NULL);
fail_loop:
	mem_free(s);
	return NULL;
}

/* That of this thread; NULL with diag set. */
static struct scratch *scratch_get(void)
{
	struct scratch *s;

	pthread_once(&key_once, make_key);
	if (key_status != 0) {
		diag_set_system(key_status, "a place of each thread's own");
		return NULL;
	}
	s = pthread_getspecific(key);
	if (s != NULL)
		return s;
	s = scratch_new();
	if (s == NULL)
		return NULL;
	if (pthread_setspecific(key, s) == 0)
		return s;
	scratch_delete(s);
	diag_set_oom(sizeof(void *), "a Lua state for offloaded functions");
	return NULL;
}

/* --- one run --- */

struct failure {
	struct scratch *s;
	lua_State *co;
};

/* The traceback, without the frames of ours that called the function. */
static void report(lua_State *L, struct lua_scratch_run *run, lua_State *co)
{
	const char *text, *own;

	lua_push_traceback(L, co);
	text = lua_tostring(L, -1);
	own = strstr(text, "\n\tneap/scratch.lua:");
	run->report.limit = REPORT_MAX;
	/* Without memory, or too long, the error goes without. */
	(void)buf_append(&run->report, text,
			 own == NULL ? strlen(text) : (size_t)(own - text));
}

/* What is told of the error value at the top of the fiber's coroutine: error
 * objects and what can be copied as they are, the text of others. */
static void take_failure(lua_State *L, void *arg)
{
	struct failure *fl = arg;
	struct lua_scratch_run *run = fl->s->run;
	struct error *e;

	/* Moved, not pushed, as long as co may be full. */
	lua_xmove(fl->co, L, 1);
	lua_pushvalue(L, 1);
	lua_xmove(L, fl->co, 1);
	e = lua_error_test(L, 1);
	if (e != NULL)
		run->error = error_ref(e);
	else if (lua_pack(L, 1, 1, &run->out) != 0)
		diag_clear();
	report(L, run, fl->co);
	if (e == NULL && run->out.size == 0)
		run->error = error_new(&LuaError, LuaError.code, NULL, 0,
				       "%.*s", (int)run->report.size,
				       run->report.data);
}

static void on_end(struct lua_fiber *f, bool ok, void *arg)
{
	struct scratch *s = arg;
	struct failure fl = { s, f->co };

	s->ended = true;
	s->run->total_ns = f->base.total_ns;
	s->run->ok = ok;
	/* It may be anywhere in its work. */
	if (f->base.over != FIBER_OVER_NONE)
		s->spoilt = true;
	if (ok)
		return;
	buf_destroy(&s->run->out); /* results that were not all */
	if (lua_vm_protect(&s->vm, take_failure, &fl) != 0 &&
	    s->run->error == NULL)
		s->run->error = diag_take();
	else
		diag_clear();
}

struct starting {
	struct scratch *s;
	struct lua_fiber *f;
	int nargs; /* out */
};

static void push_body(lua_State *L, void *arg)
{
	enum { FIRST = 5 };
	struct starting *st = arg;
	const struct lua_scratch_run *run = st->s->run;
	int n;

	lua_rawgeti(L, LUA_REGISTRYINDEX, st->s->run_ref);
	lua_pushboolean(L, run->jit);
	lua_pushlstring(L, run->code, run->code_size);
	lua_pushstring(L, run->path);
	lua_pushstring(L, run->cpath);
	n = lua_unpack_packed(L, &run->in);
	if (n < 0)
		lua_error_throw(L);
	luaL_checkstack(st->f->co, n + FIRST, "the arguments");
	lua_xmove(L, st->f->co, n + FIRST);
	st->nargs = n + FIRST - 1;
}

/* Where there is no tick: a count hook, which stays once it is to end. */
static void on_count(lua_State *L, lua_Debug *ar)
{
	(void)ar;
	if (!atomic_load_explicit(lua_vm_of(L)->stop, memory_order_relaxed))
		return;
	scratch_of(L)->spoilt = true;
	lua_sethook(L, on_count, LUA_MASKCOUNT, 1);
	diag_set(FiberIsCancelled, "nobody waits for it any more");
	lua_error_throw(L);
}

static struct lua_fiber *make_fiber(struct scratch *s, int *nargs)
{
	struct lua_scratch_run *run = s->run;
	struct starting st = { s, lua_fiber_get(&s->vm), 0 };
	struct error *e;

	if (st.f == NULL)
		return NULL;
	if (lua_vm_protect(&s->vm, push_body, &st) != 0) {
		e = diag_take();
		lua_fiber_drop(st.f);
		diag_set_error(e);
		return NULL;
	}
	buf_destroy(&run->in);
	lua_fiber_name(st.f, run->name);
	st.f->on_end = on_end;
	st.f->on_end_arg = s;
	st.f->base.total_ns = run->total_ns;
	if (run->limited)
		st.f->base.limits = &run->limits;
	*nargs = st.nargs;
	return st.f;
}

/* Returns 0, or -1 with diag set: it has not run. */
static int run_here(struct scratch *s)
{
	struct lua_fiber *f;
	int nargs;

	if (s->vm.memory.limit != s->run->memory &&
	    lua_memory_set_limit(&s->vm, s->run->memory) != 0)
		return -1;
	f = make_fiber(s, &nargs);
	if (f == NULL)
		return -1;
	lua_fiber_start(f, nargs);
	/* It may have yielded, or given way in a full collection. */
	while (!s->ended && s->sched.waiting == 0)
		sched_run_ready(&s->sched);
	if (s->ended)
		return 0;
	lua_fiber_abandon(f);
	s->spoilt = true;
	diag_set(ClientError, "an offloaded function cannot wait");
	return -1;
}

static void run_in(struct scratch *s, struct lua_scratch_run *run)
{
	uint64_t total = run->total_ns;
	uint64_t cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID);

	s->run = run;
	s->ended = false;
	s->vm.stop = &run->cancelled;
	/* Only while it runs: the tick of an idle one would interrupt the
	 * thread's other work. */
	if (lua_preempt_start(&s->vm, SLICE_NS) != 0) {
		diag_clear();
		lua_sethook(s->vm.L, on_count, LUA_MASKCOUNT, LOOK_COUNT);
	} else {
		s->vm.ticker.insistent = true; /* it looks at the flag */
	}
	if (run_here(s) != 0) {
		run->error = diag_take();
		s->spoilt = true;
	}
	lua_preempt_stop(&s->vm);
	lua_sethook(s->vm.L, NULL, 0, 0);
	total += clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu;
	if (run->total_ns < total)
		run->total_ns = total;
	s->vm.stop = NULL;
	s->run = NULL;
}

void lua_scratch_run(struct lua_scratch_run *run)
{
	struct scratch *s;

	run->out.limit = SCRATCH_BYTES_MAX;
	if (atomic_load(&run->cancelled)) {
		run->error = error_new(&FiberIsCancelled, FiberIsCancelled.code,
				       NULL, 0, "fiber is cancelled");
		return;
	}
	s = scratch_get();
	if (s == NULL) {
		run->error = diag_take();
		return;
	}
	run_in(s, run);
	if (!s->spoilt && s->vm.memory.used <= KEEP_MAX &&
	    !s->vm.memory.in_crisis)
		return;
	pthread_setspecific(key, NULL);
	scratch_delete(s);
}

void lua_scratch_run_destroy(struct lua_scratch_run *run)
{
	buf_destroy(&run->in);
	buf_destroy(&run->out);
	buf_destroy(&run->report);
	error_unref(run->error);
	run->error = NULL;
}
