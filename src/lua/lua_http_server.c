/*
 * HTTP servers in Lua, C half: the server object.
 *
 * Each request gets a fiber, which runs the Lua half's serve(number). All of
 * Lua's work for a request, the making of its object among it, happens in
 * there, where it may fail: an error ends the fiber, and lua_http_on_end()
 * answers for it.
 */
#include "lua/lua_http_server.h"

#include <lauxlib.h>
#include <netinet/in.h>
#include <string.h>

#include "base/diag.h"
#include "base/log.h"
#include "lua/lua_call.h"
#include "lua/lua_class.h"
#include "lua/lua_error.h"
#include "lua/lua_fiber.h"
#include "lua/lua_limits.h"
#include "lua/lua_http.h"
#include "lua/lua_http_access.h"
#include "lua/lua_lean.h"
#include "lua/lua_socket.h"
#include "lua_src/lua.h"
#include "runtime/loop.h"

static struct lua_http_server *check_server(lua_State *L, int idx)
{
	struct lua_http_server *s =
		lua_class_check(L, idx, LUA_CLASS_HTTP_SERVER);

	if (s->http == NULL)
		lua_error_usage(L, "the server has been closed");
	return s;
}

static void reply_text(struct http_request *req, int status, const char *text)
{
	static const struct http_field type = {
		{ "Content-Type", 12 },
		{ "text/plain; charset=utf-8", 25 },
	};
	struct http_response resp = {
		.status = status,
		.fields = &type,
		.field_count = 1,
		.body = { text, strlen(text) },
	};

	http_request_reply(req, &resp);
}

/* The handler has failed: the answer says so, or, when it was begun, is cut. */
static void reply_failure(struct http_request *req, int status,
			  const char *text)
{
	if (http_request_is_begun(req))
		http_request_abort(req);
	else
		reply_text(req, status, text);
}

/* It failed after its answer, whose request may be another one by now. */
static void report_late(lua_State *L, void *arg)
{
	struct lua_fiber *f = arg;
	struct http_request *req = f->on_end_arg;
	struct lua_http_server *s = http_server_arg(http_request_server(req));

	if (!s->log_errors)
		return;
	lua_push_traceback(L, f->co);
	log_error("a request handler, after its answer: %s",
		  lua_tostring(L, -1));
}

/* Tell the error of a handler: logged once, with its traceback. */
static void report(lua_State *L, void *arg)
{
	struct lua_fiber *f = arg;
	struct http_request *req = f->on_end_arg;
	struct lua_http_server *s = http_server_arg(http_request_server(req));
	struct http_text target = http_request_target(req);
	const char *text;

	lua_push_traceback(L, f->co);
	text = lua_tostring(L, -1);
	if (s->log_errors)
		log_error("%s %.*s: %s", http_request_method(req),
			  (int)(target.size < 200 ? target.size : 200),
			  target.data, text);
	reply_failure(req, 500,
		      s->display_errors ? text : "Internal Server Error\n");
}

/* The fiber of a request has ended. It has been answered, unless something
 * was thrown. */
static void on_fiber_end(struct lua_fiber *f, bool ok, void *arg)
{
	struct http_request *req = arg;
	bool answered = http_request_owner(req) != f;
	struct error *e;

	if (answered && ok)
		return;
	if (ok) /* a bug of the Lua half */
		reply_failure(req, 500, "Internal Server Error\n");
	else if (lua_fiber_ended_by_cancel(f)) {
		if (!answered)
			reply_failure(req, 503, "Service Unavailable\n");
	} else if (lua_vm_protect(f->vm, answered ? report_late : report, f) !=
		   0) {
		e = diag_take();
		log_error("a request handler failed: %s", e->message);
		error_unref(e);
		if (http_request_owner(req) == f)
			reply_failure(req, 500, "Internal Server Error\n");
	}
	/* Whatever is left of it, nobody finds this fiber there. */
	if (http_request_owner(req) == f)
		http_request_set_owner(req, NULL);
}

