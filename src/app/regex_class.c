/* The class Regex of scripts, the C half of regex_class.lua. */
#include <lauxlib.h>

#include "app/regex.h"
#include "app/tools_modules.h"
#include "base/diag.h"
#include "lua/lua_error.h"

static const char class[] = "neap.regex";

struct box {
	struct regex *regex; /* NULL: it could not be made */
};

/* new(pattern, ignore_case) -> box | nil, text */
static int l_new(lua_State *L)
{
	size_t size;
	const char *pattern = luaL_checklstring(L, 1, &size);
	unsigned flags = lua_toboolean(L, 2) ? REGEX_IGNORE_CASE : 0;
	struct box *box = lua_newuserdata(L, sizeof *box);

	box->regex = NULL;
	luaL_getmetatable(L, class);
	lua_setmetatable(L, -2);
	box->regex = regex_new(pattern, size, flags);
	if (box->regex != NULL)
		return 1;
	if (diag_last() != NULL && diag_last()->type == &OutOfMemory)
		return lua_error_throw(L);
	lua_pushnil(L);
	lua_pushstring(L, diag_last()->message);
	diag_clear();
	return 2;
}

static void push_spans(lua_State *L, const char *text,
		       const struct regex_span *spans, int count)
{
	lua_createtable(L, count, 0);
	for (int i = 0; i < count; i++) {
		if (spans[i].from == REGEX_UNSET)
			lua_pushliteral(L, "");
		else
			lua_pushlstring(L, text + spans[i].from,
					spans[i].to - spans[i].from);
		lua_rawseti(L, -2, i + 1);
	}
}

/* match(box, text, with_spans) -> found, spans | text */
static int l_match(lua_State *L)
{
	struct box *box = luaL_checkudata(L, 1, class);
	struct regex_span spans[REGEX_GROUPS_MAX];
	bool wants = lua_toboolean(L, 3);
	size_t size;
	const char *text = luaL_checklstring(L, 2, &size);
	int rc = regex_match(box->regex, text, size, 0, spans,
			     wants ? REGEX_GROUPS_MAX : 0);

	if (rc == REGEX_FAILED) {
		diag_set(OutOfMemory, "not enough memory for a match");
		return lua_error_throw(L);
	}
	lua_pushboolean(L, rc > 0);
	if (rc == REGEX_OVER) {
		lua_pushstring(L, regex_limit_text);
		return 2;
	}
	if (rc <= 0 || !wants)
		return 1;
	push_spans(L, text, spans, rc);
	return 2;
}

static int l_gc(lua_State *L)
{
	struct box *box = luaL_checkudata(L, 1, class);

	regex_delete(box->regex);
	box->regex = NULL;
	return 0;
}

int tools_open_regex(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{ "new", l_new },
		{ "match", l_match },
		{ NULL, NULL },
	};

	luaL_newmetatable(L, class);
	lua_pushcfunction(L, l_gc);
	lua_setfield(L, -2, "__gc");
	lua_pushboolean(L, 0);
	lua_setfield(L, -2, "__metatable");
	lua_newtable(L);
	luaL_register(L, NULL, functions);
	return 1;
}
