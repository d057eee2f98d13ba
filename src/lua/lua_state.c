/* A Lua state of the server: made, given its libraries, closed. */
#include "lua/lua_state.h"

#include <lauxlib.h>
#include <luajit.h>
#include <lualib.h>
#include <pthread.h>
#include <string.h>

#include "base/diag.h"
#include "cmod/call.h"
#include "cmod/path_watch.h"
#include "lua/lua_blocking.h"
#include "lua/lua_call.h"
#include "lua/lua_cmod.h"
#include "lua/lua_cmod_helper.h"
#include "lua/lua_error.h"
#include "lua/lua_fiber.h"
#include "lua/lua_finalizer.h"
#include "lua/lua_modules.h"
#include "lua/lua_preempt.h"
#include "net/resolve.h"
#include "runtime/fiber.h"

/* Ours, see third_party/luajit; a system library has none, nor one that was built to
 * use malloc(). */
extern void luaJIT_free_arena(void *arena) __attribute__((weak));

static void open_slots(lua_State *L, struct lua_slots *slots)
{
	lua_newtable(L);
	slots->table = (void *)lua_topointer(L, -1);
	slots->ref = luaL_ref(L, LUA_REGISTRYINDEX);
}

static void open_libs(lua_State *L, void *arg)
{
	struct lua_vm *vm = arg;

	luaL_openlibs(L);
	lua_newtable(L);
	vm->fibers_ref = luaL_ref(L, LUA_REGISTRYINDEX);
	lua_newtable(L);
	lua_setfield(L, LUA_REGISTRYINDEX, LUA_VM_BEHIND_FILES);
	open_slots(L, &vm->handles);
	open_slots(L, &vm->spawners);
	lua_newtable(L);
	vm->noted_ref = luaL_ref(L, LUA_REGISTRYINDEX);
	lua_call_open(L);
	lua_error_open(L);
	lua_finalizer_open();
	lua_value_open(L, &vm->values);
}

void lua_vm_load_source(lua_State *L, const char *source, size_t size,
			const char *name)
{
	if (luaL_loadbuffer(L, source, size, name) != 0)
		lua_error(L);
	lua_getfield(L, LUA_REGISTRYINDEX, LUA_VM_GLOBALS);
	if (lua_isnil(L, -1))
		lua_pop(L, 1);
	else
		lua_setfenv(L, -2);
}

static void run_source(lua_State *L, const char *source, const char *name,
		       int nargs, bool divisible)
{
	lua_vm_load_source(L, source, strlen(source), name);
	if (!divisible)
		lua_preempt_spare(L);
	lua_insert(L, -1 - nargs);
	lua_call(L, nargs, 1);
}

void lua_vm_run_source(lua_State *L, const char *source, const char *name,
		       int nargs)
{
	run_source(L, source, name, nargs, false);
}

static void run_module(lua_State *L, const struct lua_module *m)
{
	const char *name;

	if (m->open != NULL) {
		lua_pushcfunction(L, m->open);
		lua_call(L, 0, 1);
	} else {
		lua_pushnil(L);
	}
	if (m->source == NULL)
		return;
	name = lua_pushfstring(L, "=neap/%s.lua", m->name);
	lua_insert(L, -2);
	run_source(L, m->source, name, 1, m->divisible);
}

/* The loader of a module of ours, in package.preload. Upvalues: the module, and
 * what it gave when it was loaded: a state has each one once, also when
 * package.loaded is cleared, for objects of it are told by its metatables. */
static int load_module(lua_State *L)
{
	const struct lua_module *m = lua_touserdata(L, lua_upvalueindex(1));

	if (lua_isnil(L, lua_upvalueindex(2))) {
		run_module(L, m);
		lua_replace(L, lua_upvalueindex(2));
	}
	lua_pushvalue(L, lua_upvalueindex(2));
	return 1;
}

static void push_loader(lua_State *L, const struct lua_module *m)
{
	lua_pushlightuserdata(L, (void *)m);
	lua_pushnil(L);
	lua_pushcclosure(L, load_module, 2);
}

