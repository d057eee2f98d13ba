/*
 * file:read(). A read takes what the FILE has buffered, and fills the buffer
 * again only when that does not block: a file whose next bytes are in memory, a
 * pipe that has some. Else the fiber waits, for the pipe, or for a thread that
 * reads the rest.
 */
#include <ctype.h>
#include <errno.h>
#include <lauxlib.h>
#include <poll.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/inject.h"
#include "lua/lua_arg.h"
#include "lua/lua_class.h"
#include "lua/lua_io.h"

enum {
	PROBE = 4096,            /* what a FILE reads at once */
	STEP_MAX = 256 * 1024,   /* bytes on the loop's thread in one go */
	STRING_MAX = 0x7fffff00, /* of a Lua string */
	NUMBER_MAX = 200,        /* characters of a number */
	FILLED = -1,             /* there is a byte, or the end */
};

enum read_kind { READ_LINE, READ_FULL_LINE, READ_ALL, READ_NUMBER, READ_COUNT };

/* One wish, and what came of it. */
struct wish {
	enum read_kind kind;
	bool done;
	bool ok;
	size_t count; /* READ_COUNT: bytes wanted */
	size_t start; /* of what was read, in the buffer */
	size_t size;
};

struct reading {
	struct lua_blocking base;
	struct io_stream *s;
	struct buf out;
	int err;       /* errno, once it has failed */
	bool blocking; /* on a thread */
	bool begun;
	size_t taken; /* in this step */
	int n;
	int at; /* the wish that is read for */
	struct wish wishes[];
};

/* Are the next bytes of a regular file in memory? */
static bool is_cached(struct io_stream *s, int fd)
{
	static __thread char scratch[PROBE];
	struct iovec v = { scratch, sizeof scratch };
	off_t at;
	ssize_t n;
	struct stat st;

	if (s->no_probe)
		return false;
	at = lseek(fd, 0, SEEK_CUR);
	if (at < 0)
		return false;
	n = preadv2(fd, &v, 1, at, RWF_NOWAIT);
	if (n < 0)
		s->no_probe = errno == EOPNOTSUPP;
	if (n <= 0)
		return n == 0;
	return n == PROBE || (fstat(fd, &st) == 0 && at + n >= st.st_size);
}

/* May the buffer be filled on this thread? 0, or what to wait for. */
static int may_fill(struct reading *r)
{
	struct io_stream *s = r->s;
	int fd = fileno_unlocked(s->fp);
	struct pollfd p = { .fd = fd, .events = POLLIN };

	if (__fpending(s->fp) > 0 || r->taken > STEP_MAX)
		return s->kind >= IO_SHARED && __fpending(s->fp) == 0
			       ? POLLIN
			       : LUA_BLOCKING_POOL;
	switch (s->kind) {
	case IO_MEMORY:
		return 0;
	case IO_REGULAR:
		return is_cached(s, fd) ? 0 : LUA_BLOCKING_POOL;
	default:
		r->base.fd = fd;
		return poll(&p, 1, 0) == 1 ? 0 : POLLIN;
	}
}

static size_t buffered(FILE *fp)
{
	return fp->_IO_read_end > fp->_IO_read_ptr
		       ? (size_t)(fp->_IO_read_end - fp->_IO_read_ptr)
		       : 0;
}

/* See to it that there is a byte. FILLED, unless it has to be waited for. */
static int fill(struct reading *r)
{
	FILE *fp = r->s->fp;
	int c, want;

	if (buffered(fp) > 0 || feof_unlocked(fp) || ferror_unlocked(fp))
		return FILLED;
	want = r->blocking ? 0 : may_fill(r);
	if (want != 0)
		return want;
	errno = 0;
	c = getc_unlocked(fp);
	if (c != EOF)
		ungetc(c, fp);
	else if (ferror_unlocked(fp))
		r->err = errno;
	return FILLED;
}

/* Take @a n bytes from the FILE's buffer. */
static bool take(struct reading *r, size_t n)
{
	char *to = buf_reserve(&r->out, n);

	if (to == NULL) {
		r->err = ENOMEM;
		return false;
	}
	r->out.size += fread_unlocked(to, 1, n, r->s->fp);
	r->taken += n;
	return true;
}

