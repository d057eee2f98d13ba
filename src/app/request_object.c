/*
 * A request in Lua: object, private data, variables. See request_object.h.
 *
 * The object is a userdata in the registry of its state, held by the context
 * until the request ends; its environment table has the private data. Who began
 * the request from Lua has an owner beside it, whose end is the request's.
 */
#include "app/request_object.h"

#include <lauxlib.h>
#include <string.h>

#include "app/request.h"
#include "app/session_object.h"
#include "app/variable.h"
#include "app/worker.h"
#include "base/diag.h"
#include "lua/lua_class.h"
#include "lua/lua_error.h"

struct object {
	struct request *request; /* NULL: over */
	/* Of a variable that is being pushed, which may throw. */
	struct request_string *string;
};

struct owner {
	struct request *request; /* NULL: ended */
};

enum { PRIVATE = 1 }; /* in the environment table */

static struct context *context_of(struct request *r, const struct worker *w)
{
	return &r->contexts[worker_is_shared(w) ? CONTEXT_SHARED
						: CONTEXT_WORKER];
}

static int fail_over(void)
{
	diag_set(ClientError, "the request is over");
	return -1;
}

int request_push_object(lua_State *L, struct worker *w, struct request *r)
{
	struct context *c = context_of(r, w);
	struct object *o;

	if (c->released)
		return fail_over();
	if (c->ref != LUA_NOREF) {
		lua_rawgeti(L, LUA_REGISTRYINDEX, c->ref);
		return 0;
	}
	o = lua_class_box(L, LUA_CLASS_REQUEST, sizeof *o);
	memset(o, 0, sizeof *o);
	/* With its place: what the end writes there takes no memory. */
	lua_createtable(L, PRIVATE, 0);
	lua_setfenv(L, -2);
	lua_pushvalue(L, -1);
	c->ref = luaL_ref(L, LUA_REGISTRYINDEX);
	o->request = request_ref(r);
	request_count_context(1);
	return 0;
}

static void object_clear(struct object *o)
{
	struct request *r = o->request;

	o->request = NULL;
	request_string_unref(o->string);
	o->string = NULL;
	if (r == NULL)
		return;
	request_count_context(-1);
	request_unref(r);
}

void request_release_object(struct worker *w, struct context *c)
{
	lua_State *L = w->vm.L;
	struct object *o;

	if (c->ref == LUA_NOREF)
		return;
	lua_rawgeti(L, LUA_REGISTRYINDEX, c->ref);
	o = lua_touserdata(L, -1);
	lua_getfenv(L, -1);
	lua_pushnil(L);
	lua_rawseti(L, -2, PRIVATE);
	lua_pop(L, 2);
	luaL_unref(L, LUA_REGISTRYINDEX, c->ref);
	c->ref = LUA_NOREF;
	object_clear(o);
}

struct request *request_check(lua_State *L, int idx)
{
	struct object *o = lua_class_check(L, idx, LUA_CLASS_REQUEST);

	if (o->request == NULL) {
		fail_over();
		lua_error_throw(L);
	}
	return o->request;
}

static int l_object_gc(lua_State *L)
{
	object_clear(lua_class_check(L, 1, LUA_CLASS_REQUEST));
	return 0;
}

/* set_priv(request, value) */
static int l_set_priv(lua_State *L)
{
	request_check(L, 1);
	lua_settop(L, 2);
	lua_getfenv(L, 1);
	lua_insert(L, 2);
	lua_rawseti(L, 2, PRIVATE);
	return 0;
}

/* get_priv(request) -> value */
static int l_get_priv(lua_State *L)
{
	request_check(L, 1);
	lua_getfenv(L, 1);
	lua_rawgeti(L, -1, PRIVATE);
	return 1;
}

static const char *check_name(lua_State *L)
{
	size_t size = 0;
	const char *name = lua_type(L, 2) == LUA_TSTRING
				   ? lua_tolstring(L, 2, &size)
				   : NULL;

	if (name == NULL || size == 0 || size > REQUEST_VAR_NAME_MAX ||
	    strlen(name) != size)
		lua_error_usage(L,
				"the name of a variable is a string of 1 to %d "
				"bytes, none of them zero",
				REQUEST_VAR_NAME_MAX);
	return name;
}

/* set_var(request, name, value) */
static int l_set_var(lua_State *L)
{
	struct request *r = request_check(L, 1);
	const char *name = check_name(L);

	if (request_set_var(r, name,
			    variable_check(L, 3, name,
					   REQUEST_VAR_BYTES_MAX)) != 0)
		return lua_error_throw(L);
	return 0;
}

/* get_var(request, name) -> value */
static int l_get_var(lua_State *L)
{
	struct request *r = request_check(L, 1);
	struct object *o = lua_touserdata(L, 1);
	struct request_value v;

	if (request_get_var(r, check_name(L), &v) != 0)
		return lua_error_throw(L);
	variable_push(L, v, &o->string);
	return 1;
}

/* is_over(request) -> boolean */
static int l_is_over(lua_State *L)
{
	const struct object *o = lua_class_check(L, 1, LUA_CLASS_REQUEST);

	lua_pushboolean(L, o->request == NULL || request_is_over(o->request));
	return 1;
}

/* request_new() -> owner, request */
static int l_new(lua_State *L)
{
	struct worker *w = worker_of(L);
	struct owner *o = lua_class_box(L, LUA_CLASS_REQUEST_OWNER, sizeof *o);

	o->request = NULL;
	o->request = request_new(w);
	if (o->request == NULL ||
	    request_enter(o->request, worker_is_shared(w)
					      ? CONTEXT_SHARED
					      : CONTEXT_WORKER) != 0 ||
	    request_push_object(L, w, o->request) != 0)
		return lua_error_throw(L);
	return 2;
}

/* request_end(owner); the same as its finalizer */
static int l_end(lua_State *L)
{
	struct owner *o = lua_class_check(L, 1, LUA_CLASS_REQUEST_OWNER);
	struct request *r = o->request;

	o->request = NULL;
	if (r != NULL)
		request_end(r, worker_of(L));
	return 0;
}

static int l_tostring(lua_State *L)
{
	struct object *o = lua_class_check(L, 1, LUA_CLASS_REQUEST);

	if (o->request == NULL)
		lua_pushliteral(L, "request (over)");
	else
		lua_pushfstring(L, "request: %p", (void *)o->request);
	return 1;
}

static int l_set_methods(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	lua_class_metatable(L, LUA_CLASS_REQUEST);
	lua_pushvalue(L, 1);
	lua_setfield(L, -2, "__index");
	return 0;
}

void request_object_open(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{ "request_new", l_new },
		{ "request_end", l_end },
		{ "set_priv", l_set_priv },
		{ "get_priv", l_get_priv },
		{ "set_var", l_set_var },
		{ "get_var", l_get_var },
		{ "set_methods", l_set_methods },
		{ "is_over", l_is_over },
		{ NULL, NULL },
	};
	static const luaL_Reg meta[] = {
		{ "__gc", l_object_gc },
		{ "__tostring", l_tostring },
		{ NULL, NULL },
	};
	static const luaL_Reg owner_meta[] = {
		{ "__gc", l_end },
		{ NULL, NULL },
	};

	lua_class_new(L, LUA_CLASS_REQUEST, "request", meta);
	lua_class_new(L, LUA_CLASS_REQUEST_OWNER, "request owner", owner_meta);
	lua_pop(L, 2);
	lua_newtable(L);
	luaL_register(L, NULL, functions);
	session_object_add(L);
}
