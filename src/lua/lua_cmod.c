/* The module `cmod`: load. */
#include "lua/lua_cmod.h"

#include <lauxlib.h>
#include <string.h>

#include "base/diag.h"
#include "lua/lua_class.h"
#include "lua/lua_cmod_quick.h"
#include "lua/lua_error.h"
#include "lua_src/lua.h"

const char *lua_cmod_check_text(lua_State *L, int idx, const char *what,
				size_t *ret_size)
{
	const char *text;

	if (lua_type(L, idx) != LUA_TSTRING)
		lua_error_usage(L, "%s: a string is wanted, not %s", what,
				luaL_typename(L, idx));
	text = lua_tolstring(L, idx, ret_size);
	if (*ret_size == 0)
		lua_error_usage(L, "%s is empty", what);
	if (strlen(text) != *ret_size)
		lua_error_usage(L, "%s '%s\\0...' holds a NUL", what, text);
	return text;
}

const char *lua_cmod_check_name(lua_State *L, int idx, const char *what,
				size_t *ret_size)
{
	const char *name = lua_cmod_check_text(L, idx, what, ret_size);

	if (*ret_size > CMOD_NAME_MAX)
		lua_error_usage(L,
				"%s '%.32s...' has %d bytes, at most %d are "
				"allowed",
				what, name, (int)*ret_size, CMOD_NAME_MAX);
	return name;
}

const char *lua_cmod_push_cpath(lua_State *L)
{
	lua_pushvalue(L, lua_upvalueindex(1)); /* package */
	lua_pushvalue(L, lua_upvalueindex(2)); /* "cpath" */
	lua_rawget(L, -2);
	return lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
}

/* load(path) -> module; options are seen to by the Lua half */
static int l_load(lua_State *L)
{
	struct cmod_module_box *box;
	const char *path, *cpath;
	size_t size;

	path = lua_cmod_quick_string(L, &size);
	if (path == NULL)
		path = lua_cmod_check_text(L, 1, "cmod.load: the path", &size);
	box = lua_cmod_push_module(L, path);
	box->module = cmod_load_cached(path, size);
	if (box->module != NULL)
		return 1;
	cpath = lua_cmod_push_cpath(L);
	box->module = cmod_load(path, cpath);
	if (box->module == NULL)
		return lua_error_throw(L);
	lua_pop(L, 2);
	return 1;
}

void lua_cmod_set_searching(lua_State *L, const char *name, lua_CFunction fn)
{
	lua_getglobal(L, "package");
	lua_pushliteral(L, "cpath");
	lua_pushcclosure(L, fn, 2);
	lua_setfield(L, -2, name);
}

static int luaopen_neap_cmod(lua_State *L)
{
	lua_cmod_set_host();
	lua_cmod_open_call(L);
	lua_cmod_open_modules(L);
	lua_cmod_open_functions(L);
	lua_cmod_open_watch(L);
	lua_newtable(L);
	lua_cmod_set_searching(L, "load", l_load);
	lua_cmod_set_searching(L, "live", lua_cmod_live);
	lua_cmod_set_searching(L, "watch", lua_cmod_watch);
	lua_cmod_open_probe(L);
	lua_cmod_push_list(L);
	lua_setfield(L, -2, "list");
	return 1;
}

const struct lua_module lua_module_cmod = {
	"cmod",
	luaopen_neap_cmod,
	lua_src_cmod,
};