static int read_line(struct reading *r, struct wish *w)
{
	FILE *fp = r->s->fp;
	const char *end;
	size_t n;
	int rc;

	for (;;) {
		rc = fill(r);
		if (rc != FILLED)
			return rc;
		n = buffered(fp);
		if (n == 0 || r->err != 0)
			break;
		end = memchr(fp->_IO_read_ptr, '\n', n);
		if (end != NULL)
			n = (size_t)(end - fp->_IO_read_ptr) + 1;
		if (!take(r, n))
			break;
		if (end == NULL)
			continue;
		w->ok = true;
		if (w->kind == READ_LINE)
			r->out.size--;
		break;
	}
	w->ok = w->ok || r->out.size > w->start;
	return FILLED;
}

static int read_bytes(struct reading *r, struct wish *w, size_t count)
{
	size_t n;
	int rc;

	while (r->out.size - w->start < count || count == 0) {
		rc = fill(r);
		if (rc != FILLED)
			return rc;
		n = buffered(r->s->fp);
		if (count == 0)
			w->ok = n > 0;
		if (count == 0 || n == 0 || r->err != 0)
			return FILLED;
		if (n > count - (r->out.size - w->start))
			n = count - (r->out.size - w->start);
		if (!take(r, n))
			return FILLED;
		w->ok = true;
	}
	return FILLED;
}

/* The byte that comes next; EOF; or *ret_want is what has to be waited for. */
static int peek(struct reading *r, int *ret_want)
{
	int rc = fill(r);

	if (rc != FILLED) {
		*ret_want = rc;
		return EOF;
	}
	return buffered(r->s->fp) > 0 ? (unsigned char)*r->s->fp->_IO_read_ptr
				      : EOF;
}

/* A number as far as it was read. */
struct numeral {
	bool hex, dot, exponent;
	size_t digits;
	char last;
};

static struct numeral parse_numeral(const char *s, size_t n)
{
	struct numeral num = { .last = n > 0 ? s[n - 1] : '\0' };
	size_t i = n > 0 && (s[0] == '+' || s[0] == '-');

	if (n - i >= 2 && s[i] == '0' && (s[i + 1] | 32) == 'x') {
		num.hex = true;
		i += 2;
	}
	for (; i < n; i++) {
		if (s[i] == '.')
			num.dot = true;
		else if ((s[i] | 32) == (num.hex ? 'p' : 'e'))
			num.exponent = true;
		else
			num.digits++;
	}
	return num;
}

/* Could @a c go on a number that begins with @a s? What strtod() then makes of
 * it counts; this only says where to stop, as scanf() would. */
static bool goes_on(const char *s, size_t n, int c)
{
	struct numeral num = parse_numeral(s, n);
	int mark = num.hex ? 'p' : 'e';

	if (c >= '0' && c <= '9')
		return true;
	if (c == '+' || c == '-')
		return n == 0 || (num.exponent && (num.last | 32) == mark);
	if (c == '.')
		return !num.dot && !num.exponent;
	if ((c | 32) == 'x')
		return !num.hex && !num.dot && num.digits == 1 &&
		       num.last == '0';
	if ((c | 32) == mark)
		return !num.exponent && num.digits > 0;
	return num.hex && !num.exponent && isxdigit(c);
}

/* The words that strtod() knows. */
static bool goes_on_word(const char *s, size_t n, int c)
{
	static const char *const words[] = { "infinity", "nan" };
	size_t sign = n > 0 && (s[0] == '+' || s[0] == '-');

	for (size_t i = 0; i < 2; i++) {
		if (n - sign < strlen(words[i]) &&
		    strncasecmp(words[i], s + sign, n - sign) == 0 &&
		    words[i][n - sign] == (c | 32))
			return true;
	}
	return false;
}

static int read_number(struct reading *r, struct wish *w)
{
	const char *s;
	int want = 0, c;
	size_t n;

	for (;;) {
		c = peek(r, &want);
		if (want != 0)
			return want;
		n = r->out.size - w->start;
		if (n == 0 && c != EOF && strchr(" \t\n\v\f\r", c) != NULL &&
		    c != 0) {
			getc_unlocked(r->s->fp);
			continue;
		}
		s = n > 0 ? r->out.data + w->start : "";
		if (c == EOF || n >= NUMBER_MAX ||
		    !(goes_on(s, n, c) || goes_on_word(s, n, c)))
			break;
		if (!take(r, 1))
			break;
	}
	w->ok = n > 0;
	return FILLED;
}

static int read_one(struct reading *r, struct wish *w)
{
	switch (w->kind) {
	case READ_LINE:
	case READ_FULL_LINE:
		return read_line(r, w);
	case READ_NUMBER:
		return read_number(r, w);
	case READ_COUNT:
		return read_bytes(r, w, w->count);
	case READ_ALL:
		break;
	}
	w->ok = true;
	return read_bytes(r, w, STRING_MAX);
}

