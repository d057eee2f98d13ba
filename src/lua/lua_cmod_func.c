/*
 * The handles of functions (the module `cmod`), of all kinds: plain, offloaded,
 * isolated, live. See lua_cmod_handle.c.
 */
#include <lauxlib.h>
#include <string.h>

#include "lua/lua_class.h"
#include "lua/lua_cmod.h"
#include "lua/lua_cmod_pool.h"
#include "lua/lua_cmod_quick.h"
#include "lua/lua_error.h"

_Static_assert(offsetof(struct cmod_live, use) == 0,
	       "a live function is a function");

struct cmod_func_box *lua_cmod_push_func(lua_State *L, enum lua_class id,
					 const char *path, const char *symbol,
					 const struct lua_cmod_options *o)
{
	size_t path_size = strlen(path), symbol_size = strlen(symbol);
	struct cmod_func_box *box = lua_cmod_quick_box(
		L, id, sizeof *box + path_size + 1 + symbol_size + 1);

	memset(box, 0, sizeof *box);
	box->mark = lua_cmod_mark(box);
	box->is_live = id == LUA_CLASS_CMOD_LIVE;
	box->options = *o;
	memcpy(box->name, path, path_size);
	box->name[path_size] = '.';
	memcpy(box->name + path_size + 1, symbol, symbol_size + 1);
	return box;
}

int lua_cmod_func_finish(lua_State *L, struct cmod_func_box *box)
{
	if (!box->options.isolate)
		return 1;
	box->pool = lua_cmod_pool_new(lua_vm_of(L)->sched, box->use.func,
				      &box->options);
	return box->pool != NULL ? 1 : lua_error_throw(L);
}

/* A function of any kind. By its mark, not by its metatable: that one can be
 * put on anything by the debug library. */
static struct cmod_func_box *check_func(lua_State *L)
{
	struct cmod_func_box *box = lua_cmod_quick_callee(L);

	if (box == NULL)
		lua_error_usage(L, "a function is wanted, not %s",
				luaL_typename(L, 1));
	return box;
}

static void empty_func(struct cmod_func_box *box)
{
	lua_cmod_pool_unref(box->pool);
	box->pool = NULL;
	lua_cmod_probe_stop(&box->probe);
	if (box->is_live)
		cmod_live_destroy(&box->live);
	else
		cmod_use_destroy(&box->use);
}

/***
 * func:unload() -> true
 * Let go of the function; calls in progress end well. Throws: IllegalParams (not a
 * function; unloaded already). Yields: no.
 */
static int l_func_unload(lua_State *L)
{
	struct cmod_func_box *box = check_func(L);

	if (box->use.func == NULL)
		lua_error_usage(L, "function '%s' is unloaded", box->name);
	/* (A call of a live function may still be about to start a probe.) */
	if (!box->is_live)
		lua_cmod_quick_finalized(L);
	empty_func(box);
	lua_pushboolean(L, 1);
	return 1;
}

static int l_func_gc(lua_State *L)
{
	empty_func(check_func(L));
	return 0;
}

/***
 * func.name -> string | nil
 * `<module>.<symbol>`; it is what the console shows.
 */

/***
 * func.symbol -> string | nil
 * The name in the library.
 */

/***
 * func.module -> string | nil
 * The path as given to `cmod.load()` or `cmod.live()`.
 */

/***
 * func.file -> string | nil
 * The file that its instance was loaded from.
 */

/***
 * func.state -> string | nil
 * `cached` or `orphan`: as `module.state`, of its instance.
 */
static int l_func_index(lua_State *L)
{
	struct cmod_func_box *box = check_func(L);
	const struct cmod_func *f = box->use.func;
	const char *key = lua_cmod_index_key(L);
	const char *symbol;

	if (f == NULL)
		return 1;
	symbol = cmod_func_symbol(f);
	if (strcmp(key, "name") == 0)
		lua_pushstring(L, box->name);
	else if (strcmp(key, "symbol") == 0)
		lua_pushstring(L, symbol);
	else if (strcmp(key, "module") == 0)
		lua_pushlstring(L, box->name,
				strlen(box->name) - strlen(symbol) - 1);
	else if (strcmp(key, "file") == 0)
		lua_pushstring(L, cmod_file(cmod_func_module(f)));
	else if (strcmp(key, "state") == 0)
		lua_pushstring(L, lua_cmod_state_name(cmod_func_module(f)));
	return 1;
}

static int l_func_tostring(lua_State *L)
{
	struct cmod_func_box *box = check_func(L);
	const char *kind = "function";

	if (box->is_live)
		kind = "live function";
	else if (lua_class_test(L, 1, LUA_CLASS_CMOD_OFFLOAD) != NULL)
		kind = "offloaded function";
	else if (lua_class_test(L, 1, LUA_CLASS_CMOD_ISOLATED) != NULL)
		kind = "isolated function";
	lua_pushfstring(L, "%s: %s%s", kind, box->name,
			box->use.func == NULL ? " (unloaded)" : "");
	return 1;
}

static int l_func_serialize(lua_State *L)
{
	struct cmod_func_box *box = check_func(L);

	lua_createtable(L, 0, 1);
	if (box->use.func == NULL)
		return 1;
	lua_pushstring(L, box->name);
	lua_setfield(L, -2, "name");
	return 1;
}

void lua_cmod_open_functions(lua_State *L)
{
	static const luaL_Reg func_meta[] = {
		{ "__gc", l_func_gc },
		{ "__tostring", l_func_tostring },
		{ "__serialize", l_func_serialize },
		{ "__call", lua_cmod_call_plain },
		{ NULL, NULL },
	};
	static const luaL_Reg live_meta[] = {
		{ "__gc", l_func_gc },
		{ "__tostring", l_func_tostring },
		{ "__serialize", l_func_serialize },
		{ "__call", lua_cmod_call_live },
		{ NULL, NULL },
	};
	static const luaL_Reg offload_meta[] = {
		{ "__gc", l_func_gc },
		{ "__tostring", l_func_tostring },
		{ "__serialize", l_func_serialize },
		{ "__call", lua_cmod_call_offload },
		{ NULL, NULL },
	};
	static const luaL_Reg isolated_meta[] = {
		{ "__gc", l_func_gc },
		{ "__tostring", l_func_tostring },
		{ "__serialize", l_func_serialize },
		{ "__call", lua_cmod_call_isolated },
		{ NULL, NULL },
	};
	static const luaL_Reg func_methods[] = {
		{ "unload", l_func_unload },
		{ NULL, NULL },
	};

	lua_cmod_open_class(L, LUA_CLASS_CMOD_FUNC, "function", func_meta,
			    l_func_index, func_methods);
	lua_cmod_open_class(L, LUA_CLASS_CMOD_LIVE, "live function", live_meta,
			    l_func_index, func_methods);
	lua_cmod_open_class(L, LUA_CLASS_CMOD_OFFLOAD, "offloaded function",
			    offload_meta, l_func_index, func_methods);
	lua_cmod_open_class(L, LUA_CLASS_CMOD_ISOLATED, "isolated function",
			    isolated_meta, l_func_index, func_methods);
}
