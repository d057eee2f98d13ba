/*
 * HTTP requests in Lua, C half: the request object.
 *
 * It is filled on demand: what a handler does not look at is never made. Its
 * fields are computed at each look, but for tables, which are kept, as the
 * handler's own fields are, in the object's environment table.
 */
#include <lauxlib.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>
#include <uv.h>

#include "base/diag.h"
#include "base/hex.h"
#include "lua/lua_class.h"
#include "lua/lua_error.h"
#include "lua/lua_http.h"
#include "lua/lua_http_access.h"
#include "lua/lua_lean.h"
#include "lua/lua_socket.h"
#include "net/http_trace.h"
#include "net/tls.h"

/** Fields of a request that are no methods. */
enum request_field {
	FIELD_METHOD = 1,
	FIELD_PATH,
	FIELD_QUERY,
	FIELD_BODY,
	FIELD_TARGET,
	FIELD_SCHEME,
	FIELD_PROTO, /* from here on tables, which are kept */
	FIELD_HEADERS,
	FIELD_PEER,
	FIELD_OWN_ADDRESS,
};

enum {
	PARAMS_MAX = 1000,
};

static void push_text(lua_State *L, struct http_text t)
{
	lua_pushlstring(L, t.data, t.size);
}

static inline struct http_request *
request_of(const struct lua_http_request *box)
{
	if (box->server->http == NULL)
		return NULL;
	return http_request_find(box->server->http, box->handle);
}

static inline struct http_request *find_request(lua_State *L, int idx)
{
	return request_of(lua_class_check(L, idx, LUA_CLASS_HTTP_REQUEST));
}

struct http_request *lua_http_find_request(lua_State *L, int arg)
{
	return request_of(lua_lean_check(L, arg, LUA_CLASS_HTTP_REQUEST));
}

/* The request behind the object at @a idx; throws when it is over. */
static struct http_request *check_request(lua_State *L, int idx)
{
	struct http_request *req = find_request(L, idx);

	if (req == NULL)
		lua_error_usage(L, "the request has been answered: what is "
				   "needed later must be kept before");
	return req;
}

/* What the escape at @a p stands for, or -1 when there is none. */
static int escaped(const char *p, const char *end)
{
	int high, low;

	if (end - p < 3 || *p != '%')
		return -1;
	high = hex_value(p[1]);
	low = hex_value(p[2]);
	return high < 0 || low < 0 ? -1 : high << 4 | low;
}

/* Push @a t without its escapes. A broken one stays as it is. With @a plus a
 * "+" is a space; with @a key "%2F" and "%25" stay, for routes are matched
 * before a slash inside a segment becomes one. */
static void push_decoded(lua_State *L, struct http_text t, bool plus, bool key)
{
	const char *p = t.data, *end = p + t.size;
	luaL_Buffer b;
	int c;

	if (memchr(p, '%', t.size) == NULL &&
	    (!plus || memchr(p, '+', t.size) == NULL)) {
		push_text(L, t);
		return;
	}
	luaL_buffinit(L, &b);
	for (; p < end; p++) {
		c = escaped(p, end);
		if (c < 0) {
			luaL_addchar(&b, plus && *p == '+' ? ' ' : *p);
			continue;
		}
		if (key && c == '/')
			luaL_addlstring(&b, "%2F", 3);
		else if (key && c == '%')
			luaL_addlstring(&b, "%25", 3);
		else
			luaL_addchar(&b, (char)c);
		p += 2;
	}
	luaL_pushresult(&b);
}

/* decode(text) -> text: without escapes. */
int lua_http_decode(lua_State *L)
{
	struct http_text t;

	t.data = luaL_checklstring(L, 1, &t.size);
	push_decoded(L, t, lua_toboolean(L, 2), false);
	return 1;
}

/* t[name] = value, or when it is there a list of values; both are on top of
 * the table. */
static void add_param(lua_State *L)
{
	lua_pushvalue(L, -2);
	lua_rawget(L, -4);
	switch (lua_type(L, -1)) {
	case LUA_TNIL:
		lua_pop(L, 1);
		lua_rawset(L, -3);
		return;
	case LUA_TTABLE:
		lua_insert(L, -2);
		lua_rawseti(L, -2, (int)lua_objlen(L, -2) + 1);
		lua_pop(L, 2);
		return;
	default:
		lua_createtable(L, 2, 0);
		lua_insert(L, -3); /* table, name, list, new, old */
		lua_rawseti(L, -3, 1);
		lua_rawseti(L, -2, 2);
		lua_rawset(L, -3);
		return;
	}
}

