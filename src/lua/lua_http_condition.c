/*
 * What a request asks for besides its path, for Lua: conditions, ranges, dates,
 * and the path of a file below a prefix.
 */
#include <lauxlib.h>
#include <limits.h>
#include <string.h>

#include "base/hex.h"
#include "lua/lua_error.h"
#include "lua/lua_http.h"
#include "net/http_accept.h"
#include "net/http_condition.h"
#include "net/http_date.h"
#include "net/http_range.h"

/* The validators at @a idx: etag | nil, seconds | nil. */
static struct http_validators validators_at(lua_State *L, int idx)
{
	struct http_validators v = { .modified = HTTP_NEVER_MODIFIED };

	if (!lua_isnoneornil(L, idx))
		v.etag.data = luaL_checklstring(L, idx, &v.etag.size);
	if (!lua_isnoneornil(L, idx + 1))
		v.modified = (int64_t)luaL_checknumber(L, idx + 1);
	return v;
}

/* condition(req, etag | nil, seconds | nil) -> nil | 304 | 412 */
static int l_condition(lua_State *L)
{
	struct http_request *req = lua_http_find_request(L, 1);
	struct http_validators v = validators_at(L, 2);
	int status = req == NULL ? 0 : http_condition(req, &v);

	if (status == 0)
		return 0;
	lua_pushinteger(L, status);
	return 1;
}

/* ranges(req, size, etag | nil, seconds | nil) -> nil: all of it | false: none
 * of what is wanted is there | { start, size, start, size ... } */
static int l_ranges(lua_State *L)
{
	struct http_request *req = lua_http_find_request(L, 1);
	double size = luaL_checknumber(L, 2);
	struct http_validators v = validators_at(L, 3);
	struct http_range ranges[HTTP_RANGES_MAX];
	struct http_text value = { NULL, 0 };
	int count = HTTP_RANGES_WHOLE;

	if (req != NULL)
		value = http_condition_range(req, &v);
	if (value.data != NULL)
		count = http_range_parse(value, (uint64_t)size, ranges);
	if (count == HTTP_RANGES_WHOLE)
		return 0;
	if (count == HTTP_RANGES_NONE) {
		lua_pushboolean(L, 0);
		return 1;
	}
	lua_createtable(L, 2 * count, 0);
	for (int i = 0; i < count; i++) {
		lua_pushnumber(L, (lua_Number)ranges[i].start);
		lua_rawseti(L, -2, 2 * i + 1);
		lua_pushnumber(L, (lua_Number)ranges[i].size);
		lua_rawseti(L, -2, 2 * i + 2);
	}
	return 1;
}

/* date(seconds) -> string */
static int l_date(lua_State *L)
{
	char text[HTTP_DATE_SIZE];

	http_date_format(text, (int64_t)luaL_checknumber(L, 1));
	lua_pushstring(L, text);
	return 1;
}

/* parse_date(text) -> seconds | nil */
static int l_parse_date(lua_State *L)
{
	struct http_text text;
	int64_t seconds;

	text.data = luaL_checklstring(L, 1, &text.size);
	if (!http_date_parse(text, &seconds))
		return 0;
	lua_pushnumber(L, (lua_Number)seconds);
	return 1;
}

/* is_etag(text) -> boolean */
static int l_is_etag(lua_State *L)
{
	struct http_text text;

	text.data = luaL_checklstring(L, 1, &text.size);
	lua_pushboolean(L, http_etag_is_valid(text));
	return 1;
}

/* Write @a from without its escapes. Returns the size, or -1: an escaped slash,
 * a NUL, an escape that is none, or it is too long. */
static int decode_path(struct http_text from, char to[PATH_MAX])
{
	size_t n = 0;
	int high, low;

	for (size_t i = 0; i < from.size; i++) {
		char c = from.data[i];

		if (c == '%') {
			if (from.size - i < 3)
				return -1;
			high = hex_value(from.data[i + 1]);
			low = hex_value(from.data[i + 2]);
			if (high < 0 || low < 0)
				return -1;
			c = (char)(high << 4 | low);
			i += 2;
			if (c == '/')
				return -1;
		}
		if (c == '\0' || n == PATH_MAX - 1)
			return -1;
		to[n++] = c;
	}
	to[n] = '\0';
	return (int)n;
}

/* No empty ones, but at the end; neither "." nor ".."; hidden ones if they may
 * be seen. */
static bool segments_are_plain(const char *path, bool hidden)
{
	for (const char *p = path; *p != '\0';) {
		size_t size = strcspn(p, "/");

		if (size == 0 || (*p == '.' && (!hidden || size == 1 ||
						(size == 2 && p[1] == '.'))))
			return false;
		p += size;
		p += *p == '/';
	}
	return true;
}

/* The path of a request, or a path itself, without its escapes: its length, or -1. */
static int path_of(lua_State *L, char *path)
{
	struct http_request *req;
	struct http_text text;

	if (lua_type(L, 1) == LUA_TSTRING) {
		text.data = lua_tolstring(L, 1, &text.size);
		return decode_path(text, path);
	}
	req = lua_http_find_request(L, 1);
	return req == NULL ? -1 : decode_path(http_request_path(req), path);
}

/* file_path(req | path, prefix, hidden) -> path below the prefix | nil: there can
 * be no file. The prefix ends in a slash. */
static int l_file_path(lua_State *L)
{
	size_t size;
	const char *prefix = luaL_checklstring(L, 2, &size);
	char path[PATH_MAX];
	int n = path_of(L, path);

	if (n < (int)size || memcmp(path, prefix, size) != 0 ||
	    !segments_are_plain(path + size, lua_toboolean(L, 3)))
		return 0;
	lua_pushlstring(L, path + size, n - size);
	return 1;
}

/* accepts(list, names) -> string: those of @names ("bzg": brotli, zstd, gzip)
 * that the list of an Accept-Encoding accepts, the most liked first, and among
 * equals in the order of @names. What is liked less than "identity" is left
 * out. */
static int l_accepts(lua_State *L)
{
	struct http_text list;
	const char *names;
	int q[4], n = 0, plain;
	char found[4];

	list.data = luaL_checklstring(L, 1, &list.size);
	names = luaL_checkstring(L, 2);
	plain = http_accept_quality(list, "identity");
	/* It is the default, and no wish, unless it was named. */
	if (plain == HTTP_QUALITY_MAX)
		plain = 1;
	for (; *names != '\0' && n < 3; names++) {
		const char *name = *names == 'b'   ? "br"
				   : *names == 'z' ? "zstd"
						   : "gzip";
		int quality = http_accept_quality(list, name), at = n;

		if (quality < plain || quality == 0)
			continue;
		for (; at > 0 && q[at - 1] < quality; at--) {
			q[at] = q[at - 1];
			found[at] = found[at - 1];
		}
		q[at] = quality;
		found[at] = *names;
		n++;
	}
	lua_pushlstring(L, found, n);
	return 1;
}

void lua_http_open_condition(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{ "accepts", l_accepts },       { "condition", l_condition },
		{ "ranges", l_ranges },         { "date", l_date },
		{ "parse_date", l_parse_date }, { "is_etag", l_is_etag },
		{ "file_path", l_file_path },   { NULL, NULL },
	};

	luaL_register(L, NULL, functions);
}
