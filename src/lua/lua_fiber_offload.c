/* The module `fiber`: the C half of offload(), see fiber_offload.lua. The function
 * runs in a state of a thread of the pool, see lua_scratch.h. */
#include <lauxlib.h>
#include <string.h>

#include "base/diag.h"
#include "base/inject.h"
#include "lua/lua_blocking.h"
#include "lua/lua_builtins.h"
#include "lua/lua_call.h"
#include "lua/lua_error.h"
#include "lua/lua_fiber.h"
#include "lua/lua_fiber_module.h"
#include "lua/lua_scratch.h"
#include "lua/lua_serialize.h"
#include "lua/lua_state.h"
#include "lua_src/lua.h"

struct offloading {
	struct lua_blocking base;
	struct lua_scratch_run run;
	char text[]; /* bytecode, package.path, package.cpath, name */
};

static struct offloading *offloading_of(struct lua_blocking *op)
{
	return (struct offloading *)op; /* base comes first */
}

static void run(struct lua_blocking *op)
{
	lua_scratch_run(&offloading_of(op)->run);
}

static void interrupt(struct lua_blocking *op)
{
	atomic_store(&offloading_of(op)->run.cancelled, true);
}

/* ok, results.. | false, error, its text with the traceback */
static int push(lua_State *L, struct lua_blocking *op)
{
	struct lua_scratch_run *r = &offloading_of(op)->run;
	struct fiber *self = lua_vm_of(L)->sched->current;
	int n;

	/* It has computed for its fiber. */
	if (self != NULL && self->total_ns < r->total_ns) {
		self->total_ns = r->total_ns;
		fiber_charge(self, 0);
	}
	lua_pushboolean(L, r->ok);
	if (r->error != NULL) {
		lua_error_push(L, error_ref(r->error));
		n = 1;
	} else {
		n = lua_unpack_packed(L, &r->out);
		if (n < 0)
			return lua_error_throw(L);
	}
	if (r->ok)
		return 1 + n;
	lua_pushlstring(L, r->report.size == 0 ? "" : r->report.data,
			r->report.size);
	return 2 + n;
}

static void destroy(struct lua_blocking *op)
{
	lua_scratch_run_destroy(&offloading_of(op)->run);
	mem_free(op);
}

static const struct lua_blocking_kind kind = {
	.name = "an offloaded function",
	.run = run,
	.push = push,
	.destroy = destroy,
	.interrupt = interrupt,
	.rest = LUA_BLOCKING_DROP,
};

/* NULL with diag set. */
static struct offloading *offloading_new(lua_State *L, const char *name)
{
	enum { COUNT = 4 };
	size_t sizes[COUNT], size = 0;
	const char *from[COUNT];
	struct offloading *o;
	char *to[COUNT];

	for (int i = 0; i < COUNT - 1; i++)
		from[i] = lua_tolstring(L, i + 1, &sizes[i]);
	from[COUNT - 1] = name;
	sizes[COUNT - 1] = strlen(name);
	for (int i = 0; i < COUNT; i++)
		size += sizes[i] + 1;
	o = mem_zalloc(sizeof *o + size);
	if (o == NULL) {
		diag_set_oom(sizeof *o + size, "an offloaded function");
		return NULL;
	}
	to[0] = o->text;
	for (int i = 0; i < COUNT; i++) {
		memcpy(to[i], from[i], sizes[i]);
		if (i + 1 < COUNT)
			to[i + 1] = to[i] + sizes[i] + 1;
	}
	o->run.code = to[0];
	o->run.code_size = sizes[0];
	o->run.path = to[1];
	o->run.cpath = to[2];
	o->run.name = to[3];
	o->base.kind = &kind;
	o->base.fd = -1;
	return o;
}

static void inherit(struct lua_scratch_run *r, const struct lua_fiber *f)
{
	r->memory = f->vm->memory.limit;
	r->total_ns = f->base.total_ns;
	if (f->base.limits == NULL)
		return;
	r->limited = true;
	r->limits = *f->base.limits;
}

/* offload(bytecode, path, cpath, jit, ...) -> true, as push() | nil, err | status */
static int l_offload(lua_State *L)
{
	/* It cannot be done on the spot: a thread has one state. */
	struct fiber *self = lua_wait_check(L);
	struct offloading *o;

	for (int i = 1; i <= 3; i++)
		luaL_checkstring(L, i);
	o = offloading_new(L, lua_fiber_of(self)->name);
	if (o == NULL)
		return lua_error_throw(L);
	o->run.jit = lua_toboolean(L, 4);
	o->run.in.limit = SCRATCH_BYTES_MAX;
	if (lua_pack(L, 5, lua_gettop(L), &o->run.in) != 0) {
		destroy(&o->base);
		return lua_error_fail(L);
	}
	inherit(&o->run, lua_fiber_of(self));
	return lua_blocking_do(L, &o->base);
}

/* load_offload(c, module): the Lua half. */
static int l_load(lua_State *L)
{
	lua_settop(L, 2);
	lua_vm_run_source(L, lua_src_fiber_offload, "=neap/fiber_offload.lua",
			  2);
	return 0;
}

void lua_fiber_open_offload(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{ "offload", l_offload },
		{ "offload_failed", lua_blocking_failed },
		{ "load_offload", l_load },
		{ NULL, NULL },
	};

	luaL_register(L, NULL, functions);
}
