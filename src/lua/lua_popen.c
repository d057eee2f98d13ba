/* The C half of popen.lua: handles. See lua_popen.h. */
#include "lua/lua_popen.h"

#include <errno.h>
#include <lauxlib.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "base/diag.h"
#include "base/inject.h"
#include "lua/lua_blocking.h"
#include "lua/lua_call.h"
#include "lua/lua_class.h"
#include "lua/lua_error.h"
#include "runtime/fd_watch.h"
#include "runtime/loop.h"

enum {
	READ_MAX = 64 * 1024, /* bytes that a read takes at most */
	FOR_END = 3,          /* waits for the child, not for a stream */
};

/** A fiber that waits for a stream or the end. */
struct popen_wait {
	struct list link; /* in its handle's */
	struct fd_watch watch;
	struct fiber *fiber;
	int what; /* 0 to 2: a stream; FOR_END */
};

/* --- waits --- */

static void wait_free(struct popen_wait *w)
{
	fd_watch_stop(&w->watch);
	list_del(&w->link);
	mem_free(w);
}

static void wait_end(struct popen_wait *w)
{
	struct fiber *f = w->fiber;

	wait_free(w);
	fiber_wakeup(f, 0);
}

static void on_ready(struct fd_watch *watch)
{
	wait_end(list_entry(watch, struct popen_wait, watch));
}

static void undo(struct fiber *f, void *arg)
{
	(void)f;
	wait_free(arg);
}

/* Before a descriptor is closed: who waits for it looks again. */
static void wake(struct popen *p, int what)
{
	list_foreach_safe(link, next, &p->waits) {
		struct popen_wait *w =
			list_entry(link, struct popen_wait, link);

		if (w->what == what)
			wait_end(w);
	}
}

static void close_stream(struct popen *p, int i)
{
	if (p->fds[i] < 0)
		return;
	wake(p, i);
	close(p->fds[i]);
	p->fds[i] = -1;
}

/* Has the child ended? Then it is reaped. */
static bool has_ended(struct popen *p)
{
	struct pollfd fd = { .fd = p->child.pidfd, .events = POLLIN };

	if (p->child.pid == 0)
		return true;
	if (poll(&fd, 1, 0) != 1)
		return false;
	wake(p, FOR_END);
	if (!process_reap(&p->child, false))
		return false;
	p->status = p->child.status;
	return true;
}

/* 0 or errno. */
static int send_signal(struct popen *p, int signo)
{
	if (has_ended(p))
		return ESRCH;
	return kill(p->group != 0 ? -p->group : p->child.pid, signo) == 0
		       ? 0
		       : errno;
}

static void on_end(struct fd_watch *watch)
{
	process_reap(&list_entry(watch, struct popen, end)->child, false);
}

/* 0 or why its child could not be told. */
static int close_handle(struct popen *p)
{
	int err = 0;

	if (p->closed)
		return 0;
	p->closed = true;
	for (int i = 0; i < 3; i++)
		close_stream(p, i);
	wake(p, FOR_END);
	if (!p->keep && !has_ended(p))
		err = send_signal(p, SIGKILL);
	return err == ESRCH ? 0 : err;
}

/* The child of a closed handle is reaped at its end; not being waited for by anyone,
 * it does not keep the loop alive. */
static void reap_later(lua_State *L, struct popen *p)
{
	struct loop *loop = lua_vm_of(L)->sched->loop;

	if (p->child.pid == 0 || p->end.in != NULL ||
	    fd_watch_start(loop, &p->end, p->child.pidfd, POLLIN, on_end) != 0)
		return;
	fd_watch_abandon(&p->end);
}

/* --- functions --- */

/* The loop's time, which stands still while it does not go round. */
static uint64_t now(lua_State *L)
{
	return uv_now(&lua_vm_of(L)->sched->loop->uv);
}

struct popen *lua_popen_push(lua_State *L)
{
	struct popen *p = lua_class_box(L, LUA_CLASS_POPEN, sizeof *p);

