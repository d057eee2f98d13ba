/* The module `cmod`: load, live, list. The handles are in lua_cmod_handle.c. */
#include "lua/lua_cmod.h"

#include <lauxlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/diag.h"
#include "lua/lua_class.h"
#include "lua/lua_error.h"
#include "lua_src/lua.h"

/* What a record of list() begins with; the strings stand behind it. */
struct record {
	struct cmod_info info;
	size_t path_size; /* with their NULs; version: 0 is none */
	size_t file_size;
	size_t version_size;
};

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

void lua_cmod_check_options(lua_State *L, int idx, const char *what)
{
	if (lua_isnoneornil(L, idx))
		return;
	if (!lua_istable(L, idx))
		lua_error_usage(L, "%s: options are a table, not %s", what,
				luaL_typename(L, idx));
	lua_pushnil(L);
	if (lua_next(L, idx) != 0) {
		lua_pop(L, 1);
		lua_error_usage(L, "%s: no option '%s'", what,
				lua_type(L, -1) == LUA_TSTRING
					? lua_tostring(L, -1)
					: luaL_typename(L, -1));
	}
}

/* package.cpath, as the user may have changed it; NULL when it is no string.
 * The value stays on the stack. Throws: no. */
static const char *push_cpath(lua_State *L)
{
	lua_pushvalue(L, lua_upvalueindex(1)); /* package */
	lua_pushvalue(L, lua_upvalueindex(2)); /* "cpath" */
	lua_rawget(L, -2);
	return lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
}

/* load(path) -> module */
static int l_load(lua_State *L)
{
	struct cmod_module_box *box;
	const char *path, *cpath;
	size_t size;

	path = lua_cmod_check_text(L, 1, "cmod.load: the path", &size);
	lua_cmod_check_options(L, 2, "cmod.load");
	box = lua_cmod_push_module(L, path);
	box->module = cmod_load_cached(path);
	if (box->module != NULL)
		return 1;
	cpath = push_cpath(L);
	box->module = cmod_load(path, cpath);
	if (box->module == NULL)
		return lua_error_throw(L);
	lua_pop(L, 2);
	return 1;
}

/* live(path, name) -> function that is always the newest build's */
static int l_live(lua_State *L)
{
	const char *path, *name, *cpath;
	size_t path_size, name_size;
	struct cmod_func_box *box;

	path = lua_cmod_check_text(L, 1, "cmod.live: the path", &path_size);
	name = lua_cmod_check_text(L, 2, "cmod.live: the function's name",
				   &name_size);
	lua_cmod_check_options(L, 3, "cmod.live");
	box = lua_cmod_push_live(L, path, name);
	cpath = push_cpath(L);
	if (cmod_live_create(&box->live, path, cpath, name, name_size) != 0)
		return lua_error_throw(L);
	lua_pop(L, 2);
	return 1;
}

static int append_record(struct buf *out, const struct cmod_info *info)
{
	struct record r = {
		.info = *info,
		.path_size = strlen(info->path) + 1,
		.file_size = strlen(info->file) + 1,
		.version_size =
			info->version == NULL ? 0 : strlen(info->version) + 1,
	};

	if (buf_append(out, &r, sizeof r) != 0 ||
	    buf_append(out, info->path, r.path_size) != 0 ||
	    buf_append(out, info->file, r.file_size) != 0)
		return -1;
	return buf_append(out, info->version, r.version_size);
}

struct collect {
	struct buf *out;
	int rc;
};

/* Under the cache's lock: nothing of Lua here. */
static void collect(const struct cmod_info *info, void *arg)
{
	struct collect *c = arg;

	if (c->rc == 0)
		c->rc = append_record(c->out, info);
}

static void set_number(lua_State *L, const char *key, double value)
{
	lua_pushnumber(L, value);
	lua_setfield(L, -2, key);
}

static void set_string(lua_State *L, const char *key, const char *value)
{
	lua_pushstring(L, value);
	lua_setfield(L, -2, key);
}

static void push_record(lua_State *L, const struct record *r, const char *text)
{
	const struct cmod_info *i = &r->info;

	lua_createtable(L, 0, 16);
	set_string(L, "path", text);
	set_string(L, "file", text + r->path_size);
	if (r->version_size != 0)
		set_string(L, "version", text + r->path_size + r->file_size);
	set_string(L, "state", i->cached ? "cached" : "orphan");
	lua_pushboolean(L, i->never_closes);
	lua_setfield(L, -2, "never_closes");
	set_number(L, "device", (double)i->id.dev);
	set_number(L, "inode", (double)i->id.ino);
	set_number(L, "size", (double)i->id.size);
	set_number(L, "mtime",
		   (double)i->id.mtime.tv_sec + i->id.mtime.tv_nsec / 1e9);
	set_number(L, "since", i->since_ns / 1e9);
	set_number(L, "references", i->refs);
	set_number(L, "functions", i->functions);
	set_number(L, "calls", (double)i->calls);
	set_number(L, "errors", (double)i->errors);
}

static int l_buf_gc(lua_State *L)
{
	buf_destroy(lua_touserdata(L, 1));
	return 0;
}

/* list() -> {{path =, file =, state =, ...}, ...} */
static int l_list(lua_State *L)
{
	struct buf *out = lua_newuserdata(L, sizeof *out);
	struct collect c = { .out = out };
	const char *p, *end;
	int n = 0;

	*out = (struct buf){ NULL };
	lua_pushvalue(L, lua_upvalueindex(1)); /* frees the buffer */
	lua_setmetatable(L, -2);
	cmod_list(collect, &c);
	if (c.rc != 0) {
		diag_set_oom(out->size, "the list of modules");
		return lua_error_throw(L);
	}
	lua_newtable(L);
	p = out->data;
	for (end = p + out->size; p < end;) {
		struct record r;

		memcpy(&r, p, sizeof r);
		p += sizeof r;
		push_record(L, &r, p);
		lua_rawseti(L, -2, ++n);
		p += r.path_size + r.file_size + r.version_size;
	}
	return 1;
}

/* A function that knows the table `package` and the name of its field. */
static void set_searching(lua_State *L, const char *name, lua_CFunction fn)
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
	lua_cmod_open_handles(L);
	lua_newtable(L);
	set_searching(L, "load", l_load);
	set_searching(L, "live", l_live);
	lua_createtable(L, 0, 1);
	lua_pushcfunction(L, l_buf_gc);
	lua_setfield(L, -2, "__gc");
	lua_pushcclosure(L, l_list, 1);
	lua_setfield(L, -2, "list");
	return 1;
}

const struct lua_module lua_module_cmod = {
	"cmod",
	luaopen_neap_cmod,
	lua_src_cmod,
};
