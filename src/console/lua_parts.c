/* The Lua sources of this layer. See lua_parts.h. */
#include "console/lua_parts.h"

#include <lauxlib.h>

#include "console/session.h"
#include "lua_src/console.h"

static const char part_keys[LUA_PART_COUNT];

/* What the source gets as its argument. */
static void push_argument(lua_State *L, enum lua_part part)
{
	lua_newtable(L);
	if (part != LUA_PART_SESSION)
		return;
	lua_parts_push(L, LUA_PART_LITERAL);
	lua_setfield(L, -2, "lua_text");
	lua_pushinteger(L, SESSION_INPUT_MAX);
	lua_setfield(L, -2, "input_max");
}

void lua_parts_push(lua_State *L, enum lua_part part)
{
	static const struct {
		const char *name;
		const char *source;
		const size_t *size;
	} parts[LUA_PART_COUNT] = {
		[LUA_PART_LITERAL] = { "=neap/literal.lua", lua_src_literal,
				       &lua_src_literal_size },
		[LUA_PART_SESSION] = { "=neap/session.lua", lua_src_session,
				       &lua_src_session_size },
		[LUA_PART_COMPLETE] = { "=neap/complete.lua", lua_src_complete,
					&lua_src_complete_size },
	};

	lua_pushlightuserdata(L, (void *)&part_keys[part]);
	lua_rawget(L, LUA_REGISTRYINDEX);
	if (!lua_isnil(L, -1))
		return;
	lua_pop(L, 1);
	if (luaL_loadbuffer(L, parts[part].source, *parts[part].size,
			    parts[part].name) != 0)
		lua_error(L);
	push_argument(L, part);
	lua_call(L, 1, 1);
	lua_pushlightuserdata(L, (void *)&part_keys[part]);
	lua_pushvalue(L, -2);
	lua_rawset(L, LUA_REGISTRYINDEX);
}
