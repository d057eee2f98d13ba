/*
 * The module `errno`: why the system refused something.
 *
 * What `errno()` gives is the C library's errno, which each fiber has for
 * itself: resume() in lua_fiber.c sees to that.
 */
#include "lua/lua_errno.h"

#include <errno.h>
#include <lauxlib.h>
#include <string.h>

#include "lua/lua_error.h"

/***
 * The page `errno`: numbers of the system's errors.
 *
 * `errno()` is a number: why the last call of the system failed that this fiber
 * has made, be it by `fio`, `io`, `os` or the FFI; at first 0. Each fiber has its
 * own: what others do while this one waits does not change it. `errno(number)`
 * sets it, and gives what it was. Ask at once: whatever succeeds may change it.
 *
 * The constants are those of the system: `errno.ENOENT` is 2. All of them are in
 * `getmetatable(errno).__index`.
 */

struct constant {
	const char *name;
	int value;
};

/* clang-format off */
#define C(name) { #name, name }
static const struct constant constants[] = {
	C(E2BIG), C(EACCES), C(EADDRINUSE), C(EADDRNOTAVAIL), C(EAFNOSUPPORT),
	C(EAGAIN), C(EALREADY), C(EBADF), C(EBADMSG), C(EBUSY), C(ECANCELED),
	C(ECHILD), C(ECONNABORTED), C(ECONNREFUSED), C(ECONNRESET), C(EDEADLK),
	C(EDESTADDRREQ), C(EDOM), C(EDQUOT), C(EEXIST), C(EFAULT), C(EFBIG),
	C(EHOSTUNREACH), C(EIDRM), C(EILSEQ), C(EINPROGRESS), C(EINTR),
	C(EINVAL), C(EIO), C(EISCONN), C(EISDIR), C(ELOOP), C(EMFILE),
	C(EMLINK), C(EMSGSIZE), C(EMULTIHOP), C(ENAMETOOLONG), C(ENETDOWN),
	C(ENETRESET), C(ENETUNREACH), C(ENFILE), C(ENOBUFS), C(ENODATA),
	C(ENODEV), C(ENOENT), C(ENOEXEC), C(ENOLCK), C(ENOLINK), C(ENOMEM),
	C(ENOMSG), C(ENOPROTOOPT), C(ENOSPC), C(ENOSR), C(ENOSTR), C(ENOSYS),
	C(ENOTCONN), C(ENOTDIR), C(ENOTEMPTY), C(ENOTSOCK), C(ENOTSUP),
	C(ENOTTY), C(ENXIO), C(EOPNOTSUPP), C(EOVERFLOW), C(EPERM), C(EPIPE),
	C(EPROTO), C(EPROTONOSUPPORT), C(EPROTOTYPE), C(ERANGE), C(EROFS),
	C(ESPIPE), C(ESRCH), C(ESTALE), C(ETIME), C(ETIMEDOUT), C(ETXTBSY),
	C(EWOULDBLOCK), C(EXDEV),
};
#undef C
/* clang-format on */

static int check_number(lua_State *L, int arg, const char *usage)
{
	if (lua_type(L, arg) != LUA_TNUMBER)
		lua_error_usage(L, "usage: %s, a number is wanted, not %s",
				usage, luaL_typename(L, arg));
	return lua_tointeger(L, arg);
}

/* errno([number]) -> number: see the page. */
static int l_errno(lua_State *L)
{
	int old = errno;

	/* The module itself is the first argument. */
	if (!lua_isnoneornil(L, 2))
		errno = check_number(L, 2, "errno([number])");
	lua_pushinteger(L, old);
	return 1;
}

/***
 * errno.strerror([number]) -> string
 * What error @number is called; that of `errno()` when there is none.
 * Yields: no.
 */
static int l_strerror(lua_State *L)
{
	int number = errno;
	char text[128];

	if (!lua_isnoneornil(L, 1))
		number = check_number(L, 1, "errno.strerror([number])");
	lua_pushstring(L, strerror_r(number, text, sizeof text));
	return 1;
}

static int l_newindex(lua_State *L)
{
	return lua_error_usage(L, "the constants of errno cannot be changed");
}

static int open_errno(lua_State *L)
{
	const size_t count = sizeof constants / sizeof constants[0];

	lua_createtable(L, 0, 1);
	lua_pushcfunction(L, l_strerror);
	lua_setfield(L, -2, "strerror");
	lua_createtable(L, 0, 3);
	lua_createtable(L, 0, count);
	for (size_t i = 0; i < count; i++) {
		lua_pushinteger(L, constants[i].value);
		lua_setfield(L, -2, constants[i].name);
	}
	lua_setfield(L, -2, "__index");
	lua_pushcfunction(L, l_newindex);
	lua_setfield(L, -2, "__newindex");
	lua_pushcfunction(L, l_errno);
	lua_setfield(L, -2, "__call");
	lua_setmetatable(L, -2);
	return 1;
}

const struct lua_module lua_module_errno = { "errno", open_errno, NULL };
