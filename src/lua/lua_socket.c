/* The module `socket`: the objects, and what waits. See lua_socket.h. */
#include "lua/lua_socket.h"

#include <errno.h>
#include <lauxlib.h>
#include <math.h>
#include <string.h>
#include <uv.h>

#include "base/diag.h"
#include "base/inject.h"
#include "lua/lua_builtins.h"
#include "lua/lua_call.h"
#include "lua/lua_class.h"
#include "lua/lua_error.h"
#include "lua/lua_lean.h"
#include "lua_src/lua.h"
#include "net/sock_tls.h"
#include "net/tls.h"
#include "runtime/fd_watch.h"
#include "runtime/fiber.h"
#include "runtime/loop.h"

/* --- what the others use --- */

struct lua_socket *lua_socket_check_any(lua_State *L)
{
	struct lua_socket *s = lua_lean_boxed(L, 1, LUA_CLASS_SOCKET);

	if (s == NULL)
		lua_error_usage(L, "Usage: socket:method()%s",
				lua_isnoneornil(L, 1)
					? ""
					: ", called with non-socket");
	return s;
}

struct lua_socket *lua_socket_check_open(lua_State *L)
{
	struct lua_socket *s = lua_socket_check_any(L);

	if (!sock_is_open(&s->sock))
		lua_error_usage(L, "attempt to use closed socket");
	return s;
}

struct lua_socket *lua_socket_check(lua_State *L)
{
	struct lua_socket *s = lua_socket_check_open(L);

	s->err = 0;
	return s;
}

struct lua_socket *lua_socket_check_reader(lua_State *L)
{
	struct lua_socket *s = lua_socket_check(L);

	if (__builtin_expect(lua_lean_in_finalizer(L), 0))
		lua_error_usage(L, "cannot wait here: a finalizer cannot read "
				   "from a socket");
	return s;
}

struct lua_socket *lua_socket_push(lua_State *L)
{
	struct lua_socket *s = lua_class_box(L, LUA_CLASS_SOCKET, sizeof *s);

	sock_create(&s->sock, lua_vm_of(L)->sched->loop);
	s->err = 0;
	return s;
}

/* What TLS says of it; NULL: nothing. */
static const char *why_of(const struct lua_socket *s, int rc)
{
	if (s == NULL || s->sock.tls == NULL)
		return NULL;
	if (rc != UV_EACCES && rc != UV_EPROTO && rc != UV_ECONNABORTED)
		return NULL;
	return tls_why(s->sock.tls);
}

static int fail(lua_State *L, struct lua_socket *s, int rc, const char *call)
{
	if (s != NULL)
		s->err = -rc;
	if (rc == UV_ETIMEDOUT)
		diag_set(TimedOut, "%s: timed out", call);
	else if (why_of(s, rc) != NULL)
		diag_set_system(rc, "%s: %s", call, why_of(s, rc));
	else
		diag_set_system(rc, "%s", call);
	lua_error_push_diag(L);
	errno = -rc;
	return 2;
}

int lua_socket_fail(lua_State *L, struct lua_socket *s, int rc,
		    const char *call)
{
	lua_pushnil(L);
	return fail(L, s, rc, call);
}

int lua_socket_refuse(lua_State *L, struct lua_socket *s, int rc,
		      const char *call)
{
	lua_pushboolean(L, 0);
	return fail(L, s, rc, call);
}

struct sock_text lua_socket_text(lua_State *L, int idx, const char *def)
{
	struct sock_text text = { def, def != NULL ? strlen(def) : 0 };

	if (def != NULL && lua_isnoneornil(L, idx))
		return text;
	if (!lua_isstring(L, idx))
		lua_error_usage(L,
				"socket: a string or a number is wanted for "
				"argument %d, not %s",
				idx, luaL_typename(L, idx));
	text.data = lua_tolstring(L, idx, &text.size);
	return text;
}

