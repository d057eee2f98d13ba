/* cmod.list(): what is loaded (the module `cmod`). Under the cache's lock all
 * is copied into a buffer; tables are made of it afterwards. */
#include <lauxlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/diag.h"
#include "lua/lua_cmod.h"
#include "lua/lua_error.h"

/* What a module's record begins with; its strings stand behind it, then the
 * records of its functions. */
struct record {
	struct cmod_info info;
	size_t path_size; /* with their NULs; version: 0 is none */
	size_t file_size;
	size_t version_size;
};

/* What a function's begins with; its name stands behind it. */
struct func_record {
	struct cmod_func_info info;
	size_t symbol_size;
};

struct collect {
	struct buf *out;
	int rc;
};

static void append(struct collect *c, const void *data, size_t size)
{
	if (c->rc == 0)
		c->rc = buf_append(c->out, data, size);
}

static void collect_function(const struct cmod_func_info *info, void *arg)
{
	struct func_record r = {
		.info = *info,
		.symbol_size = strlen(info->symbol) + 1,
	};

	append(arg, &r, sizeof r);
	append(arg, info->symbol, r.symbol_size);
}

/* Under the cache's lock: nothing of Lua here. */
static void collect(const struct cmod_info *info, void *arg)
{
	struct record r = {
		.info = *info,
		.path_size = strlen(info->path) + 1,
		.file_size = strlen(info->file) + 1,
		.version_size =
			info->version == NULL ? 0 : strlen(info->version) + 1,
	};

	append(arg, &r, sizeof r);
	append(arg, info->path, r.path_size);
	append(arg, info->file, r.file_size);
	append(arg, info->version, r.version_size);
	cmod_list_functions(info, collect_function, arg);
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

static const char *push_function(lua_State *L, const char *p)
{
	struct func_record r;

	memcpy(&r, p, sizeof r);
	p += sizeof r;
	lua_createtable(L, 0, 5);
	set_string(L, "name", p);
	set_number(L, "references", r.info.refs);
	set_number(L, "calls", (double)r.info.calls);
	set_number(L, "errors", (double)r.info.errors);
	set_number(L, "cpu", (double)r.info.cpu_ns / 1e9);
	return p + r.symbol_size;
}

/* Push the table of the record at @a p. Returns where the next one begins. */
static const char *push_record(lua_State *L, const char *p)
{
	const struct cmod_info *i;
	struct record r;

	memcpy(&r, p, sizeof r);
	p += sizeof r;
	i = &r.info;
	lua_createtable(L, 0, 17);
	set_number(L, "id", (double)i->serial);
	set_string(L, "path", p);
	set_string(L, "file", p += r.path_size);
	p += r.file_size;
	if (r.version_size != 0)
		set_string(L, "version", p);
	p += r.version_size;
	set_string(L, "state",
		   i->unloaded ? "unloaded"
		   : i->cached ? "cached"
			       : "orphan");
	lua_pushboolean(L, i->never_closes);
	lua_setfield(L, -2, "never_closes");
	set_number(L, "device", (double)i->id.dev);
	set_number(L, "inode", (double)i->id.ino);
	set_number(L, "size", (double)i->id.size);
	set_number(L, "mtime",
		   (double)i->id.mtime.tv_sec +
			   (double)i->id.mtime.tv_nsec / 1e9);
	set_number(L, "since", (double)i->since_ns / 1e9);
	set_number(L, "references", i->refs);
	set_number(L, "functions", i->functions);
	set_number(L, "calls", (double)i->calls);
	set_number(L, "errors", (double)i->errors);
	set_number(L, "cpu", (double)i->cpu_ns / 1e9);
	lua_createtable(L, (int)i->functions, 0);
	for (unsigned n = 1; n <= i->functions; n++) {
		p = push_function(L, p);
		lua_rawseti(L, -2, (int)n);
	}
	lua_setfield(L, -2, "by_function");
	return p;
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
		p = push_record(L, p);
		lua_rawseti(L, -2, ++n);
	}
	return 1;
}

void lua_cmod_push_list(lua_State *L)
{
	lua_createtable(L, 0, 1);
	lua_pushcfunction(L, l_buf_gc);
	lua_setfield(L, -2, "__gc");
	lua_pushcclosure(L, l_list, 1);
}
