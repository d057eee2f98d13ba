/*
 * file:write(), flush(), seek(), setvbuf(), and print(). What fits into the
 * FILE's buffer goes there at once, and what the system takes without blocking.
 * The rest waits for room in the pipe when nobody else writes into it; else a
 * thread writes it, which a slow reader may hold up as long as it likes. Output that was begun is written to its end,
 * whatever becomes of the fiber.
 */
#include <errno.h>
#include <lauxlib.h>
#include <limits.h>
#include <poll.h>
#include <stdio_ext.h>
#include <string.h>
#include <sys/uio.h>

#include "base/buf.h"
#include "base/inject.h"
#include "lua/lua_arg.h"
#include "lua/lua_io.h"
#include "lua/lua_state.h"

enum { ROOM_UNKNOWN = 1024 }; /* of a buffer that is not made yet */

struct writing {
	struct lua_blocking base;
	struct io_stream *s;
	size_t size;
	size_t done;
	int err; /* errno, once it has failed */
	char data[];
};

size_t lua_io_room(const struct io_stream *s)
{
	const FILE *fp = s->fp;

	if (fp->_IO_buf_base == NULL)
		return s->kind == IO_REGULAR ? ROOM_UNKNOWN : 0;
	/* Nothing where a line or a byte is written at once. */
	return fp->_IO_write_end > fp->_IO_write_ptr
		       ? (size_t)(fp->_IO_write_end - fp->_IO_write_ptr)
		       : 0;
}

/* Does a pipe that nobody else writes into take a page? */
static bool takes_page(struct io_stream *s)
{
	struct pollfd p = { .fd = fileno_unlocked(s->fp), .events = POLLOUT };

	return poll(&p, 1, 0) == 1;
}

/* As many bytes as the system takes without blocking. Returns their number, 0
 * when a thread has to do it, or -1 with errno set. */
static ssize_t write_now(struct io_stream *s, const char *data, size_t size)
{
	struct iovec v = { (void *)data, size };
	FILE *fp = s->fp;
	ssize_t n;

	if (s->no_write_now || __freadable(fp))
		return 0;
	n = pwritev2(fileno_unlocked(fp), &v, 1, -1, RWF_NOWAIT);
	if (n < 0 && errno == EOPNOTSUPP)
		s->no_write_now = true;
	if (n < 0)
		return errno == EAGAIN || errno == EOPNOTSUPP ? 0 : -1;
	if (fp->_offset >= 0)
		fp->_offset += n;
	return n;
}

/* What is buffered goes out, past the library, which cannot be told not to
 * block. Returns 0 when nothing is left, or what is fails. */
static int flush_now(struct io_stream *s)
{
	FILE *fp = s->fp;
	size_t left;
	ssize_t n;

	while ((left = __fpending(fp)) > 0) {
		n = write_now(s, fp->_IO_write_base, left);
		if (n == 0)
			return LUA_BLOCKING_POOL;
		if (n < 0)
			return 0;
		memmove(fp->_IO_write_base, fp->_IO_write_base + n,
			left - (size_t)n);
		fp->_IO_write_ptr -= n;
	}
	return 0;
}

/* Memory, and a file that standard output was sent to: print() is not to give
 * others a turn because of a disk. */
static bool is_written_here(const struct io_stream *s)
{
	return s->kind == IO_MEMORY || (s->standard && s->kind == IO_REGULAR);
}

int lua_io_flush_step(struct io_stream *s)
{
	size_t pending = __fpending(s->fp);

	if (pending == 0 || is_written_here(s))
		return 0;
	if (s->kind != IO_CHILD)
		return flush_now(s);
	if (pending > PIPE_BUF)
		return LUA_BLOCKING_POOL;
	if (!takes_page(s))
		return POLLOUT;
	return 0;
}

/* The same for bytes that do not go into the buffer. Returns 0: go on. */
static int put_now(struct io_stream *s, const char *data, size_t size,
		   size_t *ret_n, int *ret_err)
{
	ssize_t n;
	int rc;

	*ret_n = 0;
	rc = flush_now(s);
	if (rc != 0 || lua_io_room(s) >= size)
		return rc;
	if (__fpending(s->fp) > 0) { /* it fails; let the library find out */
		*ret_err = fflush_unlocked(s->fp) != 0 ? errno : 0;
		return 0;
	}
	n = write_now(s, data, size);
	if (n == 0)
		return LUA_BLOCKING_POOL;
	if (n < 0)
		*ret_err = errno;
	else
		*ret_n = (size_t)n;
	return 0;
}

