/*
 * Open files of fio. A descriptor is closed when the object and all that works
 * on it have let go: a call that runs on a thread never meets a stranger's file
 * under its number. What may keep silent for ever, a pipe or a terminal, is
 * waited for by the loop; only the rest goes to a thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <limits.h>
#include <math.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/inject.h"
#include "lua/lua_class.h"
#include "lua/lua_error.h"
#include "lua/lua_fio.h"
#include "lua/lua_value.h"

enum {
	STRING_MAX = 0x7fffff00, /* of a Lua string */
	READ_STEP = 1024 * 1024,
	TO_END = -1,
	HERE = -1, /* the file's own position */
};

/** An open file. */
struct fio_file {
	int fd;
	unsigned refs;  /* of the object and each operation; atomic */
	bool is_stream; /* its bytes come and go as others please */
};

/** The userdata. */
struct fio_box {
	struct fio_file *file; /* NULL: closed, or never opened */
};

enum file_call {
	CALL_OPEN,
	CALL_READ,
	CALL_WRITE,
	CALL_SEEK,
	CALL_STAT,
	CALL_TRUNCATE,
	CALL_FSYNC,
	CALL_FDATASYNC,
	CALL_CLOSE,
};

static const char *const call_names[] = {
	[CALL_OPEN] = "open",      [CALL_READ] = "fh:read",
	[CALL_WRITE] = "fh:write", [CALL_SEEK] = "fh:seek",
	[CALL_STAT] = "fh:stat",   [CALL_TRUNCATE] = "fh:truncate",
	[CALL_FSYNC] = "fh:fsync", [CALL_FDATASYNC] = "fh:fdatasync",
	[CALL_CLOSE] = "fh:close",
};

struct file_op {
	struct lua_blocking base;
	enum file_call call;
	struct fio_file *file; /* NULL: opening has failed, or was taken */
	int err;
	int flags;     /* of open(); whence of seek() */
	int64_t count; /* bytes wanted; TO_END; mode; the new size */
	int64_t at;    /* HERE, or the position */
	size_t done;   /* bytes written */
	size_t size;   /* of data */
	struct buf out;
	struct stat st;
	char data[]; /* the path, or what is to be written */
};

