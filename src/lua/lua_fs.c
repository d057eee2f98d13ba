/* One call of the system about files. See lua_fs.h. */
#include "lua/lua_fs.h"

#include <errno.h>
#include <lauxlib.h>
#include <string.h>

#include "base/inject.h"

static void run(struct lua_blocking *op)
{
	struct lua_fs *o = (struct lua_fs *)op; /* base comes first */

	o->work(o);
}

static int push(lua_State *L, struct lua_blocking *op)
{
	struct lua_fs *o = (struct lua_fs *)op;

	return o->push(L, o);
}

static void destroy(struct lua_blocking *op)
{
	struct lua_fs *o = (struct lua_fs *)op;

	buf_destroy(&o->out);
	mem_free(o->a);
	mem_free(o->b);
	mem_free(o);
}

/* Once begun it is done; before that, nobody wants it. */
static const struct lua_blocking_kind fs_kind = {
	.name = "a call about files",
	.run = run,
	.push = push,
	.destroy = destroy,
};

struct lua_fs *lua_fs_new(lua_State *L, lua_fs_work_f work, lua_fs_push_f push,
			  const char *a, const char *b)
{
	struct lua_fs *o = mem_zalloc(sizeof *o);

	if (o == NULL)
		goto fail;
	o->base.kind = &fs_kind;
	o->work = work;
	o->push = push;
	o->a = a == NULL ? NULL : mem_strdup(a);
	o->b = b == NULL ? NULL : mem_strdup(b);
	if ((a == NULL || o->a != NULL) && (b == NULL || o->b != NULL))
		return o;
	destroy(&o->base);
fail:
	luaL_error(L, "not enough memory");
	return NULL;
}

int lua_fs_do(lua_State *L, struct lua_fs *o)
{
	return lua_blocking_do(L, &o->base);
}