static void on_request(struct http_request *req, void *arg)
{
	struct lua_http_server *s = arg;
	struct lua_fiber *f = lua_fiber_get(s->vm);
	struct error *e;

	if (f == NULL) {
		e = diag_take();
		log_error("no fiber for a request: %s", e->message);
		error_unref(e);
		reply_text(req, 503, "Service Unavailable\n");
		return;
	}
	http_request_set_owner(req, f);
	lua_limits_set_group(f, LUA_LIMIT_SERVICE);
	f->on_end = on_fiber_end;
	f->on_end_arg = req;
	lua_fiber_name(f, "http");
	lua_lean_push_ref(f->co, s->serve_ref);
	lua_pushnumber(f->co, (lua_Number)http_request_handle(req));
	if (http_request_body_state(req) == HTTP_BODY_WHOLE) {
		lua_fiber_start(f, 1);
		return;
	}
	lua_pushboolean(f->co, 1);
	lua_fiber_start(f, 2);
}

/* The registry lets go of the object, which may be collected. Throws: no. */
static void release(struct lua_http_server *s)
{
	luaL_unref(s->vm->L, LUA_REGISTRYINDEX, s->self_ref);
	luaL_unref(s->vm->L, LUA_REGISTRYINDEX, s->serve_ref);
	lua_http_access_release(s);
	s->self_ref = s->serve_ref = LUA_NOREF;
}

static void on_finished(struct lua_http_server *s)
{
	s->finishing = false;
	drain_remove(&s->drainable);
	cond_broadcast(&s->drained);
	release(s);
}

static void on_drained(struct http_server *http, void *arg)
{
	struct lua_http_server *s = arg;
	struct http_stat stat;

	http_server_stat(http, &stat);
	s->drainable.cut = (unsigned)(stat.cut - s->cut_before);
	s->cut_before = stat.cut;
	if (s->drainable.cut > 0)
		log_error("%s: %u request%s not finished in time: cut", s->name,
			  s->drainable.cut,
			  s->drainable.cut == 1 ? " was" : "s were");
	s->finishing = true;
	lua_http_access_finish(s, on_finished);
}

/* The end of the process was asked for. */
static void on_drain_start(struct drainable *d, uint64_t deadline_ms)
{
	struct lua_http_server *s =
		list_entry(d, struct lua_http_server, drainable);

	http_server_drain(s->http, deadline_ms, on_drained, s);
}

/* A number option of the table at 1; 0 when it is not there. */
static double number_option(lua_State *L, const char *name, double max)
{
	double n;

	lua_getfield(L, 1, name);
	if (lua_isnil(L, -1)) {
		lua_pop(L, 1);
		return 0;
	}
	n = lua_tonumber(L, -1);
	if (lua_type(L, -1) != LUA_TNUMBER || !(n > 0) || n > max)
		lua_error_usage(L,
				"http.server.new: %s is a number over 0 and up "
				"to %.0f, not %.14g",
				name, max, n);
	lua_pop(L, 1);
	return n;
}

static uint64_t count_option(lua_State *L, const char *name, double max)
{
	double n = number_option(L, name, max);

	return n > 0 && n < 1 ? 1 : (uint64_t)n;
}

static uint32_t ms_option(lua_State *L, const char *name)
{
	double ms = number_option(L, name, 2e6) * 1000;

	return ms > 0 && ms < 1 ? 1 : (uint32_t)ms;
}

static bool flag_option(lua_State *L, const char *name)
{
	bool on;

	lua_getfield(L, 1, name);
	on = lua_toboolean(L, -1);
	lua_pop(L, 1);
	return on;
}

/* new(options) -> server */
static int l_new(lua_State *L)
{
	struct lua_vm *vm = lua_vm_of(L);
	struct lua_http_server *s;
	struct http_limits limits;

	luaL_checktype(L, 1, LUA_TTABLE);
	limits = (struct http_limits){
		.header_bytes = count_option(L, "max_header_size", 1 << 24),
		.uri_bytes = count_option(L, "max_uri_size", 1 << 24),
		.body_bytes = count_option(L, "max_body_size", 9e15),
		.requests = count_option(L, "max_requests", 4e9),
		.connections = count_option(L, "max_connections", 1 << 20),
		.streams = count_option(L, "max_streams", 1 << 16),
		.idle_ms = ms_option(L, "idle_timeout"),
		.header_ms = ms_option(L, "header_timeout"),
		.body_ms = ms_option(L, "body_timeout"),
		.send_ms = ms_option(L, "send_timeout"),
		.handshake_ms = ms_option(L, "handshake_timeout"),
	};
	s = lua_class_box(L, LUA_CLASS_HTTP_SERVER, sizeof *s);
	memset(s, 0, sizeof *s);
	s->vm = vm;
	s->self_ref = s->serve_ref = LUA_NOREF;
	s->display_errors = flag_option(L, "display_errors");
	s->log_errors = flag_option(L, "log_errors");
	s->drainable.name = s->name;
	s->drainable.start = on_drain_start;
	cond_create(&s->drained);
	s->http = http_server_new(vm->sched->loop, &vm->sched->timers, &limits,
				  on_request, s);
	if (s->http == NULL) {
		diag_set_oom(1 << 16, "an http server");
		return lua_error_throw(L);
	}
	http_server_set_proxied(s->http, flag_option(L, "proxy_protocol"));
	if (http_server_set_http2(s->http, flag_option(L, "http2")) != 0) {
		diag_set_oom(1 << 16, "HTTP/2 of an http server");
		return lua_error_throw(L);
	}
	return 1;
}

