/*
 * file:close(), and what becomes of a file that is collected. The output that
 * it still has may have to wait for a reader, and one of io.popen for the end of
 * its child.
 */
#include <errno.h>
#include <lauxlib.h>
#include <poll.h>
#include <stdio_ext.h>
#include <stdlib.h>

#include "base/inject.h"
#include "lua/lua_class.h"
#include "lua/lua_io.h"
#include "lua/lua_state.h"
#include "runtime/fiber.h"

struct closing {
	struct lua_blocking base;
	struct io_stream *s;
	int err;
};

static void close_file(struct closing *c)
{
	FILE *fp = c->s->fp;

	errno = 0;
	c->s->fp = NULL;
	if (fp != NULL && fclose(fp) != 0)
		c->err = errno;
	mem_free(c->s->buffer);
	c->s->buffer = NULL;
}

static int step(struct lua_blocking *op)
{
	struct closing *c = (struct closing *)op; /* base comes first */
	struct io_stream *s = c->s;
	int rc;

	if (s->fp != NULL) {
		if (ftrylockfile(s->fp) != 0)
			return LUA_BLOCKING_POOL;
		op->fd = fileno_unlocked(s->fp);
		rc = lua_io_flush_step(s);
		funlockfile(s->fp);
		if (rc != 0)
			return rc;
		close_file(c);
	}
	if (s->child.pid == 0 || process_reap(&s->child, false))
		return 0;
	op->fd = s->child.pidfd;
	return POLLIN;
}

static void run(struct lua_blocking *op)
{
	struct closing *c = (struct closing *)op;

	close_file(c);
	if (c->s->child.pid != 0)
		process_reap(&c->s->child, true);
}

static int push(lua_State *L, struct lua_blocking *op)
{
	return lua_io_push_result(L, ((struct closing *)op)->err, NULL);
}

static void destroy(struct lua_blocking *op)
{
	mem_free(op);
}

/* What has been written is, too, when nobody waits any more. */
static const struct lua_blocking_kind closing_kind = {
	.name = "closing of a file",
	.step = step,
	.run = run,
	.push = push,
	.destroy = destroy,
	.rest = LUA_BLOCKING_FINISH,
};

static const struct lua_blocking_kind reaping_kind = {
	.name = "closing of a pipe to a child",
	.step = step,
	.run = run,
	.push = push,
	.destroy = destroy,
	.rest = LUA_BLOCKING_REAP,
};

static struct closing *closing_new(struct io_stream *s)
{
	struct closing *c = mem_zalloc(sizeof *c);

	if (c == NULL)
		return NULL;
	c->base.kind = s->child.pid != 0 ? &reaping_kind : &closing_kind;
	c->base.lane = lua_lane_ref(&s->lane);
	c->s = s;
	return c;
}

/* close(file) */
int lua_io_close(lua_State *L)
{
	struct io_stream *s = lua_io_check(L, 1);
	struct io_file *f = lua_touserdata(L, 1);
	struct closing *c;

	if (s->standard) {
		lua_pushboolean(L, 1);
		lua_pushnil(L);
		lua_pushliteral(L, "cannot close standard file");
		return 3;
	}
	c = closing_new(s);
	if (c == NULL)
		return luaL_error(L, "not enough memory");
	/* The object is closed now, whatever becomes of the wait. */
	f->fp = NULL;
	f->stream = NULL;
	lua_lane_unref(&s->lane); /* the operation has its own */
	return lua_blocking_do(L, &c->base);
}

/* __gc: nobody waits. */
int lua_io_gc(lua_State *L)
{
	struct lua_vm *vm = lua_vm_of(L);
	struct io_file *f = lua_class_test(L, 1, LUA_CLASS_FILE);
	struct io_stream *s;
	struct closing *c;

	if (f == NULL || lua_objlen(L, 1) != sizeof *f || f->stream == NULL)
		return 0;
	s = f->stream;
	f->fp = NULL;
	f->stream = NULL;
	c = s->standard || vm->closing ||
			    (s->fp != NULL && __fpending(s->fp) == 0 &&
			     s->child.pid == 0)
		    ? NULL
		    : closing_new(s);
	if (c != NULL)
		lua_blocking_leave(vm->sched->loop, &c->base);
	lua_lane_unref(&s->lane);
	return 0;
}
