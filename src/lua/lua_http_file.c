/*
 * Files for `http.server`, C half: opened and looked at on a thread of the pool,
 * sent by the loop.
 *
 * A small file is read when it is opened and closed at once: one turn on a
 * thread, one write. A large one is held open; its descriptor goes when the
 * object and the work on it have let go of it, so that a thread never reads a
 * stranger's file under its number. Which of them stay open is the Lua half's
 * to say: one that was shut is opened again, if it still is the same.
 */
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/inject.h"
#include "base/log.h"
#include "lua/lua_blocking.h"
#include "lua/lua_call.h"
#include "lua/lua_class.h"
#include "lua/lua_error.h"
#include "lua/lua_fiber.h"
#include "lua/lua_http.h"
#include "net/beneath.h"
#include "net/http_media.h"

enum {
	SMALL = 65536,      /* read at once */
	FETCH_STEP = 65536, /* of a turn that is fetched from a disk */
	OPEN_SHARE = 16,    /* of the descriptors: one in so many */
	OPEN_MIN = 4,
	OPEN_MAX_FILES = 512,
};

/** A file that is open. */
struct file {
	int fd;
	unsigned refs; /* of the object and of each operation; atomic */
};

/** The object. */
struct file_box {
	struct file *file; /* NULL: shut */
	dev_t dev;         /* which file it is, and in which state */
	ino_t ino;
	struct timespec modified;
	uint64_t size;
};

