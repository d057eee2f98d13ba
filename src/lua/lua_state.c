/* A Lua state of the server: made, given its libraries, closed. */
#include "lua/lua_state.h"

#include <lauxlib.h>
#include <luajit.h>
#include <lualib.h>
#include <string.h>

#include "base/diag.h"
#include "base/inject.h"
#include "cmod/call.h"
#include "lua/lua_call.h"
#include "lua/lua_error.h"
#include "lua/lua_fiber.h"
#include "lua/lua_modules.h"
#include "runtime/fiber.h"

/* LuaJIT's own; absent in a system library, which hides it. */
extern void lj_alloc_destroy(void *arena) __attribute__((weak));

static void *vm_alloc(void *arg, void *ptr, size_t old_size, size_t size)
{
	struct lua_vm *vm = arg;
	void *p;

	if (size > old_size && inject("lua.alloc"))
		return NULL;
	p = vm->alloc(vm->alloc_arg, ptr, old_size, size);
	if (p != NULL || size == 0) {
		vm->memory += size - (ptr == NULL ? 0 : old_size);
		if (vm->memory > vm->memory_peak)
			vm->memory_peak = vm->memory;
	}
	return p;
}

static void open_libs(lua_State *L, void *arg)
{
	struct lua_vm *vm = arg;

	luaL_openlibs(L);
	lua_newtable(L);
	vm->fibers_ref = luaL_ref(L, LUA_REGISTRYINDEX);
	lua_newtable(L);
	vm->handles_ref = luaL_ref(L, LUA_REGISTRYINDEX);
	lua_newtable(L);
	vm->spawners_ref = luaL_ref(L, LUA_REGISTRYINDEX);
	lua_newtable(L);
	vm->noted_ref = luaL_ref(L, LUA_REGISTRYINDEX);
	lua_error_open(L);
	lua_value_open(L, &vm->values);
}

/* The loader of a module of ours: upvalues are the C half's open function and
 * the Lua half's text. package.preload calls it with the module's name. */
static int load_module(lua_State *L)
{
	const struct lua_module *m = lua_touserdata(L, lua_upvalueindex(1));

	if (m->open != NULL) {
		lua_pushcfunction(L, m->open);
		lua_call(L, 0, 1);
	} else {
		lua_pushnil(L);
	}
	if (m->source == NULL)
		return 1;
	lua_pushfstring(L, "=neap/%s.lua", m->name);
	if (luaL_loadbuffer(L, m->source, strlen(m->source),
			    lua_tostring(L, -1)) != 0)
		return lua_error(L);
	lua_pushvalue(L, -3);
	lua_call(L, 1, 1);
	return 1;
}

static void register_module(lua_State *L, void *arg)
{
	const struct lua_module *m = arg;

	lua_getglobal(L, "package");
	lua_getfield(L, -1, "preload");
	lua_pushlightuserdata(L, (void *)m);
	lua_pushcclosure(L, load_module, 1);
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
	lua_pushlightuserdata(L, (void *)&lua_module_builtins);
	lua_pushcclosure(L, load_module, 1);
	lua_call(L, 0, 0);
}

int lua_vm_create(struct lua_vm *vm, struct sched *sched,
		  lua_uncaught_f on_uncaught, void *arg)
{
	lua_State *L = luaL_newstate();

	if (L == NULL) {
		diag_set_oom(sizeof *vm, "a Lua state");
		return -1;
	}
	vm->L = L;
	vm->sched = sched;
	vm->memory = (size_t)lua_gc(L, LUA_GCCOUNT, 0) * 1024;
	vm->memory_peak = vm->memory;
	vm->alloc = lua_getallocf(L, &vm->alloc_arg);
	list_init(&vm->pool);
	vm->pooled = 0;
	vm->on_uncaught = on_uncaught;
	vm->on_uncaught_arg = arg;
	lua_setallocf(L, vm_alloc, vm);
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
	lua_fiber_empty_pool(vm);
	lua_close(vm->L);
	call_empty_pool();
	vm->L = NULL;
	/* lua_close() frees the arena only when it finds its own allocator. */
	if (lj_alloc_destroy != NULL && vm->alloc_arg != NULL)
		lj_alloc_destroy(vm->alloc_arg);
}