/* --- open and close --- */

/* open(family, type, protocol) -> userdata | nil, err */
static int l_open(lua_State *L)
{
	int family = (int)lua_tointeger(L, 1), type = (int)lua_tointeger(L, 2);
	int protocol = (int)lua_tointeger(L, 3);
	struct lua_socket *s = lua_socket_push(L);
	int rc = sock_open(&s->sock, family, type, protocol);

	return rc == 0 ? 1 : lua_socket_fail(L, s, rc, "socket()");
}

/* pair(family, type, protocol) -> userdata, userdata | nil, err */
static int l_pair(lua_State *L)
{
	int family = (int)lua_tointeger(L, 1), type = (int)lua_tointeger(L, 2);
	int protocol = (int)lua_tointeger(L, 3);
	struct lua_socket *a = lua_socket_push(L), *b = lua_socket_push(L);
	int rc = sock_open_pair(&a->sock, &b->sock, family, type, protocol);

	return rc == 0 ? 2 : lua_socket_fail(L, a, rc, "socket.socketpair()");
}

/* adopt(fd) -> userdata */
static int l_adopt(lua_State *L)
{
	int fd = (int)lua_tointeger(L, 1);

	sock_adopt(&lua_socket_push(L)->sock, fd);
	return 1;
}

/* close(s) -> true | false, err */
static int l_close(lua_State *L)
{
	struct lua_socket *s = lua_socket_check(L);
	int rc = sock_close(&s->sock);

	if (rc != 0)
		return lua_socket_refuse(L, s, rc, "socket:close()");
	lua_pushboolean(L, 1);
	return 1;
}

static int l_gc(lua_State *L)
{
	struct lua_socket *s = lua_class_check(L, 1, LUA_CLASS_SOCKET);

	sock_dispose(&s->sock);
	return 0;
}

/***
 * socket_object:detach()
 * The object is closed, but its descriptor is not: it is the caller's, see
 * `fd()` before and `socket.from_fd()`. What was read ahead of it is lost.
 * Yields: no. Throws: it is closed.
 */
static int l_detach(lua_State *L)
{
	sock_detach(&lua_socket_check(L)->sock);
	return 0;
}

/***
 * socket_object:fd() -> number
 * Its descriptor. Yields: no. Throws: it is closed.
 */
static int l_fd(lua_State *L)
{
	lua_pushinteger(L, lua_socket_check_open(L)->sock.watch.fd);
	return 1;
}

/***
 * socket_object:errno() -> number
 * Why its last operation failed, as a number of the module `errno`; 0: it did
 * not. Yields: no. Throws: it is closed.
 */
static int l_errno(lua_State *L)
{
	lua_pushinteger(L, lua_socket_check_open(L)->err);
	return 1;
}

/***
 * socket_object:error() -> string | nil
 * The same in words; nil: it did not. Yields: no. Throws: it is closed.
 */
static int l_error(lua_State *L)
{
	int err = lua_socket_check_open(L)->err;
	char text[128];

	if (err == 0)
		return 0;
	lua_pushstring(L, strerror_r(err, text, sizeof text));
	return 1;
}

/* set_errno(s, number) */
static int l_set_errno(lua_State *L)
{
	lua_socket_check_open(L)->err = (int)lua_tointeger(L, 2);
	return 0;
}

/* is_open(s) -> boolean */
static int l_is_open(lua_State *L)
{
	lua_pushboolean(L, sock_is_open(&lua_socket_check_any(L)->sock));
	return 1;
}

/* is_blocking(s, [wanted]) -> boolean */
static int l_is_blocking(lua_State *L)
{
	struct lua_socket *s = lua_socket_check_open(L);

	if (!lua_isnoneornil(L, 2))
		s->sock.blocking = lua_toboolean(L, 2);
	lua_pushboolean(L, s->sock.blocking);
	return 1;
}

/* --- waits --- */

