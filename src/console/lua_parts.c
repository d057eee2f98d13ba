/* The Lua sources of this layer. See lua_parts.h. */
#include "console/lua_parts.h"

#include <lauxlib.h>
#include <string.h>

#include "base/diag.h"
#include "console/history.h"
#include "console/lua_reload.h"
#include "console/module_files.h"
#include "console/session.h"
#include "lua/lua_error.h"
#include "lua/lua_state.h"
#include "lua_src/console.h"

static const struct {
	const char *name;
	const char *chunk;
	const char *source;
	const size_t *size;
} parts[LUA_PART_COUNT] = {
#define PART(name)                                            \
	{                                                     \
#name, "=neap/" #name ".lua", lua_src_##name, \
			&lua_src_##name##_size                \
	}
	[LUA_PART_SESSION] = PART(session),
	[LUA_PART_COMPLETE] = PART(complete),
	[LUA_PART_COMPLETE_FILES] = PART(complete_files),
	[LUA_PART_CLIENT] = PART(client),
	[LUA_PART_SETTINGS] = PART(settings),
	[LUA_PART_OUTPUT] = PART(output),
	[LUA_PART_LITERAL] = PART(literal),
	[LUA_PART_ROWS] = PART(rows),
	[LUA_PART_CUT] = PART(cut),
	[LUA_PART_COMMANDS] = PART(session_commands),
	[LUA_PART_REGISTER] = PART(register),
#undef PART
};

static const char part_keys[LUA_PART_COUNT];

int lua_parts_part(lua_State *L)
{
	const char *name = luaL_checkstring(L, 1);

	for (int i = 0; i < LUA_PART_COUNT; i++) {
		if (strcmp(parts[i].name, name) == 0) {
			lua_parts_push(L, i);
			return 1;
		}
	}
	return luaL_error(L, "console: no part %s", name);
}

struct history_box {
	struct history history;
};

static int l_history_gc(lua_State *L)
{
	struct history_box *box = lua_touserdata(L, 1);

	history_destroy(&box->history);
	box->history = (struct history){ 0 };
	return 0;
}

/* read_history(path, count) -> list | nil, err. The last entries of the file. */
static int l_read_history(lua_State *L)
{
	const char *path = luaL_checkstring(L, 1);
	lua_Number wanted = luaL_checknumber(L, 2);
	struct history_box *box = lua_newuserdata(L, sizeof *box);
	size_t first = 0;

	box->history = (struct history){ 0 };
	lua_newtable(L);
	lua_pushcfunction(L, l_history_gc);
	lua_setfield(L, -2, "__gc");
	lua_setmetatable(L, -2);
	if (history_create(&box->history, path) != 0)
		return lua_error_fail(L);
	if ((lua_Number)box->history.count > wanted)
		first = box->history.count - (size_t)wanted;
	lua_newtable(L);
	for (size_t i = first; i < box->history.count; i++) {
		lua_pushstring(L, box->history.entries[i]);
		lua_rawseti(L, -2, (int)(i - first + 1));
	}
	history_destroy(&box->history);
	box->history = (struct history){ 0 };
	return 1;
}

/* What each source gets as its argument. */
static void push_argument(lua_State *L)
{
	lua_createtable(L, 0, 9);
	lua_pushcfunction(L, lua_parts_part);
	lua_setfield(L, -2, "part");
	lua_pushcfunction(L, l_read_history);
	lua_setfield(L, -2, "read_history");
	lua_pushcfunction(L, session_lua_show);
	lua_setfield(L, -2, "show");
	lua_pushcfunction(L, module_files_folder);
	lua_setfield(L, -2, "folder");
	lua_pushcfunction(L, module_files_is_file);
	lua_setfield(L, -2, "is_file");
	lua_pushcfunction(L, module_files_now);
	lua_setfield(L, -2, "now");
	lua_pushinteger(L, SESSION_INPUT_MAX);
	lua_setfield(L, -2, "input_max");
	lua_reload_set_functions(L);
}

void lua_parts_push(lua_State *L, enum lua_part part)
{
	lua_pushlightuserdata(L, (void *)&part_keys[part]);
	lua_rawget(L, LUA_REGISTRYINDEX);
	if (!lua_isnil(L, -1))
		return;
	lua_pop(L, 1);
	lua_vm_load_source(L, parts[part].source, *parts[part].size,
			   parts[part].chunk);
	push_argument(L);
	lua_call(L, 1, 1);
	lua_pushlightuserdata(L, (void *)&part_keys[part]);
	lua_pushvalue(L, -2);
	lua_rawset(L, LUA_REGISTRYINDEX);
}
