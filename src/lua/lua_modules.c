/* The Lua modules of this layer: name, C half, Lua half. */
#include "lua/lua_modules.h"

#include <stddef.h>

#include "lua/lua_builtins.h"
#include "lua/lua_clock.h"
#include "lua/lua_cmod.h"
#include "lua/lua_digest.h"
#include "lua/lua_errno.h"
#include "lua/lua_extensions.h"
#include "lua/lua_fiber.h"
#include "lua/lua_fio.h"
#include "lua/lua_http_client.h"
#include "lua/lua_http_server.h"
#include "lua/lua_http_websocket.h"
#include "lua/lua_io.h"
#include "lua/lua_json.h"
#include "lua/lua_log.h"
#include "lua/lua_msgpack.h"
#include "lua/lua_popen.h"
#include "lua/lua_shared.h"
#include "lua/lua_socket.h"
#include "lua/lua_uri.h"
#include "lua/lua_utf8.h"
#include "lua/lua_yaml.h"
#include "lua_src/lua.h"

const struct lua_module lua_module_builtins = {
	"builtins",
	luaopen_neap_builtins,
	lua_src_builtins,
};

const struct lua_module lua_module_io = {
	"io",
	luaopen_neap_io,
	lua_src_io,
};

const struct lua_module lua_module_callbacks = {
	"callbacks",
	luaopen_neap_callbacks,
	lua_src_callbacks,
	.divisible = true,
};

const struct lua_module lua_module_extensions = {
	"extensions",
	luaopen_neap_extensions,
	lua_src_extensions,
	.divisible = true,
};

static const struct lua_module module_fiber = {
	"fiber",
	luaopen_neap_fiber,
	lua_src_fiber,
};

static const struct lua_module module_clock = {
	"clock",
	luaopen_neap_clock,
	lua_src_clock,
};

static const struct lua_module module_digest = {
	"digest",
	luaopen_neap_digest,
	lua_src_digest,
};

static const struct lua_module module_fio = {
	"fio",
	luaopen_neap_fio,
	lua_src_fio,
};

static const struct lua_module module_popen = {
	"popen",
	luaopen_neap_popen,
	lua_src_popen,
};

static const struct lua_module module_socket = {
	"socket",
	luaopen_neap_socket,
	lua_src_socket,
};

static const struct lua_module module_strict = {
	"strict",
	NULL,
	lua_src_strict,
	.behind_files = true,
};

static const struct lua_module module_tap = {
	"tap", NULL, lua_src_tap, .divisible = true, .behind_files = true,
};

static const struct lua_module module_uri = {
	"uri",
	luaopen_neap_uri,
	lua_src_uri,
};

const struct lua_module lua_module_utf8 = {
	"utf8",
	luaopen_neap_utf8,
	lua_src_utf8,
	.divisible = true,
	.behind_files = true,
};

static const struct lua_module module_uuid = {
	"uuid",
	NULL,
	lua_src_uuid,
	.behind_files = true,
};

const struct lua_module *const lua_modules[] = {
	&lua_module_cmod,
	&module_clock,
	&lua_module_errno,
	&module_fiber,
	&module_fio,
	&module_digest,
	&lua_module_http_client,
	&lua_module_http_server,
	&lua_module_http_websocket,
	&lua_module_json,
	&lua_module_log,
	&lua_module_msgpack,
	&module_popen,
	&lua_module_shared,
	&module_socket,
	&module_strict,
	&module_tap,
	&module_uri,
	&lua_module_utf8,
	&module_uuid,
	&lua_module_yaml,
	NULL,
};
