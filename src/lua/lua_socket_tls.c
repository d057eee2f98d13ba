/* The module `socket`: TLS contexts, and the TLS of a socket; nothing here waits. */
#include <lauxlib.h>
#include <openssl/ssl.h>
#include <string.h>
#include <sys/socket.h>
#include <uv.h>

#include "base/diag.h"
#include "lua/lua_class.h"
#include "lua/lua_error.h"
#include "lua/lua_socket.h"
#include "net/sock_tls.h"
#include "net/tls.h"
#include "net/tls_context.h"

/** The userdata. */
struct box {
	struct tls_context *context; /* NULL: it could not be made */
};

struct tls_context *lua_socket_check_tls_context(lua_State *L, int idx)
{
	struct box *box = lua_class_check(L, idx, LUA_CLASS_TLS_CONTEXT);

	if (box->context == NULL)
		lua_error_usage(L, "a TLS context is wanted");
	return box->context;
}

/* --- options; their strings stay where they are, in the table --- */

static const char *text_option(lua_State *L, const char *name)
{
	const char *text;
	size_t size;

	lua_getfield(L, 2, name);
	if (lua_isnil(L, -1)) {
		lua_pop(L, 1);
		return NULL;
	}
	text = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &size)
					      : NULL;
	if (text == NULL || strlen(text) != size)
		lua_error_usage(L, "tls: %s is a string without zero bytes",
				name);
	lua_pop(L, 1);
	return text;
}

static int choice(lua_State *L, const char *name, const char *const *words)
{
	const char *text = text_option(L, name);

	if (text == NULL)
		return -1;
	for (int i = 0; words[i] != NULL; i++) {
		if (strcmp(words[i], text) == 0)
			return i;
	}
	return lua_error_usage(L, "tls: %s cannot be '%s', but %s, %s%s%s",
			       name, text, words[0], words[1],
			       words[2] != NULL ? " or " : "",
			       words[2] != NULL ? words[2] : "");
}

static int version(lua_State *L, const char *name)
{
	static const char *const words[] = { "TLSv1.2", "TLSv1.3", NULL };
	int i = choice(L, name, words);

	return i < 0 ? 0 : i == 0 ? TLS1_2_VERSION : TLS1_3_VERSION;
}

static bool is_off(lua_State *L, const char *name)
{
	bool off;

	lua_getfield(L, 2, name);
	off = lua_isboolean(L, -1) && !lua_toboolean(L, -1);
	if (!lua_isnil(L, -1) && !lua_isboolean(L, -1))
		lua_error_usage(L, "tls: %s is true or false", name);
	lua_pop(L, 1);
	return off;
}