/* params(text) -> table: of "a=1&b=2". */
static int l_params(lua_State *L)
{
	struct http_text text, name, value;
	const char *end, *next;
	unsigned count = 0;

	text.data = luaL_checklstring(L, 1, &text.size);
	end = text.data + text.size;
	lua_newtable(L);
	for (const char *p = text.data; p < end; p = next + 1) {
		const char *equals;

		next = memchr(p, '&', end - p);
		if (next == NULL)
			next = end;
		if (next == p)
			continue;
		if (++count > PARAMS_MAX)
			return luaL_error(L, "more than %d parameters",
					  PARAMS_MAX);
		equals = memchr(p, '=', next - p);
		name = (struct http_text){ p, (equals ? equals : next) - p };
		value = (struct http_text){ "", 0 };
		if (equals != NULL)
			value = (struct http_text){ equals + 1,
						    next - equals - 1 };
		push_decoded(L, name, true, false);
		push_decoded(L, value, true, false);
		add_param(L);
	}
	return 1;
}

/* What joins the values of fields with the same name. */
static const char *separator(const char *name, size_t size)
{
	return size == 6 && strncasecmp(name, "cookie", 6) == 0 ? "; " : ", ";
}

/* Push the value of all header fields of that name, or nil. */
static void push_header(lua_State *L, const struct http_request *req,
			const char *name, size_t size)
{
	size_t count = http_request_field_count(req);
	unsigned found = 0;

	for (size_t i = 0; i < count; i++) {
		struct http_field f = http_request_field(req, i);

		if (f.name.size != size ||
		    strncasecmp(f.name.data, name, size) != 0)
			continue;
		if (found++ > 0)
			lua_pushstring(L, separator(name, size));
		push_text(L, f.value);
		if (found > 1)
			lua_concat(L, 3);
	}
	if (found == 0)
		lua_pushnil(L);
}

/* Push the field's name in small letters. */
static void push_lower(lua_State *L, struct http_text t)
{
	char small[64];

	if (t.size > sizeof small) {
		luaL_Buffer b;

		luaL_buffinit(L, &b);
		for (size_t i = 0; i < t.size; i++)
			luaL_addchar(&b, t.data[i] >= 'A' && t.data[i] <= 'Z'
						 ? t.data[i] | 32
						 : t.data[i]);
		luaL_pushresult(&b);
		return;
	}
	for (size_t i = 0; i < t.size; i++)
		small[i] = t.data[i] >= 'A' && t.data[i] <= 'Z' ? t.data[i] | 32
								: t.data[i];
	lua_pushlstring(L, small, t.size);
}

void lua_http_push_fields(lua_State *L, const struct http_request *req,
			  size_t first, size_t count)
{
	lua_createtable(L, 0, (int)count);
	for (size_t i = first; i < first + count; i++) {
		struct http_field f = http_request_field(req, i);

		push_lower(L, f.name);
		lua_pushvalue(L, -1);
		lua_rawget(L, -3);
		if (lua_isnil(L, -1)) {
			lua_pop(L, 1);
			push_text(L, f.value);
		} else {
			lua_pushstring(L, separator(f.name.data, f.name.size));
			push_text(L, f.value);
			lua_concat(L, 3);
		}
		lua_rawset(L, -3);
	}
}

static void set_string(lua_State *L, const char *name, const char *value)
{
	lua_pushstring(L, value);
	lua_setfield(L, -2, name);
}

/* As socket:peer() gives it. */
static void push_address(lua_State *L, const struct sockaddr *sa)
{
	char host[64];

	lua_createtable(L, 0, 5);
	set_string(L, "type", "SOCK_STREAM");
	if (sa->sa_family == AF_UNIX) {
		set_string(L, "family", "AF_UNIX");
		set_string(L, "host", "unix/");
		set_string(L, "port",
			   ((const struct sockaddr_un *)sa)->sun_path);
		return;
	}
	uv_ip_name(sa, host, sizeof host);
	set_string(L, "host", host);
	set_string(L, "family",
		   sa->sa_family == AF_INET ? "AF_INET" : "AF_INET6");
	set_string(L, "protocol", "tcp");
	lua_pushinteger(
		L,
		ntohs(sa->sa_family == AF_INET
			      ? ((const struct sockaddr_in *)sa)->sin_port
			      : ((const struct sockaddr_in6 *)sa)->sin6_port));
	lua_setfield(L, -2, "port");
}

