/* os.execute(), remove(), rename(), tmpname(): the C half, part of io.lua. */
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/inject.h"
#include "lua/lua_arg.h"
#include "lua/lua_fs.h"
#include "lua/lua_io.h"
#include "runtime/process.h"

struct executing {
	struct lua_blocking base;
	struct process child;
	bool started;
	int status; /* what os.execute() gives */
	char command[];
};

static bool reap(struct executing *x, bool block)
{
	if (x->child.pid != 0 && !process_reap(&x->child, block))
		return false;
	if (x->started)
		x->status = x->child.status;
	return true;
}

static int step(struct lua_blocking *op)
{
	struct executing *x = (struct executing *)op; /* base comes first */

	if (!x->started)
		return LUA_BLOCKING_POOL;
	if (reap(x, false))
		return 0;
	op->fd = x->child.pidfd;
	return POLLIN;
}

/* A thread only starts it: the loop waits for the end of all children. */
static void run(struct lua_blocking *op)
{
	static const int same[3] = { 0, 1, 2 };
	struct executing *x = (struct executing *)op;

	if (!x->started) {
		x->status = -1;
		if (process_shell(x->command, same, &x->child) != 0)
			return;
		x->started = true;
		op->again = op->in_pool;
	}
	if (!op->again)
		reap(x, true);
}

static int push(lua_State *L, struct lua_blocking *op)
{
	lua_pushinteger(L, ((struct executing *)op)->status);
	return 1;
}

static void destroy(struct lua_blocking *op)
{
	process_disown(&((struct executing *)op)->child);
	mem_free(op);
}

/* The command goes on without its fiber, and is reaped. */
static const struct lua_blocking_kind executing_kind = {
	.name = "start of a command",
	.step = step,
	.run = run,
	.push = push,
	.destroy = destroy,
	.rest = LUA_BLOCKING_REAP,
};

static int l_execute(lua_State *L)
{
	const char *command = lua_arg_opt_string(L, 1, NULL);
	struct executing *x;
	size_t size;

	if (command == NULL) {
		lua_pushboolean(L, 1);
		lua_pushinteger(L, access("/bin/sh", X_OK) == 0);
		return 2;
	}
	size = strlen(command) + 1;
	x = mem_zalloc(sizeof *x + size);
	if (x == NULL)
		return luaL_error(L, "not enough memory");
	x->base.kind = &executing_kind;
	x->child.pidfd = -1;
	memcpy(x->command, command, size);
	return lua_blocking_do(L, &x->base);
}

static int push_done(lua_State *L, struct lua_fs *o)
{
	return lua_io_push_result(L, o->err, o->a);
}

static void work_remove(struct lua_fs *o)
{
	o->err = remove(o->a) == 0 ? 0 : errno;
}

static void work_rename(struct lua_fs *o)
{
	o->err = rename(o->a, o->b) == 0 ? 0 : errno;
}

static void work_tmpname(struct lua_fs *o)
{
	int fd = mkostemp(o->a, O_CLOEXEC);

	o->err = fd >= 0 ? 0 : errno;
	if (fd >= 0)
		close(fd);
}

static int push_tmpname(lua_State *L, struct lua_fs *o)
{
	if (o->err != 0)
		return luaL_error(L, "unable to generate a unique filename");
	lua_pushstring(L, o->a);
	return 1;
}

static int l_remove(lua_State *L)
{
	const char *path = lua_arg_string(L, 1, NULL);

	return lua_fs_do(L, lua_fs_new(L, work_remove, push_done, path, NULL));
}

static int l_rename(lua_State *L)
{
	const char *from = lua_arg_string(L, 1, NULL);
	const char *to = lua_arg_string(L, 2, NULL);

	return lua_fs_do(L, lua_fs_new(L, work_rename, push_done, from, to));
}

static int l_tmpname(lua_State *L)
{
	return lua_fs_do(L, lua_fs_new(L, work_tmpname, push_tmpname,
				       "/tmp/lua_XXXXXX", NULL));
}

void lua_os_open(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{ "execute", l_execute }, { "remove", l_remove },
		{ "rename", l_rename },   { "tmpname", l_tmpname },
		{ NULL, NULL },
	};

	luaL_register(L, NULL, functions);
}
