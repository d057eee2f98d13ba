/*
 * The C half of http_client.lua: clients and calls of net/http_client.h as userdata.
 * A call keeps its client, and the body that is sent, in its environment.
 */
#include "lua/lua_http_client.h"

#include <lauxlib.h>
#include <string.h>
#include <uv.h>

#include "base/diag.h"
#include "lua/lua_call.h"
#include "lua/lua_class.h"
#include "lua/lua_error.h"
#include "lua_src/lua.h"
#include "net/curl_library.h"
#include "net/http_client.h"
#include "runtime/fiber.h"

/* What a fiber waits for; a call that has ended is enough for all of them. */
enum {
	FOR_HEADERS,
	FOR_BODY, /* more than there was */
	FOR_ROOM,
	FOR_END,
};

struct client_box {
	struct http_client *client; /* NULL: none */
};

static struct client_box *check_client(lua_State *L)
{
	return lua_class_check(L, 1, LUA_CLASS_HTTP_CLIENT);
}

static struct http_call *check_call(lua_State *L)
{
	struct http_call *call = lua_class_check(L, 1, LUA_CLASS_HTTP_CALL);

	if (call->easy == NULL)
		lua_error_usage(L, "http.client: the request is closed");
	return call;
}

static int fail_memory(lua_State *L)
{
	diag_set(OutOfMemory, "not enough memory for an HTTP request");
	return lua_error_fail(L);
}

/* new(connections, host_connections, total_connections) -> client | nil, err */
static int l_new(lua_State *L)
{
	const struct http_client_limits limits = {
		(long)lua_tonumber(L, 1),
		(long)lua_tonumber(L, 2),
		(long)lua_tonumber(L, 3),
	};
	struct lua_vm *vm = lua_vm_of(L);
	struct client_box *box;
	int rc;

	if (vm->offloaded)
		return lua_error_usage(L, "http.client: an offloaded function "
					  "has no event loop");
	box = lua_class_box(L, LUA_CLASS_HTTP_CLIENT, sizeof *box);
	box->client = NULL;
	rc = http_client_new(vm->sched->loop, &limits, &box->client);
	if (rc == 0)
		return 1;
	if (rc == UV_ENOSYS)
		diag_set(ClientError,
			 "http.client needs libcurl (package libcurl4): %s",
			 curl_library_load());
	else
		diag_set(OutOfMemory, "not enough memory for an HTTP client");
	return lua_error_fail(L);
}

static int l_client_gc(lua_State *L)
{
	struct client_box *box = check_client(L);

	if (box->client != NULL)
		http_client_close(box->client);
	box->client = NULL;
	return 0;
}

/* stat(client) -> active, opened, closed, total, ok, other, failed */
static int l_stat(lua_State *L)
{
	const struct http_client_stat *s =
		http_client_stat(check_client(L)->client);

	lua_pushnumber(L, s->active);
	lua_pushnumber(L, (lua_Number)s->opened);
	lua_pushnumber(L, (lua_Number)s->closed);
	lua_pushnumber(L, (lua_Number)s->total);
	lua_pushnumber(L, (lua_Number)s->ok);
	lua_pushnumber(L, (lua_Number)s->other);
	lua_pushnumber(L, (lua_Number)s->failed);
	return 7;
}

/* The options of libcurl, by their names without CURLOPT_. */
static const struct option {
	const char *name;
	CURLoption id;
} options[] = {
#define O(name)                       \
	{                             \
#name, CURLOPT_##name \
	}
	O(URL),
	O(CUSTOMREQUEST),
	O(NOBODY),
	O(POST),
	O(UPLOAD),
	O(HTTP_VERSION),
	O(FRESH_CONNECT),
	O(FORBID_REUSE),
	O(FOLLOWLOCATION),
	O(MAXREDIRS),
	O(CONNECTTIMEOUT_MS),
	O(LOW_SPEED_LIMIT),
	O(LOW_SPEED_TIME),
	O(TCP_KEEPALIVE),
	O(TCP_KEEPIDLE),
	O(TCP_KEEPINTVL),
	O(INTERFACE),
	O(UNIX_SOCKET_PATH),
	O(CONNECT_TO),
	O(PROXY),
	O(PROXYPORT),
	O(PROXYUSERPWD),
	O(NOPROXY),
	O(USERNAME),
	O(PASSWORD),
	O(ACCEPT_ENCODING),
	O(CAINFO),
	O(CAPATH),
	O(SSLCERT),
	O(SSLKEY),
	O(KEYPASSWD),
	O(SSL_VERIFYPEER),
	O(SSL_VERIFYHOST),
	O(VERBOSE),
#undef O
};