	memset(p, 0, sizeof *p);
	p->fds[0] = p->fds[1] = p->fds[2] = -1;
	p->child.pidfd = -1;
	p->born = now(L);
	list_init(&p->waits);
	return p;
}

static struct popen *check_handle(lua_State *L)
{
	return lua_class_check(L, 1, LUA_CLASS_POPEN);
}

static struct popen *check_open(lua_State *L)
{
	struct popen *p = check_handle(L);

	if (p->closed)
		lua_error_usage(L,
				"popen: attempt to operate on a closed handle");
	return p;
}

/* The stream @a what, which must still be open. */
static int check_stream(lua_State *L, struct popen *p, int what)
{
	if (p->fds[what] < 0)
		lua_error_usage(L, "popen: attempt to operate on a closed file "
				   "descriptor");
	return p->fds[what];
}

static int fail(lua_State *L, int err, const char *what)
{
	diag_set_system(err, "popen: %s", what);
	lua_error_fail(L);
	errno = err;
	return 2;
}

/* wait(handle, what, timeout) -> status */
static int l_wait(lua_State *L)
{
	struct popen *p = check_open(L);
	int what = (int)lua_tointeger(L, 2), rc;
	int fd = what == FOR_END ? p->child.pidfd : check_stream(L, p, what);
	uint64_t timeout = lua_wait_timeout(L, 3);
	struct fiber *self = lua_wait_check(L);
	struct popen_wait *w = mem_zalloc(sizeof *w);

	if (w == NULL)
		return luaL_error(L, "not enough memory");
	w->fiber = self;
	w->what = what;
	p->born = 0; /* from here on it is asked */
	list_add_tail(&p->waits, &w->link);
	rc = fd_watch_start(self->sched->loop, &w->watch, fd,
			    what == 0 ? POLLOUT : POLLIN, on_ready);
	if (rc != 0) {
		list_del(&w->link);
		mem_free(w);
		lua_pushinteger(L, rc);
		return 1;
	}
	fiber_park(self, undo, w, timeout);
	return lua_wait(L);
}

/* read(handle, what) -> string | false (it must be waited for) | nil, err */
static int l_read(lua_State *L)
{
	static __thread char buf[READ_MAX];
	struct popen *p = check_open(L);
	int fd = check_stream(L, p, (int)lua_tointeger(L, 2));
	ssize_t n;

	do {
		n = read(fd, buf, sizeof buf);
	} while (n < 0 && errno == EINTR);
	if (n >= 0)
		lua_pushlstring(L, buf, (size_t)n);
	else if (errno == EAGAIN)
		lua_pushboolean(L, 0);
	else
		return fail(L, errno, "read");
	return 1;
}

/* write(handle, data, from) -> how many bytes | nil, err: from the byte at that
 * index on; 0: it must be waited for. */
static int l_write(lua_State *L)
{
	struct popen *p = check_open(L);
	int fd = check_stream(L, p, 0);
	size_t size, from = (size_t)lua_tointeger(L, 3);
	const char *data = luaL_checklstring(L, 2, &size);
	ssize_t n;

	do {
		n = write(fd, data + from, size - from);
	} while (n < 0 && errno == EINTR);
	if (n < 0 && errno != EAGAIN)
		return fail(L, errno, "write");
	lua_pushinteger(L, n < 0 ? 0 : n);
	return 1;
}

/* shutdown(handle, what) */
static int l_shutdown(lua_State *L)
{
	close_stream(check_open(L), (int)lua_tointeger(L, 2));
	return 0;
}

/* signal(handle, number) -> true | nil, err */
static int l_signal(lua_State *L)
{
	struct popen *p = check_open(L);
	int err = send_signal(p, (int)lua_tointeger(L, 2));

	if (err != 0)
		return fail(L, err, "the signal was not sent");
	lua_pushboolean(L, 1);
	return 1;
}

/* Nothing has happened yet that its maker could know of: as long as the loop has
 * not gone round, a child that was quick still has its number. */