/* Nil when the peer has gone. */
static void push_peer(lua_State *L, const struct http_request *req)
{
	struct sockaddr_storage addr;

	if (http_request_peer(req, &addr) == 0)
		push_address(L, (const struct sockaddr *)&addr);
	else
		lua_pushnil(L);
}

static void push_own_address(lua_State *L, const struct http_request *req)
{
	struct sockaddr_storage addr;

	if (http_request_own_address(req, &addr) == 0)
		push_address(L, (const struct sockaddr *)&addr);
	else
		lua_pushnil(L);
}

static void push_body(lua_State *L, const struct http_request *req)
{
	struct http_text body = http_request_body(req);

	if (body.data == NULL)
		lua_error_usage(L, "the body comes in pieces: req:read() gives "
				   "it");
	push_text(L, body);
}

static void push_field(lua_State *L, const struct http_request *req, int field)
{
	switch ((enum request_field)field) {
	case FIELD_METHOD:
		lua_pushstring(L, http_request_method(req));
		break;
	case FIELD_PATH:
		push_decoded(L, http_request_path(req), false, false);
		break;
	case FIELD_QUERY:
		push_text(L, http_request_query(req));
		break;
	case FIELD_BODY:
		push_body(L, req);
		break;
	case FIELD_TARGET:
		push_text(L, http_request_target(req));
		break;
	case FIELD_SCHEME:
		lua_pushstring(L,
			       http_request_is_secure(req) ? "https" : "http");
		break;
	case FIELD_PROTO:
		lua_createtable(L, 2, 0);
		lua_pushinteger(L, (int)http_request_major(req));
		lua_rawseti(L, -2, 1);
		lua_pushinteger(L, (int)http_request_minor(req));
		lua_rawseti(L, -2, 2);
		break;
	case FIELD_HEADERS:
		lua_http_push_fields(L, req, 0, http_request_field_count(req));
		break;
	case FIELD_PEER:
		push_peer(L, req);
		break;
	case FIELD_OWN_ADDRESS:
		push_own_address(L, req);
		break;
	}
}

/* fields(req) -> {name, value, ..}: in their order, names in small letters. */
static int l_fields(lua_State *L)
{
	const struct http_request *req = check_request(L, 1);
	const struct lua_http_request *box = lua_touserdata(L, 1);
	size_t count = http_request_field_count(req);

	if (box->changed) {
		lua_getfenv(L, 1);
		lua_getfield(L, -1, "_fields");
		return 1;
	}
	lua_createtable(L, (int)count * 2, 0);
	for (size_t i = 0; i < count; i++) {
		struct http_field f = http_request_field(req, i);

		push_lower(L, f.name);
		lua_rawseti(L, -2, (int)i * 2 + 1);
		push_text(L, f.value);
		lua_rawseti(L, -2, (int)i * 2 + 2);
	}
	return 1;
}

/* Push the table of the object's own values (the object is at 1), which is
 * made now if it has none. */
static void push_extras(lua_State *L)
{
	struct lua_http_request *box = lua_touserdata(L, 1);

	lua_getfenv(L, 1);
	if (lua_topointer(L, -1) != box->server->environment)
		return;
	lua_createtable(L, 1, 4);
	lua_pushvalue(L, -2); /* which holds the server */
	lua_rawseti(L, -2, 1);
	lua_getfield(L, -2, "httpd");
	lua_setfield(L, -2, "httpd");
	lua_pushvalue(L, -1);
	lua_setfenv(L, 1);
	lua_replace(L, -2);
}

/* change(req, fields, headers): what the header is to be for who looks from now
 * on, as fields() and as req.headers has it. */
