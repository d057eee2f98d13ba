/*
 * The functions of fio that walk: whole trees, folders, patterns. Each is one
 * piece of work for a thread. Trees are walked by descriptors, not by names, so
 * that nobody who puts a link in the way leads them elsewhere.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <lauxlib.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/inject.h"
#include "lua/lua_error.h"
#include "lua/lua_fio.h"

enum {
	COPY_STEP = 1024 * 1024,
	FOLDER_FLAGS = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
};

/* What has failed first: what was done with which name. */
static int fail(struct lua_fs *o, int err, const char *what, const char *name)
{
	if (o->err == 0) {
		o->err = err;
		buf_printf(&o->out, "%s %.512s", what, name);
	}
	return -1;
}

static bool is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* A folder of @a at, to be read. NULL: it has failed; *ret_err says why. */
static DIR *open_folder(int at, const char *name, int flags, int *ret_err)
{
	int fd = openat(at, name, flags);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	*ret_err = errno;
	if (dir == NULL && fd >= 0)
		close(fd);
	return dir;
}

/* --- mktree --- */

static int make_folder(struct lua_fs *o, const char *path)
{
	struct stat st;
	int err;

	if (mkdir(path, (mode_t)o->n[0]) == 0)
		return 0;
	err = errno;
	if (stat(path, &st) == 0) {
		if (S_ISDIR(st.st_mode))
			return 0;
		err = ENOTDIR;
	}
	return fail(o, err, "cannot create the folder", path);
}

static void make_tree(struct lua_fs *o, char *path)
{
	for (char *p = path; *p != '\0'; p++) {
		if (*p != '/' || p == path || p[-1] == '/')
			continue;
		*p = '\0';
		if (make_folder(o, path) != 0)
			return;
		*p = '/';
	}
	make_folder(o, path);
}

static void work_mktree(struct lua_fs *o)
{
	make_tree(o, o->a);
}

int lua_fio_mktree(lua_State *L)
{
	static const char usage[] = "fio.mktree(path[, mode])";
	const char *path = lua_fio_path(L, 1, usage);
	int64_t mode = lua_fio_integer(L, 2, usage, 0, 0777);
	struct lua_fs *o =
		lua_fs_new(L, work_mktree, lua_fio_push_tree, path, NULL);

	o->n[0] = mode;
	return lua_fio_do(L, o, "mktree");
}

/* --- rmtree --- */

static int remove_folder(struct lua_fs *o, int at, const char *name,
			 unsigned depth);

static int remove_entry(struct lua_fs *o, int at, const char *name,
			unsigned depth)
{
	if (unlinkat(at, name, 0) == 0)
		return 0;
	if (errno != EISDIR)
		return fail(o, errno, "cannot delete", name);
	return remove_folder(o, at, name, depth + 1);
}

static int remove_folder(struct lua_fs *o, int at, const char *name,
			 unsigned depth)
{
	struct dirent *e;
	int rc = 0, err;
	DIR *dir;

	if (depth > FIO_DEPTH_MAX)
		return fail(o, ELOOP, "too many folders inside folders:", name);
	dir = open_folder(at, name, FOLDER_FLAGS, &err);
	if (dir == NULL)
		return fail(o, err, "cannot read the folder", name);
	while (rc == 0 && (e = readdir(dir)) != NULL) {
		if (!is_dots(e->d_name))
			rc = remove_entry(o, dirfd(dir), e->d_name, depth);
	}
	closedir(dir);
	if (rc == 0 && unlinkat(at, name, AT_REMOVEDIR) != 0)
		rc = fail(o, errno, "cannot delete the folder", name);
	return rc;
}

static void work_rmtree(struct lua_fs *o)
{
	remove_folder(o, AT_FDCWD, o->a, 0);
}

int lua_fio_rmtree(lua_State *L)
{
	const char *path = lua_fio_path(L, 1, "fio.rmtree(path)");

	return lua_fio_do(
		L, lua_fs_new(L, work_rmtree, lua_fio_push_tree, path, NULL),
		"rmtree");
}

/* --- copyfile, copytree --- */

