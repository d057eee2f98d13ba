/* The C half of io.lua: the class of files, and the small functions. */
#include "lua/lua_io.h"

#include <errno.h>
#include <lauxlib.h>
#include <string.h>

#include "base/inject.h"
#include "lua/lua_arg.h"
#include "lua/lua_blocking.h"
#include "lua/lua_class.h"
#include "lua/lua_state.h"

/* As C modules and Lua itself know it. */
static const char metatable_name[] = "FILE*";

int lua_io_push_result(lua_State *L, int err, const char *name)
{
	if (err == 0) {
		lua_pushboolean(L, 1);
		return 1;
	}
	lua_pushnil(L);
	if (name != NULL)
		lua_pushfstring(L, "%s: %s", name, strerror(err));
	else
		lua_pushstring(L, strerror(err));
	lua_pushinteger(L, err);
	errno = err; /* for the module of that name */
	return 3;
}

static struct io_file *test_file(lua_State *L, int arg)
{
	struct io_file *f = lua_class_test(L, arg, LUA_CLASS_FILE);

	/* C modules make smaller ones of the same class. */
	return f != NULL && lua_objlen(L, arg) == sizeof *f ? f : NULL;
}

struct io_stream *lua_io_check(lua_State *L, int arg)
{
	struct io_file *f = test_file(L, arg);

	if (f == NULL)
		lua_arg_type_error(L, arg, metatable_name);
	else if (f->stream == NULL)
		lua_arg_fail(L, lua_toboolean(L, lua_upvalueindex(1))
					? "standard file is closed"
					: "attempt to use a closed file");
	return f->stream;
}

struct io_file *lua_io_push(lua_State *L)
{
	struct io_file *f = lua_newuserdata(L, sizeof *f);

	memset(f, 0, sizeof *f);
	lua_class_metatable(L, LUA_CLASS_FILE);
	lua_setmetatable(L, -2);
	return f;
}

static void push_standard(lua_State *L, FILE *fp)
{
	struct io_file *f = lua_io_push(L);

	f->stream = lua_io_stream_new(fp, "");
	if (f->stream == NULL)
		luaL_error(L, "not enough memory");
	f->stream->standard = true;
	f->fp = fp;
}

/* type(value) */
static int l_type(lua_State *L)
{
	const struct io_file *f;

	if (lua_isnone(L, 1))
		return lua_arg_error(L, 1, "value expected");
	f = test_file(L, 1);
	lua_pushboolean(L, 1);
	if (f == NULL)
		lua_pushnil(L);
	else
		lua_pushstring(L, f->stream != NULL ? "file" : "closed file");
	return 2;
}

static int l_tostring(lua_State *L)
{
	const struct io_file *f = test_file(L, 1);

	if (f == NULL || f->stream == NULL)
		lua_pushliteral(L, "file (closed)");
	else
		lua_pushfstring(L, "file (%p)", (void *)f->fp);
	return 1;
}

/* check(file): it is one, and open. */
static int l_check(lua_State *L)
{
	lua_io_check(L, 1);
	lua_pushboolean(L, 1);
	return 1;
}

/* check_default(file): it is one, open or not. */
static int l_check_default(lua_State *L)
{
	if (test_file(L, 1) == NULL)
		return lua_arg_type_error(L, 1, metatable_name);
	lua_pushboolean(L, 1);
	return 1;
}

/* The reader of what is printed has left: what the layer above does about it. */
static int l_broken(lua_State *L)
{
	lua_CFunction f = lua_vm_of(L)->on_broken_output;

	return f == NULL ? 0 : f(L);
}

/* The metatable is Lua's own, so that C modules find it under its name. */
static void open_class(lua_State *L)
{
	static const luaL_Reg meta[] = {
		{ "__gc", lua_io_gc },
		{ "__tostring", l_tostring },
		{ NULL, NULL },
	};
	struct lua_vm *vm = lua_vm_of(L);

	luaL_newmetatable(L, metatable_name);
	for (lua_pushnil(L); lua_next(L, -2) != 0;) {
		lua_pop(L, 1);
		lua_pushvalue(L, -1);
		lua_pushnil(L);
		lua_rawset(L, -4);
	}
	luaL_register(L, NULL, meta);
	lua_pushvalue(L, -1);
	lua_setfield(L, -2, "__index");
	lua_pushvalue(L, -1);
	vm->classes[LUA_CLASS_FILE].ref = luaL_ref(L, LUA_REGISTRYINDEX);
	vm->classes[LUA_CLASS_FILE].metatable = lua_topointer(L, -1);
	vm->classes[LUA_CLASS_FILE].name = metatable_name;
}

/* The same functions for io.read() and its like: the file is not the user's
 * argument, which errors count. */
static void open_default(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{ "read", lua_io_read },   { "write", lua_io_write },
		{ "flush", lua_io_flush }, { "close", lua_io_close },
		{ "check", l_check },      { NULL, NULL },
	};

	lua_newtable(L);
	for (const luaL_Reg *f = functions; f->name != NULL; f++) {
		lua_pushboolean(L, 1);
		lua_pushcclosure(L, f->func, 1);
		lua_setfield(L, -2, f->name);
	}
}

int luaopen_neap_io(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{ "open", lua_io_open },
		{ "popen", lua_io_popen },
		{ "tmpfile", lua_io_tmpfile },
		{ "read", lua_io_read },
		{ "write", lua_io_write },
		{ "flush", lua_io_flush },
		{ "seek", lua_io_seek },
		{ "setvbuf", lua_io_setvbuf },
		{ "close", lua_io_close },
		{ "print", lua_io_print },
		{ "type", l_type },
		{ "check", l_check },
		{ "check_default", l_check_default },
		{ "broken", l_broken },
		{ "failed", lua_blocking_failed },
		{ NULL, NULL },
	};

	lua_newtable(L);
	luaL_register(L, NULL, functions);
	open_class(L);
	lua_setfield(L, -2, "methods");
	open_default(L);
	lua_setfield(L, -2, "default");
	push_standard(L, stdin);
	lua_setfield(L, -2, "stdin");
	push_standard(L, stdout);
	lua_setfield(L, -2, "stdout");
	push_standard(L, stderr);
	lua_setfield(L, -2, "stderr");
	lua_os_open(L);
	lua_pushinteger(L, EPIPE);
	lua_setfield(L, -2, "EPIPE");
	return 1;
}
