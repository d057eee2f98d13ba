/* The module `socket`: bytes and datagrams; nothing here waits. */
#include <errno.h>
#include <lauxlib.h>
#include <math.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <uv.h>

#include "base/diag.h"
#include "lua/lua_error.h"
#include "lua/lua_lean.h"
#include "lua/lua_socket.h"
#include "net/sock_tls.h"

enum {
	STREAM_SIZE = 512, /* what a stream is asked for, unless told */
	SIZE_MAX_ = 1 << 30,
};

/* What failed; false instead of EAGAIN when the socket is to wait in each call:
 * the Lua half does. */
static int fail_or_wait(lua_State *L, struct lua_socket *s, int rc,
			const char *call)
{
	if (rc != UV_EAGAIN || !s->sock.blocking)
		return lua_socket_fail(L, s, rc, call);
	lua_pushboolean(L, 0);
	return 1;
}

static struct sock_text check_data(lua_State *L, int arg, const char *usage)
{
	struct sock_text data;

	data.data = lua_lean_string(L, arg, &data.size);
	if (data.data == NULL)
		lua_error_usage(L, "Usage: %s", usage);
	return data;
}

/* write(s, data, from) -> size | nil, err | false, at: from the byte at that
 * index on; all of it, or it must be waited for. */
static int l_write(lua_State *L)
{
	struct lua_socket *s = lua_socket_check(L);
	struct sock_text data =
		check_data(L, 2, "socket:write(data[, timeout])");
	size_t at = (size_t)lua_tonumber(L, 3);
	ssize_t n;

	while (at < data.size) {
		n = sock_send(&s->sock, data.data + at, data.size - at, 0);
		if (n == UV_EAGAIN || n == 0) {
			lua_pushboolean(L, 0);
			lua_pushnumber(L, (lua_Number)at);
			return 2;
		}
		if (n < 0)
			return lua_socket_fail(L, s, (int)n, "socket:write()");
		at += (size_t)n;
	}
	if (s->sock.tls != NULL) {
		n = sock_tls_flush(&s->sock);
		if (n == UV_EAGAIN) {
			lua_pushboolean(L, 0);
			lua_pushnumber(L, (lua_Number)at);
			return 2;
		}
		if (n < 0)
			return lua_socket_fail(L, s, (int)n, "socket:write()");
	}
	lua_pushnumber(L, (lua_Number)at);
	return 1;
}

/* send(s, data, flags, call) -> how many | nil, err | false */
static int l_send(lua_State *L)
{
	struct lua_socket *s = lua_socket_check(L);
	const char *call = lua_tostring(L, 4);
	struct sock_text data = check_data(L, 2, call);
	ssize_t n = sock_send(&s->sock, data.data, data.size,
			      (int)lua_tointeger(L, 3));

	if (n < 0)
		return fail_or_wait(L, s, (int)n, call);
	lua_pushnumber(L, (lua_Number)n);
	return 1;
}

/* sendto(s, host, port, data, flags) -> how many | nil, err | false */
static int l_sendto(lua_State *L)
{
	static const char call[] = "socket:sendto()";
	struct lua_socket *s = lua_socket_check(L);
	struct sock_text host = lua_socket_text(L, 2, NULL);
	struct sock_text port = lua_socket_text(L, 3, "0");
	struct sock_text data = lua_socket_text(L, 4, "");
	struct sock_address addr;
	ssize_t n = sock_address_parse(&addr, host, port);

	if (s->sock.tls != NULL) /* past it, in plain text */
		n = UV_EISCONN;
	while (n == 0) {
		n = sendto(s->sock.watch.fd, data.data, data.size,
			   (int)lua_tointeger(L, 5) | MSG_DONTWAIT |
				   MSG_NOSIGNAL,
			   (const struct sockaddr *)&addr.addr, addr.size);
		if (n >= 0) {
			lua_pushnumber(L, (lua_Number)n);
			return 1;
		}
		n = errno == EINTR ? 0 : -errno;
	}
	if (n == UV_EAGAIN)
		io_watch_idle(&s->sock.watch, IO_OUT);
	return fail_or_wait(L, s, (int)n, call);
}

/* --- what comes --- */

struct incoming {
	char *to;
	size_t size;
	int flags;
	struct sock_address from;
	size_t whole; /* of a datagram; what is more than size is lost */
};

/* How many bytes there are to be had; a lower bound. */
static size_t waiting(const struct sock *s)
{
	ssize_t n;
	int count = 0;

	if (s->type == SOCK_STREAM || s->type == 0)
		return ioctl(s->watch.fd, FIONREAD, &count) == 0 && count > 0
			       ? (size_t)count
			       : 0;
	n = recv(s->watch.fd, NULL, 0, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT);
	return n > 0 ? (size_t)n : 0;
}