/* The table at @a idx, which keeps the texts: option, value, option, value... Throws:
 * no. */
static bool set_options(lua_State *L, int idx, struct http_call *call)
{
	const char *ca_file = NULL, *ca_path = NULL, *text;
	int count = (int)lua_objlen(L, idx);
	CURLcode rc = CURLE_OK;

	for (int i = 1; i < count && rc == CURLE_OK; i += 2) {
		CURLoption id;

		lua_rawgeti(L, idx, i);
		lua_rawgeti(L, idx, i + 1);
		id = options[(int)lua_tointeger(L, -2)].id;
		text = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1)
						      : NULL;
		call->is_verbose |= id == CURLOPT_VERBOSE;
		if (id == CURLOPT_CAINFO)
			ca_file = text;
		else if (id == CURLOPT_CAPATH)
			ca_path = text;
		else if (id == CURLOPT_CONNECT_TO)
			rc = http_call_connect_to(call, text) == 0
				     ? CURLE_OK
				     : CURLE_OUT_OF_MEMORY;
		else if (text != NULL)
			rc = curl_library.easy_setopt(call->easy, id, text);
		else
			rc = curl_library.easy_setopt(
				call->easy, id, (long)lua_tonumber(L, -1));
		lua_pop(L, 2);
	}
	if (rc == CURLE_OK && (ca_file != NULL || ca_path != NULL))
		return http_call_trust(call, ca_file, ca_path) == 0;
	return rc == CURLE_OK;
}

static bool add_headers(lua_State *L, int idx, struct http_call *call)
{
	int count = (int)lua_objlen(L, idx);

	for (int i = 1; i <= count; i++) {
		int rc;

		lua_rawgeti(L, idx, i);
		rc = http_call_add_header(call, lua_tostring(L, -1));
		lua_pop(L, 1);
		if (rc != 0)
			return false;
	}
	return true;
}

/*
 * call(client, options, headers, body, max_body, flags, size) -> call | nil, err
 * body: a string, or nil. flags: a string with `i` (the response is taken while it
 * comes), `o` (the body is given in pieces), `f` (redirects are followed),
 * `d` (encodings are undone), `2` (it may go by HTTP/2), `s` (it is https). size: of a body in pieces;
 * negative: it is not known.
 */
static int l_call(lua_State *L)
{
	struct client_box *box = check_client(L);
	const char *flags = luaL_checkstring(L, 6);
	struct http_call *call;
	curl_off_t size;
	bool posts;

	luaL_checktype(L, 2, LUA_TTABLE);
	luaL_checktype(L, 3, LUA_TTABLE);
	lua_settop(L, 7);
	call = lua_newuserdata(L, sizeof *call); /* 8 */
	call->easy = NULL;
	lua_class_metatable(L, LUA_CLASS_HTTP_CALL);
	lua_setmetatable(L, 8);
	lua_createtable(L, 2, 0);
	lua_pushvalue(L, 1);
	lua_rawseti(L, -2, 1);
	lua_pushvalue(L, 4);
	lua_rawseti(L, -2, 2);
	lua_setfenv(L, 8);

	if (http_call_create(call, box->client) != 0)
		return fail_memory(L);
	call->streams_in = strchr(flags, 'i') != NULL;
	call->streams_out = strchr(flags, 'o') != NULL;
	call->decodes = strchr(flags, 'd') != NULL;
	call->follows = strchr(flags, 'f') != NULL;
	call->http2 = strchr(flags, '2') != NULL;
	call->secure = strchr(flags, 's') != NULL;
	call->limit = (size_t)lua_tonumber(L, 5);
	if (lua_type(L, 4) == LUA_TSTRING)
		call->sent = lua_tolstring(L, 4, &call->sent_size);
	size = call->streams_out ? (curl_off_t)lua_tonumber(L, 7)
				 : (curl_off_t)call->sent_size;
	posts = strchr(flags, 'p') != NULL;
	if (!set_options(L, 2, call) || !add_headers(L, 3, call))
		return fail_memory(L);
	curl_library.easy_setopt(call->easy,
				 posts ? CURLOPT_POSTFIELDSIZE_LARGE
				       : CURLOPT_INFILESIZE_LARGE,
				 size);
	if (http_call_start(call) != 0)
		return fail_memory(L);
	return 1;
}

/* wait(call, what, timeout, [size]) -> status | 0, true: it has come. size: the bytes
 * of the body that are not enough. */