/* Write what is left, as far as it goes; the lock is held. */
static int write_some(struct writing *w)
{
	struct io_stream *s = w->s;
	size_t n, room;
	int rc;

	while (w->done < w->size && w->err == 0) {
		n = w->size - w->done;
		room = is_written_here(s) ? n : lua_io_room(s);
		errno = 0;
		if (room < n && s->kind != IO_CHILD) {
			rc = put_now(s, w->data + w->done, n, &n, &w->err);
			if (rc != 0)
				return rc;
			w->done += n;
			continue;
		}
		if (room == 0) { /* a full buffer, or none */
			rc = lua_io_flush_step(s);
			if (rc != 0)
				return rc;
			if (!takes_page(s))
				return POLLOUT;
			if (__fpending(s->fp) > 0) {
				if (fflush_unlocked(s->fp) != 0)
					w->err = errno;
				continue;
			}
			room = PIPE_BUF;
		}
		n = fwrite_unlocked(w->data + w->done, 1, n < room ? n : room,
				    s->fp);
		w->done += n;
		if (n == 0)
			w->err = errno;
	}
	return 0;
}

static int step(struct lua_blocking *op)
{
	struct writing *w = (struct writing *)op; /* base comes first */
	int rc;

	if (w->s->fp == NULL || ftrylockfile(w->s->fp) != 0)
		return LUA_BLOCKING_POOL;
	op->fd = fileno_unlocked(w->s->fp);
	rc = write_some(w);
	funlockfile(w->s->fp);
	return rc;
}

static void run(struct lua_blocking *op)
{
	struct writing *w = (struct writing *)op;

	if (w->s->fp == NULL) {
		w->err = EBADF;
		return;
	}
	flockfile(w->s->fp);
	errno = 0;
	if (w->done < w->size && w->err == 0 &&
	    fwrite_unlocked(w->data + w->done, 1, w->size - w->done,
			    w->s->fp) != w->size - w->done)
		w->err = errno;
	funlockfile(w->s->fp);
}

static int push(lua_State *L, struct lua_blocking *op)
{
	return lua_io_push_result(L, ((struct writing *)op)->err, NULL);
}

/* print(): nothing, or the number of the failure. */
static int push_print(lua_State *L, struct lua_blocking *op)
{
	lua_pushinteger(L, ((struct writing *)op)->err);
	return 1;
}

static void destroy(struct lua_blocking *op)
{
	mem_free(op);
}

static const struct lua_blocking_kind writing_kind = {
	.name = "writing to a file",
	.step = step,
	.run = run,
	.push = push,
	.destroy = destroy,
	.rest = LUA_BLOCKING_FINISH,
};

static const struct lua_blocking_kind print_kind = {
	.name = "writing to standard output",
	.step = step,
	.run = run,
	.push = push_print,
	.destroy = destroy,
	.rest = LUA_BLOCKING_FINISH,
};

/* The strings from @a first on, when all of them go in at once. */
static bool write_fast(lua_State *L, struct io_stream *s, int first, int last,
		       size_t total, bool line)
{
	bool fits;

	if (lua_lane_is_busy(&s->lane) || ftrylockfile(s->fp) != 0)
		return false;
	fits = total <= lua_io_room(s);
	for (int i = first; fits && i <= last; i++) {
		size_t size;
		const char *text = lua_tolstring(L, i, &size);

		if (line && i > first)
			putc_unlocked('\t', s->fp);
		fwrite_unlocked(text, 1, size, s->fp);
	}
	if (fits && line)
		putc_unlocked('\n', s->fp);
	funlockfile(s->fp);
	return fits;
}

static struct writing *collect(lua_State *L, struct io_stream *s, int first,
			       int last, size_t total, bool line)
{
	struct writing *w = mem_alloc(sizeof *w + total);

	if (w == NULL)
		return NULL;
	memset(w, 0, sizeof *w);
	w->base.kind = line ? &print_kind : &writing_kind;
	w->base.lane = lua_lane_ref(&s->lane);
	w->s = s;
	for (int i = first; i <= last; i++) {
		size_t size;
		const char *text = lua_tolstring(L, i, &size);

		if (line && i > first)
			w->data[w->size++] = '\t';
		memcpy(w->data + w->size, text, size);
		w->size += size;
	}
	if (line)
		w->data[w->size++] = '\n';
	return w;
}

/* The strings at @a first to @a last; numbers have become strings. */
static int write_strings(lua_State *L, struct io_stream *s, int first, int last,
			 bool line)
{
	struct writing *w;
	size_t total = 0, size;

	for (int i = first; i <= last; i++) {
		lua_tolstring(L, i, &size);
		total += size;
	}
	if (line)
		total += last < first ? 1 : (size_t)(last - first) + 1;
	if (write_fast(L, s, first, last, total, line)) {
		lua_pushboolean(L, 1);
		if (line)
			lua_pushinteger(L, 0);
		else
			lua_pushboolean(L, 1);
		return 2;
	}
	w = collect(L, s, first, last, total, line);
	if (w == NULL)
		return luaL_error(L, "not enough memory");
	return lua_blocking_do(L, &w->base);
}