/* ready(s, what, again) -> what of it is ready; 0: nothing. One that was closed
 * while it was waited for is ready for all. */
static int l_ready(lua_State *L)
{
	struct lua_socket *s = lua_toboolean(L, 3) ? lua_socket_check_any(L)
						   : lua_socket_check(L);
	int what = (int)lua_tointeger(L, 2), now = 0;
	struct pollfd fd = { .fd = s->sock.watch.fd, .events = (short)what };

	if (!sock_is_open(&s->sock)) {
		lua_pushinteger(L, what);
		return 1;
	}
	if (sock_has_ahead(&s->sock))
		now = IO_IN;
	else if (s->sock.tls != NULL)
		now = sock_tls_ready(&s->sock, what);
	else if (poll(&fd, 1, 0) == 1)
		now = fd.revents & (POLLERR | POLLHUP | POLLNVAL) ? what
								  : fd.revents;
	lua_pushinteger(L, now & what);
	return 1;
}

/* Wait, when there is time. */
static int park(lua_State *L, struct lua_socket *s, int what, int due)
{
	uint64_t left = lua_wait_left(L, due);
	struct fiber *self;
	int rc;

	if (left == 0) {
		lua_pushinteger(L, UV_ETIMEDOUT);
		return 1;
	}
	self = lua_wait_check(L);
	if (s->sock.tls != NULL)
		what = sock_tls_wants(&s->sock, what);
	rc = sock_wait(&s->sock, self, what, left);
	if (rc != 0) {
		lua_pushinteger(L, rc);
		return 1;
	}
	return lua_wait(L);
}

/* park(s, what, due) -> status: it was tried just now, and was not ready. */
static int l_park(lua_State *L)
{
	struct lua_socket *s = lua_socket_check(L);

	return park(L, s, (int)lua_tointeger(L, 2), 3);
}

/* give_up([s], status, call) -> nil, err: of a status that is not 0. Throws what
 * is not the socket's: a cancel, a deadline. */
static int l_give_up(lua_State *L)
{
	struct lua_socket *s = lua_isnil(L, 1) ? NULL : lua_socket_check_any(L);
	int rc = (int)lua_tointeger(L, 2);

	if (rc == UV_ECANCELED || rc == FIBER_EDEADLINE || rc == UV_ENOTSUP)
		return lua_wait_throw(L, rc);
	return lua_socket_fail(L, s, rc, lua_tostring(L, 3));
}

/* --- reads --- */

static void read_usage(lua_State *L)
{
	lua_error_usage(L, "Usage: s:read(delimiter|chunk|{delimiter = x, "
			   "chunk = x}, timeout)");
}

static void add_mark(lua_State *L, const char *data, size_t size,
		     struct sock_want *want)
{
	struct sock_text *m = &want->marks[want->mark_count];

	if (data == NULL)
		read_usage(L);
	*m = (struct sock_text){ data, size };
	if (m->size == 0 || m->size > SOCK_MARK_SIZE_MAX)
		lua_error_usage(L,
				"socket:read(): a delimiter has 1 to %d bytes",
				SOCK_MARK_SIZE_MAX);
	want->mark_count++;
}

static void add_mark_at(lua_State *L, int idx, struct sock_want *want)
{
	size_t size = 0;
	const char *data = lua_type(L, idx) == LUA_TSTRING
				   ? lua_tolstring(L, idx, &size)
				   : NULL;

	add_mark(L, data, size, want);
}

static void set_limit(lua_State *L, int idx, struct sock_want *want)
{
	double limit = lua_tonumber(L, idx);

	if (lua_type(L, idx) != LUA_TNUMBER || isnan(limit))
		read_usage(L);
	if (limit < 0)
		lua_error_usage(L, "socket:read(): limit can not be negative");
	want->limit = limit < SOCK_CHUNK_MAX ? (size_t)limit : SOCK_CHUNK_MAX;
	want->is_chunk = true;
}

