/* The C half of the module `console`. */
#include "console/console_module.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "app/worker.h"
#include "base/diag.h"
#include "console/lua_ask.h"
#include "console/lua_command.h"
#include "console/lua_parts.h"
#include "console/remote.h"
#include "console/repl.h"
#include "lua/lua_call.h"
#include "lua/lua_error.h"
#include "lua/lua_socket.h"
#include "lua_src/console.h"
#include "runtime/fiber.h"

static const char *const server_class = "neap.console_server";

struct server_box {
	struct remote *remote; /* NULL: it was closed */
};

static struct server_box *check_server(lua_State *L)
{
	return luaL_checkudata(L, 1, server_class);
}

static void on_remote_close(void *arg)
{
	struct server_box *box = arg;

	box->remote = NULL;
}

/* Field @a name of the options at 1. */
static const char *text_option(lua_State *L, const char *name)
{
	const char *text;

	lua_getfield(L, 1, name);
	text = lua_tostring(L, -1); /* stays in the table */
	lua_pop(L, 1);
	return text;
}

static lua_Number number_option(lua_State *L, const char *name)
{
	lua_Number v;

	lua_getfield(L, 1, name);
	v = lua_tonumber(L, -1);
	lua_pop(L, 1);
	return v;
}

/* listen({path | host, port, mode, password, connections, idle_timeout, audit},
 * userdata of a TLS context | nil) -> server | nil, err. The Lua half has looked at
 * them. */
static int l_console_listen(lua_State *L)
{
	struct remote_options o = {
		.path = text_option(L, "path"),
		.mode = (mode_t)number_option(L, "mode"),
		.host = text_option(L, "host"),
		.port = (unsigned)number_option(L, "port"),
		.password = text_option(L, "password"),
		.connections = (unsigned)number_option(L, "connections"),
		.idle_ns = (uint64_t)(number_option(L, "idle_timeout") * 1e9),
	};
	struct server_box *box;
	struct worker *w = worker_of(L);

	lua_getfield(L, 1, "audit");
	o.audit = lua_toboolean(L, -1);
	lua_getfield(L, 1, "admin");
	o.admin = lua_toboolean(L, -1);
	o.level = (enum admin_level)number_option(L, "level");
	if (!lua_isnil(L, 2))
		o.tls = lua_socket_check_tls_context(L, 2);
	box = lua_newuserdata(L, sizeof *box);
	box->remote = NULL;
	luaL_getmetatable(L, server_class);
	lua_setmetatable(L, -2);
	if (w->id != 1) /* the script asks for it in each of them */
		return 1;
	box->remote = remote_listen(w, &o);
	if (box->remote == NULL)
		return lua_error_fail(L);
	remote_set_on_close(box->remote, on_remote_close, box);
	return 1;
}

/***
 * console_server:close()
 * Stop listening and close the connections; what is evaluated there is
 * cancelled. One that is closed already is left alone. Yields: no.
 */
static int l_server_close(lua_State *L)
{
	struct server_box *box = check_server(L);

	if (box->remote != NULL)
		remote_close(box->remote);
	return 0;
}

/* A server goes on without its object. */
static int l_server_gc(lua_State *L)
{
	struct server_box *box = check_server(L);

	if (box->remote != NULL)
		remote_set_on_close(box->remote, NULL, NULL);
	box->remote = NULL;
	return 0;
}

static void set_text(lua_State *L, const char *key, const char *text)
{
	lua_pushstring(L, text);
	lua_setfield(L, -2, key);
}

/***
 * console_server:name() -> table | nil
 * Where it listens, as of `name()` of a socket: `host`, `port`, `family`, `type` and
 * `protocol`; nil: it was closed. Yields: no.
 */
static int l_server_name(lua_State *L)
{
	struct server_box *box = check_server(L);
	const char *path, *colon;
	bool in_brackets;

	if (box->remote == NULL) {
		lua_pushnil(L);
		return 1;
	}
	path = remote_path(box->remote);
	colon = path[0] == '/' ? NULL : strrchr(path, ':');
	lua_createtable(L, 0, 5);
	set_text(L, "type", "SOCK_STREAM");
	if (colon == NULL) {
		set_text(L, "host", "unix/");
		set_text(L, "port", path);
		set_text(L, "family", "AF_UNIX");
		lua_pushinteger(L, 0);
		lua_setfield(L, -2, "protocol");
		return 1;
	}
	in_brackets = path[0] == '[';
	lua_pushlstring(L, path + in_brackets,
			(size_t)(colon - path) - 2 * in_brackets);
	lua_setfield(L, -2, "host");
	lua_pushinteger(L, atoi(colon + 1));
	lua_setfield(L, -2, "port");
	set_text(L, "family", in_brackets ? "AF_INET6" : "AF_INET");
	set_text(L, "protocol", "tcp");
	return 1;
}

/***
 * console_server.path -> string | nil
 * Where it listens: the path of the socket, or `HOST:PORT`; nil: it was closed.
 */
static int l_server_index(lua_State *L)
{
	struct server_box *box = check_server(L);
	const char *key = luaL_checkstring(L, 2);

	if (strcmp(key, "close") == 0)
		lua_pushcfunction(L, l_server_close);
	else if (strcmp(key, "name") == 0)
		lua_pushcfunction(L, l_server_name);
	else if (strcmp(key, "path") == 0 && box->remote != NULL)
		lua_pushstring(L, remote_path(box->remote));
	else
		lua_pushnil(L);
	return 1;
}

static int l_server_tostring(lua_State *L)
{
	struct server_box *box = check_server(L);

	lua_pushfstring(L, "console: %s",
			box->remote == NULL ? "closed"
					    : remote_path(box->remote));
	return 1;
}

static void on_left(struct repl *repl, void *arg)
{
	(void)repl;
	fiber_wakeup(arg, 0);
}

/* start_begin() -> status | nil, err */
static int l_console_start_begin(lua_State *L)
{
	struct fiber *self = lua_wait_check(L);

	if (repl_start(worker_of(L), NULL, on_left, self) == NULL)
		return lua_error_fail(L);
	fiber_park(self, NULL, NULL, UINT64_MAX);
	return lua_wait(L);
}

static int l_console_start_end(lua_State *L)
{
	(void)L;
	repl_stop(repl_running());
	return 0;
}

static int luaopen_neap_console(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{ "listen", l_console_listen },
		{ "register_command", l_console_register_command },
		{ "start_begin", l_console_start_begin },
		{ "start_end", l_console_start_end },
		{ "failed", lua_wait_failed },
		{ "usage", lua_error_usage_text },
		{ "part", lua_parts_part },
		{ NULL, NULL },
	};
	static const luaL_Reg meta[] = {
		{ "__gc", l_server_gc },
		{ "__index", l_server_index },
		{ "__tostring", l_server_tostring },
		{ "__serialize", l_server_tostring },
		{ NULL, NULL },
	};

	luaL_newmetatable(L, server_class);
	luaL_register(L, NULL, meta);
	lua_pushboolean(L, 0);
	lua_setfield(L, -2, "__metatable");
	lua_newtable(L);
	luaL_register(L, NULL, functions);
	lua_command_push_functions(L);
	lua_setfield(L, -2, "command");
	lua_ask_open(L);
	return 1;
}

const struct lua_module consoles_module = {
	"neap.consoles",
	NULL,
	lua_src_consoles,
};

const struct lua_module console_module = {
	"console",
	luaopen_neap_console,
	lua_src_console,
};