static int l_wait(lua_State *L)
{
	struct http_call *call = check_call(L);
	int what = (int)lua_tointeger(L, 2);
	uint64_t timeout = lua_wait_timeout(L, 3);
	size_t size = (size_t)lua_tonumber(L, 4);
	struct fiber *self = lua_wait_check(L);
	bool come;

	if (what == FOR_BODY && call->body.size <= size)
		http_call_want(call);
	come = call->state == HTTP_CALL_ENDED ||
	       (what == FOR_HEADERS && call->state >= HTTP_CALL_HEADERS) ||
	       (what == FOR_BODY && call->body.size > size) ||
	       (what == FOR_ROOM && http_call_room(call));

	if (come) {
		lua_pushinteger(L, 0);
		lua_pushboolean(L, 1);
		return 2;
	}
	cond_wait_begin(&call->changed, self, timeout);
	return lua_wait(L);
}

/* state(call) -> has it ended, are the headers there, bytes of the body */
static int l_state(lua_State *L)
{
	struct http_call *call = check_call(L);

	lua_pushboolean(L, call->state == HTTP_CALL_ENDED);
	lua_pushboolean(L, call->state >= HTTP_CALL_HEADERS);
	lua_pushnumber(L, (lua_Number)call->body.size);
	return 3;
}

static const char *text_of(const struct http_call *call)
{
	return call->problem[0] != '\0'
		       ? call->problem
		       : curl_library.easy_strerror(call->result);
}

/* result(call, what) -> true | nil, err: of one that has ended; what says which
 * request it was. */
static int l_result(lua_State *L)
{
	struct http_call *call = check_call(L);
	const char *what = luaL_checkstring(L, 2);
	long reason = 0;

	if (call->result == CURLE_OK) {
		lua_pushboolean(L, 1);
		return 1;
	}
	curl_library.easy_getinfo(call->easy, CURLINFO_OS_ERRNO, &reason);
	if (call->error == UV_E2BIG)
		diag_set(ClientError,
			 "%s: the response's body is larger than %zu bytes "
			 "(max_body)",
			 what, call->limit);
	else if (call->error == UV_EMSGSIZE)
		diag_set(ClientError, "%s: %s", what, call->problem);
	else if (call->error == UV_ENOMEM ||
		 call->result == CURLE_OUT_OF_MEMORY)
		diag_set(OutOfMemory, "%s: not enough memory", what);
	else if (call->error == UV_ECANCELED)
		diag_set(ClientError, "%s: it was aborted", what);
	else if (call->result == CURLE_OPERATION_TIMEDOUT)
		diag_set(TimedOut, "%s: %s", what, text_of(call));
	else if (reason != 0)
		diag_set_system((int)reason, "%s: %s", what, text_of(call));
	else
		diag_set(ClientError, "%s: %s", what, text_of(call));
	return lua_error_fail(L);
}

/* timed_out(text) -> nil, err */
static int l_timed_out(lua_State *L)
{
	diag_set(TimedOut, "%s", luaL_checkstring(L, 1));
	return lua_error_fail(L);
}

/* head(call) -> status, version, the lines, URL */
static int l_head(lua_State *L)
{
	struct http_call *call = check_call(L);
	long status = 0, version = 0;
	const char *url = NULL;

	if (call->is_trailer) /* not half of it */
		curl_library.easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE,
					  &status);
	curl_library.easy_getinfo(call->easy, CURLINFO_HTTP_VERSION, &version);
	curl_library.easy_getinfo(call->easy, CURLINFO_EFFECTIVE_URL, &url);
	lua_pushinteger(L, (lua_Integer)status);
	lua_pushinteger(L, version == CURL_HTTP_VERSION_1_0   ? 10
			   : version == CURL_HTTP_VERSION_1_1 ? 11
			   : version == CURL_HTTP_VERSION_2_0 ? 20
							      : 30);
	lua_pushlstring(L, call->head.data, call->head.size);
	lua_pushstring(L, url);
	return 4;
}

/* trailers(call) -> the lines */
static int l_trailers(lua_State *L)
{
	const struct http_call *call = check_call(L);

	lua_pushlstring(L, call->trailers.data, call->trailers.size);
	return 1;
}

/* find(call, delimiter, from) -> the byte behind it | nil */
static int l_find(lua_State *L)
{
	const struct http_call *call = check_call(L);
	size_t size, from = (size_t)lua_tonumber(L, 3);
	const char *delimiter = luaL_checklstring(L, 2, &size), *at;

	if (from >= call->body.size)
		return 0;
	at = memmem(call->body.data + from, call->body.size - from, delimiter,
		    size);
	if (at == NULL)
		return 0;
	lua_pushnumber(L, (lua_Number)(at - call->body.data + (ptrdiff_t)size));
	return 1;
}

