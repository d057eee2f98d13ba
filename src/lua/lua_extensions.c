/* The C half of extensions.lua. The page `lua`: see there. */
#include "lua/lua_extensions.h"

#include <ctype.h>
#include <errno.h>
#include <lauxlib.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/environment.h"
#include "base/hex.h"
#include "lua/lua_error.h"
#include "lua/lua_value.h"

/* --- numbers --- */

struct number {
	uint64_t value; /* without its sign */
	bool negative;
};

static int digit_value(unsigned char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'z' ? c - 'a' + 10 : 36;
}

/* Past "0x" or "0b", which tells the base, or may stand where the base is that. */
static const char *skip_prefix(const char *s, int *base)
{
	int told = 0;

	if (s[0] == '0' && (s[1] | 0x20) == 'x' && hex_value(s[2]) >= 0)
		told = 16;
	else if (s[0] == '0' && (s[1] | 0x20) == 'b' &&
		 (s[2] == '0' || s[2] == '1'))
		told = 2;
	if (told == 0 || (*base != 0 && *base != told)) {
		*base = *base != 0 ? *base : 10;
		return s;
	}
	*base = told;
	return s + 2;
}

/* "LL", "ULL", as in LuaJIT's sources. */
static const char *skip_suffix(const char *s)
{
	const char *end = s + ((*s | 0x20) == 'u');

	return (end[0] | 0x20) == 'l' && (end[1] | 0x20) == 'l' ? end + 2 : s;
}

/* An integer in @base, 0: decimal, or as its begin tells. */
static bool parse(const char *s, size_t size, int base, struct number *ret)
{
	const char *end = s + size, *first;
	bool has_suffix = base == 0;

	ret->value = 0;
	while (isspace((unsigned char)*s))
		s++;
	ret->negative = *s == '-';
	if (*s == '-' || *s == '+')
		s++;
	first = s = skip_prefix(s, &base);
	for (int d; (d = digit_value(*s)) < base; s++) {
		if (__builtin_mul_overflow(ret->value, base, &ret->value) ||
		    __builtin_add_overflow(ret->value, d, &ret->value))
			return false;
	}
	if (s == first)
		return false;
	if (has_suffix)
		s = skip_suffix(s);
	while (isspace((unsigned char)*s))
		s++;
	return s == end;
}

static int push_number(lua_State *L, const struct number *n)
{
	if (!n->negative)
		lua_value_push_uint(L, n->value);
	else if (n->value <= (uint64_t)INT64_MAX + 1)
		lua_value_push_sint(L, (int64_t)(0 - n->value));
	else
		lua_pushnil(L);
	return 1;
}

/***
 * tonumber64(value, [base]) -> number | int64_t | uint64_t | nil
 * The integer that the text @value stands for, in @base (2 to 36; unless given 10,
 * or as `0x` and `0b` tell): a number, or, from 2^53 on, a cdata of 64 bits. Numbers
 * and integers of 64 bits are given as they are; nil: it is none, or too large.
 * Yields: no.
 */
static int l_tonumber64(lua_State *L)
{
	struct number n;
	const char *text;
	size_t size;
	int base = 0;

	luaL_checkany(L, 1);
	if (!lua_isnoneornil(L, 2)) {
		base = luaL_checkint(L, 2);
		luaL_argcheck(L, base >= 2 && base <= 36, 2,
			      "base out of range");
		luaL_argcheck(L, lua_type(L, 1) == LUA_TSTRING, 1,
			      "string expected");
	}
	if (lua_type(L, 1) == LUA_TNUMBER) {
		lua_settop(L, 1);
		return 1;
	}
	if (lua_type(L, 1) != LUA_TSTRING) {
		struct lua_cdata cdata = { .kind = LUA_CDATA_OTHER };

		if (strcmp(luaL_typename(L, 1), "cdata") == 0)
			lua_value_read_cdata(L, 1, &cdata);
		lua_settop(L, cdata.kind == LUA_CDATA_SINT ||
					      cdata.kind == LUA_CDATA_UINT
				      ? 1
				      : 0);
		if (lua_gettop(L) == 0)
			lua_pushnil(L);
		return 1;
	}
	text = lua_tolstring(L, 1, &size);
	if (parse(text, size, base, &n))
		return push_number(L, &n);
	lua_pushnil(L);
	return 1;
}

/* --- the environment --- */

/***
 * os.setenv(name, [value])
 * Set @name in the environment, of all workers and of programs that are started from
 * now on, to the text @value; without one, remove it. What was set is kept for good:
 * 16 MiB in all, with what each costs beside its text; there may be 4096 variables.
 * Yields: no. Throws: no name that can be; no room.
 */
static int l_setenv(lua_State *L)
{
	size_t n, m = 0;
	const char *name, *value = NULL;
	int rc;

	if (lua_type(L, 1) != LUA_TSTRING ||
	    (!lua_isnoneornil(L, 2) && lua_type(L, 2) != LUA_TSTRING))
		return lua_error_usage(L, "Usage: os.setenv(name[, value])");
	name = lua_tolstring(L, 1, &n);
	if (!lua_isnoneornil(L, 2))
		value = lua_tolstring(L, 2, &m);
	if (strlen(name) != n || (value != NULL && strlen(value) != m))
		return lua_error_usage(L, "os.setenv: a byte is 0");
	rc = environment_set(name, value);
	if (rc == -EINVAL)
		return lua_error_usage(L, "os.setenv: '%s' is no name", name);
	if (rc != 0)
		return luaL_error(L, "os.setenv: no room for more");
	return 0;
}

/** "name=value" with their NULs, as far as there is room. */
struct entries {
	char *text;
	size_t size; /* of all */
	size_t room;
};

static void collect(const char *entry, void *arg)
{
	struct entries *e = arg;
	size_t size = strlen(entry) + 1;

	if (e->size + size <= e->room)
		memcpy(e->text + e->size, entry, size);
	e->size += size;
}

/***
 * os.environ() -> table
 * The environment: names and their values, as they are now. Yields: no.
 */
static int l_environ(lua_State *L)
{
	struct entries e = { .size = 0 };

	/* Copied first, into what is Lua's own: who puts into a table may jump. */
	do {
		e.room = e.size;
		e.size = 0;
		lua_settop(L, 0);
		e.text = lua_newuserdata(L, e.room + 1);
		environment_each(collect, &e);
	} while (e.size > e.room);
	lua_newtable(L);
	for (const char *s = e.text, *end = s + e.size; s < end;
	     s += strlen(s) + 1) {
		const char *equals = strchr(s, '=');

		if (equals == NULL || equals == s)
			continue;
		lua_pushlstring(L, s, equals - s);
		lua_pushstring(L, equals + 1);
		lua_rawset(L, -3);
	}
	return 1;
}

int luaopen_neap_extensions(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{ "tonumber64", l_tonumber64 },
		{ "setenv", l_setenv },
		{ "environ", l_environ },
		{ NULL, NULL },
	};

	lua_newtable(L);
	luaL_register(L, NULL, functions);
	return 1;
}