/* An array of names into the form of the wire. */
static size_t alpn_option(lua_State *L, char to[static TLS_ALPN_SIZE_MAX])
{
	size_t at = 0, size;

	lua_getfield(L, 2, "alpn");
	if (lua_isnil(L, -1)) {
		lua_pop(L, 1);
		return 0;
	}
	if (!lua_istable(L, -1) || lua_objlen(L, -1) == 0)
		lua_error_usage(L, "tls: alpn is an array of names");
	for (size_t i = 1; i <= lua_objlen(L, -1); i++) {
		const char *name;

		lua_rawgeti(L, -1, (int)i);
		name = lua_type(L, -1) == LUA_TSTRING
			       ? lua_tolstring(L, -1, &size)
			       : NULL;
		if (name == NULL || size == 0 || size > 255)
			lua_error_usage(L, "tls: alpn: a name has 1 to 255 "
					   "bytes");
		if (at + 1 + size > TLS_ALPN_SIZE_MAX)
			lua_error_usage(L, "tls: alpn: more than %d bytes",
					TLS_ALPN_SIZE_MAX);
		to[at] = (char)size;
		memcpy(to + at + 1, name, size);
		at += 1 + size;
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
	return at;
}

/* The arrays 3, of names, and 4, of userdata, into memory of Lua, pushed. */
static void sni_option(lua_State *L, struct tls_options *o)
{
	size_t count = lua_istable(L, 3) ? lua_objlen(L, 3) : 0;
	struct tls_sni *sni;

	if (count > TLS_SNI_MAX)
		lua_error_usage(L, "tls: sni has more than %d names",
				TLS_SNI_MAX);
	sni = lua_newuserdata(L, count * sizeof *sni + 1);
	for (size_t i = 0; i < count; i++) {
		size_t size;

		lua_rawgeti(L, 3, (int)i + 1);
		sni[i].name = lua_tolstring(L, -1, &size);
		if (sni[i].name == NULL || strlen(sni[i].name) != size)
			lua_error_usage(L, "tls: sni has names of hosts");
		lua_rawgeti(L, 4, (int)i + 1);
		sni[i].context = lua_socket_check_tls_context(L, -1);
		lua_pop(L, 2);
	}
	o->sni = sni;
	o->sni_count = count;
}

/* tls_context(is_server, options, names, userdata) -> userdata | nil, err */
static int l_context(lua_State *L)
{
	static const char *const modes[] = { "none", "peer", "required", NULL };
	char alpn[TLS_ALPN_SIZE_MAX];
	struct tls_options o = {
		.role = lua_toboolean(L, 1) ? TLS_SERVER : TLS_CLIENT,
		.cert_file = text_option(L, "cert_file"),
		.key_file = text_option(L, "key_file"),
		.key_password = text_option(L, "key_password"),
		.ca_file = text_option(L, "ca_file"),
		.ca_path = text_option(L, "ca_path"),
		.ciphers = text_option(L, "ciphers"),
		.ciphersuites = text_option(L, "ciphersuites"),
		.alpn = alpn,
		.no_tickets = is_off(L, "tickets"),
		.no_session_cache = is_off(L, "session_cache"),
	};
	struct box *box;

	o.verify = (enum tls_verify)(choice(L, "verify", modes) + 1);
	o.min_version = version(L, "min_version");
	o.max_version = version(L, "max_version");
	o.alpn_size = alpn_option(L, alpn);
	sni_option(L, &o);
	box = lua_class_box(L, LUA_CLASS_TLS_CONTEXT, sizeof *box);
	box->context = NULL;
	box->context = tls_context_new(&o);
	return box->context != NULL ? 1 : lua_error_fail(L);
}

static int l_context_gc(lua_State *L)
{
	struct box *box = lua_class_check(L, 1, LUA_CLASS_TLS_CONTEXT);

	tls_context_unref(box->context);
	box->context = NULL;
	return 0;
}

/* tls_reload(userdata) -> true | nil, err */
static int l_reload(lua_State *L)
{
	if (tls_context_reload(lua_socket_check_tls_context(L, 1)) != 0)
		return lua_error_fail(L);
	lua_pushboolean(L, 1);
	return 1;
}

/* --- a socket's --- */

/* tls_start(s, userdata, name) -> true | nil, err */
static int l_start(lua_State *L)
{
	struct lua_socket *s = lua_socket_check(L);
	struct tls_context *context = lua_socket_check_tls_context(L, 2);
	const char *name = NULL;
	size_t size = 0;

	if (!lua_isnoneornil(L, 3)) {
		name = luaL_checklstring(L, 3, &size);
		if (strlen(name) != size)
			lua_error_usage(L, "tls: server_name is a string "
					   "without zero bytes");
	}
	if (s->sock.tls != NULL)
		return lua_socket_fail(L, s, UV_EALREADY, "tls");
	if (s->sock.type != SOCK_STREAM)
		return lua_socket_fail(L, s, UV_EPROTOTYPE, "tls");
	if (sock_tls_start(&s->sock, context, name) != 0) {
		s->err = EINVAL;
		return lua_error_fail(L);
	}
	lua_pushboolean(L, 1);
	return 1;
}

/* tls_handshake(s) -> true | false: wait | nil, err */
static int l_handshake(lua_State *L)
{
	struct lua_socket *s = lua_socket_check(L);
	int rc = s->sock.tls != NULL ? sock_tls_handshake(&s->sock)
				     : UV_ENOTCONN;

	if (rc != 0 && rc != UV_EAGAIN)
		return lua_socket_fail(L, s, rc, "TLS handshake");
	lua_pushboolean(L, rc == 0);
	return 1;
}

/* is_tls(s) -> boolean */
static int l_is_tls(lua_State *L)
{
	lua_pushboolean(L, lua_socket_check_any(L)->sock.tls != NULL);
	return 1;
}

static void set_text(lua_State *L, const char *name, const char *text)
{
	if (text == NULL || text[0] == '\0')
		return;
	lua_pushstring(L, text);
	lua_setfield(L, -2, name);
}

void lua_socket_push_tls_info(lua_State *L, const struct tls_info *info)
{
	lua_createtable(L, 0, 7);
	set_text(L, "version", info->version);
	set_text(L, "cipher", info->cipher);
	set_text(L, "alpn", info->alpn);
	set_text(L, "sni", info->name);
	lua_pushboolean(L, info->resumed);
	lua_setfield(L, -2, "resumed");
	lua_pushboolean(L, info->verified);
	lua_setfield(L, -2, "verified");
	if (!info->has_peer)
		return;
	lua_createtable(L, 0, 4);
	set_text(L, "subject", info->subject);
	set_text(L, "issuer", info->issuer);
	set_text(L, "fingerprint", info->fingerprint);
	lua_pushnumber(L, (lua_Number)info->not_after);
	lua_setfield(L, -2, "not_after");
	lua_setfield(L, -2, "peer");
}

/***
 * socket_object:tls_info() -> table | nil
 * What came of its TLS: `version`, `cipher`, `alpn` (the protocol that was agreed
 * on), `sni` (the name that was asked for), `resumed` (an earlier session goes
 * on), `verified` (the other side's certificate was checked, and is good), and
 * `peer`, which is that: `subject`, `issuer` (as RFC 2253 writes names; nil when
 * longer than 1023 bytes), `fingerprint` (SHA-256, hexadecimal) and `not_after`
 * (seconds since 1970). What there is none of is nil. Nil: it has no TLS, or the
 * handshake is not done. Yields: no. Throws: it is closed.
 */
static int l_info(lua_State *L)
{
	struct lua_socket *s = lua_socket_check_open(L);
	struct tls_info info;

	if (s->sock.tls == NULL || !tls_info(s->sock.tls, &info))
		return 0;
	lua_socket_push_tls_info(L, &info);
	return 1;
}

void lua_socket_open_tls(lua_State *L)
{
	static const luaL_Reg meta[] = { { "__gc", l_context_gc },
					 { NULL, NULL } };
	static const luaL_Reg functions[] = {
		{ "tls_context", l_context },
		{ "tls_reload", l_reload },
		{ "tls_start", l_start },
		{ "is_tls", l_is_tls },
		{ "tls_handshake", l_handshake },
		{ "tls_info", l_info },
		{ NULL, NULL },
	};

	luaL_register(L, NULL, functions);
	lua_class_new(L, LUA_CLASS_TLS_CONTEXT, "TLS context", meta);
	lua_pop(L, 1);
}