static bool is_new(lua_State *L, const struct popen *p)
{
	return p->child.pid != 0 && p->born == now(L);
}

/* status(handle) -> nil | "exited", code | "signaled", number */
static int l_status(lua_State *L)
{
	struct popen *p = check_open(L);

	if (is_new(L, p) || !has_ended(p))
		return 0;
	if (p->status >= 0 && WIFSIGNALED(p->status)) {
		lua_pushliteral(L, "signaled");
		lua_pushinteger(L, WTERMSIG(p->status));
	} else {
		lua_pushliteral(L, "exited");
		lua_pushinteger(L, p->status < 0 ? -1 : WEXITSTATUS(p->status));
	}
	return 2;
}

/* pid(handle) -> number | nil */
static int l_pid(lua_State *L)
{
	struct popen *p = check_open(L);

	if (!is_new(L, p) && has_ended(p))
		return 0;
	lua_pushinteger(L, p->child.pid);
	return 1;
}

/* is_open(handle, what) -> boolean */
static int l_is_open(lua_State *L)
{
	lua_pushboolean(L, check_open(L)->fds[lua_tointeger(L, 2)] >= 0);
	return 1;
}

static int l_check(lua_State *L)
{
	check_open(L);
	return 0;
}

static int l_close(lua_State *L)
{
	struct popen *p = check_handle(L);
	int err = close_handle(p);

	reap_later(L, p);
	if (err != 0)
		return fail(L, err, "the child was not killed");
	lua_pushboolean(L, 1);
	return 1;
}

static int l_gc(lua_State *L)
{
	struct popen *p = check_handle(L);

	close_handle(p);
	fd_watch_stop(&p->end);
	process_disown(&p->child);
	return 0;
}

struct constant {
	const char *name;
	int value;
};

/* clang-format off */
#define C(name) { #name, name }
static const struct constant signals[] = {
	C(SIGABRT), C(SIGALRM), C(SIGBUS), C(SIGCHLD), C(SIGCONT), C(SIGFPE),
	C(SIGHUP), C(SIGILL), C(SIGINT), C(SIGIO), C(SIGIOT), C(SIGKILL),
	C(SIGPIPE), C(SIGPOLL), C(SIGPROF), C(SIGPWR), C(SIGQUIT), C(SIGSEGV),
	C(SIGSTKFLT), C(SIGSTOP), C(SIGSYS), C(SIGTERM), C(SIGTRAP),
	C(SIGTSTP), C(SIGTTIN), C(SIGTTOU), C(SIGURG), C(SIGUSR1), C(SIGUSR2),
	C(SIGVTALRM), C(SIGWINCH), C(SIGXCPU), C(SIGXFSZ), { NULL, 0 },
};
#undef C
/* clang-format on */

int luaopen_neap_popen(lua_State *L)
{
	static const luaL_Reg meta[] = { { "__gc", l_gc }, { NULL, NULL } };
	static const luaL_Reg functions[] = {
		{ "new", lua_popen_new },
		{ "wait", l_wait },
		{ "read", l_read },
		{ "write", l_write },
		{ "shutdown", l_shutdown },
		{ "signal", l_signal },
		{ "status", l_status },
		{ "pid", l_pid },
		{ "is_open", l_is_open },
		{ "check", l_check },
		{ "close", l_close },
		{ "start_failed", lua_blocking_failed },
		{ "failed", lua_wait_failed },
		{ "usage", lua_error_usage_text },
		{ NULL, NULL },
	};

	lua_newtable(L);
	luaL_register(L, NULL, functions);
	lua_newtable(L);
	for (const struct constant *s = signals; s->name != NULL; s++) {
		lua_pushinteger(L, s->value);
		lua_setfield(L, -2, s->name);
	}
	lua_setfield(L, -2, "signals");
	lua_class_new(L, LUA_CLASS_POPEN, "popen handle", meta);
	lua_setfield(L, -2, "meta");
	return 1;
}