static int l_change(lua_State *L)
{
	struct lua_http_request *box;

	check_request(L, 1);
	luaL_checktype(L, 2, LUA_TTABLE);
	luaL_checktype(L, 3, LUA_TTABLE);
	lua_settop(L, 3);
	box = lua_touserdata(L, 1);
	push_extras(L);
	lua_insert(L, 2);
	lua_setfield(L, 2, "headers");
	lua_setfield(L, 2, "_fields");
	box->changed = true;
	return 0;
}

/* header(req, name) -> string | nil */
static int l_header(lua_State *L)
{
	const struct http_request *req = check_request(L, 1);
	const struct lua_http_request *box = lua_touserdata(L, 1);
	size_t size;
	const char *name = luaL_checklstring(L, 2, &size);

	if (!box->changed) {
		push_header(L, req, name, size);
		return 1;
	}
	lua_getfenv(L, 1);
	lua_getfield(L, -1, "headers");
	push_lower(L, (struct http_text){ name, size });
	lua_rawget(L, -2);
	return 1;
}

/* A field that is a table is made once, so that changes to it stay. */
static void keep_table(lua_State *L)
{
	lua_pushvalue(L, lua_upvalueindex(2));
	lua_setmetatable(L, -2);
	push_extras(L);
	lua_pushvalue(L, 2);
	lua_pushvalue(L, -3);
	lua_rawset(L, -3);
	lua_pop(L, 1);
}

/* Whatever has that name and is no method. Upvalues: names -> number of a field;
 * metatable of tables. */
static int l_field(lua_State *L)
{
	struct lua_http_request *box =
		lua_lean_check(L, 1, LUA_CLASS_HTTP_REQUEST);
	int field;

	lua_settop(L, 2);
	lua_pushvalue(L, 2);
	lua_rawget(L, lua_upvalueindex(1));
	field = (int)lua_tointeger(L, 3);
	lua_getfenv(L, 1);
	if (field == 0 || lua_topointer(L, 4) != box->server->environment) {
		lua_pushvalue(L, 2);
		lua_rawget(L, 4);
		if (field == 0 || !lua_isnil(L, 5))
			return 1;
	}
	push_field(L, check_request(L, 1), field);
	if (field >= FIELD_PROTO && !lua_isnil(L, -1))
		keep_table(L);
	return 1;
}

static int l_newindex(lua_State *L)
{
	lua_class_check(L, 1, LUA_CLASS_HTTP_REQUEST);
	lua_settop(L, 3);
	if (lua_type(L, 2) != LUA_TSTRING)
		return lua_error_usage(L, "a request's fields have names");
	push_extras(L);
	lua_insert(L, 2);
	lua_rawset(L, 2);
	return 0;
}

/* tls_info(req) -> table | nil */
static int l_tls_info(lua_State *L)
{
	struct http_request *req = check_request(L, 1);
	struct tls_info info;

	if (!http_request_tls_info(req, &info))
		return 0;
	lua_socket_push_tls_info(L, &info);
	return 1;
}

/* is_gone(req) -> boolean: nobody waits for the answer. */
static int l_is_gone(lua_State *L)
{
	struct http_request *req = lua_http_find_request(L, 1);

	lua_pushboolean(L, req == NULL || http_request_is_gone(req));
	return 1;
}

/* is_ending(req) -> boolean: the server drains. */
static int l_is_ending(lua_State *L)
{
	struct http_request *req = lua_http_find_request(L, 1);

	lua_pushboolean(L, req != NULL && http_request_is_ending(req));
	return 1;
}

/* has_ended(req) -> boolean: its peer sends no more. */
static int l_has_ended(lua_State *L)
{
	struct http_request *req = lua_http_find_request(L, 1);

	lua_pushboolean(L, req == NULL || http_request_has_ended(req));
	return 1;
}

static int l_is_request(lua_State *L)
{
	lua_pushboolean(L,
			lua_class_test(L, 1, LUA_CLASS_HTTP_REQUEST) != NULL);
	return 1;
}

/* take(number) -> req, method, key of the path; upvalues: the server, the
 * names of the methods by number. The function's environment becomes that of
 * the object. */