static int l_gc(lua_State *L)
{
	struct lua_http_server *s =
		lua_class_check(L, 1, LUA_CLASS_HTTP_SERVER);
	struct http_server *http = s->http;

	s->http = NULL;
	drain_remove(&s->drainable);
	release(s);
	http_server_dispose(http);
	lua_http_access_free(s);
	return 0;
}

/* set_serve(server, serve): the function that serves a request's number. It
 * knows the server: only while that runs does the registry hold them. */
static int l_set_serve(lua_State *L)
{
	check_server(L, 1);
	luaL_checktype(L, 2, LUA_TFUNCTION);
	lua_createtable(L, 1, 0);
	lua_pushvalue(L, 2);
	lua_rawseti(L, -2, 1);
	lua_setfenv(L, 1);
	return 0;
}

static void anchor(lua_State *L, struct lua_http_server *s)
{
	if (s->self_ref == LUA_NOREF) {
		lua_pushvalue(L, 1);
		s->self_ref = luaL_ref(L, LUA_REGISTRYINDEX);
	}
	if (s->serve_ref == LUA_NOREF) {
		lua_getfenv(L, 1);
		lua_rawgeti(L, -1, 1);
		s->serve_ref = luaL_ref(L, LUA_REGISTRYINDEX);
	}
	lua_http_access_anchor(L, s);
}

/* set_streaming(server): a request may be served before its body is whole. */
static int l_set_streaming(lua_State *L)
{
	http_server_set_streaming(check_server(L, 1)->http, true);
	return 0;
}

/* set_tls(server, userdata of a context) */
static int l_set_tls(lua_State *L)
{
	struct lua_http_server *s = check_server(L, 1);
	struct tls_context *context = lua_socket_check_tls_context(L, 2);

	if (http_server_set_tls(s->http, context) == 0)
		return 0;
	diag_set_oom(1 << 16, "TLS of an http server");
	return lua_error_throw(L);
}

/* take(server, httpd) -> function */
static int l_take(lua_State *L)
{
	check_server(L, 1);
	luaL_checktype(L, 2, LUA_TTABLE);
	lua_http_push_take(L, 1);
	return 1;
}

static int listen_failed(lua_State *L, int rc, const char *host, unsigned port)
{
	const char *hint = "";

	if (rc == UV_EADDRINUSE)
		hint = " (another program listens there; reuseport shares)";
	else if (rc == UV_EACCES)
		hint = " (ports below 1024 need privileges)";
	if (strncmp(host, "unix/:", 6) == 0)
		diag_set_system(rc, "cannot listen on %s", host);
	else
		diag_set_system(rc, "cannot listen on %s:%u%s", host, port,
				hint);
	return lua_error_throw(L);
}

static void note_name(struct lua_http_server *s)
{
	static const char kind[] = "http server ";
	struct listen_address addr;

	memcpy(s->name, kind, sizeof kind);
	if (http_server_address(s->http, &addr) == 0)
		listen_address_format(&addr, s->name + sizeof kind - 1,
				      sizeof s->name - sizeof kind + 1);
}