/* write(file, ...) */
int lua_io_write(lua_State *L)
{
	struct io_stream *s = lua_io_check(L, 1);
	int n = lua_gettop(L);

	for (int i = 2; i <= n; i++)
		lua_arg_string(L, i, NULL);
	return write_strings(L, s, 2, n, false);
}

/* print(file, ...): file is standard output, the rest what print() got. Gives
 * true and an errno, or a status. */
int lua_io_print(lua_State *L)
{
	struct io_stream *s = lua_io_check(L, 1);
	int n = lua_gettop(L);

	lua_getglobal(L, "tostring");
	for (int i = 2; i <= n; i++) {
		lua_pushvalue(L, -1);
		lua_pushvalue(L, i);
		lua_call(L, 1, 1);
		if (lua_tostring(L, -1) == NULL)
			return lua_arg_fail(L, "'tostring' must return a "
					       "string to 'print'");
		lua_replace(L, i);
	}
	return write_strings(L, s, 2, n, true);
}

/* --- flush and seek --- */

struct moving {
	struct lua_blocking base;
	struct io_stream *s;
	bool flush;
	int whence;
	off_t offset;
	off_t at;
	int err;
};

static void move(struct moving *m)
{
	errno = 0;
	m->err = 0;
	if (m->s->fp == NULL) {
		m->err = EBADF;
	} else if (m->flush) {
		if (fflush(m->s->fp) != 0)
			m->err = errno;
	} else if (fseeko(m->s->fp, m->offset, m->whence) != 0) {
		m->err = errno;
	} else {
		m->at = ftello(m->s->fp);
		m->err = m->at < 0 ? errno : 0;
	}
}

static int move_step(struct lua_blocking *op)
{
	struct moving *m = (struct moving *)op; /* base comes first */
	int rc;

	if (m->s->fp == NULL || ftrylockfile(m->s->fp) != 0)
		return LUA_BLOCKING_POOL;
	op->fd = fileno_unlocked(m->s->fp);
	rc = lua_io_flush_step(m->s);
	if (rc == 0)
		move(m);
	funlockfile(m->s->fp);
	return rc;
}

static void move_run(struct lua_blocking *op)
{
	move((struct moving *)op);
}

static int move_push(lua_State *L, struct lua_blocking *op)
{
	struct moving *m = (struct moving *)op;

	if (m->err != 0 || m->flush)
		return lua_io_push_result(L, m->err, NULL);
	lua_pushnumber(L, (lua_Number)m->at);
	return 1;
}

static const struct lua_blocking_kind moving_kind = {
	.name = "flushing of a file",
	.step = move_step,
	.run = move_run,
	.push = move_push,
	.destroy = destroy,
	.rest = LUA_BLOCKING_FINISH,
};

static int do_move(lua_State *L, struct io_stream *s, bool flush, int whence,
		   off_t offset)
{
	struct moving *m = mem_zalloc(sizeof *m);

	if (m == NULL)
		return luaL_error(L, "not enough memory");
	m->base.kind = &moving_kind;
	m->base.lane = lua_lane_ref(&s->lane);
	m->s = s;
	m->flush = flush;
	m->whence = whence;
	m->offset = offset;
	return lua_blocking_do(L, &m->base);
}

/* flush(file) */
int lua_io_flush(lua_State *L)
{
	return do_move(L, lua_io_check(L, 1), true, 0, 0);
}

/* seek(file, whence, offset) */
int lua_io_seek(lua_State *L)
{
	static const char *const names[] = { "set", "cur", "end", NULL };
	static const int whences[] = { SEEK_SET, SEEK_CUR, SEEK_END };
	struct io_stream *s = lua_io_check(L, 1);
	int whence = whences[lua_arg_option(L, 2, "cur", names)];
	double offset = lua_isnoneornil(L, 3) ? 0 : lua_arg_number(L, 3);

	if (!(offset >= -9007199254740992.0 && offset <= 9007199254740992.0))
		return lua_arg_error(L, 3, "out of range");
	return do_move(L, s, false, whence, (off_t)offset);
}

/* setvbuf(file, mode, size) */
int lua_io_setvbuf(lua_State *L)
{
	static const char *const names[] = { "full", "line", "no", NULL };
	static const int modes[] = { _IOFBF, _IOLBF, _IONBF };
	struct io_stream *s = lua_io_check(L, 1);
	int mode = modes[lua_arg_option(L, 2, NULL, names)];
	double size = lua_isnoneornil(L, 3) ? BUFSIZ : lua_arg_number(L, 3);
	int rc;

	if (!(size >= 0 && size <= INT_MAX))
		return lua_arg_error(L, 3, "out of range");
	/* Without a buffer of ours the size is the library's choice. */
	rc = setvbuf(s->fp, NULL, mode, (size_t)size);
	lua_pushboolean(L, 1);
	return 1 + lua_io_push_result(L, rc == 0 ? 0 : errno, NULL);
}