static int advance(struct reading *r)
{
	int rc;

	r->taken = 0;
	/* The end of the file and errors are looked for anew each time. */
	if (!r->begun)
		clearerr_unlocked(r->s->fp);
	r->begun = true;
	while (r->at < r->n && r->err == 0) {
		struct wish *w = &r->wishes[r->at];

		rc = read_one(r, w);
		if (rc != FILLED)
			return rc;
		w->size = r->out.size - w->start;
		w->done = true;
		if (!w->ok)
			break;
		if (++r->at < r->n)
			r->wishes[r->at].start = r->out.size;
	}
	return 0;
}

static int step(struct lua_blocking *op)
{
	struct reading *r = (struct reading *)op; /* base comes first */
	int rc;

	if (r->s->fp == NULL)
		return LUA_BLOCKING_POOL;
	if (ftrylockfile(r->s->fp) != 0)
		return LUA_BLOCKING_POOL;
	rc = advance(r);
	funlockfile(r->s->fp);
	return rc;
}

static void run(struct lua_blocking *op)
{
	struct reading *r = (struct reading *)op;

	r->blocking = true;
	if (r->s->fp == NULL) {
		r->err = EBADF;
		return;
	}
	flockfile(r->s->fp);
	advance(r);
	funlockfile(r->s->fp);
}

static void push_number(lua_State *L, struct reading *r, const struct wish *w)
{
	char text[NUMBER_MAX + 1];
	char *end;
	double d;

	memcpy(text, r->out.data + w->start, w->size);
	text[w->size] = '\0';
	d = strtod(text, &end);
	if (end == text || *end != '\0')
		lua_pushnil(L);
	else
		lua_pushnumber(L, d);
}

static int push(lua_State *L, struct lua_blocking *op)
{
	struct reading *r = (struct reading *)op;
	int n = 0;

	if (r->err == ENOMEM)
		return luaL_error(L, "not enough memory");
	if (r->err != 0)
		return lua_io_push_result(L, r->err, NULL);
	luaL_checkstack(L, r->n, "too many results");
	for (; n < r->n && r->wishes[n].done; n++) {
		struct wish *w = &r->wishes[n];

		if (!w->ok)
			lua_pushnil(L);
		else if (w->kind == READ_NUMBER)
			push_number(L, r, w);
		else
			lua_pushlstring(
				L, w->size > 0 ? r->out.data + w->start : "",
				w->size);
		if (lua_isnil(L, -1))
			return n + 1;
	}
	return n;
}

static void destroy(struct lua_blocking *op)
{
	struct reading *r = (struct reading *)op;

	buf_destroy(&r->out);
	mem_free(r);
}

static const struct lua_blocking_kind reading_kind = {
	.name = "reading of a file",
	.step = step,
	.run = run,
	.push = push,
	.destroy = destroy,
};

static enum read_kind check_format(lua_State *L, int arg, size_t *ret_count)
{
	const char *s;
	double n;

	*ret_count = 0;
	if (lua_type(L, arg) == LUA_TNUMBER) {
		n = lua_tonumber(L, arg);
		*ret_count = n > 0 ? n > STRING_MAX ? STRING_MAX : (size_t)n
				   : 0;
		return READ_COUNT;
	}
	s = lua_type(L, arg) == LUA_TSTRING ? lua_tostring(L, arg) : NULL;
	if (s == NULL)
		lua_arg_error(L, arg, "invalid option");
	if (*s == '*')
		s++;
	switch (*s) {
	case 'n':
		return READ_NUMBER;
	case 'l':
		return READ_LINE;
	case 'L':
		return READ_FULL_LINE;
	case 'a':
		return READ_ALL;
	}
	return (enum read_kind)lua_arg_error(L, arg, "invalid format");
}

/* read(file, formats...) */
int lua_io_read(lua_State *L)
{
	struct io_stream *s = lua_io_check(L, 1);
	int n = lua_gettop(L) - 1;
	struct reading *r;
	size_t count;

	for (int i = 0; i < n; i++)
		check_format(L, 2 + i, &count);
	r = mem_zalloc(sizeof *r + (size_t)(n + 1) * sizeof r->wishes[0]);
	if (r == NULL)
		return luaL_error(L, "not enough memory");
	r->base.kind = &reading_kind;
	r->base.lane = lua_lane_ref(&s->lane);
	r->s = s;
	r->out.limit = STRING_MAX;
	r->n = n > 0 ? n : 1;
	for (int i = 0; i < n; i++)
		r->wishes[i].kind = check_format(L, 2 + i, &r->wishes[i].count);
	return lua_blocking_do(L, &r->base);
}
