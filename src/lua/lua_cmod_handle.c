/*
 * What Lua holds of C modules (the module `cmod`): handles of modules,
 * functions and live functions. A handle is a userdata that was made and given
 * its class before anything was put into it, so that nothing is lost when Lua
 * throws.
 *
 * Unknown string keys are nil, as the fields of a handle that was unloaded.
 */
#include <lauxlib.h>
#include <string.h>

#include "base/diag.h"
#include "lua/lua_class.h"
#include "lua/lua_cmod.h"
#include "lua/lua_cmod_options.h"
#include "lua/lua_cmod_pool.h"
#include "lua/lua_cmod_quick.h"
#include "lua/lua_error.h"

_Static_assert(offsetof(struct cmod_live, use) == 0,
	       "a live function is a function");

static const char *state_name(const struct cmod *m)
{
	return cmod_is_cached(m) ? "cached" : "orphan";
}

struct cmod_module_box *lua_cmod_push_module(lua_State *L, const char *path)
{
	size_t size = strlen(path) + 1;
	struct cmod_module_box *box = lua_newuserdata(L, sizeof *box + size);

	box->mark = lua_cmod_module_mark(box);
	box->module = NULL;
	memcpy(box->path, path, size);
	lua_class_metatable(L, LUA_CLASS_CMOD_MODULE);
	lua_setmetatable(L, -2);
	return box;
}

struct cmod_func_box *lua_cmod_push_func(lua_State *L, enum lua_class id,
					 const char *path, const char *symbol,
					 const struct lua_cmod_options *o)
{
	size_t path_size = strlen(path), symbol_size = strlen(symbol);
	struct cmod_func_box *box = lua_newuserdata(
		L, sizeof *box + path_size + 1 + symbol_size + 1);

	memset(box, 0, sizeof *box);
	box->mark = lua_cmod_mark(box);
	box->is_live = id == LUA_CLASS_CMOD_LIVE;
	box->options = *o;
	memcpy(box->name, path, path_size);
	box->name[path_size] = '.';
	memcpy(box->name + path_size + 1, symbol, symbol_size + 1);
	lua_class_metatable(L, id);
	lua_setmetatable(L, -2);
	return box;
}

const char *lua_cmod_index_key(lua_State *L)
{
	if (lua_type(L, 2) != LUA_TSTRING)
		lua_error_usage(L, "a field's name is wanted, not %s",
				luaL_typename(L, 2));
	lua_settop(L, 2);
	lua_pushvalue(L, 2);
	lua_rawget(L, lua_upvalueindex(1));
	return lua_isnil(L, -1) ? lua_tostring(L, 2) : NULL;
}

static struct cmod_module_box *check_module(lua_State *L, int idx)
{
	struct cmod_module_box *box =
		lua_class_check(L, idx, LUA_CLASS_CMOD_MODULE);

	/* The debug library can put the metatable on anything. */
	if (lua_objlen(L, idx) <= sizeof *box ||
	    box->mark != lua_cmod_module_mark(box))
		lua_error_usage(L, "a module is wanted, not a userdata that "
				   "looks like one");
	return box;
}

struct cmod_module_box *lua_cmod_check_loaded_module(lua_State *L, int idx)
{
	struct cmod_module_box *box = check_module(L, idx);

