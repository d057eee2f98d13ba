/*
 * neap.config: the configuration as Lua tables, of this state's own.
 *
 * A table is told its node by a table of the registry with weak keys, so that
 * place() finds it again.
 */
#include "app/config_module.h"

#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/app.h"
#include "app/worker.h"
#include "config/config.h"
#include "net/inherit.h"
#include "net/listen_share.h"
#include "net/listener.h"

/* Upvalues of the functions: {table = node}, and what tree() gave. */
enum { NODES = 1, TREE = 2 };

static const struct config *config_of(lua_State *L)
{
	const struct app_script *script = worker_of(L)->app->script;

	return script == NULL ? NULL : script->config;
}

/* The value of @a n, on top. @a nodes is the index of that table. */
static void push_value(lua_State *L, const struct config_node *n, int nodes)
{
	int index = 0;

	switch (n->type) {
	case CONFIG_NIL:
		lua_pushnil(L);
		return;
	case CONFIG_BOOLEAN:
		lua_pushboolean(L, n->boolean);
		return;
	case CONFIG_NUMBER:
		lua_pushnumber(L, n->number);
		return;
	case CONFIG_TEXT:
		lua_pushstring(L, n->text);
		return;
	case CONFIG_LIST:
	case CONFIG_MAP:
		break;
	}
	luaL_checkstack(L, 4, "the configuration");
	if (n->type == CONFIG_LIST)
		lua_createtable(L, (int)n->count, 0);
	else
		lua_createtable(L, 0, (int)n->count);
	lua_pushvalue(L, -1);
	lua_pushlightuserdata(L, (void *)n);
	lua_rawset(L, nodes);
	for (const struct config_node *c = n->first; c != NULL; c = c->next) {
		push_value(L, c, nodes);
		if (n->type == CONFIG_LIST)
			lua_rawseti(L, -2, ++index);
		else
			lua_setfield(L, -2, c->name);
	}
}

/* tree() -> table | nil: there is no configuration. */
static int l_tree(lua_State *L)
{
	const struct config *c = config_of(L);

	if (c == NULL) {
		lua_pushnil(L);
		return 1;
	}
	if (lua_isnil(L, lua_upvalueindex(TREE))) {
		lua_pushvalue(L, lua_upvalueindex(NODES));
		push_value(L, config_root(c), lua_gettop(L));
		lua_replace(L, lua_upvalueindex(TREE));
	}
	lua_pushvalue(L, lua_upvalueindex(TREE));
	return 1;
}

/* The node of @a key in the table of @a n; NULL: there is none. */
static const struct config_node *child_of(lua_State *L,
					  const struct config_node *n, int key)
{
	const struct config_node *c = n->first;

	if (n->type == CONFIG_MAP)
		return lua_type(L, key) == LUA_TSTRING
			       ? config_find(n, lua_tostring(L, key))
			       : NULL;
	for (lua_Integer i = lua_tointeger(L, key); c != NULL && i > 1; i--)
		c = c->next;
	return c;
}

/* place(t, [key]) -> "server.yaml:12:7" of that value; of a table out of tree().
 * What stands nowhere in the file has the place of what it is in, or the file's
 * name, or that of its variable or flag. */
static int l_place(lua_State *L)
{
	const struct config *c = config_of(L);
	const struct config_node *n, *child;

	luaL_checktype(L, 1, LUA_TTABLE);
	lua_settop(L, 2);
	lua_pushvalue(L, 1);
	lua_rawget(L, lua_upvalueindex(NODES));
	n = lua_touserdata(L, -1);
	if (c == NULL || n == NULL)
		return luaL_argerror(L, 1, "no table of the configuration");
	child = lua_isnil(L, 2) ? NULL : child_of(L, n, 2);
	n = child == NULL ? n : child;
	while (n->place.line == 0 && n->from == NULL && n->parent != NULL)
		n = n->parent;
	if (n->from != NULL && n->origin >= ORIGIN_ENV)
		lua_pushstring(L, n->from);
	else if (n->place.line == 0)
		lua_pushstring(L, config_path(c));
	else
		lua_pushfstring(L, "%s:%d:%d", config_path(c),
				(int)n->place.line, (int)n->place.column);
	return 1;
}

/* inherited(name) -> list of addresses, as the configuration has them, of the sockets
 * that a service manager has given under that name */
static int l_inherited(lua_State *L)
{
	const char *name = luaL_checkstring(L, 1);
	const struct inherited *e;
	char text[200];
	int count = 0;

	lua_newtable(L);
	for (unsigned i = 0; (e = inherit_at(i)) != NULL; i++) {
		if (!e->given || strcmp(e->name, name) != 0)
			continue;
		inherit_format(e, text, sizeof text);
		lua_pushstring(L, text);
		lua_rawseti(L, -2, ++count);
	}
	return 1;
}

/* given(address) -> how many sockets a service manager has given for it, which is as the
 * configuration has it */
static int l_given(lua_State *L)
{
	size_t size;
	const char *text = luaL_checklstring(L, 1, &size);
	const char *colon = strrchr(text, ':');
	struct listen_address wanted;
	char host[200];
	int rc;

	if (strncmp(text, "unix:", 5) == 0) {
		snprintf(host, sizeof host, "unix/:%s", text + 5);
		rc = listen_address_parse(&wanted, host, 0);
	} else {
		snprintf(host, sizeof host, "%.*s",
			 colon == NULL ? 0 : (int)(colon - text), text);
		rc = colon == NULL
			     ? -1
			     : listen_address_parse(&wanted, host,
						    (unsigned)atoi(colon + 1));
	}
	lua_pushinteger(L,
			rc == 0 ? (int)listen_share_count_given(&wanted) : 0);
	return 1;
}

static void push_function(lua_State *L, const char *name, lua_CFunction f)
{
	lua_pushvalue(L, -2);
	lua_pushnil(L);
	lua_pushcclosure(L, f, 2);
	lua_setfield(L, -2, name);
}

static int luaopen_neap_config(lua_State *L)
{
	lua_newtable(L);
	lua_createtable(L, 0, 1);
	lua_pushliteral(L, "k");
	lua_setfield(L, -2, "__mode");
	lua_setmetatable(L, -2);
	lua_newtable(L);
	push_function(L, "tree", l_tree);
	push_function(L, "place", l_place);
	push_function(L, "inherited", l_inherited);
	push_function(L, "given", l_given);
	return 1;
}

const struct lua_module app_module_config = {
	"neap.config",
	luaopen_neap_config,
	NULL,
};
