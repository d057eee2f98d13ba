/* Error objects in Lua: the page `errors`. See lua_error.h. */
#include "lua/lua_error.h"

#include <errno.h>
#include <lauxlib.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

#include "base/diag.h"
#include "lua/lua_class.h"

/***
 * The page `errors`: error objects.
 *
 * The world's failures (a file that is not there, a peer that went away, a C
 * function that says no) are returned as `nil, err`; wrong usage throws `err`,
 * with the place of the caller. `tostring(err)` is the message, `err .. text`
 * joins it, and json, yaml, msgpack and the console print it.
 *
 * | type | for |
 * |---|---|
 * | `IllegalParams` | wrong usage |
 * | `SystemError` | the system refused; `errno` says why |
 * | `ClientError` | what was asked for cannot be done; `code` says why |
 * | `OutOfMemory` | |
 * | `LuaError` | a value that a Lua function of yours threw where `nil, err` is given: `__serialize` of a C function's argument |
 * | `FiberIsCancelled` | the fiber is cancelled |
 * | `TimedOut` | the time is over |
 * | `MessagesMissed` | a broadcast does not keep them any more; `missed` says which |
 * | `LimitExceeded` | an execution limit, see `fiber.set_limits()` |
 * | `FiberSliceIsExceeded` | see `fiber.check_slice()` |
 */

/***
 * err.type -> string
 * One of the names above.
 */

/***
 * err.code -> number
 * The number of the kind of failure.
 */

/***
 * err.message -> string
 * What failed and why, for people.
 */

/***
 * err.errno -> number | nil
 * The system's number of a SystemError.
 */

/***
 * err.missed -> table | nil
 * The first and last number that a MessagesMissed is about: `{from=, to=}`.
 */

/***
 * err.trace -> table
 * Where it was made: `{{file=, line=}}`.
 */

/***
 * err.prev -> err | nil
 * The error behind it.
 */

static struct error **push_empty(lua_State *L)
{
	struct error **box = lua_newuserdata(L, sizeof *box);

	*box = NULL;
	lua_class_metatable(L, LUA_CLASS_ERROR);
	lua_setmetatable(L, -2);
	return box;
}

/* Making a box may throw, and may run finalizers, which use the diag for
 * errors of their own. So an empty box lies ready: nothing happens between
 * what failed and the error being in the box. The next one is made then. */
void lua_error_push_diag(lua_State *L)
{
	const struct lua_vm *vm = lua_vm_of(L);
	int ref = vm->error_box_ref;
	struct error **box;

	lua_rawgeti(L, LUA_REGISTRYINDEX, ref);
	/* At the end of the state the one that lies ready was finalized already:
	 * an error in it would never be freed. */
	box = vm->closing ? NULL : lua_touserdata(L, -1);
	if (box == NULL) { /* in a finalizer, or memory was short */
		lua_pop(L, 1);
		box = push_empty(L);
		if (diag_last() == NULL)
			diag_set(OutOfMemory, "not enough memory");
	}
	*box = diag_take();
	if (vm->closing)
		return;
	lua_pushboolean(L, 0);
	lua_rawseti(L, LUA_REGISTRYINDEX, ref);
	push_empty(L);
	lua_rawseti(L, LUA_REGISTRYINDEX, ref);
}

void lua_error_push(lua_State *L, struct error *e)
{
	diag_set_error(e);
	lua_error_push_diag(L);
}

int lua_error_fail(lua_State *L)
{
	lua_pushnil(L);
	lua_error_push_diag(L);
	return 2;
}

int lua_error_throw(lua_State *L)
{
	lua_error_push_diag(L);
	return lua_error(L);
}

/* The nearest Lua function above: who used the thing wrongly. Frames of our
 * own Lua halves are passed over. */
static unsigned user_place(lua_State *L, lua_Debug *ar)
{
	for (int level = 1; lua_getstack(L, level, ar); level++) {
		lua_getinfo(L, "Sl", ar);
		if (ar->currentline > 0 &&
		    strncmp(ar->short_src, "neap/", 5) != 0)
			return ar->currentline;
	}
	return 0;
}

int lua_error_usage(lua_State *L, const char *fmt, ...)
{
	unsigned line;
	lua_Debug ar;
	va_list ap;

	line = user_place(L, &ar);
	va_start(ap, fmt);
	diag_set_error(error_newv(&IllegalParams, IllegalParams.code,
				  line == 0 ? NULL : ar.short_src, line, fmt,
				  ap));
	va_end(ap);
	return lua_error_throw(L);
}

int lua_error_usage_text(lua_State *L)
{
	return lua_error_usage(L, "%s", luaL_checkstring(L, 1));
}

/* @a e once more, in front of its message what it is about. */
static struct error *named(const struct error *e, const char *what)
{
	struct error *out = error_new(e->type, e->code, e->file, e->line,
				      "%s: %s", what, e->message);

	/* Without memory it is another one, which is not ours. */
	if (out->type == e->type && e->saved_errno != 0)
		out->saved_errno = e->saved_errno;
	return out;
}

int lua_error_about(lua_State *L)
{
	const struct error *e = lua_error_test(L, 1);
	int saved = errno;

	if (e == NULL)
		lua_settop(L, 1);
	else
		lua_error_push(L, named(e, luaL_checkstring(L, 2)));
	errno = saved;
	return 1;
}

struct error *lua_error_test(lua_State *L, int idx)
{
	struct error **box = lua_class_test(L, idx, LUA_CLASS_ERROR);

	return box == NULL ? NULL : *box;
}

struct error *lua_error_from_value(lua_State *L, int idx)
{
	struct error *e = lua_error_test(L, idx);
	const char *text;