static void file_unref(struct file *f)
{
	if (f == NULL || __atomic_sub_fetch(&f->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	close(f->fd);
	mem_free(f);
}

/* --- opening --- */

/** What is at a path. */
enum found {
	FOUND_NOTHING,
	FOUND_FILE,
	FOUND_FOLDER,
	FOUND_BUSY, /* no descriptor, no memory: it may be there */
	FOUND_FAULT,
};

/** Opens a file and gives what is known of it. */
struct open_op {
	struct lua_blocking base;
	enum beneath_links links;
	bool contents; /* of a small one are wanted */
	char *folder;
	char *path;
	const char *suffixes[4]; /* to be tried behind the path, in order */
	unsigned suffix_count;
	enum found found;
	int err;
	const char *suffix; /* the one it was found with */
	struct stat st;
	struct file *file; /* NULL: none, or taken */
	char *data;        /* the contents of a small one; NULL: none */
};

static enum found why_not(struct open_op *o, int rc)
{
	switch (rc) {
	case UV_EMFILE:
	case UV_ENFILE:
	case UV_ENOMEM:
		return FOUND_BUSY;
	case UV_EIO:
		o->err = rc;
		return FOUND_FAULT;
	default: /* missing, forbidden, leads outside: nobody's business */
		return FOUND_NOTHING;
	}
}

/* The whole of a small file, which is closed: a descriptor less. Returns
 * FOUND_FILE or what went wrong. */
static enum found read_small(struct open_op *o)
{
	size_t size = (size_t)o->st.st_size, done = 0;
	char *data = mem_alloc(size > 0 ? size : 1);
	ssize_t n = 1;

	if (data == NULL)
		return FOUND_BUSY;
	while (done < size && n > 0) {
		n = pread(o->file->fd, data + done, size - done, (off_t)done);
		if (n < 0 && errno == EINTR)
			n = 1;
		else if (n > 0)
			done += n;
	}
	if (done < size) { /* it shrinks while it is read */
		o->err = n < 0 ? -errno : UV_EIO;
		mem_free(data);
		return FOUND_FAULT;
	}
	o->data = data;
	file_unref(o->file);
	o->file = NULL;
	return FOUND_FILE;
}

static enum found look(struct open_op *o, const char *path)
{
	struct file *f = mem_alloc(sizeof *f);
	int fd;

	if (f == NULL)
		return FOUND_BUSY;
	fd = beneath_open(o->folder, path, o->links);
	if (fd < 0) {
		mem_free(f);
		return why_not(o, fd);
	}
	*f = (struct file){ .fd = fd, .refs = 1 };
	o->file = f;
	if (fstat(fd, &o->st) != 0)
		return why_not(o, -errno);
	if (S_ISDIR(o->st.st_mode))
		return FOUND_FOLDER;
	if (!S_ISREG(o->st.st_mode))
		return FOUND_NOTHING;
	if (o->contents && o->st.st_size <= SMALL)
		return read_small(o);
	return FOUND_FILE;
}

static void open_run(struct lua_blocking *op)
{
	struct open_op *o = (struct open_op *)op; /* base comes first */
	char path[PATH_MAX];

	for (unsigned i = 0; i < o->suffix_count; i++) {
		size_t size = strlen(o->path), more = strlen(o->suffixes[i]);

		if (size + more >= sizeof path) {
			o->found = FOUND_NOTHING;
			return;
		}
		memcpy(path, o->path, size);
		memcpy(path + size, o->suffixes[i], more + 1);
		o->suffix = o->suffixes[i];
		o->found = look(o, path);
		if (o->found == FOUND_FILE || o->found == FOUND_BUSY ||
		    (o->found == FOUND_FOLDER && more == 0))
			return;
		file_unref(o->file);
		o->file = NULL;
	}
}

static int push_box(lua_State *L, struct open_op *o)
{
	struct file_box *box =
		lua_class_box(L, LUA_CLASS_HTTP_FILE, sizeof *box);

	*box = (struct file_box){
		.file = o->file,
		.dev = o->st.st_dev,
		.ino = o->st.st_ino,
		.modified = o->st.st_mtim,
		.size = (uint64_t)o->st.st_size,
	};
	o->file = NULL;
	return 1;
}

/* -> "file", suffix, size, seconds, nanoseconds, contents | file object
 *    "nothing" | "folder" | "busy"
 *    "fault", err */
static int open_push(lua_State *L, struct lua_blocking *op)
{
	static const char *const names[] = {
		[FOUND_NOTHING] = "nothing", [FOUND_FILE] = "file",
		[FOUND_FOLDER] = "folder",   [FOUND_BUSY] = "busy",
		[FOUND_FAULT] = "fault",
	};
	struct open_op *o = (struct open_op *)op;

	lua_pushstring(L, names[o->found]);
	if (o->found == FOUND_FAULT) {
		diag_set_system(o->err, "cannot read %s in %s", o->path,
				o->folder);
		lua_error_push_diag(L);
		return 2;
	}
	if (o->found != FOUND_FILE)
		return 1;
	lua_pushstring(L, o->suffix);
	lua_pushnumber(L, (lua_Number)o->st.st_size);
	lua_pushnumber(L, (lua_Number)o->st.st_mtim.tv_sec);
	lua_pushnumber(L, (lua_Number)o->st.st_mtim.tv_nsec);
	if (o->data != NULL)
		lua_pushlstring(L, o->data, (size_t)o->st.st_size);
	else
		push_box(L, o);
	return 6;
}

static void open_destroy(struct lua_blocking *op)
{
	struct open_op *o = (struct open_op *)op;

	file_unref(o->file);
	mem_free(o->data);
	mem_free(o->folder);
	mem_free(o->path);
	mem_free(o);
}

static const struct lua_blocking_kind open_kind = {
	.name = "opening a file for an answer",
	.run = open_run,
	.push = open_push,
	.destroy = open_destroy,
};

/* Which of the encodings in @a list, as "bz", letters for .br, .zst and .gz,
 * are tried first. */
static void add_suffixes(struct open_op *o, const char *list)
{
	for (; *list != '\0' && o->suffix_count < 3; list++)
		o->suffixes[o->suffix_count++] = *list == 'b'   ? ".br"
						 : *list == 'z' ? ".zst"
								: ".gz";
	o->suffixes[o->suffix_count++] = "";
}

/* open(folder, path, links, encodings, contents) -> true, ... | status */
static int l_open(lua_State *L)
{
	const char *folder = luaL_checkstring(L, 1);
	const char *path = luaL_checkstring(L, 2);
	int links = luaL_checkint(L, 3);
	const char *encodings = luaL_checkstring(L, 4);
	struct open_op *o = mem_zalloc(sizeof *o);

	if (o == NULL)
		return luaL_error(L, "not enough memory");
	o->base.kind = &open_kind;
	o->links = links;
	o->contents = lua_toboolean(L, 5);
	o->folder = mem_strdup(folder);
	o->path = mem_strdup(path);
	add_suffixes(o, encodings);
	if (o->folder == NULL || o->path == NULL) {
		open_destroy(&o->base);
		return luaL_error(L, "not enough memory");
	}
	return lua_blocking_do(L, &o->base);
}

/* --- fetching what is not in memory --- */

struct fetch_op {
	struct lua_blocking base;
	struct file *file;
	uint64_t offset;
	size_t size;
	bool keep; /* the bytes themselves are wanted */
	size_t done;
	char *data;
};

static void fetch_run(struct lua_blocking *op)
{
	struct fetch_op *o = (struct fetch_op *)op;
	size_t step = o->keep ? o->size : FETCH_STEP;
	ssize_t n;

	o->data = mem_alloc(step);
	if (o->data == NULL)
		return;
	while (o->done < o->size) {
		size_t want = o->size - o->done;

		n = pread(o->file->fd, o->data + (o->keep ? o->done : 0),
			  want < step ? want : step,
			  (off_t)(o->offset + o->done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		o->done += n;
	}
}

static int fetch_push(lua_State *L, struct lua_blocking *op)
{
	struct fetch_op *o = (struct fetch_op *)op;

	lua_pushboolean(L, o->done == o->size);
	if (!o->keep || o->done < o->size)
		return 1;
	lua_pushlstring(L, o->data, o->done);
	return 2;
}

static void fetch_destroy(struct lua_blocking *op)
{
	struct fetch_op *o = (struct fetch_op *)op;

	file_unref(o->file);
	mem_free(o->data);
	mem_free(o);
}

static const struct lua_blocking_kind fetch_kind = {
	.name = "reading a file for an answer",
	.run = fetch_run,
	.push = fetch_push,
	.destroy = fetch_destroy,
};

static struct file_box *check_box(lua_State *L, int idx)
{
	return lua_class_check(L, idx, LUA_CLASS_HTTP_FILE);
}

/* fetch(file, offset, size, keep) -> true, whole, text | nil | status: a turn
 * of the file, into the system's memory or ours. */
static int l_fetch(lua_State *L)
{
	struct file_box *box = check_box(L, 1);
	double offset = luaL_checknumber(L, 2), size = luaL_checknumber(L, 3);
	struct fetch_op *o;

	if (box->file == NULL)
		return luaL_error(L, "the file is shut");
	o = mem_zalloc(sizeof *o);
	if (o == NULL)
		return luaL_error(L, "not enough memory");
	o->base.kind = &fetch_kind;
	o->keep = lua_toboolean(L, 4);
	o->offset = (uint64_t)offset;
	o->size = size < HTTP_FILE_TURN ? (size_t)size : HTTP_FILE_TURN;
	if (o->keep && o->size > SMALL)
		o->size = SMALL;
	__atomic_fetch_add(&box->file->refs, 1, __ATOMIC_RELAXED);
	o->file = box->file;
	return lua_blocking_do(L, &o->base);
}

/* --- sending --- */

/* send_file(req, file, offset, size, fetched) -> how much was sent | nil and
 * what has to happen first: "wait", "fetch", "open", "read"; or why no more can
 * be: "gone", "short", "fault" */
static int l_send_file(lua_State *L)
{
	struct http_request *req = lua_http_find_request(L, 1);
	struct file_box *box = check_box(L, 2);
	double offset = luaL_checknumber(L, 3), size = luaL_checknumber(L, 4);
	const char *what;
	ssize_t n;

	if (req == NULL || !http_request_is_begun(req))
		n = UV_ECONNRESET;
	else if (box->file == NULL)
		n = UV_EBADF;
	else
		n = http_request_send_file(
			req, box->file->fd, (uint64_t)offset,
			size < HTTP_FILE_TURN ? (size_t)size : HTTP_FILE_TURN,
			lua_toboolean(L, 5));
	if (n >= 0) {
		lua_pushnumber(L, (lua_Number)n);
		return 1;
	}
	switch (n) {
	case UV_EAGAIN:
		what = "wait";
		break;
	case UV_EBUSY:
		what = "fetch";
		break;
	case UV_EBADF:
		what = "open";
		break;
	case UV_ENOTSUP:
		what = "read";
		break;
	case UV_EOF:
		what = "short";
		break;
	case UV_EIO:
		what = "fault";
		break;
	default:
		what = "gone";
		break;
	}
	lua_pushnil(L);
	lua_pushstring(L, what);
	return 2;
}

/* total() -> how long the running fiber has computed */
static int l_total(lua_State *L)
{
	lua_pushnumber(L, (lua_Number)lua_wait_check(L)->total_ns);
	return 1;
}

/* wait_sent(req, total) -> status: until all has left; if it has, until the others
 * have had their turn. @total: how long the fiber had computed before. */
static int l_wait_sent(lua_State *L)
{
	struct http_request *req = lua_http_find_request(L, 1);
	uint64_t before = (uint64_t)luaL_checknumber(L, 2);
	struct fiber *self = lua_wait_check(L);

	/* Moving the bytes is the system's work, not the script's: the limit of
	 * all its time is not for files, however large. */
	if (!(self->flags & FIBER_CANCELLED) && self->total_ns > before)
		self->total_ns = before;
	if (req == NULL || http_request_is_sent(req))
		fiber_yield_begin(self);
	else
		cond_wait_begin(http_request_ready(req), self, UINT64_MAX);
	return lua_wait(L);
}

/* --- the object --- */

/* shut(file): it may be opened again. */
static int l_shut(lua_State *L)
{
	struct file_box *box = check_box(L, 1);
	struct file *f = box->file;

	box->file = NULL;
	file_unref(f);
	return 0;
}

/* adopt(file, other) -> boolean: take over what @other has open, if it is the
 * same file in the same state. */
static int l_adopt(lua_State *L)
{
	struct file_box *box = check_box(L, 1), *other = check_box(L, 2);
	bool same = box->dev == other->dev && box->ino == other->ino &&
		    box->size == other->size &&
		    box->modified.tv_sec == other->modified.tv_sec &&
		    box->modified.tv_nsec == other->modified.tv_nsec;

	if (same && box->file == NULL) {
		box->file = other->file;
		other->file = NULL;
	}
	lua_pushboolean(L, same);
	return 1;
}

/* open_max() -> how many may be open at once */
static int l_open_max(lua_State *L)
{
	struct rlimit limit = { .rlim_cur = 1024 };
	unsigned long n;

	getrlimit(RLIMIT_NOFILE, &limit);
	n = limit.rlim_cur / OPEN_SHARE;
	lua_pushinteger(L, n < OPEN_MIN         ? OPEN_MIN
			   : n > OPEN_MAX_FILES ? OPEN_MAX_FILES
						: (lua_Integer)n);
	return 1;
}

/* media_type(name) -> string */
static int l_media_type(lua_State *L)
{
	size_t size;
	const char *name = luaL_checklstring(L, 1, &size);

	lua_pushstring(L, http_media_type(name, size));
	return 1;
}

/* warn(text): into the log. */
static int l_warn(lua_State *L)
{
	log_warn("%s", luaL_checkstring(L, 1));
	return 0;
}

void lua_http_open_file(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{ "open", l_open },
		{ "fetch", l_fetch },
		{ "send_file", l_send_file },
		{ "wait_sent", l_wait_sent },
		{ "total", l_total },
		{ "shut", l_shut },
		{ "adopt", l_adopt },
		{ "open_max", l_open_max },
		{ "media_type", l_media_type },
		{ "warn", l_warn },
		{ "file_failed", lua_blocking_failed },
		{ NULL, NULL },
	};
	static const luaL_Reg meta[] = {
		{ "__gc", l_shut },
		{ NULL, NULL },
	};

	lua_class_new(L, LUA_CLASS_HTTP_FILE, "http file", meta);
	lua_pop(L, 1);
	luaL_register(L, NULL, functions);
}
