/* popen.new(): the start of a child, by a thread of the pool. */
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/inject.h"
#include "lua/lua_blocking.h"
#include "lua/lua_error.h"
#include "lua/lua_popen.h"

enum {
	STRINGS_MAX = 65536,         /* arguments, or variables */
	BYTES_MAX = 4 * 1024 * 1024, /* of them; the system takes less */
};

struct starting {
	struct lua_blocking base;
	enum popen_action actions[3];
	unsigned flags;
	char **argv; /* both end with NULL, in the memory below */
	char **env;  /* NULL: ours */
	struct process child;
	int ours[3];
	int theirs[3];
	int err;
	char *memory[];
};

static void close_all(int *fds)
{
	for (int i = 0; i < 3; i++) {
		if (fds[i] > 2)
			close(fds[i]);
		fds[i] = -1;
	}
}

/* Out of the way of 0, 1 and 2, in case one of ours is closed. */
static int move_up(int fd)
{
	int up;

	if (fd < 0 || fd > 2)
		return fd;
	up = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	close(fd);
	return up;
}

static int make_pipe(struct starting *s, int i)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) != 0)
		return errno;
	s->theirs[i] = move_up(ends[i != 0]);
	s->ours[i] = move_up(ends[i == 0]);
	if (s->theirs[i] < 0 || s->ours[i] < 0)
		return errno;
	/* The other end is an open file of its own: the child sees nothing. */
	return fcntl(s->ours[i], F_SETFL, O_NONBLOCK) == 0 ? 0 : errno;
}

static int make_stream(struct starting *s, int i)
{
	switch (s->actions[i]) {
	case POPEN_PIPE:
		return make_pipe(s, i);
	case POPEN_DEVNULL:
		s->theirs[i] = move_up(
			open("/dev/null",
			     (i == 0 ? O_RDONLY : O_WRONLY) | O_CLOEXEC));
		return s->theirs[i] >= 0 ? 0 : errno;
	case POPEN_INHERIT:
		s->theirs[i] = i;
		break;
	case POPEN_CLOSE:
		break;
	}
	return 0;
}

static void run(struct lua_blocking *op)
{
	struct starting *s = (struct starting *)op; /* base comes first */
	/* A thread of the pool blocks signals, which the child must not. */
	struct process_spec spec = {
		.path = (s->flags & POPEN_SHELL) ? "/bin/sh" : s->argv[0],
		.argv = s->argv,
		.env = s->env,
		.flags = PROCESS_EMPTY_MASK,
	};

	for (int i = 0; i < 3 && s->err == 0; i++)
		s->err = make_stream(s, i);
	if (s->flags & POPEN_SETSID)
		spec.flags |= PROCESS_SETSID;
	if (s->flags & POPEN_CLOSE_FDS)
		spec.flags |= PROCESS_CLOSE_FDS;
	if (s->flags & POPEN_RESTORE_SIGNALS)
		spec.flags |= PROCESS_DEFAULT_SIGNALS;
	memcpy(spec.fds, s->theirs, sizeof spec.fds);
	if (s->err == 0)
		s->err = -process_spawn(&spec, &s->child);
	close_all(s->theirs);
}

static int push(lua_State *L, struct lua_blocking *op)
{
	struct starting *s = (struct starting *)op;
	struct popen *p;

	if (s->err != 0) {
		lua_pushnil(L);
		diag_set_system(s->err, "popen.new(): cannot start %.512s",
				s->argv[0]);
		lua_error_push_diag(L);
		errno = s->err;
		return 2;
	}
	p = lua_popen_push(L);
	p->child = s->child;
	p->group = (s->flags & POPEN_GROUP_SIGNAL) ? s->child.pid : 0;
	p->keep = s->flags & POPEN_KEEP_CHILD;
	for (int i = 0; i < 3; i++) {
		p->fds[i] = s->ours[i];
		s->ours[i] = -1;
	}
	s->child.pid = 0;
	return 1;
}

/* Nobody has taken the child: it is as if its handle was collected. */
static void destroy(struct lua_blocking *op)
{
	struct starting *s = (struct starting *)op;

	close_all(s->ours);
	if (s->child.pid != 0 && !(s->flags & POPEN_KEEP_CHILD))
		kill((s->flags & POPEN_GROUP_SIGNAL) ? -s->child.pid
						     : s->child.pid,
		     SIGKILL);
	process_disown(&s->child);
	mem_free(s);
}

static const struct lua_blocking_kind starting_kind = {
	.name = "start of a child",
	.run = run,
	.push = push,
	.destroy = destroy,
};

/* How many strings there are at @a arg, and their bytes with the ends. */
static size_t measure(lua_State *L, int arg, size_t *ret_count)
{
	size_t count = lua_istable(L, arg) ? lua_objlen(L, arg) : 0;
	size_t bytes = 0, size;
	const char *s;

	if (count > STRINGS_MAX)
		lua_error_usage(L, "popen.new(): more than %d strings",
				STRINGS_MAX);
	for (size_t i = 1; i <= count; i++) {
		lua_rawgeti(L, arg, (int)i);
		s = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &size)
						   : NULL;
		if (s == NULL || strlen(s) != size)
			lua_error_usage(L, "popen.new(): strings without zero "
					   "bytes are wanted");
		bytes += size + 1;
		lua_pop(L, 1);
	}
	if (bytes > BYTES_MAX)
		lua_error_usage(L, "popen.new(): more than %d bytes of %s",
				BYTES_MAX,
				arg == 1 ? "arguments" : "environment");
	*ret_count = count;
	return bytes;
}

/* Copies to @a to, and their addresses to @a list. Returns where it ends. */
static char *copy(lua_State *L, int arg, size_t count, char **list, char *to)
{
	size_t size;
	const char *s;

	for (size_t i = 0; i < count; i++) {
		lua_rawgeti(L, arg, (int)i + 1);
		s = lua_tolstring(L, -1, &size);
		memcpy(to, s, size + 1);
		list[i] = to;
		to += size + 1;
		lua_pop(L, 1);
	}
	list[count] = NULL;
	return to;
}

int lua_popen_new(lua_State *L)
{
	size_t argc, envc, bytes;
	struct starting *s;
	char *to;

	bytes = measure(L, 1, &argc) + measure(L, 4, &envc);
	s = mem_zalloc(sizeof *s + (argc + envc + 2) * sizeof(char *) + bytes);
	if (s == NULL)
		return luaL_error(L, "not enough memory");
	s->base.kind = &starting_kind;
	s->child.pidfd = -1;
	s->flags = (unsigned)lua_tointeger(L, 3);
	for (int i = 0; i < 3; i++) {
		/* Digits of one number: nothing here throws. */
		s->actions[i] = (lua_tointeger(L, 2) >> (2 * i)) & 3;
		s->ours[i] = s->theirs[i] = -1;
	}
	s->argv = s->memory;
	s->env = lua_isnoneornil(L, 4) ? NULL : s->memory + argc + 1;
	to = copy(L, 1, argc, s->argv, (char *)(s->memory + argc + envc + 2));
	if (s->env != NULL)
		copy(L, 4, envc, s->env, to);
	return lua_blocking_do(L, &s->base);
}