	if (e != NULL)
		return error_ref(e);
	text = lua_type(L, idx) == LUA_TSTRING ? lua_tostring(L, idx) : NULL;
	if (text != NULL && strcmp(text, "not enough memory") == 0)
		return error_new(&OutOfMemory, OutOfMemory.code, NULL, 0, "%s",
				 text); /* LuaJIT's own */
	if (text != NULL)
		return error_new(&LuaError, LuaError.code, NULL, 0, "%s", text);
	return error_new(&LuaError, LuaError.code, NULL, 0,
			 "(error object is a %s value)", luaL_typename(L, idx));
}

static struct error *check_error(lua_State *L)
{
	struct error **box = lua_class_check(L, 1, LUA_CLASS_ERROR);

	if (*box == NULL)
		luaL_error(L, "the error object is empty");
	return *box;
}

static int l_error_gc(lua_State *L)
{
	struct error **box = lua_class_check(L, 1, LUA_CLASS_ERROR);
	struct error *e = *box;

	*box = NULL;
	error_unref(e);
	return 0;
}

static int l_error_tostring(lua_State *L)
{
	lua_pushstring(L, check_error(L)->message);
	return 1;
}

static void push_trace(lua_State *L, const struct error *e)
{
	lua_createtable(L, 1, 0);
	lua_createtable(L, 0, 2);
	lua_pushstring(L, e->file);
	lua_setfield(L, -2, "file");
	lua_pushinteger(L, e->line);
	lua_setfield(L, -2, "line");
	lua_rawseti(L, -2, 1);
}

static void push_missed(lua_State *L, const struct error *e)
{
	lua_createtable(L, 0, 2);
	lua_pushnumber(L, (lua_Number)e->missed_from);
	lua_setfield(L, -2, "from");
	lua_pushnumber(L, (lua_Number)e->missed_to);
	lua_setfield(L, -2, "to");
}

static void push_cause(lua_State *L, struct error *e)
{
	if (e->cause == NULL)
		lua_pushnil(L);
	else
		lua_error_push(L, error_ref(e->cause));
}

/***
 * err:unpack() -> table
 * All fields as a table. Yields: no.
 */
static int l_error_unpack(lua_State *L)
{
	struct error *e = check_error(L);

	lua_createtable(L, 0, 6);
	lua_pushstring(L, e->type->name);
	lua_setfield(L, -2, "type");
	lua_pushnumber(L, e->code);
	lua_setfield(L, -2, "code");
	lua_pushstring(L, e->message);
	lua_setfield(L, -2, "message");
	if (e->saved_errno != 0) {
		lua_pushinteger(L, e->saved_errno);
		lua_setfield(L, -2, "errno");
	}
	if (e->missed_to != 0) {
		push_missed(L, e);
		lua_setfield(L, -2, "missed");
	}
	push_trace(L, e);
	lua_setfield(L, -2, "trace");
	push_cause(L, e);
	lua_setfield(L, -2, "prev");
	return 1;
}

/***
 * err:raise()
 * Throw it. Yields: no.
 */
static int l_error_raise(lua_State *L)
{
	check_error(L);
	lua_settop(L, 1);
	return lua_error(L);
}

/***
 * err:match(pattern, [init]) -> string, ... | nil
 * As `string.match()` of the message, from the place @init on, for a Lua @pattern:
 * scripts that look at errors of Lua look at these as well. Yields: no.
 */
static int l_error_match(lua_State *L)
{
	struct error *e = check_error(L);

	lua_pushstring(L, e->message);
	lua_replace(L, 1);
	lua_getfield(L, 1, "match");
	lua_insert(L, 1);
	lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
	return lua_gettop(L);
}

static int l_error_index(lua_State *L)
{
	struct error *e = check_error(L);
	const char *key = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2)
							: "";

	if (strcmp(key, "message") == 0)
		lua_pushstring(L, e->message);
	else if (strcmp(key, "type") == 0)
		lua_pushstring(L, e->type->name);
	else if (strcmp(key, "code") == 0)
		lua_pushnumber(L, e->code);
	else if (strcmp(key, "errno") == 0 && e->saved_errno != 0)
		lua_pushinteger(L, e->saved_errno);
	else if (strcmp(key, "missed") == 0 && e->missed_to != 0)
		push_missed(L, e);
	else if (strcmp(key, "trace") == 0)
		push_trace(L, e);
	else if (strcmp(key, "prev") == 0)
		push_cause(L, e);
	else if (strcmp(key, "unpack") == 0)
		lua_pushcfunction(L, l_error_unpack);
	else if (strcmp(key, "raise") == 0)
		lua_pushcfunction(L, l_error_raise);
	else if (strcmp(key, "match") == 0)
		lua_pushcfunction(L, l_error_match);
	else
		lua_pushnil(L);
	return 1;
}

/* `err .. text` reads as people write it. */
static int l_error_concat(lua_State *L)
{
	for (int i = 1; i <= 2; i++) {
		const struct error *e = lua_error_test(L, i);

		if (e != NULL) {
			lua_pushstring(L, e->message);
			lua_replace(L, i);
		}
	}
	lua_concat(L, 2);
	return 1;
}

void lua_error_open(lua_State *L)
{
	static const luaL_Reg methods[] = {
		{ "__gc", l_error_gc },
		{ "__index", l_error_index },
		{ "__tostring", l_error_tostring },
		{ "__concat", l_error_concat },
		{ "__serialize", l_error_tostring },
		{ NULL, NULL },
	};

	lua_class_new(L, LUA_CLASS_ERROR, "error object", methods);
	lua_pop(L, 1);
	push_empty(L);
	lua_vm_of(L)->error_box_ref = luaL_ref(L, LUA_REGISTRYINDEX);
}
