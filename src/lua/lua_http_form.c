/* Forms in bodies of type multipart/form-data, for Lua: the parser's events. */
#include <lauxlib.h>
#include <string.h>
#include <uv.h>

#include "base/diag.h"
#include "lua/lua_class.h"
#include "lua/lua_error.h"
#include "lua/lua_http.h"
#include "net/multipart.h"

static void push_text(lua_State *L, struct http_text t)
{
	if (t.data == NULL)
		lua_pushnil(L);
	else
		lua_pushlstring(L, t.data, t.size);
}

/* form(content type, parts, header bytes) -> form | nil: it is none */
static int l_form(lua_State *L)
{
	struct http_text type, boundary;
	struct multipart_limits limits = {
		.parts = (uint32_t)luaL_checknumber(L, 2),
		.header_bytes = (uint32_t)luaL_checknumber(L, 3),
	};
	struct multipart *m;

	type.data = luaL_checklstring(L, 1, &type.size);
	boundary = multipart_boundary(type);
	if (boundary.data == NULL)
		return 0;
	m = lua_class_box(L, LUA_CLASS_HTTP_FORM, sizeof *m);
	multipart_create(m, boundary, &limits);
	return 1;
}

/* form_feed(form, text) */
static int l_form_feed(lua_State *L)
{
	struct multipart *m = lua_class_check(L, 1, LUA_CLASS_HTTP_FORM);
	size_t size;
	const char *text = luaL_checklstring(L, 2, &size);

	if (multipart_feed(m, text, size) != 0)
		return luaL_error(L, "not enough memory");
	return 0;
}

/* form_next(form) -> "more" | "begin", name, filename, type | "data", text |
 * "part end" | "end" | "bad", why */
static int l_form_next(lua_State *L)
{
	struct multipart *m = lua_class_check(L, 1, LUA_CLASS_HTTP_FORM);

	switch (multipart_next(m)) {
	case MULTIPART_MORE:
		lua_pushliteral(L, "more");
		return 1;
	case MULTIPART_BEGIN:
		lua_pushliteral(L, "begin");
		push_text(L, m->name);
		push_text(L, m->filename);
		push_text(L, m->type);
		return 4;
	case MULTIPART_DATA:
		lua_pushliteral(L, "data");
		push_text(L, m->data);
		return 2;
	case MULTIPART_PART_END:
		lua_pushliteral(L, "part end");
		return 1;
	case MULTIPART_END:
		lua_pushliteral(L, "end");
		return 1;
	default:
		lua_pushliteral(L, "bad");
		lua_pushstring(L, m->why);
		return 2;
	}
}

/* form_error(text) -> err */
static int l_form_error(lua_State *L)
{
	diag_set_system(UV_EPROTO, "the form is refused: %s",
			luaL_checkstring(L, 1));
	lua_error_push_diag(L);
	return 1;
}

/* is_over(req) -> boolean: it has been answered, or given up. */
static int l_is_over(lua_State *L)
{
	lua_pushboolean(L, lua_http_find_request(L, 1) == NULL);
	return 1;
}

static int l_gc(lua_State *L)
{
	multipart_destroy(lua_class_check(L, 1, LUA_CLASS_HTTP_FORM));
	return 0;
}

void lua_http_open_form(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{ "form", l_form },           { "form_feed", l_form_feed },
		{ "form_next", l_form_next }, { "form_error", l_form_error },
		{ "is_over", l_is_over },     { NULL, NULL },
	};
	static const luaL_Reg meta[] = {
		{ "__gc", l_gc },
		{ NULL, NULL },
	};

	lua_class_new(L, LUA_CLASS_HTTP_FORM, "http form", meta);
	lua_pop(L, 1);
	luaL_register(L, NULL, functions);
}
