/* C halves of `core` and of the internal modules around it: handlers, rules, the
 * request as scripts see it. */
#include "app/core_module.h"

#include <errno.h>
#include <grp.h>
#include <lauxlib.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/app.h"
#include "app/handlers.h"
#include "app/local_call.h"
#include "app/worker.h"
#include "base/log.h"
#include "lua/lua_call.h"
#include "lua/lua_http.h"
#include "lua/lua_error.h"
#include "lua_src/app.h"
#include "net/http_request.h"
#include "net/listener.h"

/* find(kind, name) -> record, shared, note | nil */
static int l_find(lua_State *L)
{
	const struct worker *w = worker_of(L);
	int kind = luaL_checkoption(L, 1, NULL, handler_kind_names);
	const struct handler *h = handlers_find(&w->app->handlers,
						(enum handler_kind)kind,
						luaL_checkstring(L, 2));

	if (h == NULL)
		return 0;
	lua_pushlightuserdata(L, (void *)h);
	lua_pushboolean(L, handler_is_shared(h));
	lua_pushstring(L, handler_note(h));
	return 3;
}

/* names(kind) -> {name, ..}: of all that are registered, in their order */
static int l_names(lua_State *L)
{
	const struct worker *w = worker_of(L);
	int kind = luaL_checkoption(L, 1, NULL, handler_kind_names);
	const struct handler *h = NULL;

	lua_newtable(L);
	for (int i = 1;
	     (h = handlers_next(&w->app->handlers, (enum handler_kind)kind, h));
	     i++) {
		lua_pushstring(L, handler_name(h));
		lua_rawseti(L, -2, i);
	}
	return 1;
}

static int l_log_error(lua_State *L)
{
	log_error("%s", luaL_checkstring(L, 1));
	return 0;
}

/* path_is(path, folder, [passed]) -> nil, or why it is none that can be read, or no
 * folder; @passed: it need not be read */
static int l_path_is(lua_State *L)
{
	const char *path = luaL_checkstring(L, 1);
	bool folder = lua_toboolean(L, 2);
	int mode = lua_toboolean(L, 3) ? F_OK : R_OK;
	struct stat st;

	if (stat(path, &st) != 0 || access(path, mode) != 0) {
		lua_pushfstring(L, "'%s': %s", path, strerror(errno));
		return 1;
	}
	if (folder ? S_ISDIR(st.st_mode) : S_ISREG(st.st_mode))
		return 0;
	lua_pushfstring(L, "'%s' is %s", path,
			folder                ? "no folder"
			: S_ISDIR(st.st_mode) ? "a folder"
					      : "no regular file");
	return 1;
}

enum { NAMES_BUFFER = 16384 };

/* is_user(name), is_group(name) -> boolean; true, too, when that cannot be told */
static int l_is_user(lua_State *L)
{
	char space[NAMES_BUFFER];
	struct passwd pw, *found = NULL;
	int rc = getpwnam_r(luaL_checkstring(L, 1), &pw, space, sizeof space,
			    &found);

	lua_pushboolean(L, found != NULL || rc != 0);
	return 1;
}

static int l_is_group(lua_State *L)
{
	char space[NAMES_BUFFER];
	struct group gr, *found = NULL;
	int rc = getgrnam_r(luaL_checkstring(L, 1), &gr, space, sizeof space,
			    &found);

	lua_pushboolean(L, found != NULL || rc != 0);
	return 1;
}

/* is_host(text) -> boolean: what listeners take */
static int l_is_host(lua_State *L)
{
	struct listen_address addr;

	lua_pushboolean(L, listen_address_parse(&addr, luaL_checkstring(L, 1),
						1) == 0);
	return 1;
}

static void push_reasons(lua_State *L)
{
	lua_newtable(L);
	for (int status = 100; status < 600; status++) {
		const char *reason = http_status_reason(status);

		if (reason == NULL)
			continue;
		lua_pushstring(L, reason);
		lua_rawseti(L, -2, status);
	}
}

/* What all halves get. */
static int open_half(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{ "find", l_find },
		{ "names", l_names },
		{ "local_call", l_local_call },
		{ "local_wait", l_local_wait },
		{ "caller_storage", l_local_caller_storage },
		{ "set_leave", l_local_call_set_leave },
		{ "decode", lua_http_decode },
		{ "failed", lua_wait_failed },
		{ "log_error", l_log_error },
		{ "path_is", l_path_is },
		{ "is_user", l_is_user },
		{ "is_group", l_is_group },
		{ "is_host", l_is_host },
		{ "trace", lua_http_trace },
		{ "usage", lua_error_usage_text },
		{ NULL, NULL },
	};

	lua_newtable(L);
	luaL_register(L, NULL, functions);
	push_reasons(L);
	lua_setfield(L, -2, "reasons");
	return 1;
}

#define MODULE(id, name, source)                                            \
	static const struct lua_module app_module_##id = { name, open_half, \
							   source }

MODULE(core, "core", lua_src_core);
MODULE(act, "neap.act", lua_src_act);
MODULE(addresses, "neap.addresses", lua_src_addresses);
MODULE(applet, "neap.applet", lua_src_applet);
MODULE(cli, "neap.cli", lua_src_cli);
MODULE(fields, "neap.fields", lua_src_fields);
MODULE(filter, "neap.filter", lua_src_filter);
MODULE(filter_chain, "neap.filter_chain", lua_src_filter_chain);
MODULE(filter_stream, "neap.filter_stream", lua_src_filter_stream);
MODULE(handlers, "neap.handlers", lua_src_handlers);
MODULE(http_message, "neap.http_message", lua_src_http_message);
MODULE(rule_failure, "neap.rule_failure", lua_src_rule_failure);
MODULE(rules, "neap.rules", lua_src_rules);
MODULE(request_log, "neap.request_log", lua_src_request_log);
MODULE(remote, "neap.remote", lua_src_remote);
MODULE(config_files, "neap.config_files", lua_src_config_files);
MODULE(server, "neap.server", lua_src_server);
MODULE(txn, "neap.txn", lua_src_txn);
MODULE(visit, "neap.visit", lua_src_visit);

const struct lua_module *const core_modules[] = {
	&app_module_core,         &app_module_act,
	&app_module_addresses,    &app_module_applet,
	&app_module_fields,       &app_module_filter,
	&app_module_filter_chain, &app_module_rules,
	&app_module_handlers,     &app_module_http_message,
	&app_module_remote,       &app_module_config_files,
	&app_module_server,       &app_module_txn,
	&app_module_cli,          &app_module_request_log,
	&app_module_rule_failure, &app_module_filter_stream,
	&app_module_visit,        NULL,
};
