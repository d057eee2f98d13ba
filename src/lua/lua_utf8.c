/*
 * The C half of utf8.lua. What is upper and lower case, and a letter, tells GNU
 * libunistring, which is loaded when that is first asked for.
 */
#include "lua/lua_utf8.h"

#include <dlfcn.h>
#include <lauxlib.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <unicase.h>
#include <unictype.h>

#include "base/utf8.h"
#include "lua/lua_error.h"

enum {
	CODE_MAX = 0x10ffff,
	CHAR_MAX_SIZE = 4,
	GROWTH_MAX = 3, /* of a text, by a change of case */
};

/* --- libunistring --- */

#define LIBRARY "libunistring.so.2"

static struct {
	__typeof__(&u8_toupper) to_upper;
	__typeof__(&u8_tolower) to_lower;
	__typeof__(&uc_is_general_category_withtable) is_of;
	const char *problem; /* NULL: it is there */
} library;

static void *find(void *dl, const char *name)
{
	void *f = dl != NULL ? dlsym(dl, name) : NULL;

	if (f == NULL)
		library.problem = LIBRARY " is missing: install libunistring2";
	return f;
}

static void load_once(void)
{
	void *dl = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);

	*(void **)&library.to_upper = find(dl, "u8_toupper");
	*(void **)&library.to_lower = find(dl, "u8_tolower");
	*(void **)&library.is_of = find(dl, "uc_is_general_category_withtable");
}

static void check_library(lua_State *L)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, load_once);
	if (library.problem != NULL)
		luaL_error(L, "utf8: %s", library.problem);
}

/* --- characters --- */

/* How many bytes count as one character; those of what is none that could have
 * become one go together. */
static unsigned char_size(const char *s, const char *end)
{
	size_t left = (size_t)(end - s);
	unsigned n = utf8_length((const unsigned char *)s,
				 (const unsigned char *)end);

	if (n != 0)
		return n;
	for (n = left < 3 ? (unsigned)left : 3; n > 1; n--) {
		if (utf8_is_begun(s, n))
			break;
	}
	return n;
}

/* The character of @a size bytes at @a s, or -1: it is none. */
static int32_t code_at(const char *s, unsigned size)
{
	const unsigned char *p = (const unsigned char *)s;
	int32_t code;

	if (utf8_length(p, p + size) != size)
		return -1;
	if (size == 1)
		return p[0];
	code = p[0] & (0x7f >> size);
	for (unsigned i = 1; i < size; i++)
		code = code << 6 | (p[i] & 0x3f);
	return code;
}

/* A position as it is, or from the end. */
static long position(lua_Integer at, size_t size)
{
	if (at >= 0)
		return at;
	return (uint64_t)-at > size ? 0 : (long)size + at + 1;
}

static const char *check_text(lua_State *L, bool fits, const char *usage,
			      size_t *ret_size)
{
	if (!fits || !lua_isstring(L, 1))
		lua_error_usage(L, "Usage: utf8.%s", usage);
	return lua_tolstring(L, 1, ret_size);
}

/***
 * utf8.len(text, [first, [last]]) -> number | nil, number | nil, err
 * How many characters of @text begin from the byte @first (1) up to the byte @last (-1). Nil and
 * the position of what is no character; or nil and what is wrong with the positions.
 * Yields: no.
 */
static int l_len(lua_State *L)
{
	size_t size;
	const char *s = check_text(L, lua_gettop(L) <= 3,
				   "len(<string>, [i, [j]])", &size);
	long from = position(luaL_optinteger(L, 2, 1), size);
	long to = position(luaL_optinteger(L, 3, -1), size);
	int count = 0;

	if (from < 1 || from > (long)size + 1 || to > (long)size) {
		lua_pushnil(L);
		lua_pushliteral(L, "position is out of string");
		return 2;
	}
	for (from--; from < to; count++) {
		unsigned n = char_size(s + from, s + size);

		from += n;
		if (code_at(s + from - n, n) < 0) {
			lua_pushnil(L);
			lua_pushinteger(L, from);
			return 2;
		}
	}
	lua_pushinteger(L, count);
	return 1;
}

/***
 * utf8.next(text, [position]) -> number, number | nothing
 * Of the character of @text that begins at the byte @position (1): where the next one begins, and
 * its number. Nothing at the end, or where none begins. For loops over characters:
 * `for position, code in utf8.next, text do`. Yields: no.
 */
static int l_next(lua_State *L)
{
	size_t size;
	const char *s = check_text(L, lua_gettop(L) <= 2,
				   "next(<string>, [<byte offset>])", &size);
	long at = position(luaL_optinteger(L, 2, 1), size);
	unsigned n;
	int32_t code;

	at -= at > 0;
	if (at >= (long)size)
		return 0;
	n = char_size(s + at, s + size);
	code = code_at(s + at, n);
	if (code < 0)
		return 0;
	lua_pushinteger(L, at + (long)n + 1);
	lua_pushinteger(L, code);
	return 2;
}

/***
 * utf8.char(code, ...) -> string
 * The characters with the numbers @code and so on. Yields: no. Throws: there is no such.
 */
