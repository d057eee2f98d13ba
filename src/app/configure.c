/* What a configuration says of every state. See configure.h. */
#include "app/configure.h"

#include <lauxlib.h>
#include <string.h>

#include "app/worker.h"
#include "config/config.h"
#include "lua/lua_call.h"
#include "lua/lua_libraries.h"

static bool lists(const struct config_node *list, const char *text)
{
	for (const struct config_node *c = list->first; c != NULL;
	     c = c->next) {
		if (strcmp(c->text, text) == 0)
			return true;
	}
	return false;
}

void configure_process(const struct config *config)
{
	const struct config_node *list =
		config == NULL ? NULL
			       : config_find(config_root(config), "libraries");
	unsigned closed = 0;

	for (int i = 0; list != NULL && i < LUA_LIBRARY_COUNT; i++) {
		if (!lists(list, "all") && !lists(list, lua_library_names[i]))
			closed |= 1u << i;
	}
	lua_libraries_close(closed);
}

static uint64_t nanoseconds(const struct config_node *map, const char *name)
{
	return (uint64_t)(config_find(map, name)->number * 1e9);
}

static void set_limits(struct worker *w, const struct config_node *limits)
{
	for (int i = 0; i < LUA_LIMIT_COUNT; i++) {
		struct fiber_limits *l = &w->vm.limits[i];
		const struct config_node *map = config_find(limits, l->group);

		l->burst_ns = nanoseconds(map, "burst");
		l->total_ns = nanoseconds(map, "total");
	}
}

/* Those of the configuration before the others of package[field]. */
static void prepend(lua_State *L, const char *field,
		    const struct config_node *list)
{
	luaL_Buffer b;

	if (list == NULL || list->first == NULL)
		return;
	lua_getglobal(L, "package");
	luaL_buffinit(L, &b);
	for (const struct config_node *c = list->first; c != NULL;
	     c = c->next) {
		luaL_addstring(&b, c->text);
		luaL_addchar(&b, ';');
	}
	luaL_pushresult(&b);
	lua_getfield(L, -2, field);
	lua_concat(L, 2);
	lua_setfield(L, -2, field);
	lua_pop(L, 1);
}

static void set_paths(lua_State *L, void *arg)
{
	const struct config_node *root = arg;

	prepend(L, "path", config_at(root, "paths.lua"));
	prepend(L, "cpath", config_at(root, "paths.c"));
}

int configure_state(struct worker *w, const struct config *config)
{
	const struct config_node *root;

	if (config == NULL)
		return 0;
	root = config_root(config);
	set_limits(w, config_find(root, "limits"));
	w->vm.quiet = !config_at(root, "log.scripts")->boolean;
	if (lua_vm_protect(&w->vm, set_paths, (void *)root) != 0)
		return -1;
	return lua_libraries_apply(&w->vm);
}
