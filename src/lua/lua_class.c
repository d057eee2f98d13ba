/* Classes of userdata of the hot paths. See lua_class.h. */
#include "lua/lua_class.h"

#include "lua/lua_error.h"

void lua_class_new(lua_State *L, enum lua_class id, const char *name,
		   const luaL_Reg *methods)
{
	struct lua_vm *vm = lua_vm_of(L);

	lua_newtable(L);
	luaL_register(L, NULL, methods);
	lua_pushboolean(L, 0);
	lua_setfield(L, -2, "__metatable");
	lua_pushvalue(L, -1);
	vm->classes[id].ref = luaL_ref(L, LUA_REGISTRYINDEX);
	vm->classes[id].metatable = lua_topointer(L, -1);
	vm->classes[id].name = name;
}

void *lua_class_check(lua_State *L, int idx, enum lua_class id)
{
	void *box = lua_class_test(L, idx, id);

	if (__builtin_expect(box == NULL, 0))
		lua_error_usage(L, "a %s is wanted, not %s",
				lua_vm_of(L)->classes[id].name,
				luaL_typename(L, idx));
	return box;
}