static int l_char(lua_State *L)
{
	int count = lua_gettop(L);
	luaL_Buffer b;

	if (count < 1)
		return lua_error_usage(L, "Usage: utf8.char(<char code>)");
	for (int i = 1; i <= count; i++) {
		lua_Number code = luaL_checknumber(L, i);

		luaL_argcheck(L, code >= 0 && code <= CODE_MAX, i,
			      "no number of a character");
	}
	luaL_buffinit(L, &b);
	for (int i = 1; i <= count; i++) {
		char text[CHAR_MAX_SIZE];

		luaL_addlstring(&b, text,
				utf8_put(text, (uint32_t)lua_tonumber(L, i)));
	}
	luaL_pushresult(&b);
	return 1;
}

static size_t count_chars(const char *s, const char *end)
{
	size_t count = 0;

	for (; s < end; count++)
		s += char_size(s, end);
	return count;
}

static const char *skip_chars(const char *s, const char *end, double count)
{
	for (; s < end && count >= 1; count--)
		s += char_size(s, end);
	return s;
}

/***
 * utf8.sub(text, first, [last]) -> string
 * The characters of @text from the one numbered @first up to @last (-1), as of string.sub().
 * Yields: no.
 */
static int l_sub(lua_State *L)
{
	size_t size;
	const char *s = check_text(L, lua_gettop(L) >= 2,
				   "sub(<string>, [i, [j]])", &size);
	const char *end = s + size, *from;
	double first = (double)luaL_checkinteger(L, 2);
	double last = (double)luaL_optinteger(L, 3, -1);

	if (first < 0 || last < 0) {
		double count = (double)count_chars(s, end);

		first = first < 0 ? first + count + 1 : first;
		last = last < 0 ? last + count + 1 : last;
	}
	first = first < 1 ? 1 : first;
	from = skip_chars(s, end, first - 1);
	end = skip_chars(from, end, last - first + 1);
	lua_pushlstring(L, from, (size_t)(end - from));
	return 1;
}

/* --- kinds --- */

static int push_is_of(lua_State *L, const char *name, uint32_t kinds)
{
	int32_t code = -1;
	size_t size;

	if (lua_gettop(L) != 1)
		return lua_error_usage(
			L, "Usage: utf8.%s(<string> or <one symbol code>)",
			name);
	if (lua_type(L, 1) == LUA_TSTRING) {
		const char *s = lua_tolstring(L, 1, &size);

		if (size > 0 && size <= CHAR_MAX_SIZE)
			code = code_at(s, (unsigned)size);
	} else {
		lua_Number number = luaL_checknumber(L, 1);

		if (number >= 0 && number <= CODE_MAX)
			code = (int32_t)number;
	}
	check_library(L);
	lua_pushboolean(L, code >= 0 && library.is_of((ucs4_t)code, kinds));
	return 1;
}

/***
 * utf8.isalpha(character) -> boolean
 * Is @character, a text or its number, one letter? Yields: no.
 */
static int l_isalpha(lua_State *L)
{
	return push_is_of(L, "isalpha", UC_CATEGORY_MASK_L);
}

/***
 * utf8.isdigit(character) -> boolean
 * Is @character one decimal digit, of whatever script? Yields: no.
 */
static int l_isdigit(lua_State *L)
{
	return push_is_of(L, "isdigit", UC_CATEGORY_MASK_Nd);
}

/***
 * utf8.islower(character) -> boolean
 * Is @character one letter in lower case? Yields: no.
 */
static int l_islower(lua_State *L)
{
	return push_is_of(L, "islower", UC_CATEGORY_MASK_Ll);
}

/***
 * utf8.isupper(character) -> boolean
 * Is @character one letter in upper case? Yields: no.
 */
static int l_isupper(lua_State *L)
{
	return push_is_of(L, "isupper", UC_CATEGORY_MASK_Lu);
}

/* --- case --- */

/* convert(text, to_upper) -> text: what is no UTF-8 stays. */
static int l_convert(lua_State *L)
{
	size_t size, room, used = 0;
	const char *s = luaL_checklstring(L, 1, &size), *end = s + size;
	bool to_upper = lua_toboolean(L, 2);
	char *out;

	check_library(L);
	room = size * GROWTH_MAX + 1;
	out = lua_newuserdata(L, room);
	while (s < end) {
		size_t n = utf8_valid(s, (size_t)(end - s));
		size_t left = room - used;
		uint8_t *to = (uint8_t *)out + used, *result;

		if (n == 0) {
			out[used++] = *s++;
			continue;
		}
		result = (to_upper ? library.to_upper : library.to_lower)(
			(const uint8_t *)s, n, NULL, NULL, to, &left);
		if (result != to) {
			free(result);
			return luaL_error(L, "not enough memory");
		}
		used += left;
		s += n;
	}
	lua_pushlstring(L, out, used);
	return 1;
}

int luaopen_neap_utf8(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{ "char", l_char },       { "convert", l_convert },
		{ "isalpha", l_isalpha }, { "isdigit", l_isdigit },
		{ "islower", l_islower }, { "isupper", l_isupper },
		{ "len", l_len },         { "next", l_next },
		{ "sub", l_sub },         { NULL, NULL },
	};

	lua_newtable(L);
	luaL_register(L, NULL, functions);
	return 1;
}