/* The field @a name, or @a other; false, and nothing is pushed: neither. */
static bool push_field(lua_State *L, const char *name, const char *other)
{
	lua_getfield(L, 2, name);
	if (!lua_isnil(L, -1))
		return true;
	lua_pop(L, 1);
	lua_getfield(L, 2, other);
	if (!lua_isnil(L, -1))
		return true;
	lua_pop(L, 1);
	return false;
}

/* The strings stay where they are, in the table. */
static void want_table(lua_State *L, struct sock_want *want)
{
	bool any = false;

	if (push_field(L, "chunk", "size")) {
		set_limit(L, -1, want);
		lua_pop(L, 1);
		any = true;
	}
	if (!push_field(L, "delimiter", "line")) {
		if (!any)
			read_usage(L);
		return;
	}
	if (!lua_istable(L, -1)) {
		add_mark_at(L, -1, want);
		lua_pop(L, 1);
		return;
	}
	if (lua_objlen(L, -1) == 0 || lua_objlen(L, -1) > SOCK_MARKS_MAX)
		lua_error_usage(L,
				"socket:read(): 1 to %d delimiters are "
				"wanted",
				SOCK_MARKS_MAX);
	for (int i = 1; i <= (int)lua_objlen(L, -1); i++) {
		lua_rawgeti(L, -1, i);
		add_mark_at(L, -1, want);
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
}

static void want_of(lua_State *L, struct sock_want *want)
{
	size_t size;
	const char *mark = lua_lean_string(L, 2, &size);

	want->limit = SOCK_READ_MAX;
	want->is_chunk = false;
	want->mark_count = 0;
	want->identity = mark;
	if (mark != NULL) {
		add_mark(L, mark, size, want);
	} else if (lua_istable(L, 2)) {
		want_table(L, want);
		want->identity = lua_topointer(L, 2);
	} else {
		set_limit(L, 2, want);
	}
}

/* read(s, what, due, again) -> string | nil, err | status */
static int l_read(lua_State *L)
{
	struct lua_socket *s = lua_socket_check_reader(L);
	struct sock_text bytes;
	struct sock_want want;
	unsigned how = lua_lean_toboolean(L, 4) ? SOCK_READ_AGAIN : 0;
	int rc;

	want_of(L, &want);
	if (want.limit == 0) {
		lua_pushliteral(L, "");
		return 1;
	}
	if (!lua_lean_isnoneornil(L, 3) && lua_tonumber(L, 3) == 0)
		how |= SOCK_READ_LOOK;
	rc = sock_read(&s->sock, &want, how, &bytes);
	if (rc == UV_EAGAIN)
		return park(L, s, IO_IN, 3);
	if (rc == UV_EMSGSIZE)
		return lua_socket_fail(L, s, rc,
				       "socket:read(): 64 MiB without the "
				       "delimiter; chunk = N allows more");
	if (rc != 0)
		return lua_socket_fail(L, s, rc, "socket:read()");
	lua_pushlstring(L, bytes.data, bytes.size);
	sock_taken(&s->sock);
	return 1;
}

/* --- descriptors of anybody --- */

struct fd_wait {
	struct fd_watch watch;
	struct fiber *fiber;
};

static void on_fd_ready(struct fd_watch *watch)
{
	struct fd_wait *w = list_entry(watch, struct fd_wait, watch);
	struct fiber *f = w->fiber;

	mem_free(w);
	fiber_wakeup(f, 0);
}

static void undo_fd_wait(struct fiber *f, void *arg)
{
	struct fd_wait *w = arg;

	(void)f;
	fd_watch_stop(&w->watch);
	mem_free(w);
}

/* fd_ready(fd, what) -> what of it is ready */
static int l_fd_ready(lua_State *L)
{
	int what = (int)lua_tointeger(L, 2), now = 0;
	struct pollfd fd = { .fd = (int)lua_tointeger(L, 1),
			     .events = (short)what };

	if (poll(&fd, 1, 0) == 1)
		now = fd.revents & (POLLERR | POLLHUP | POLLNVAL) ? what
								  : fd.revents;
	lua_pushinteger(L, now & what);
	return 1;
}

/* fd_park(fd, what, due) -> status */
static int l_fd_park(lua_State *L)
{
	uint64_t left = lua_wait_left(L, 3);
	int rc = left == 0 ? UV_ETIMEDOUT : UV_ENOMEM;
	struct fiber *self = left == 0 ? NULL : lua_wait_check(L);
	struct fd_wait *w = left == 0 ? NULL : mem_zalloc(sizeof *w);

	if (w != NULL)
		rc = fd_watch_start(self->sched->loop, &w->watch,
				    (int)lua_tointeger(L, 1),
				    (int)lua_tointeger(L, 2), on_fd_ready);
	if (rc != 0) {
		mem_free(w);
		lua_pushinteger(L, rc);
		return 1;
	}
	w->fiber = self;
	fiber_park(self, undo_fd_wait, w, left);
	return lua_wait(L);
}

/* add_server(c, module, functions): see socket_server.lua. */
static int l_add_server(lua_State *L)
{
	lua_vm_run_source(L, lua_src_socket_server, "=neap/socket_server.lua",
			  lua_gettop(L));
	return 0;
}

/* add_tls(c, module, functions): see socket_tls.lua. */
static int l_add_tls(lua_State *L)
{
	lua_vm_run_source(L, lua_src_socket_tls, "=neap/socket_tls.lua",
			  lua_gettop(L));
	return 0;
}

/* add_connect(c, module, functions): see socket_connect.lua. */
static int l_add_connect(lua_State *L)
{
	lua_vm_run_source(L, lua_src_socket_connect, "=neap/socket_connect.lua",
			  lua_gettop(L));
	return 0;
}

/* add_luasocket(c, module, functions): see luasocket.lua. */
static int l_add_luasocket(lua_State *L)
{
	lua_vm_run_source(L, lua_src_luasocket, "=neap/luasocket.lua",
			  lua_gettop(L));
	return 0;
}

int luaopen_neap_socket(lua_State *L)
{
	static const luaL_Reg meta[] = { { "__gc", l_gc }, { NULL, NULL } };
	static const luaL_Reg functions[] = {
		{ "open", l_open },
		{ "pair", l_pair },
		{ "adopt", l_adopt },
		{ "close", l_close },
		{ "detach", l_detach },
		{ "fd", l_fd },
		{ "errno", l_errno },
		{ "error", l_error },
		{ "set_errno", l_set_errno },
		{ "is_open", l_is_open },
		{ "is_blocking", l_is_blocking },
		{ "add_server", l_add_server },
		{ "add_tls", l_add_tls },
		{ "add_connect", l_add_connect },
		{ "add_luasocket", l_add_luasocket },
		{ "due", lua_wait_due },
		{ "ready", l_ready },
		{ "park", l_park },
		{ "give_up", l_give_up },
		{ "read", l_read },
		{ "fd_ready", l_fd_ready },
		{ "fd_park", l_fd_park },
		{ "failed", lua_wait_failed },
		{ "usage", lua_error_usage_text },
		{ "about", lua_error_about },
		{ "note_trace", lua_builtins_note_trace },
		{ NULL, NULL },
	};

	lua_class_new(L, LUA_CLASS_SOCKET, "socket", meta);
	lua_pop(L, 1);
	lua_newtable(L);
	luaL_register(L, NULL, functions);
	lua_socket_open_data(L);
	lua_socket_open_address(L);
	lua_socket_open_options(L);
	lua_socket_open_names(L);
	lua_socket_open_resolve(L);
	lua_socket_open_server(L);
	lua_socket_open_proxy(L);
	lua_socket_open_tls(L);
	return 1;
}