static int copy_bytes(int from, int to)
{
	char *buf;
	ssize_t n, done, wrote;
	int err = 0;

	do { /* in the kernel, where both ends can */
		n = copy_file_range(from, NULL, to, NULL, COPY_STEP, 0);
	} while (n > 0 || (n < 0 && errno == EINTR));
	if (n == 0 && lseek(from, 0, SEEK_CUR) > 0)
		return 0;
	/* It cannot, or the file is one that has no size (/proc). */
	buf = mem_alloc(COPY_STEP);
	if (buf == NULL)
		return ENOMEM;
	while (err == 0 && (n = read(from, buf, COPY_STEP)) != 0) {
		if (n < 0)
			err = errno == EINTR ? 0 : errno;
		for (done = 0; err == 0 && done < n; done += wrote) {
			wrote = write(to, buf + done, (size_t)(n - done));
			if (wrote < 0) {
				err = errno == EINTR ? 0 : errno;
				wrote = 0;
			}
		}
	}
	mem_free(buf);
	return err;
}

/* Any failure is the errno, else 0. */
static int copy_file(int from_at, const char *from, int to_at, const char *to,
		     int flags)
{
	struct stat a, b;
	int in, out, err = 0;

	/* Not to be kept by a FIFO that was put there. */
	in = openat(from_at, from, O_RDONLY | O_NONBLOCK | O_CLOEXEC | flags);
	if (in < 0)
		return errno;
	if (fstat(in, &a) != 0)
		err = errno;
	else if (S_ISDIR(a.st_mode))
		err = EISDIR;
	else if (!S_ISREG(a.st_mode))
		err = EINVAL;
	if (err == 0 && fstatat(to_at, to, &b, 0) == 0 &&
	    a.st_dev == b.st_dev && a.st_ino == b.st_ino)
		err = EEXIST; /* to empty it would be to lose it */
	if (err != 0)
		goto close_in;
	out = openat(to_at, to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
		     a.st_mode & 0777);
	if (out < 0) {
		err = errno;
		goto close_in;
	}
	err = copy_bytes(in, out);
	if (close(out) != 0 && err == 0)
		err = errno;
close_in:
	close(in);
	return err;
}

/* Into a folder means under the same name. */
static char *name_of_copy(const char *from, const char *to)
{
	const char *name = strrchr(from, '/');
	struct stat st;
	char *full;

	if (stat(to, &st) != 0 || !S_ISDIR(st.st_mode))
		return mem_strdup(to);
	name = name == NULL ? from : name + 1;
	full = mem_alloc(strlen(to) + strlen(name) + 2);
	if (full != NULL)
		stpcpy(stpcpy(stpcpy(full, to), "/"), name);
	return full;
}

static void work_copyfile(struct lua_fs *o)
{
	char *to = name_of_copy(o->a, o->b);
	int err = to == NULL ? ENOMEM
			     : copy_file(AT_FDCWD, o->a, AT_FDCWD, to, 0);

	mem_free(to);
	if (err != 0) {
		o->err = err;
		buf_printf(&o->out, "failed to copy %.512s to %.512s", o->a,
			   o->b);
	}
}

static int copy_link(int from_at, const char *name, int to_at)
{
	char target[PATH_MAX + 1];
	ssize_t n = readlinkat(from_at, name, target, sizeof target - 1);

	if (n < 0)
		return errno;
	target[n] = '\0';
	return symlinkat(target, to_at, name) == 0 ? 0 : errno;
}

static int copy_folder(struct lua_fs *o, int from, int to, unsigned depth);

static int copy_entry(struct lua_fs *o, int from, int to, const char *name,
		      unsigned depth)
{
	int in, out, err = 0;
	struct stat st;

	if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return fail(o, errno, "cannot look at", name);
	if (S_ISLNK(st.st_mode))
		err = copy_link(from, name, to);
	else if (!S_ISDIR(st.st_mode))
		err = copy_file(from, name, to, name, O_NOFOLLOW);
	if (err != 0)
		return fail(o, err, "failed to copy", name);
	if (!S_ISDIR(st.st_mode))
		return 0;
	/* Ours to write in until its own mode is set, at the end. */
	if (mkdirat(to, name, 0700) != 0 && errno != EEXIST)
		return fail(o, errno, "cannot create the folder", name);
	in = openat(from, name, FOLDER_FLAGS);
	out = openat(to, name, FOLDER_FLAGS);
	if (in < 0 || out < 0) {
		err = fail(o, errno, "cannot open the folder", name);
		if (in >= 0)
			close(in);
		if (out >= 0)
			close(out);
		return err;
	}
	err = copy_folder(o, in, out, depth + 1);
	if (err == 0 && fchmod(out, st.st_mode & 07777) != 0)
		err = fail(o, errno, "cannot set the mode of", name);
	close(out);
	return err;
}