/* listen(server, host, port, backlog, reuseport, [name]) */
static int l_listen(lua_State *L)
{
	struct lua_http_server *s = check_server(L, 1);
	const char *host = luaL_checkstring(L, 2);
	lua_Number port = luaL_checknumber(L, 3);
	struct listen_options opts = {
		.backlog = luaL_checkint(L, 4),
		.reuse_port = lua_toboolean(L, 5),
		.name = luaL_optstring(L, 6, NULL),
	};
	struct listen_address addr;
	int rc;

	if (http_server_is_running(s->http) || s->finishing)
		return lua_error_usage(L, "the server has been started "
					  "already");
	if (!(port >= 0 && port <= 65535) || port != (unsigned)port)
		return lua_error_usage(L, "port: a whole number from 0 to "
					  "65535 is wanted");
	rc = listen_address_parse(&addr, host, (unsigned)port);
	if (rc == UV_EINVAL)
		return lua_error_usage(L,
				       "host: an IPv4 or IPv6 address, "
				       "'localhost', '*' or 'unix/:PATH' is "
				       "wanted, not '%s'",
				       host);
	if (rc == 0) {
		anchor(L, s);
		rc = http_server_listen(s->http, &addr, &opts);
	}
	if (rc == 0) {
		note_name(s);
		if (drain_add(&s->vm->sched->loop->drain, &s->drainable) == 0)
			return 0;
		http_server_drain(s->http, 0, on_drained, s);
		return lua_error_usage(L, "the program is ending");
	}
	if (!http_server_is_running(s->http))
		release(s);
	return listen_failed(L, rc, host, (unsigned)port);
}

/* address(server) -> host, port | "unix/", path | nil */
static int l_address(lua_State *L)
{
	struct lua_http_server *s = check_server(L, 1);
	struct listen_address addr;
	struct sockaddr *sa = (struct sockaddr *)&addr.addr;
	char text[200];

	if (http_server_address(s->http, &addr) != 0)
		return 0;
	if (sa->sa_family == AF_UNIX) {
		listen_address_format(&addr, text, sizeof text);
		lua_pushliteral(L, "unix/");
		lua_pushstring(L, text + strlen("unix/:"));
		return 2;
	}
	uv_ip_name(sa, text, sizeof text);
	lua_pushstring(L, text);
	lua_pushinteger(
		L, ntohs(sa->sa_family == AF_INET
				 ? ((struct sockaddr_in *)sa)->sin_port
				 : ((struct sockaddr_in6 *)sa)->sin6_port));
	return 2;
}

/* True when the running fiber serves a request of @a s: it cannot wait for its
 * own end. */
static bool is_serving(const struct lua_http_server *s, struct fiber *self)
{
	struct lua_fiber *f = lua_fiber_of(self);
	struct http_request *req = f->on_end_arg;

	return f->on_end == on_fiber_end && http_request_owner(req) == f &&
	       http_request_server(req) == s->http;
}

/* stop(server, deadline in seconds) -> status: drained, or at once when it
 * was not running, or is asked by one of its own requests. */
static int l_stop(lua_State *L)
{
	struct lua_http_server *s = check_server(L, 1);
	double seconds = luaL_checknumber(L, 2);
	struct fiber *self;
	uint64_t ms;

	if (!(seconds >= 0))
		return lua_error_usage(L, "deadline: a number of seconds is "
					  "wanted");
	ms = seconds < 1e9 ? (uint64_t)(seconds * 1000) : UINT64_MAX;
	if (!http_server_is_running(s->http) && !s->finishing) {
		lua_pushinteger(L, 0);
		return 1;
	}
	self = lua_wait_check(L);
	http_server_drain(s->http, ms, on_drained, s);
	if (is_serving(s, self)) {
		lua_pushinteger(L, 0);
		return 1;
	}
	cond_wait_begin(&s->drained, self, UINT64_MAX);
	return lua_wait(L);
}

static void set_count(lua_State *L, const char *name, uint64_t n)
{
	lua_pushnumber(L, (lua_Number)n);
	lua_setfield(L, -2, name);
}