static int l_take(lua_State *L)
{
	struct lua_http_server *s = lua_lean_upvalue(L, 1);
	http_handle handle = (http_handle)lua_lean_number(L, 1);
	struct http_request *req;
	struct lua_http_request *box;

	box = lua_lean_box(L, LUA_CLASS_HTTP_REQUEST, sizeof *box);
	box->server = s;
	box->handle = handle;
	box->changed = false;
	req = request_of(box);
	if (req == NULL)
		check_request(L, -1); /* which throws */
	lua_lean_push_of_upvalue(L, 2,
				 (int)http_request_method_number(req) + 1);
	push_decoded(L, http_request_path(req), false, true);
	if (!http_trace_is_on())
		return 3;
	lua_pushboolean(L, 1);
	return 4;
}

int lua_http_trace(lua_State *L)
{
	struct http_request *req = lua_http_find_request(L, 1);
	bool rule = strcmp(luaL_checkstring(L, 2), "rule") == 0;
	const char *text = luaL_checkstring(L, 3);

	if (req != NULL)
		http_trace_say(req, rule ? HTTP_TRACE_RULE : HTTP_TRACE_ROUTE,
			       text);
	return 0;
}

void lua_http_push_take(lua_State *L, int idx)
{
	struct lua_http_server *s = lua_touserdata(L, idx);

	lua_pushvalue(L, idx);
	lua_newtable(L);
	for (unsigned i = 0; http_method_name(i) != NULL; i++) {
		lua_pushstring(L, http_method_name(i));
		lua_rawseti(L, -2, (int)i + 1);
	}
	lua_pushcclosure(L, l_take, 2);
	lua_createtable(L, 1, 1);
	lua_pushvalue(L, idx);
	lua_rawseti(L, -2, 1);
	lua_pushvalue(L, idx + 1);
	lua_setfield(L, -2, "httpd");
	s->environment = lua_topointer(L, -1);
	lua_setfenv(L, -2);
}

/* field_getter(methods, metatable of tables) -> l_field: the Lua half's. Fields have a
 * number among the methods. */
static int l_field_getter(lua_State *L)
{
	static const struct {
		const char *name;
		enum request_field field;
	} fields[] = {
		{ "method", FIELD_METHOD },
		{ "path", FIELD_PATH },
		{ "query", FIELD_QUERY },
		{ "body", FIELD_BODY },
		{ "target", FIELD_TARGET },
		{ "scheme", FIELD_SCHEME },
		{ "proto", FIELD_PROTO },
		{ "headers", FIELD_HEADERS },
		{ "peer", FIELD_PEER },
		{ "own_address", FIELD_OWN_ADDRESS },
	};

	luaL_checktype(L, 1, LUA_TTABLE);
	luaL_checktype(L, 2, LUA_TTABLE);
	lua_settop(L, 2);
	for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
		lua_pushinteger(L, fields[i].field);
		lua_setfield(L, 1, fields[i].name);
	}
	lua_pushcclosure(L, l_field, 2);
	return 1;
}

/* set_meta(name, function): of the metatable of requests. */
static int l_set_meta(lua_State *L)
{
	const char *name = luaL_checkstring(L, 1);

	luaL_checktype(L, 2, LUA_TFUNCTION);
	lua_class_metatable(L, LUA_CLASS_HTTP_REQUEST);
	lua_pushvalue(L, 2);
	lua_setfield(L, -2, name);
	return 0;
}

void lua_http_push_request_half(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{ "params", l_params },
		{ "decode", lua_http_decode },
		{ "header", l_header },
		{ "fields", l_fields },
		{ "change", l_change },
		{ "is_gone", l_is_gone },
		{ "is_ending", l_is_ending },
		{ "has_ended", l_has_ended },
		{ "is_request", l_is_request },
		{ "tls_info", l_tls_info },
		{ "field_getter", l_field_getter },
		{ "set_meta", l_set_meta },
		{ "usage", lua_error_usage_text },
		{ NULL, NULL },
	};
	static const luaL_Reg meta[] = {
		{ "__newindex", l_newindex },
		{ NULL, NULL },
	};

	lua_class_new(L, LUA_CLASS_HTTP_REQUEST, "http request", meta);
	lua_pop(L, 1);
	lua_newtable(L);
	luaL_register(L, NULL, functions);
	lua_http_open_answer(L);
	lua_http_open_body(L);
	lua_http_open_condition(L);
	lua_http_open_file(L);
	lua_http_open_encode(L);
	lua_http_open_form(L);
	lua_http_open_note(L);
}