/* Closes @a from. */
static int copy_folder(struct lua_fs *o, int from, int to, unsigned depth)
{
	struct dirent *e;
	int rc = 0;
	DIR *dir = fdopendir(from);

	if (dir == NULL) {
		rc = errno;
		close(from);
		return fail(o, rc, "cannot read the folder", "");
	}
	if (depth > FIO_DEPTH_MAX)
		rc = fail(o, ELOOP, "too many folders inside folders", "");
	while (rc == 0 && (e = readdir(dir)) != NULL) {
		if (!is_dots(e->d_name))
			rc = copy_entry(o, from, to, e->d_name, depth);
	}
	closedir(dir);
	return rc;
}

/* Is the folder @a fd inside the one that @a st is of, or that itself? It would
 * be copied into its copy without end. */
static bool is_inside(int fd, const struct stat *st)
{
	struct stat here, above;
	int at = dup(fd), up;
	bool found = false;

	while (!found && at >= 0 && fstat(at, &here) == 0) {
		found = here.st_dev == st->st_dev && here.st_ino == st->st_ino;
		up = openat(at, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
		close(at);
		at = up;
		if (up >= 0 && fstat(up, &above) == 0 &&
		    above.st_dev == here.st_dev && above.st_ino == here.st_ino)
			break; /* the root */
	}
	if (at >= 0)
		close(at);
	return found;
}

static void work_copytree(struct lua_fs *o)
{
	int from, to;
	struct stat st;

	from = open(o->a, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (from < 0) {
		fail(o, errno, "cannot open the folder", o->a);
		return;
	}
	o->n[0] = 0777;
	make_tree(o, o->b);
	to = o->err != 0 ? -1 : open(o->b, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (to < 0) {
		fail(o, errno, "cannot open the folder", o->b);
		close(from);
		return;
	}
	if (fstat(from, &st) == 0 && is_inside(to, &st)) {
		fail(o, EINVAL, "a copy inside what is copied:", o->b);
		close(from);
	} else {
		copy_folder(o, from, to, 0);
	}
	close(to);
}

int lua_fio_copyfile(lua_State *L)
{
	static const char usage[] = "fio.copyfile(from, to)";
	const char *from = lua_fio_path(L, 1, usage);
	const char *to = lua_fio_path(L, 2, usage);

	return lua_fio_do(
		L, lua_fs_new(L, work_copyfile, lua_fio_push_tree, from, to),
		"copyfile");
}

int lua_fio_copytree(lua_State *L)
{
	static const char usage[] = "fio.copytree(from, to)";
	const char *from = lua_fio_path(L, 1, usage);
	const char *to = lua_fio_path(L, 2, usage);

	return lua_fio_do(
		L, lua_fs_new(L, work_copytree, lua_fio_push_tree, from, to),
		"copytree");
}

/* --- listdir, glob: names, each with a zero byte behind it --- */

static void work_listdir(struct lua_fs *o)
{
	struct dirent *e;
	DIR *dir = opendir(o->a);

	if (dir == NULL) {
		o->err = errno;
		return;
	}
	while (o->err == 0 && (errno = 0, e = readdir(dir)) != NULL) {
		if (!is_dots(e->d_name) &&
		    buf_append(&o->out, e->d_name, strlen(e->d_name) + 1) != 0)
			o->err = ENOMEM;
	}
	if (o->err == 0)
		o->err = errno;
	closedir(dir);
}

static void work_glob(struct lua_fs *o)
{
	glob_t found;
	int rc = glob(o->a, GLOB_NOESCAPE, NULL, &found);

	if (rc == GLOB_NOMATCH)
		return;
	if (rc != 0) {
		o->err = rc == GLOB_NOSPACE ? ENOMEM : EIO;
		return;
	}
	for (size_t i = 0; i < found.gl_pathc && o->err == 0; i++) {
		const char *name = found.gl_pathv[i];

		if (buf_append(&o->out, name, strlen(name) + 1) != 0)
			o->err = ENOMEM;
	}
	globfree(&found);
}

int lua_fio_listdir(lua_State *L)
{
	const char *path = lua_fio_path(L, 1, "fio.listdir(path)");

	return lua_fio_do(
		L, lua_fs_new(L, work_listdir, lua_fio_push_bytes, path, NULL),
		"listdir");
}

int lua_fio_glob(lua_State *L)
{
	const char *path = lua_fio_path(L, 1, "fio.glob(pattern)");

	return lua_fio_do(
		L, lua_fs_new(L, work_glob, lua_fio_push_bytes, path, NULL),
		"glob");
}
