/* io.open(), io.popen(), io.tmpfile(): made on a thread, for a name may lie on a
 * disk that is slow, and a FIFO waits for its other end. */
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <poll.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/inject.h"
#include "lua/lua_arg.h"
#include "lua/lua_io.h"

enum {
	MEMORY_MAJOR = 1, /* /dev/null, /dev/zero, ... */
	WRITE_BUFFER = 32 * 1024,
	LAST_WAIT_MS = 2000, /* for a child that reads what we wrote last */
};

enum opening_kind { OPEN_FILE, OPEN_CHILD, OPEN_TEMPORARY };

struct opening {
	struct lua_blocking base;
	enum opening_kind kind;
	struct io_stream *s; /* what came of it; NULL: nothing, or taken */
	int err;
	char mode[16];
	char path[]; /* or the command */
};

static void stream_destroy(struct lua_lane *lane)
{
	struct io_stream *s = (struct io_stream *)lane; /* it comes first */
	struct pollfd p = { .fd = s->child.pidfd, .events = POLLIN };
	bool wrote = s->fp != NULL && __fwritable(s->fp);

	if (s->fp != NULL && !s->standard)
		fclose(s->fp);
	/* What a script has written to a child before its end is read. */
	if (s->child.pid != 0 && wrote)
		poll(&p, 1, LAST_WAIT_MS);
	process_disown(&s->child);
	mem_free(s->buffer);
	mem_free(s);
}

static enum io_kind kind_of(int fd)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return IO_MEMORY; /* its error is not waited for */
	if (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode) || S_ISBLK(st.st_mode))
		return IO_REGULAR;
	if (S_ISCHR(st.st_mode) && major(st.st_rdev) == MEMORY_MAJOR)
		return IO_MEMORY;
	return IO_SHARED;
}

/* A larger buffer for files that are only written: fewer trips to a thread. */
static void set_buffer(struct io_stream *s, const char *mode)
{
	if (s->kind != IO_REGULAR || strchr(mode, '+') != NULL ||
	    (*mode != 'w' && *mode != 'a'))
		return;
	s->buffer = mem_alloc(WRITE_BUFFER);
	if (s->buffer != NULL)
		setvbuf(s->fp, s->buffer, _IOFBF, WRITE_BUFFER);
}

struct io_stream *lua_io_stream_new(FILE *fp, const char *mode)
{
	struct io_stream *s = mem_zalloc(sizeof *s);

	if (s == NULL)
		return NULL;
	lua_lane_create(&s->lane, stream_destroy);
	s->fp = fp;
	s->kind = kind_of(fileno(fp));
	s->child.pidfd = -1;
	set_buffer(s, mode);
	return s;
}

static FILE *open_file(struct opening *o)
{
	size_t n = strlen(o->mode);

	/* No child is to have it; where the mode leaves no room, so be it. */
	if (n + 1 < sizeof o->mode)
		memcpy(o->mode + n, "e", 2);
	return fopen(o->path, o->mode);
}

/* A pipe to or from a shell. */
static FILE *open_child(struct opening *o, struct process *child)
{
	bool reads = o->mode[0] == 'r';
	int ends[2], fds[3] = { 0, 1, 2 };
	FILE *fp;
	int rc;

	if ((!reads && o->mode[0] != 'w') || strcspn(o->mode + 1, "e") != 0) {
		errno = EINVAL;
		return NULL;
	}
	if (pipe2(ends, O_CLOEXEC) != 0)
		return NULL;
	fp = fdopen(ends[!reads], reads ? "r" : "w");
	if (fp == NULL) {
		close(ends[0]);
		close(ends[1]);
		return NULL;
	}
	fds[reads] = ends[reads];
	rc = process_shell(o->path, fds, child);
	close(ends[reads]);
	if (rc == 0)
		return fp;
	fclose(fp);
	errno = -rc;
	return NULL;
}

static void run(struct lua_blocking *op)
{
	struct opening *o = (struct opening *)op; /* base comes first */
	struct process child = { .pidfd = -1 };
	char mode[sizeof o->mode];
	FILE *fp = NULL;

	memcpy(mode, o->mode, sizeof mode);
	errno = 0;
	switch (o->kind) {
	case OPEN_FILE:
		fp = open_file(o);
		break;
	case OPEN_CHILD:
		fp = open_child(o, &child);
		break;
	case OPEN_TEMPORARY:
		fp = tmpfile();
		if (fp != NULL)
			fcntl(fileno(fp), F_SETFD, FD_CLOEXEC);
		break;
	}
	if (fp == NULL) {
		o->err = errno != 0 ? errno : EINVAL;
		return;
	}
	o->s = lua_io_stream_new(fp, mode);
	if (o->s == NULL) {
		o->err = ENOMEM;
		fclose(fp);
		process_disown(&child);
		return;
	}
	if (o->kind == OPEN_CHILD) {
		o->s->child = child;
		o->s->kind = IO_CHILD;
	}
}

static int push(lua_State *L, struct lua_blocking *op)
{
	struct opening *o = (struct opening *)op;
	struct io_file *f;

	if (o->err != 0)
		return lua_io_push_result(
			L, o->err, o->kind == OPEN_TEMPORARY ? NULL : o->path);
	f = lua_io_push(L);
	f->stream = o->s;
	f->fp = o->s->fp;
	o->s = NULL;
	return 1;
}

static void destroy(struct lua_blocking *op)
{
	struct opening *o = (struct opening *)op;

	if (o->s != NULL)
		lua_lane_unref(&o->s->lane);
	mem_free(o);
}

static const struct lua_blocking_kind opening_kind = {
	.name = "opening of a file",
	.run = run,
	.push = push,
	.destroy = destroy,
};

static int open_it(lua_State *L, enum opening_kind kind, const char *path,
		   const char *mode)
{
	size_t size = strlen(path) + 1;
	struct opening *o = mem_zalloc(sizeof *o + size);

	if (o == NULL)
		return luaL_error(L, "not enough memory");
	o->base.kind = &opening_kind;
	o->kind = kind;
	memcpy(o->path, path, size);
	/* One that is too long is none. */
	if (strlen(mode) < sizeof o->mode)
		memcpy(o->mode, mode, strlen(mode) + 1);
	return lua_blocking_do(L, &o->base);
}

/* open(path, mode) */
int lua_io_open(lua_State *L)
{
	const char *path = lua_arg_string(L, 1, NULL);
	const char *mode = lua_arg_opt_string(L, 2, NULL);

	return open_it(L, OPEN_FILE, path, mode == NULL ? "r" : mode);
}

/* popen(command, mode) */
int lua_io_popen(lua_State *L)
{
	const char *command = lua_arg_string(L, 1, NULL);
	const char *mode = lua_arg_opt_string(L, 2, NULL);

	return open_it(L, OPEN_CHILD, command, mode == NULL ? "r" : mode);
}

int lua_io_tmpfile(lua_State *L)
{
	return open_it(L, OPEN_TEMPORARY, "", "w+");
}