static void file_unref(struct fio_file *f)
{
	if (__atomic_sub_fetch(&f->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	if (f->fd >= 0)
		close(f->fd);
	mem_free(f);
}

/* --- the work --- */

static void work_open(struct file_op *o)
{
	struct fio_file *f = mem_zalloc(sizeof *f);
	struct stat st;

	if (f == NULL) {
		o->err = ENOMEM;
		return;
	}
	f->refs = 1;
	f->fd = open(o->data, o->flags | O_CLOEXEC, (mode_t)o->count);
	if (f->fd < 0) {
		o->err = errno;
		mem_free(f);
		return;
	}
	f->is_stream =
		fstat(f->fd, &st) == 0 &&
		(S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode) || isatty(f->fd));
	o->file = f;
}

/* Bytes of this go. 0: the end; -1: it has failed. */
static ssize_t read_some(struct file_op *o)
{
	size_t want = o->count == TO_END || o->count > (int64_t)o->out.size +
							       READ_STEP
			      ? READ_STEP
			      : (size_t)o->count - o->out.size;
	char *to = buf_reserve(&o->out, want);
	ssize_t n;

	if (to == NULL) {
		o->err = o->out.size + want > o->out.limit ? EFBIG : ENOMEM;
		return -1;
	}
	do {
		n = o->at == HERE ? read(o->file->fd, to, want)
				  : pread(o->file->fd, to, want,
					  o->at + (off_t)o->out.size);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		o->err = errno;
	else
		o->out.size += (size_t)n;
	return n;
}

static void work_read(struct file_op *o)
{
	while (o->count == TO_END || (int64_t)o->out.size < o->count) {
		if (read_some(o) <= 0)
			break;
		/* A stream gives what it has. */
		if (o->file->is_stream && o->count != TO_END)
			break;
	}
}

/* At most @a max bytes. */
static ssize_t write_some(struct file_op *o, size_t max)
{
	const char *from = o->data + o->done;
	size_t want = o->size - o->done < max ? o->size - o->done : max;
	ssize_t n;

	do {
		n = o->at == HERE ? write(o->file->fd, from, want)
				  : pwrite(o->file->fd, from, want,
					   o->at + (off_t)o->done);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		o->err = errno;
	else
		o->done += (size_t)n;
	return n;
}

static void work_write(struct file_op *o)
{
	while (o->done < o->size && write_some(o, SSIZE_MAX) >= 0)
		;
}

static int error_of(int rc)
{
	return rc == 0 ? 0 : errno;
}

static void work_close(struct file_op *o)
{
	struct fio_file *f = o->file;

	/* Others still work on it: the last of them closes it. */
	if (__atomic_load_n(&f->refs, __ATOMIC_ACQUIRE) > 1)
		return;
	o->err = error_of(close(f->fd));
	f->fd = -1;
}

static void run(struct lua_blocking *op)
{
	struct file_op *o = (struct file_op *)op; /* base comes first */

	switch (o->call) {
	case CALL_OPEN:
		work_open(o);
		break;
	case CALL_READ:
		work_read(o);
		break;
	case CALL_WRITE:
		work_write(o);
		break;
	case CALL_SEEK:
		o->at = lseek(o->file->fd, o->at, o->flags);
		o->err = o->at < 0 ? errno : 0;
		break;
	case CALL_STAT:
		o->err = error_of(fstat(o->file->fd, &o->st));
		break;
	case CALL_TRUNCATE:
		o->err = error_of(ftruncate(o->file->fd, o->count));
		break;
	case CALL_FSYNC:
		o->err = error_of(fsync(o->file->fd));
		break;
	case CALL_FDATASYNC:
		o->err = error_of(fdatasync(o->file->fd));
		break;
	case CALL_CLOSE:
		work_close(o);
		break;
	}
}

/* A stream is read and written on the loop's thread, when it is ready; up to
 * PIPE_BUF bytes then go without blocking. */
static int step(struct lua_blocking *op)
{
	struct file_op *o = (struct file_op *)op;
	bool reads = o->call == CALL_READ;
	struct pollfd p = { .events = reads ? POLLIN : POLLOUT };

	if (o->file == NULL || !o->file->is_stream ||
	    (!reads && o->call != CALL_WRITE))
		return LUA_BLOCKING_POOL;
	p.fd = op->fd = o->file->fd;
	for (;;) {
		if (reads ? o->count == 0 : o->done == o->size)
			return 0;
		if (poll(&p, 1, 0) == 0)
			return p.events;
		if (reads ? read_some(o) <= 0 || o->count != TO_END
			  : write_some(o, PIPE_BUF) < 0)
			return 0;
	}
}

/* --- the results --- */

static int push_failure(lua_State *L, struct file_op *o, bool as_nil)
{
	struct lua_fs fs = {
		.err = o->err,
		.name = call_names[o->call],
		.a = o->call == CALL_OPEN ? o->data : NULL,
	};

	return lua_fio_push_failure(L, &fs, as_nil);
}

static int push(lua_State *L, struct lua_blocking *op)
{
	struct file_op *o = (struct file_op *)op;
	struct fio_box *box;

	if (o->err != 0)
		return push_failure(L, o,
				    o->call <= CALL_READ ||
					    o->call == CALL_SEEK ||
					    o->call == CALL_STAT);
	switch (o->call) {
	case CALL_OPEN:
		box = lua_class_box(L, LUA_CLASS_FIO, sizeof *box);
		box->file = o->file;
		o->file = NULL;
		break;
	case CALL_READ:
		lua_pushlstring(L, o->out.size > 0 ? o->out.data : "",
				o->out.size);
		break;
	case CALL_SEEK:
		lua_pushnumber(L, (lua_Number)o->at);
		break;
	case CALL_STAT:
		return lua_fio_push_stat(L, &(struct lua_fs){ .st = o->st });
	default:
		lua_pushboolean(L, 1);
	}
	return 1;
}

static void destroy(struct lua_blocking *op)
{
	struct file_op *o = (struct file_op *)op;

	if (o->file != NULL)
		file_unref(o->file);
	buf_destroy(&o->out);
	mem_free(o);
}

static const struct lua_blocking_kind file_kind = {
	.name = "a call about an open file",
	.step = step,
	.run = run,
	.push = push,
	.destroy = destroy,
};

/* --- functions --- */

static struct file_op *op_new(struct fio_file *f, enum file_call call,
			      const char *data, size_t size)
{
	struct file_op *o = mem_zalloc(sizeof *o + size + 1);

	if (o == NULL)
		return NULL;
	o->base.kind = &file_kind;
	o->call = call;
	o->at = HERE;
	o->out.limit = STRING_MAX;
	o->size = size;
	if (size > 0)
		memcpy(o->data, data, size);
	if (f != NULL)
		__atomic_fetch_add(&f->refs, 1, __ATOMIC_RELAXED);
	o->file = f;
	return o;
}

static struct file_op *check_new(lua_State *L, struct fio_file *f,
				 enum file_call call, const char *data,
				 size_t size)
{
	struct file_op *o = op_new(f, call, data, size);

	if (o == NULL)
		luaL_error(L, "not enough memory");
	return o;
}

/* open(path, flags, mode) */
static int l_open(lua_State *L)
{
	static const char usage[] = "fio.open(path[, flags[, mode]])";
	const char *path = lua_fio_path(L, 1, usage);
	int64_t flags = lua_fio_integer(L, 2, usage, 0, 0);
	int64_t mode = lua_fio_integer(L, 3, usage, 0, 0777);
	struct file_op *o;

	if (flags > INT_MAX)
		return lua_error_usage(L, "%s: no such flags", usage);
	o = check_new(L, NULL, CALL_OPEN, path, strlen(path));
	o->flags = (int)flags;
	o->count = mode;
	return lua_blocking_do(L, &o->base);
}

/* NULL: it is closed. */
static struct fio_file *check_file(lua_State *L)
{
	struct fio_box *box = lua_class_check(L, 1, LUA_CLASS_FIO);

	return box->file;
}

static int closed(lua_State *L, enum file_call call)
{
	struct file_op o = { .call = call, .err = EBADF };

	lua_pushboolean(L, 1);
	return 1 + push_failure(L, &o,
				call == CALL_READ || call == CALL_SEEK ||
					call == CALL_STAT);
}

static int simple(lua_State *L, enum file_call call)
{
	struct fio_file *f = check_file(L);

	if (f == NULL)
		return closed(L, call);
	return lua_blocking_do(L, &check_new(L, f, call, NULL, 0)->base);
}

/* read(file, count, at): nil: to the end; from where it stands. */
static int l_read(lua_State *L)
{
	static const char usage[] = "fh:read([count]), fh:pread(count, offset)";
	struct fio_file *f = check_file(L);
	int64_t count = lua_fio_integer(L, 2, usage, 0, TO_END);
	int64_t at = lua_fio_integer(L, 3, usage, 0, HERE);
	struct file_op *o;
	size_t limit;

	if (f == NULL)
		return closed(L, CALL_READ);
	o = check_new(L, f, CALL_READ, NULL, 0);
	o->count = count > STRING_MAX ? STRING_MAX : count;
	/* No more than could become a string of this state. */
	limit = lua_vm_of(L)->memory.limit;
	if (limit > 0 && limit < o->out.limit)
		o->out.limit = limit;
	o->at = at;
	return lua_blocking_do(L, &o->base);
}

/* write(file, data, at) */
static int l_write(lua_State *L)
{
	struct fio_file *f = check_file(L);
	int64_t at = lua_fio_integer(L, 3, "fh:pwrite(data, offset)", 0, HERE);
	struct file_op *o;
	const char *data;
	size_t size;

	if (!lua_isstring(L, 2))
		return lua_error_usage(L, "Usage: fh:write(data), "
					  "fh:pwrite(data, offset)");
	data = lua_tolstring(L, 2, &size);
	if (f == NULL)
		return closed(L, CALL_WRITE);
	o = check_new(L, f, CALL_WRITE, data, size);
	o->at = at;
	return lua_blocking_do(L, &o->base);
}

/* seek(file, offset, whence) */
static int l_seek(lua_State *L)
{
	static const char usage[] = "fh:seek(offset[, whence])";
	struct fio_file *f = check_file(L);
	int64_t at, whence = lua_fio_integer(L, 3, usage, 0, SEEK_SET);
	struct file_op *o;

	if (lua_type(L, 2) != LUA_TNUMBER || whence > SEEK_END)
		return lua_error_usage(L, "Usage: %s", usage);
	at = lua_tonumber(L, 2) < 0
		     ? -(int64_t)fmin(-lua_tonumber(L, 2), LUA_EXACT_INT)
		     : lua_fio_integer(L, 2, usage, 0, 0);
	if (f == NULL)
		return closed(L, CALL_SEEK);
	o = check_new(L, f, CALL_SEEK, NULL, 0);
	o->at = at;
	o->flags = (int)whence;
	return lua_blocking_do(L, &o->base);
}

static int l_file_stat(lua_State *L)
{
	return simple(L, CALL_STAT);
}

static int l_fsync(lua_State *L)
{
	return simple(L, CALL_FSYNC);
}

static int l_fdatasync(lua_State *L)
{
	return simple(L, CALL_FDATASYNC);
}

static int l_file_truncate(lua_State *L)
{
	struct fio_file *f = check_file(L);
	int64_t size = lua_fio_integer(L, 2, "fh:truncate([length])", 0, 0);
	struct file_op *o;

	if (f == NULL)
		return closed(L, CALL_TRUNCATE);
	o = check_new(L, f, CALL_TRUNCATE, NULL, 0);
	o->count = size;
	return lua_blocking_do(L, &o->base);
}

static int l_close(lua_State *L)
{
	struct fio_box *box = lua_class_check(L, 1, LUA_CLASS_FIO);
	struct fio_file *f = box->file;
	struct file_op *o;

	if (f == NULL)
		return closed(L, CALL_CLOSE);
	o = check_new(L, f, CALL_CLOSE, NULL, 0);
	/* The object is closed now, whatever becomes of the wait. */
	box->file = NULL;
	file_unref(f);
	return lua_blocking_do(L, &o->base);
}

/* __gc: nobody waits. To close a file may mean to write it. */
static int l_gc(lua_State *L)
{
	struct fio_box *box = lua_class_check(L, 1, LUA_CLASS_FIO);
	struct lua_vm *vm = lua_vm_of(L);
	struct fio_file *f = box->file;
	struct file_op *o;

	if (f == NULL)
		return 0;
	box->file = NULL;
	o = vm->closing ? NULL : op_new(f, CALL_CLOSE, NULL, 0);
	file_unref(f);
	if (o != NULL)
		lua_blocking_leave(vm->sched->loop, &o->base);
	return 0;
}

/* fd(file) -> number: -1 when it is closed. */
static int l_fd(lua_State *L)
{
	struct fio_file *f = check_file(L);

	lua_pushinteger(L, f == NULL ? -1 : f->fd);
	return 1;
}

void lua_fio_open_class(lua_State *L)
{
	static const luaL_Reg meta[] = { { "__gc", l_gc }, { NULL, NULL } };
	static const luaL_Reg functions[] = {
		{ "read", l_read },
		{ "write", l_write },
		{ "seek", l_seek },
		{ "stat", l_file_stat },
		{ "truncate", l_file_truncate },
		{ "fsync", l_fsync },
		{ "fdatasync", l_fdatasync },
		{ "close", l_close },
		{ "fd", l_fd },
		{ NULL, NULL },
	};

	lua_pushcfunction(L, l_open);
	lua_setfield(L, -2, "open");
	lua_newtable(L);
	luaL_register(L, NULL, functions);
	lua_setfield(L, -2, "file");
	lua_class_new(L, LUA_CLASS_FIO, "file of fio", meta);
	lua_setfield(L, -2, "meta");
}
