/*
 * The handles of modules (the module `cmod`), and what all handles of it share.
 * A handle is a userdata that was made and given its class before anything was
 * put into it, so that nothing is lost when Lua throws.
 *
 * Unknown string keys are nil, as the fields of a handle that was unloaded.
 */
#include <lauxlib.h>
#include <string.h>

#include "base/diag.h"
#include "lua/lua_class.h"
#include "lua/lua_cmod.h"
#include "lua/lua_cmod_options.h"
#include "lua/lua_cmod_quick.h"
#include "lua/lua_error.h"
#include "lua_src/lua.h"

const char *lua_cmod_state_name(const struct cmod *m)
{
	return cmod_is_cached(m) ? "cached" : "orphan";
}

struct cmod_module_box *lua_cmod_push_module(lua_State *L, const char *path)
{
	size_t size = strlen(path) + 1;
	struct cmod_module_box *box = lua_cmod_quick_box(
		L, LUA_CLASS_CMOD_MODULE, sizeof *box + size);

	box->mark = lua_cmod_module_mark(box);
	box->module = NULL;
	memcpy(box->path, path, size);
	return box;
}

const char *lua_cmod_index_key(lua_State *L)
{
	if (lua_type(L, 2) != LUA_TSTRING)
		lua_error_usage(L, "a field's name is wanted, not %s",
				luaL_typename(L, 2));
	lua_settop(L, 2);
	lua_pushnil(L);
	return lua_tostring(L, 2);
}

/* By its mark, not by its metatable: that one can be put on anything by the
 * debug library. */
static struct cmod_module_box *check_module(lua_State *L, int idx)
{
	struct cmod_module_box *box = lua_cmod_quick_module(L, idx);

	if (box == NULL)
		lua_error_usage(L, "a module is wanted, not %s",
				luaL_typename(L, idx));
	return box;
}

struct cmod_module_box *lua_cmod_check_loaded_module(lua_State *L, int idx)
{
	struct cmod_module_box *box = check_module(L, idx);

	if (box->module == NULL)
		lua_error_usage(L, "module '%s' is unloaded", box->path);
	return box;
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
	lua_cmod_quick_finalized(L);
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

	if (box->module == NULL)
		return 1;
	if (strcmp(key, "path") == 0)
		lua_pushstring(L, box->path);
	else if (strcmp(key, "file") == 0)
		lua_pushstring(L, cmod_file(box->module));
	else if (strcmp(key, "state") == 0)
		lua_pushstring(L, lua_cmod_state_name(box->module));
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
	lua_pushstring(L, lua_cmod_state_name(box->module));
	lua_setfield(L, -2, "state");
	return 1;
}

void lua_cmod_open_class(lua_State *L, enum lua_class id, const char *name,
			 const luaL_Reg *meta, lua_CFunction index,
			 const luaL_Reg *methods)
{
	lua_class_new(L, id, name, meta);
	lua_newtable(L);
	luaL_register(L, NULL, methods);
	lua_pushcfunction(L, index);
	lua_vm_run_source(L, lua_src_cmod_index, "=neap/cmod_index.lua", 2);
	lua_setfield(L, -2, "__index");
	lua_pop(L, 1);
}

void lua_cmod_open_modules(lua_State *L)
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
	lua_cmod_open_class(L, LUA_CLASS_CMOD_MODULE, "module", module_meta,
			    l_module_index, module_methods);
}