static void register_module(lua_State *L, void *arg)
{
	const struct lua_module *m = arg;

	if (m->behind_files) {
		lua_getfield(L, LUA_REGISTRYINDEX, LUA_VM_BEHIND_FILES);
	} else {
		lua_getglobal(L, "package");
		lua_getfield(L, -1, "preload");
	}
	push_loader(L, m);
	lua_setfield(L, -2, m->name);
}

int lua_vm_register(struct lua_vm *vm, const struct lua_module *module)
{
	return lua_vm_protect(vm, register_module, (void *)module);
}

/* What changes Lua's own functions is loaded at once, not on require(). */
static void run_builtins(lua_State *L, void *arg)
{
	(void)arg;
	push_loader(L, &lua_module_builtins);
	lua_call(L, 0, 0);
	push_loader(L, &lua_module_io);
	lua_call(L, 0, 0);
	push_loader(L, &lua_module_callbacks);
	lua_call(L, 0, 0);
	push_loader(L, &lua_module_extensions);
	lua_call(L, 0, 0);
	/* A global, too. */
	lua_getfield(L, LUA_REGISTRYINDEX, LUA_VM_BEHIND_FILES);
	lua_getfield(L, -1, lua_module_utf8.name);
	lua_call(L, 0, 1);
	lua_setglobal(L, lua_module_utf8.name);
}

bool lua_vm_stack_is_low(lua_State *L)
{
	const struct lua_vm *vm = lua_vm_of(L);
	uintptr_t here = (uintptr_t)__builtin_frame_address(0);

	/* Outside: on a stack of a C module's, which has its own guard. */
	return here >= vm->stack_end && here < vm->stack_low;
}

/* The C stack of this thread: what nests in Lua may take half. */
static void find_stack(struct lua_vm *vm)
{
	pthread_attr_t attr;
	void *end = NULL;
	size_t size = 0;

	if (pthread_getattr_np(pthread_self(), &attr) != 0)
		return;
	if (pthread_attr_getstack(&attr, &end, &size) == 0) {
		vm->stack_end = (uintptr_t)end;
		vm->stack_low = (uintptr_t)end + size / 2;
	}
	pthread_attr_destroy(&attr);
}

int lua_vm_create(struct lua_vm *vm, struct sched *sched,
		  lua_uncaught_f on_uncaught, void *arg)
{
	lua_State *L = luaL_newstate();

	if (L == NULL) {
		diag_set_oom(sizeof *vm, "a Lua state");
		return -1;
	}
	*vm = (struct lua_vm){
		.L = L,
		.sched = sched,
		.slice_warn_ns = 500000000,
		.slice_err_ns = 1000000000,
		.on_uncaught = on_uncaught,
		.on_uncaught_arg = arg,
	};
	list_init(&vm->pool);
	lua_limits_create(vm->limits);
	find_stack(vm);
	lua_memory_create(vm);
	if (lua_vm_protect(vm, open_libs, vm) != 0)
		goto fail;
	for (const struct lua_module *const *m = lua_modules; *m != NULL; m++) {
		if (lua_vm_register(vm, *m) != 0)
			goto fail;
	}
	if (lua_vm_protect(vm, run_builtins, NULL) != 0)
		goto fail;
	return 0;
fail:
	lua_vm_destroy(vm);
	return -1;
}

void lua_vm_destroy(struct lua_vm *vm)
{
	/* A finalizer may want a fiber: nothing would run it any more. */
	vm->closing = true;
	lua_fiber_empty_pool(vm);
	lua_close(vm->L);
	lua_finalizer_close(vm);
	lua_blocking_end();
	resolve_end();
	lua_cmod_helpers_end();
	lua_cmod_free_unjoined();
	call_empty_pool();
	path_watch_end();
	vm->L = NULL;
	/* lua_close() frees the arena only when it finds its own allocator. */
	if (luaJIT_free_arena != NULL && vm->memory.alloc_arg != NULL)
		luaJIT_free_arena(vm->memory.alloc_arg);
}
