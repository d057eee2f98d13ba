/* The module `shared`: names, options and messages of its three parts. */
#include "lua/lua_shared.h"

#include <math.h>
#include <string.h>
#include <uv.h>

#include "base/buf.h"
#include "base/diag.h"
#include "lua/lua_call.h"
#include "lua/lua_error.h"
#include "lua/lua_serialize.h"
#include "lua_src/lua.h"

const char *lua_shared_check_name(lua_State *L, const char *usage)
{
	size_t size = 0;
	const char *name = lua_type(L, 1) == LUA_TSTRING
				   ? lua_tolstring(L, 1, &size)
				   : NULL;

	if (name == NULL || size == 0 || size > SHARED_NAME_MAX ||
	    strlen(name) != size)
		lua_error_usage(L,
				"%s: the name is a string of 1 to %d bytes, "
				"none of them zero",
				usage, SHARED_NAME_MAX);
	return name;
}

static void read_option(lua_State *L, const char *usage,
			struct lua_shared_option *options, size_t count)
{
	const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2)
							 : "?";
	double value;

	for (size_t i = 0; i < count; i++) {
		struct lua_shared_option *o = &options[i];

		if (strcmp(o->name, key) != 0)
			continue;
		value = lua_tonumber(L, -1);
		if (lua_type(L, -1) != LUA_TNUMBER ||
		    !(value >= o->min && value <= o->max) ||
		    floor(value) != value)
			lua_error_usage(L,
					"%s: %s is a whole number from %.0f "
					"to %.0f",
					usage, key, o->min, o->max);
		o->value = value;
		o->is_given = true;
		return;
	}
	lua_error_usage(L, "%s: there is no option '%s'", usage, key);
}

void lua_shared_read_options(lua_State *L, const char *usage,
			     struct lua_shared_option *options, size_t count)
{
	if (lua_isnoneornil(L, 2))
		return;
	if (!lua_istable(L, 2))
		lua_error_usage(L, "%s: a table of options is wanted, not %s",
				usage, luaL_typename(L, 2));
	for (lua_pushnil(L); lua_next(L, 2) != 0; lua_pop(L, 1))
		read_option(L, usage, options, count);
}

int lua_shared_open(lua_State *L, const struct shared_kind *kind,
		    enum lua_class id, const void *options)
{
	const char *name = lua_tostring(L, 1);
	struct lua_shared *box = lua_class_box(L, id, sizeof *box);
	int rc;

	box->object = NULL;
	rc = shared_object_open(kind, name, options, &box->object);
	if (rc == 0)
		return 0;
	if (rc == UV_ENOSPC)
		diag_set(ClientError,
			 "%s '%s': there are %d already, which is the most",
			 kind->name, name, SHARED_OBJECTS_MAX);
	else
		diag_set(OutOfMemory, "%s '%s': not enough memory", kind->name,
			 name);
	return -1;
}

int lua_shared_differs(const struct shared_object *o, const char *what,
		       double is, double wanted)
{
	diag_set(ClientError, "%s '%s' exists with %s = %.0f, not %.0f",
		 o->kind->name, o->name, what, is, wanted);
	return -1;
}

struct shared_object *lua_shared_check(lua_State *L, enum lua_class id)
{
	struct lua_shared *box = lua_class_check(L, 1, id);

	/* In a finalizer it may have been finalized before. */
	if (box->object == NULL)
		lua_error_usage(L, "the %s is gone",
				lua_vm_of(L)->classes[id].name);
	return box->object;
}

int lua_shared_release(lua_State *L, enum lua_class id)
{
	struct lua_shared *box = lua_class_check(L, 1, id);
	struct shared_object *o = box->object;

	box->object = NULL;
	shared_object_unref(o);
	return 0;
}

int lua_shared_set_methods(lua_State *L, enum lua_class id)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	lua_class_metatable(L, id);
	lua_pushvalue(L, 1);
	lua_setfield(L, -2, "__index");
	return 0;
}

/* lua_pack() puts an array around the values. */
enum { ARRAY_HEAD = 1 };

/* The diag names the object, and not an argument of lua_pack(). */
static void tell_unpackable(const struct shared_object *o)
{
	struct error *e = diag_take();
	const char *text = strncmp(e->message, "argument 1: ", 12) == 0
				   ? e->message + 12
				   : e->message;

	diag_set_error(error_new(e->type, e->code, __FILE__, __LINE__,
				 "%s '%s': %s", o->kind->name, o->name, text));
	error_unref(e);
}

struct shared_message *lua_shared_pack(lua_State *L, int idx, size_t limit,
				       const struct shared_object *o)
{
	struct buf b = { .limit = limit + ARRAY_HEAD };
	struct shared_message *m = NULL;

	if (lua_pack(L, idx, idx, &b) != 0) {
		tell_unpackable(o);
	} else {
		m = shared_message_new(b.data + ARRAY_HEAD,
				       b.size - ARRAY_HEAD);
		if (m == NULL)
			diag_set_oom(b.size, "a message");
	}
	buf_destroy(&b);
	return m;
}

int lua_shared_unpack(lua_State *L, const struct shared_message *m)
{
	return lua_unpack(L, m->data, m->data + m->size) < 0 ? -1 : 0;
}

static int luaopen_neap_shared(lua_State *L)
{
	lua_shared_wait_open(L);
	lua_newtable(L);
	lua_pushcfunction(L, lua_wait_failed);
	lua_setfield(L, -2, "failed");
	lua_shared_dict_open(L);
	lua_setfield(L, -2, "dict");
	lua_shared_channel_open(L);
	lua_setfield(L, -2, "channel");
	lua_shared_broadcast_open(L);
	lua_setfield(L, -2, "broadcast");
	return 1;
}

const struct lua_module lua_module_shared = {
	"shared",
	luaopen_neap_shared,
	lua_src_shared,
};