static int l_stat(lua_State *L)
{
	struct lua_http_server *s = check_server(L, 1);
	struct http_stat stat;

	http_server_stat(s->http, &stat);
	lua_createtable(L, 0, 23);
	set_count(L, "accepted", stat.accepted);
	set_count(L, "refused_connections", stat.refused_connections);
	set_count(L, "accept_failed", stat.accept_failed);
	set_count(L, "requests", stat.requests);
	set_count(L, "refused_requests", stat.refused_requests);
	set_count(L, "timeouts", stat.timeouts);
	set_count(L, "gone", stat.gone);
	set_count(L, "cut", stat.cut);
	set_count(L, "handshakes", stat.handshakes);
	set_count(L, "handshakes_failed", stat.handshakes_failed);
	set_count(L, "unproxied", stat.unproxied);
	set_count(L, "truncated", stat.truncated);
	set_count(L, "http2", stat.http2);
	set_count(L, "http2_resets", stat.http2_resets);
	set_count(L, "http2_floods", stat.http2_floods);
	set_count(L, "reads", stat.reads);
	set_count(L, "writes", stat.writes);
	set_count(L, "bytes_in", stat.bytes_in);
	set_count(L, "bytes_out", stat.bytes_out);
	set_count(L, "unlogged", lua_http_access_lost(s));
	set_count(L, "connections", stat.connections);
	set_count(L, "waiting", stat.waiting);
	lua_pushboolean(L, http_server_is_running(s->http));
	lua_setfield(L, -2, "running");
	return 1;
}

/* log(level, text): "info" or "error". */
static int l_log(lua_State *L)
{
	const char *level = luaL_checkstring(L, 1);

	log_at(*level == 'e' ? LOG_ERROR : LOG_INFO, "%s",
	       luaL_checkstring(L, 2));
	return 0;
}

/* Run a Lua half with the C half of requests, the request's and the router's,
 * as far as they are there, and put what it gives into the table at @a idx. */
static void open_half(lua_State *L, int idx, const char *src, const char *where,
		      const char *name)
{
	static const char *const args[] = { "c_request", "request", "router",
					    "static" };

	for (int i = 0; i < 4; i++)
		lua_getfield(L, idx, args[i]);
	lua_vm_run_source(L, src, where, 4);
	lua_setfield(L, idx, name);
}

/* All halves besides the server's own. */
static void open_halves(lua_State *L, int idx)
{
	lua_http_push_request_half(L);
	lua_setfield(L, idx, "c_request");
	open_half(L, idx, lua_src_http_router, "=neap/http_router.lua",
		  "router");
	open_half(L, idx, lua_src_http_request, "=neap/http_request.lua",
		  "request");
	open_half(L, idx, lua_src_http_answer, "=neap/http_answer.lua",
		  "answer");
	open_half(L, idx, lua_src_http_static, "=neap/http_static.lua",
		  "static");
	open_half(L, idx, lua_src_http_condition, "=neap/http_condition.lua",
		  "condition");
	open_half(L, idx, lua_src_http_access, "=neap/http_access.lua",
		  "access");
	open_half(L, idx, lua_src_http_compress, "=neap/http_compress.lua",
		  "compress");
	open_half(L, idx, lua_src_http_form, "=neap/http_form.lua", "form");
	open_half(L, idx, lua_src_http_events, "=neap/http_events.lua",
		  "events");
	open_half(L, idx, lua_src_http_upgrade, "=neap/http_upgrade.lua",
		  "upgrade");
}

/* The set of methods that a request can have. */
static void push_methods(lua_State *L)
{
	const char *name;

	lua_newtable(L);
	for (unsigned i = 0; (name = http_method_name(i)) != NULL; i++) {
		lua_pushboolean(L, 1);
		lua_setfield(L, -2, name);
	}
}

static int open_http_server(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{ "new", l_new },
		{ "set_serve", l_set_serve },
		{ "set_streaming", l_set_streaming },
		{ "set_tls", l_set_tls },
		{ "take", l_take },
		{ "trace", lua_http_trace },
		{ "listen", l_listen },
		{ "address", l_address },
		{ "stop", l_stop },
		{ "stat", l_stat },
		{ "log", l_log },
		{ "failed", lua_wait_failed },
		{ "usage", lua_error_usage_text },
		{ NULL, NULL },
	};
	static const luaL_Reg meta[] = {
		{ "__gc", l_gc },
		{ NULL, NULL },
	};

	lua_class_new(L, LUA_CLASS_HTTP_SERVER, "http server", meta);
	lua_pop(L, 1);
	lua_newtable(L);
	luaL_register(L, NULL, functions);
	push_methods(L);
	lua_setfield(L, -2, "methods");
	lua_http_open_access(L);
	open_halves(L, lua_gettop(L));
	return 1;
}

const struct lua_module lua_module_http_server = {
	"http.server",
	open_http_server,
	lua_src_http_server,
};
