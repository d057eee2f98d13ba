/*
 * Admin commands that Lua runs. See lua_ask.h.
 *
 * It is a session whose client is a fiber, which waits until its line is done.
 */
#include "console/lua_ask.h"

#include <lauxlib.h>

#include "app/worker.h"
#include "base/diag.h"
#include "console/admin_session.h"
#include "lua/lua_call.h"
#include "lua/lua_error.h"
#include "runtime/fiber.h"

static const char *const ask_class = "neap.console_ask";

enum { ANSWER_MAX = 16 << 20 };

struct ask {
	struct admin_session *session; /* NULL: it is over */
	struct fiber *waiter;          /* NULL: nobody waits */
	struct buf text;
	bool done, too_long;
};

static struct ask *check_ask(lua_State *L)
{
	return luaL_checkudata(L, 1, ask_class);
}

static void on_write(void *arg, const char *data, size_t size)
{
	struct ask *a = arg;

	a->too_long |= a->text.size + size > ANSWER_MAX ||
		       buf_append(&a->text, data, size) != 0;
}

static void on_done(void *arg)
{
	struct ask *a = arg;
	struct fiber *waiter = a->waiter;

	a->done = true;
	a->waiter = NULL;
	if (waiter != NULL)
		fiber_wakeup(waiter, 0);
}

static void stop_waiting(struct fiber *f, void *arg)
{
	struct ask *a = arg;

	(void)f;
	a->waiter = NULL;
}

static void drop(struct ask *a)
{
	admin_session_free(a->session);
	a->session = NULL;
	buf_destroy(&a->text);
}

/* ask(level) -> ask */
static int l_ask(lua_State *L)
{
	static const struct admin_ops ops = {
		.write = on_write,
		.ready = on_done,
		.leave = on_done,
	};
	enum admin_level level = (enum admin_level)luaL_checkinteger(L, 1);
	struct ask *a = lua_newuserdata(L, sizeof(*a));

	*a = (struct ask){ .session = NULL };
	luaL_getmetatable(L, ask_class);
	lua_setmetatable(L, -2);
	a->session = admin_session_new(worker_of(L), level, &ops, a);
	return a->session != NULL ? 1 : lua_error_throw(L);
}

/* ask_begin(ask, line) -> status */
static int l_ask_begin(lua_State *L)
{
	struct fiber *self = lua_wait_check(L);
	struct ask *a = check_ask(L);
	size_t size;
	const char *line = luaL_checklstring(L, 2, &size);

	admin_session_feed(a->session, line, size);
	if (a->done) {
		lua_pushinteger(L, 0);
		return 1;
	}
	a->waiter = self;
	fiber_park(self, stop_waiting, a, UINT64_MAX);
	return lua_wait(L);
}

static const char *failure_of(const struct ask *a)
{
	if (a->too_long)
		return "the answer has more than 16 MiB";
	if (admin_session_is_collecting(a->session))
		return "lines behind \"<<\" are not taken here";
	return NULL;
}

/* Without the empty line at its end. */
static size_t text_size(const struct ask *a)
{
	size_t size = a->text.size;

	return size > 0 && a->text.data[size - 1] == '\n' ? size - 1 : size;
}

/* ask_end(ask) -> text | nil, err */
static int l_ask_end(lua_State *L)
{
	struct ask *a = check_ask(L);
	const char *why = failure_of(a);
	bool failed = admin_session_take_failed(a->session);

	if (why != NULL)
		diag_set(ClientError, "%s", why);
	else if (failed)
		diag_set(ClientError, "%.*s", (int)text_size(a), a->text.data);
	if (why != NULL || failed) {
		drop(a);
		return lua_error_fail(L);
	}
	lua_pushlstring(L, a->text.data != NULL ? a->text.data : "",
			text_size(a));
	drop(a);
	return 1;
}

static int l_ask_gc(lua_State *L)
{
	drop(check_ask(L));
	return 0;
}

void lua_ask_open(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{ "ask", l_ask },
		{ "ask_begin", l_ask_begin },
		{ "ask_end", l_ask_end },
		{ NULL, NULL },
	};

	luaL_newmetatable(L, ask_class);
	lua_pushcfunction(L, l_ask_gc);
	lua_setfield(L, -2, "__gc");
	lua_pushboolean(L, 0);
	lua_setfield(L, -2, "__metatable");
	lua_pop(L, 1);
	luaL_register(L, NULL, functions);
}