/* take(call, size) -> string: that many bytes of the body, or what there is */
static int l_take(lua_State *L)
{
	struct http_call *call = check_call(L);
	lua_Number n = lua_tonumber(L, 2);
	size_t size = n < (lua_Number)call->body.size ? (size_t)n
						      : call->body.size;

	lua_pushlstring(L, call->body.data, size);
	http_call_take(call, size);
	return 1;
}

/* window(call, size): hold the peer back when that many bytes wait; wait() lets more
 * come */
static int l_window(lua_State *L)
{
	struct http_call *call = check_call(L);

	call->window = (size_t)lua_tonumber(L, 2);
	return 0;
}

/* send(call, data) -> true | nil, err */
static int l_send(lua_State *L)
{
	struct http_call *call = check_call(L);
	size_t size;
	const char *data = luaL_checklstring(L, 2, &size);

	if (http_call_send(call, data, size) != 0)
		return fail_memory(L);
	lua_pushboolean(L, 1);
	return 1;
}

static int l_send_end(lua_State *L)
{
	http_call_send_end(check_call(L));
	return 0;
}

static int l_abort(lua_State *L)
{
	http_call_abort(check_call(L));
	return 0;
}

/* Free what a call has now, and not at some collection. Nobody waits. */
static int l_close(lua_State *L)
{
	struct http_call *call = lua_class_check(L, 1, LUA_CLASS_HTTP_CALL);

	if (call->easy == NULL)
		return 0;
	http_call_abort(call);
	if (list_empty(&call->changed.waiters))
		http_call_destroy(call);
	return 0;
}

static int l_call_gc(lua_State *L)
{
	http_call_destroy(lua_class_check(L, 1, LUA_CLASS_HTTP_CALL));
	return 0;
}

static int l_version(lua_State *L)
{
	const char *problem = curl_library_load();

	lua_pushstring(L, problem != NULL ? problem : curl_library.version());
	return 1;
}

/* add_options() -> functions: see http_client_options.lua. */
static int l_add_options(lua_State *L)
{
	lua_settop(L, 0);
	lua_pushvalue(L, lua_upvalueindex(1));
	lua_vm_run_source(L, lua_src_http_client_options,
			  "=neap/http_client_options.lua", 1);
	return 1;
}

/* add_stream(functions) -> function: see http_client_stream.lua. */
static int l_add_stream(lua_State *L)
{
	lua_settop(L, 1);
	lua_pushvalue(L, lua_upvalueindex(1));
	lua_insert(L, 1);
	lua_vm_run_source(L, lua_src_http_client_stream,
			  "=neap/http_client_stream.lua", 2);
	return 1;
}

static int luaopen_neap_http_client(lua_State *L)
{
	static const luaL_Reg client[] = { { "__gc", l_client_gc },
					   { NULL, NULL } };
	static const luaL_Reg call[] = { { "__gc", l_call_gc },
					 { NULL, NULL } };
	static const luaL_Reg functions[] = {
		{ "new", l_new },
		{ "stat", l_stat },
		{ "call", l_call },
		{ "wait", l_wait },
		{ "state", l_state },
		{ "result", l_result },
		{ "timed_out", l_timed_out },
		{ "head", l_head },
		{ "trailers", l_trailers },
		{ "find", l_find },
		{ "take", l_take },
		{ "window", l_window },
		{ "send", l_send },
		{ "send_end", l_send_end },
		{ "abort", l_abort },
		{ "close", l_close },
		{ "version", l_version },
		{ "failed", lua_wait_failed },
		{ "usage", lua_error_usage_text },
		{ NULL, NULL },
	};

	lua_newtable(L);
	luaL_register(L, NULL, functions);
	lua_newtable(L);
	for (int i = 0; i < (int)(sizeof options / sizeof *options); i++) {
		lua_pushinteger(L, i);
		lua_setfield(L, -2, options[i].name);
	}
	lua_setfield(L, -2, "options");
	lua_pushvalue(L, -1);
	lua_pushcclosure(L, l_add_options, 1);
	lua_setfield(L, -2, "add_options");
	lua_pushvalue(L, -1);
	lua_pushcclosure(L, l_add_stream, 1);
	lua_setfield(L, -2, "add_stream");
	lua_class_new(L, LUA_CLASS_HTTP_CLIENT, "http client", client);
	lua_pop(L, 1);
	lua_class_new(L, LUA_CLASS_HTTP_CALL, "http request", call);
	lua_pop(L, 1);
	return 1;
}

const struct lua_module lua_module_http_client = {
	"http.client",
	luaopen_neap_http_client,
	lua_src_http_client,
};
