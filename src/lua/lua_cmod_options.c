/*
 * The options of handles. A table says for each key what it takes and
 * how it is read; what goes together is looked at when all have been read.
 */
#include "lua/lua_cmod_options.h"

#include <lauxlib.h>
#include <math.h>
#include <string.h>

#include "lua/lua_error.h"

/* The value lies at the top. Each returns false when it is not as it should. */
typedef bool (*read_f)(lua_State *L, struct lua_cmod_options *o);

static bool read_offload(lua_State *L, struct lua_cmod_options *o)
{
	o->offload = lua_toboolean(L, -1);
	return lua_isboolean(L, -1);
}

static bool read_probe(lua_State *L, struct lua_cmod_options *o)
{
	o->probe = lua_toboolean(L, -1);
	return lua_isboolean(L, -1);
}

static bool read_isolate(lua_State *L, struct lua_cmod_options *o)
{
	o->isolate = lua_type(L, -1) == LUA_TSTRING &&
		     strcmp(lua_tostring(L, -1), "process") == 0;
	return o->isolate;
}

/* A finite number from @a min to @a max; strings are none. */
static bool read_number(lua_State *L, double min, double max, double *ret)
{
	*ret = lua_tonumber(L, -1);
	return lua_type(L, -1) == LUA_TNUMBER && *ret >= min && *ret <= max;
}

static bool read_timeout(lua_State *L, struct lua_cmod_options *o)
{
	double seconds;

	if (!read_number(L, 0, 1e9, &seconds) || seconds == 0)
		return false;
	o->timeout_ns = (uint64_t)(seconds * 1e9);
	return true;
}

static bool read_memory(lua_State *L, struct lua_cmod_options *o)
{
	double bytes;

	if (!read_number(L, 1, 9007199254740992.0, &bytes) ||
	    bytes != floor(bytes))
		return false;
	o->memory = (uint64_t)bytes;
	return true;
}

static bool read_workers(lua_State *L, struct lua_cmod_options *o)
{
	double count;

	if (!read_number(L, 1, LUA_CMOD_WORKERS_MAX, &count) ||
	    count != floor(count))
		return false;
	o->workers = (unsigned)count;
	return true;
}

/* Whose options they are. */
enum { OF_LOAD = 1 << 0, OF_FUNCTION = 1 << 1, OF_LIVE = 1 << 2 };

static const struct {
	const char *key;
	unsigned of;
	read_f read;
	const char *wanted;
} known[] = {
	{ "offload", OF_FUNCTION, read_offload, "true or false" },
	{ "isolate", OF_FUNCTION, read_isolate, "'process'" },
	{ "probe", OF_LOAD | OF_LIVE, read_probe, "true or false" },
	{ "timeout", OF_LOAD | OF_FUNCTION, read_timeout,
	  "a number of seconds above 0" },
	{ "memory", OF_LOAD | OF_FUNCTION, read_memory,
	  "a whole number of bytes above 0" },
	{ "workers", OF_FUNCTION, read_workers, "a whole number from 1 to 64" },
};

_Static_assert(LUA_CMOD_WORKERS_MAX == 64, "the table says it in words");

/* The value at the top as a message shows it. Throws: out of memory. */
static const char *value_text(lua_State *L)
{
	switch (lua_type(L, -1)) {
	case LUA_TSTRING:
		return lua_pushfstring(L, "'%s'", lua_tostring(L, -1));
	case LUA_TNUMBER:
		return lua_pushfstring(L, "%f", lua_tonumber(L, -1));
	case LUA_TBOOLEAN:
		return lua_toboolean(L, -1) ? "true" : "false";
	default:
		return luaL_typename(L, -1);
	}
}

/* Key and value are the top two. */
static void read_option(lua_State *L, const char *what, unsigned of,
			struct lua_cmod_options *o)
{
	const char *key;

	if (lua_type(L, -2) != LUA_TSTRING)
		lua_error_usage(L,
				"%s: the options' keys are names, and one is "
				"a %s",
				what, luaL_typename(L, -2));
	key = lua_tostring(L, -2);
	for (unsigned i = 0; i < sizeof known / sizeof *known; i++) {
		if (!(known[i].of & of) || strcmp(known[i].key, key) != 0)
			continue;
		if (!known[i].read(L, o))
			lua_error_usage(L,
					"%s: option '%s': %s is wanted, "
					"not %s",
					what, key, known[i].wanted,
					value_text(L));
		return;
	}
	lua_error_usage(L, "%s: no option '%s'", what, key);
}

static void check_together(lua_State *L, const char *what,
			   const struct lua_cmod_options *o)
{
	const char *idle = o->memory != 0    ? "memory"
			   : o->workers != 0 ? "workers"
					     : NULL;

	if (o->offload && o->isolate)
		lua_error_usage(L,
				"%s: options 'offload' and 'isolate' exclude "
				"each other: a helper process does not hold up "
				"the loop either",
				what);
	if (idle != NULL && !o->isolate)
		lua_error_usage(L,
				"%s: option '%s' goes with isolate = "
				"'process' only",
				what, idle);
	if (o->timeout_ns != UINT64_MAX && !o->isolate && !o->offload)
		lua_error_usage(L,
				"%s: option 'timeout' goes with offload or "
				"isolate only: nothing can end a call that "
				"runs on the loop's own thread",
				what);
}

static void read_table(lua_State *L, int idx, const char *what, unsigned of,
		       struct lua_cmod_options *ret)
{
	*ret = (struct lua_cmod_options){ .timeout_ns = UINT64_MAX };
	if (lua_isnoneornil(L, idx))
		return;
	if (!lua_istable(L, idx))
		lua_error_usage(L, "%s: options are a table, not %s", what,
				luaL_typename(L, idx));
	luaL_checkstack(L, 8, what);
	for (lua_pushnil(L); lua_next(L, idx) != 0; lua_pop(L, 1))
		read_option(L, what, of, ret);
}

void lua_cmod_read_no_options(lua_State *L, int idx, const char *what)
{
	struct lua_cmod_options none;

	read_table(L, idx, what, 0, &none);
}

void lua_cmod_read_options(lua_State *L, int idx, const char *what,
			   struct lua_cmod_options *ret)
{
	read_table(L, idx, what, OF_FUNCTION, ret);
	check_together(L, what, ret);
}

void lua_cmod_read_live_options(lua_State *L, int idx, const char *what,
				struct lua_cmod_options *ret)
{
	read_table(L, idx, what, OF_FUNCTION | OF_LIVE, ret);
	check_together(L, what, ret);
}

void lua_cmod_read_load_options(lua_State *L, int idx, const char *what,
				struct lua_cmod_options *ret)
{
	read_table(L, idx, what, OF_LOAD, ret);
	if (!ret->probe && (ret->memory != 0 || ret->timeout_ns != UINT64_MAX))
		lua_error_usage(L,
				"%s: options 'memory' and 'timeout' go with "
				"probe = true only",
				what);
}