	if (box->module == NULL)
		lua_error_usage(L, "module '%s' is unloaded", box->path);
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

static enum lua_class class_of(const struct lua_cmod_options *o)
{
	if (o->isolate)
		return LUA_CLASS_CMOD_ISOLATED;
	return o->offload ? LUA_CLASS_CMOD_OFFLOAD : LUA_CLASS_CMOD_FUNC;
}

/***
 * module:load(name, [options]) -> func
 * The function @name of the library, at most 256 bytes. Functions outlive their
 * module's handle: they hold the instance themselves.
 *
 * @options is a table that says where calls run. With `offload` (true) they run on
 * other threads: the fiber waits, the server does not. `timeout` is then the
 * seconds a call may take; a call that is over it, or whose fiber is cancelled, is
 * `nil, err` at once, and what the function still gives is dropped.
 *
 * With `isolate` ('process') they run in a helper process, one after the other:
 * when the function kills that, takes more than `timeout` seconds (30) or more
 * than `memory` bytes (1 GiB), the call is `nil, err`, and the next one gets a
 * new helper. `workers` (1) is how many helpers there may be. They are started by
 * the first calls, and end with the handle.
 *
 * Throws: IllegalParams (no name, not a string, empty, too long, holds a NUL; a
 * wrong option; the module is unloaded), ClientError (no such function; the symbol
 * is data or another library's), OutOfMemory. Yields: no.
 */
static int l_module_load(lua_State *L)
{
	struct cmod_module_box *m = lua_cmod_check_loaded_module(L, 1);
	struct lua_cmod_options options;
	struct cmod_func_box *box;
	const char *name;
	size_t size;

	name = lua_cmod_check_name(L, 2, "module:load: the function's name",
				   &size);
	lua_cmod_read_options(L, 3, "module:load", &options);
	box = lua_cmod_push_func(L, class_of(&options), m->path, name,
				 &options);
	/* Making it may have run a finalizer, which may have unloaded m. */
	if (m->module == NULL)
		lua_error_usage(L, "module '%s' is unloaded", m->path);
	if (cmod_use_create(&box->use, m->module, name, size) != 0)
		return lua_error_throw(L);
	return lua_cmod_func_finish(L, box);
}

/***
 * module:unload() -> true
 * Let go of the module. Its functions stay. Throws: IllegalParams (not a module;
 * unloaded already). Yields: no.
 */
static int l_module_unload(lua_State *L)
{
	struct cmod_module_box *box = lua_cmod_check_loaded_module(L, 1);
	struct cmod *m = box->module;

	box->module = NULL;
	cmod_unref(m);
	lua_pushboolean(L, 1);
	return 1;
}

static int l_module_gc(lua_State *L)
{
	struct cmod_module_box *box = check_module(L, 1);
	struct cmod *m = box->module;

	box->module = NULL;
	cmod_unref(m);
	return 0;
}

/***
 * module.path -> string | nil
 * The path as given to `cmod.load()`.
 */

/***
 * module.file -> string | nil
 * The file that it was loaded from, links resolved.
 */

/***
 * module.state -> string | nil
 * `cached` while `cmod.load()` would give this very instance out again, `orphan`
 * once a newer one has taken its place.
 */
static int l_module_index(lua_State *L)
{
	struct cmod_module_box *box = check_module(L, 1);
	const char *key = lua_cmod_index_key(L);

	if (key == NULL || box->module == NULL)
		return 1;
	if (strcmp(key, "path") == 0)
		lua_pushstring(L, box->path);
	else if (strcmp(key, "file") == 0)
		lua_pushstring(L, cmod_file(box->module));
	else if (strcmp(key, "state") == 0)
		lua_pushstring(L, state_name(box->module));
	return 1;
}

static int l_module_tostring(lua_State *L)
{
	struct cmod_module_box *box = check_module(L, 1);

	lua_pushfstring(L, "module: %s%s", box->path,
			box->module == NULL ? " (unloaded)" : "");
	return 1;
}

static int l_module_serialize(lua_State *L)
{
	struct cmod_module_box *box = check_module(L, 1);

	lua_createtable(L, 0, 2);
	if (box->module == NULL)
		return 1;
	lua_pushstring(L, box->path);
	lua_setfield(L, -2, "path");
	lua_pushstring(L, state_name(box->module));
	lua_setfield(L, -2, "state");
	return 1;
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

	if (key == NULL || f == NULL)
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
		lua_pushstring(L, state_name(cmod_func_module(f)));
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

void lua_cmod_open_class(lua_State *L, enum lua_class id, const char *name,
			 const luaL_Reg *meta, lua_CFunction index,
			 const luaL_Reg *methods)
{
	lua_class_new(L, id, name, meta);
	lua_newtable(L);
	luaL_register(L, NULL, methods);
	lua_pushcclosure(L, index, 1);
	lua_setfield(L, -2, "__index");
	lua_pop(L, 1);
}

void lua_cmod_open_handles(lua_State *L)
{
	static const luaL_Reg module_meta[] = {
		{ "__gc", l_module_gc },
		{ "__tostring", l_module_tostring },
		{ "__serialize", l_module_serialize },
		{ NULL, NULL },
	};
	static const luaL_Reg module_methods[] = {
		{ "load", l_module_load },
		{ "unload", l_module_unload },
		{ NULL, NULL },
	};
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

	lua_cmod_open_class(L, LUA_CLASS_CMOD_MODULE, "module", module_meta,
			    l_module_index, module_methods);
	lua_cmod_open_class(L, LUA_CLASS_CMOD_FUNC, "function", func_meta,
			    l_func_index, func_methods);
	lua_cmod_open_class(L, LUA_CLASS_CMOD_LIVE, "live function", live_meta,
			    l_func_index, func_methods);
	lua_cmod_open_class(L, LUA_CLASS_CMOD_OFFLOAD, "offloaded function",
			    offload_meta, l_func_index, func_methods);
	lua_cmod_open_class(L, LUA_CLASS_CMOD_ISOLATED, "isolated function",
			    isolated_meta, l_func_index, func_methods);
}
