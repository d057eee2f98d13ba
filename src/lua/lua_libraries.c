/* Which of Lua's libraries scripts get. See lua_libraries.h. */
#include "lua/lua_libraries.h"

#include <lauxlib.h>
#include <stdatomic.h>

#include "lua/lua_call.h"
#include "lua/lua_fiber.h"
#include "lua/lua_state.h"
#include "lua_src/lua.h"

const char *const lua_library_names[LUA_LIBRARY_COUNT] = {
	"bit",  "debug", "ffi",     "io",     "jit",
	"math", "os",    "package", "string", "table",
};

static atomic_uint closed_now;

void lua_libraries_close(unsigned closed)
{
	atomic_store(&closed_now, closed);
}

static void set_globals(lua_State *L, lua_State *co)
{
	lua_pushvalue(L, -1);
	if (co != L)
		lua_xmove(L, co, 1);
	lua_replace(co, LUA_GLOBALSINDEX);
}

/* Scripts are compiled with the globals of their coroutine: those of new ones
 * are the main one's. */
static void close_libraries(lua_State *L, void *arg)
{
	unsigned closed = *(const unsigned *)arg;
	struct lua_vm *vm = lua_vm_of(L);

	lua_newtable(L);
	for (int i = 0; i < LUA_LIBRARY_COUNT; i++) {
		if (!(closed & 1u << i))
			continue;
		lua_pushstring(L, lua_library_names[i]);
		lua_rawseti(L, -2, (int)lua_objlen(L, -2) + 1);
	}
	lua_vm_run_source(L, lua_src_libraries, "=neap/libraries.lua", 1);
	lua_pushvalue(L, LUA_GLOBALSINDEX);
	lua_setfield(L, LUA_REGISTRYINDEX, LUA_VM_GLOBALS);
	set_globals(L, vm->L);
	list_foreach(link, &vm->pool)
		set_globals(L,
			    list_entry(link, struct lua_fiber, base.link)->co);
}

int lua_libraries_apply(struct lua_vm *vm)
{
	unsigned closed = atomic_load(&closed_now);

	return closed == 0 ? 0 : lua_vm_protect(vm, close_libraries, &closed);
}