static bool is_datagram(const struct sock *s)
{
	return s->type != SOCK_STREAM && s->type != 0;
}

/* Room for what the caller wants, but no more than there can be. */
static void make_room(lua_State *L, struct sock *s, int arg,
		      struct incoming *in)
{
	bool unknown = lua_isnoneornil(L, arg);
	double size = lua_tonumber(L, arg);

	if (!unknown && (lua_type(L, arg) != LUA_TNUMBER || isnan(size)))
		lua_error_usage(L, "socket: a size is a number, not %s",
				luaL_typename(L, arg));
	if (size < 0)
		lua_error_usage(L, "socket:recv(): size can not be negative");
	if (unknown)
		size = is_datagram(s) ? SOCK_SCRATCH : STREAM_SIZE;
	if (s->tls != NULL && size > SOCK_SCRATCH)
		size = SOCK_SCRATCH;
	/* Over IP none is longer; over others it is looked at first. */
	if (size > SOCK_SCRATCH ||
	    (unknown && is_datagram(s) && s->family == AF_UNIX)) {
		double there = (double)waiting(s);

		if (unknown || size > there)
			size = there > SOCK_SCRATCH ? there : SOCK_SCRATCH;
		if (size > SIZE_MAX_)
			size = SIZE_MAX_;
	}
	in->size = (size_t)size;
	/* A userdata: whatever is thrown, nothing is lost. */
	in->to = in->size <= SOCK_SCRATCH ? sock_scratch()
					  : lua_newuserdata(L, in->size);
}

static ssize_t receive(struct sock *s, struct incoming *in)
{
	struct iovec iov = { in->to, in->size };
	struct msghdr msg = {
		.msg_name = &in->from.addr,
		.msg_namelen = sizeof in->from.addr,
		.msg_iov = &iov,
		.msg_iovlen = 1,
	};
	ssize_t n;

	in->from.size = 0;
	in->whole = 0;
	/* TCP would count the bytes and leave the buffer as it was. */
	if (!is_datagram(s))
		return sock_recv(s, in->to, in->size, in->flags & ~MSG_TRUNC);
	do {
		n = recvmsg(s->watch.fd, &msg,
			    in->flags | MSG_DONTWAIT | MSG_TRUNC);
	} while (n < 0 && errno == EINTR);
	if (n < 0) {
		if (errno == EAGAIN)
			sock_note_empty(s, in->flags);
		return -errno;
	}
	in->from.size = msg.msg_namelen;
	in->whole = (size_t)n;
	return (size_t)n < in->size ? n : (ssize_t)in->size;
}

/* What was read ahead is first. */
static bool receive_ahead(struct sock *s, const struct incoming *in,
			  struct sock_text *ret_bytes)
{
	if (!sock_has_ahead(s) || is_datagram(s))
		return false;
	if (!(in->flags & MSG_PEEK))
		return sock_take_ahead(s, in->size, ret_bytes);
	s->in.lent = true;
	ret_bytes->data = s->in.data + s->in.start;
	ret_bytes->size = s->in.end - s->in.start;
	if (ret_bytes->size > in->size)
		ret_bytes->size = in->size;
	return true;
}

/* recv(s, size, flags, call, with_from) -> string, [from], [size] | nil, err |
 * false */
static int l_recv(lua_State *L)
{
	struct lua_socket *s = lua_socket_check_reader(L);
	bool with_from = lua_toboolean(L, 5);
	struct incoming in = { .flags = (int)lua_tointeger(L, 3) };
	struct sock_text bytes;
	ssize_t n;

	make_room(L, &s->sock, 2, &in);
	if (receive_ahead(&s->sock, &in, &bytes)) {
		lua_pushlstring(L, bytes.data, bytes.size);
		sock_taken(&s->sock);
		return 1;
	}
	/* It waits afterwards, if there is nothing. */
	if (s->sock.blocking && s->sock.tls == NULL &&
	    !io_watch_maybe(&s->sock.watch, IO_IN))
		n = UV_EAGAIN;
	else
		n = receive(&s->sock, &in);
	if (n < 0)
		return fail_or_wait(L, s, (int)n, lua_tostring(L, 4));
	lua_pushlstring(L, in.to, (size_t)n);
	if (with_from)
		lua_socket_push_address(L, &in.from, &s->sock, false);
	if (in.whole <= in.size)
		return 1 + with_from;
	lua_pushnumber(L, (lua_Number)in.whole);
	return 2 + with_from;
}

void lua_socket_open_data(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{ "write", l_write },   { "send", l_send },
		{ "sendto", l_sendto }, { "recv", l_recv },
		{ NULL, NULL },
	};

	luaL_register(L, NULL, functions);
}
