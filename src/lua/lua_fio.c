/* The C half of fio.lua: what works on names. See lua_fio.h. */
#include "lua/lua_fio.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <lauxlib.h>
#include <limits.h>
#include <math.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/inject.h"
#include "lua/lua_error.h"
#include "lua/lua_value.h"

enum { NAMES_BUFFER = 64 * 1024 /* for an entry of passwd or group */ };

const char *lua_fio_path(lua_State *L, int arg, const char *usage)
{
	size_t size;
	const char *path = lua_type(L, arg) == LUA_TSTRING
				   ? lua_tolstring(L, arg, &size)
				   : NULL;

	if (path == NULL)
		lua_error_usage(L, "Usage: %s", usage);
	else if (strlen(path) != size)
		lua_error_usage(L, "%s: argument %d has a zero byte in it",
				usage, arg);
	return path;
}

int64_t lua_fio_integer(lua_State *L, int arg, const char *usage, int64_t min,
			int64_t def)
{
	double d;

	if (lua_isnoneornil(L, arg))
		return def;
	if (lua_type(L, arg) != LUA_TNUMBER)
		lua_error_usage(L, "Usage: %s", usage);
	d = lua_tonumber(L, arg);
	if (!(d >= (double)min && d <= (double)LUA_EXACT_INT && floor(d) == d))
		lua_error_usage(L,
				"%s: a whole number from %d to 2^53 is "
				"wanted, not %.14g",
				usage, (int)min, d);
	return (int64_t)d;
}

int lua_fio_do(lua_State *L, struct lua_fs *o, const char *name)
{
	o->name = name;
	return lua_fs_do(L, o);
}

/* --- results --- */

int lua_fio_push_failure(lua_State *L, struct lua_fs *o, bool as_nil)
{
	const char *lib = strncmp(o->name, "fh:", 3) == 0 ? "" : "fio.";

	if (as_nil)
		lua_pushnil(L);
	else
		lua_pushboolean(L, 0);
	if (o->a != NULL && *o->a != '\0' && o->b != NULL)
		diag_set_system(o->err, "%s%s(%.256s, %.256s)", lib, o->name,
				o->a, o->b);
	else
		diag_set_system(o->err, "%s%s(%.512s)", lib, o->name,
				o->a == NULL ? "" : o->a);
	lua_error_push_diag(L);
	errno = o->err;
	return 2;
}

int lua_fio_push_tree(lua_State *L, struct lua_fs *o)
{
	if (o->err == 0) {
		lua_pushboolean(L, 1);
		return 1;
	}
	lua_pushboolean(L, 0);
	lua_pushlstring(L, o->out.size > 0 ? o->out.data : "", o->out.size);
	lua_pushfstring(L, ": %s", strerror(o->err));
	lua_concat(L, 2);
	errno = o->err;
	return 2;
}

int lua_fio_push_true(lua_State *L, struct lua_fs *o)
{
	if (o->err != 0)
		return lua_fio_push_failure(L, o, false);
	lua_pushboolean(L, 1);
	return 1;
}

int lua_fio_push_bytes(lua_State *L, struct lua_fs *o)
{
	if (o->err != 0)
		return lua_fio_push_failure(L, o, true);
	lua_pushlstring(L, o->out.size > 0 ? o->out.data : "", o->out.size);
	return 1;
}

static void set(lua_State *L, const char *name, double value)
{
	lua_pushnumber(L, value);
	lua_setfield(L, -2, name);
}

static double seconds(struct timespec t)
{
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int lua_fio_push_stat(lua_State *L, struct lua_fs *o)
{
	const struct stat *st = &o->st;

	if (o->err != 0)
		return lua_fio_push_failure(L, o, true);
	lua_createtable(L, 0, 13);
	set(L, "dev", (double)st->st_dev);
	set(L, "inode", (double)st->st_ino);
	set(L, "mode", st->st_mode);
	set(L, "nlink", (double)st->st_nlink);
	set(L, "uid", st->st_uid);
	set(L, "gid", st->st_gid);
	set(L, "rdev", (double)st->st_rdev);
	set(L, "size", (double)st->st_size);
	set(L, "blksize", (double)st->st_blksize);
	set(L, "blocks", (double)st->st_blocks);
	set(L, "atime", seconds(st->st_atim));
	set(L, "mtime", seconds(st->st_mtim));
	set(L, "ctime", seconds(st->st_ctim));
	return 1;
}

/* --- calls --- */

static int error_of(int rc)
{
	return rc == 0 ? 0 : errno;
}

static void work_stat(struct lua_fs *o)
{
	o->err = error_of(stat(o->a, &o->st));
}

static int l_stat(lua_State *L)
{
	const char *path = lua_fio_path(L, 1, "fio.stat(pathname)");

	return lua_fio_do(
		L, lua_fs_new(L, work_stat, lua_fio_push_stat, path, NULL),
		"stat");
}

static void work_lstat(struct lua_fs *o)
{
	o->err = error_of(lstat(o->a, &o->st));
}

static int l_lstat(lua_State *L)
{
	const char *path = lua_fio_path(L, 1, "fio.lstat(pathname)");

	return lua_fio_do(
		L, lua_fs_new(L, work_lstat, lua_fio_push_stat, path, NULL),
		"lstat");
}

static void work_mkdir(struct lua_fs *o)
{
	o->err = error_of(mkdir(o->a, (mode_t)o->n[0]));
}

static int l_mkdir(lua_State *L)
{
	static const char usage[] = "fio.mkdir(pathname[, mode])";
	const char *path = lua_fio_path(L, 1, usage);
	int64_t mode = lua_fio_integer(L, 2, usage, 0, 0777);
	struct lua_fs *o =
		lua_fs_new(L, work_mkdir, lua_fio_push_true, path, NULL);

	o->n[0] = mode;
	return lua_fio_do(L, o, "mkdir");
}

static void work_rmdir(struct lua_fs *o)
{
	o->err = error_of(rmdir(o->a));
}

static void work_unlink(struct lua_fs *o)
{
	o->err = error_of(unlink(o->a));
}

static void work_chdir(struct lua_fs *o)
{
	o->err = error_of(chdir(o->a));
}

static int one_path(lua_State *L, lua_fs_work_f work, const char *name,
		    const char *usage)
{
	const char *path = lua_fio_path(L, 1, usage);

	return lua_fio_do(L, lua_fs_new(L, work, lua_fio_push_true, path, NULL),
			  name);
}

static int l_rmdir(lua_State *L)
{
	return one_path(L, work_rmdir, "rmdir", "fio.rmdir(pathname)");
}

static int l_unlink(lua_State *L)
{
	return one_path(L, work_unlink, "unlink", "fio.unlink(pathname)");
}

static int l_chdir(lua_State *L)
{
	return one_path(L, work_chdir, "chdir", "fio.chdir(path)");
}

static void work_rename(struct lua_fs *o)
{
	o->err = error_of(rename(o->a, o->b));
}

static void work_link(struct lua_fs *o)
{
	o->err = error_of(link(o->a, o->b));
}

static void work_symlink(struct lua_fs *o)
{
	o->err = error_of(symlink(o->a, o->b));
}

static int two_paths(lua_State *L, lua_fs_work_f work, const char *name,
		     const char *usage)
{
	const char *a = lua_fio_path(L, 1, usage);
	const char *b = lua_fio_path(L, 2, usage);

	return lua_fio_do(L, lua_fs_new(L, work, lua_fio_push_true, a, b),
			  name);
}

static int l_rename(lua_State *L)
{
	return two_paths(L, work_rename, "rename",
			 "fio.rename(oldpath, newpath)");
}

static int l_link(lua_State *L)
{
	return two_paths(L, work_link, "link", "fio.link(target, linkpath)");
}

static int l_symlink(lua_State *L)
{
	return two_paths(L, work_symlink, "symlink",
			 "fio.symlink(target, linkpath)");
}

static void work_readlink(struct lua_fs *o)
{
	char *to = buf_reserve(&o->out, PATH_MAX);
	ssize_t n;

	if (to == NULL) {
		o->err = ENOMEM;
		return;
	}
	n = readlink(o->a, to, PATH_MAX);
	if (n < 0)
		o->err = errno;
	else
		o->out.size = (size_t)n;
}

static int l_readlink(lua_State *L)
{
	const char *path = lua_fio_path(L, 1, "fio.readlink(pathname)");

	return lua_fio_do(
		L, lua_fs_new(L, work_readlink, lua_fio_push_bytes, path, NULL),
		"readlink");
}

static void work_chmod(struct lua_fs *o)
{
	o->err = error_of(chmod(o->a, (mode_t)o->n[0]));
}

static int l_chmod(lua_State *L)
{
	static const char usage[] = "fio.chmod(pathname, mode)";
	const char *path = lua_fio_path(L, 1, usage);
	int64_t mode = lua_fio_integer(L, 2, usage, 0, -1);
	struct lua_fs *o;

	if (mode < 0)
		return lua_error_usage(L, "Usage: %s", usage);
	o = lua_fs_new(L, work_chmod, lua_fio_push_true, path, NULL);
	o->n[0] = mode;
	return lua_fio_do(L, o, "chmod");
}

/* The number of a user or group: names are looked up wherever the system keeps
 * them, which may be far away. */
static int look_up(const char *name, bool group, int64_t *ret_id)
{
	char *space = mem_alloc(NAMES_BUFFER);
	struct passwd pw, *user = NULL;
	struct group gr, *g = NULL;
	int rc;

	if (space == NULL)
		return ENOMEM;
	if (group) {
		rc = getgrnam_r(name, &gr, space, NAMES_BUFFER, &g);
		if (g != NULL)
			*ret_id = gr.gr_gid;
	} else {
		rc = getpwnam_r(name, &pw, space, NAMES_BUFFER, &user);
		if (user != NULL)
			*ret_id = pw.pw_uid;
	}
	mem_free(space);
	if (g == NULL && user == NULL)
		return rc != 0 ? rc : EINVAL;
	return 0;
}

/* o->b is "user\ngroup", either of which may be empty: a number was given. */
static void work_chown(struct lua_fs *o)
{
	char *group = strchr(o->b, '\n');

	*group++ = '\0';
	if (*o->b != '\0')
		o->err = look_up(o->b, false, &o->n[0]);
	if (o->err == 0 && *group != '\0')
		o->err = look_up(group, true, &o->n[1]);
	if (o->err == 0)
		o->err = error_of(chown(o->a, (uid_t)o->n[0], (gid_t)o->n[1]));
}

static int push_chown(lua_State *L, struct lua_fs *o)
{
	mem_free(o->b); /* no path to be told */
	o->b = NULL;
	return lua_fio_push_true(L, o);
}

static int l_chown(lua_State *L)
{
	static const char usage[] = "fio.chown(pathname, owner, group)";
	const char *path = lua_fio_path(L, 1, usage);
	int64_t ids[2] = { 0, 0 };
	struct lua_fs *o;

	for (int i = 0; i < 2; i++) {
		if (lua_type(L, 2 + i) == LUA_TSTRING)
			lua_fio_path(L, 2 + i, usage);
		else if (lua_isnoneornil(L, 2 + i))
			lua_error_usage(L, "Usage: %s", usage);
		else
			ids[i] = lua_fio_integer(L, 2 + i, usage, -1, 0);
	}
	lua_pushfstring(L, "%s\n%s",
			lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "",
			lua_type(L, 3) == LUA_TSTRING ? lua_tostring(L, 3)
						      : "");
	o = lua_fs_new(L, work_chown, push_chown, path, lua_tostring(L, -1));
	o->n[0] = ids[0];
	o->n[1] = ids[1];
	return lua_fio_do(L, o, "chown");
}

static void work_truncate(struct lua_fs *o)
{
	o->err = error_of(truncate(o->a, o->n[0]));
}

static int l_truncate(lua_State *L)
{
	static const char usage[] = "fio.truncate(pathname[, newlen])";
	const char *path = lua_fio_path(L, 1, usage);
	int64_t size = lua_fio_integer(L, 2, usage, 0, 0);
	struct lua_fs *o =
		lua_fs_new(L, work_truncate, lua_fio_push_true, path, NULL);

	o->n[0] = size;
	return lua_fio_do(L, o, "truncate");
}

static void work_utime(struct lua_fs *o)
{
	struct timespec times[2];

	for (int i = 0; i < 2; i++) {
		times[i].tv_sec = o->n[i] / 1000000000;
		times[i].tv_nsec = o->n[i] % 1000000000;
		if (times[i].tv_nsec < 0) {
			times[i].tv_nsec += 1000000000;
			times[i].tv_sec--;
		}
	}
	o->err = error_of(utimensat(AT_FDCWD, o->a, times, 0));
}

/* utime(path, atime, mtime): both are given. */
static int l_utime(lua_State *L)
{
	static const char usage[] = "fio.utime(filepath[, atime[, mtime]])";
	const char *path = lua_fio_path(L, 1, usage);
	double times[2];
	struct lua_fs *o;

	for (int i = 0; i < 2; i++) {
		if (lua_type(L, 2 + i) != LUA_TNUMBER)
			lua_error_usage(L, "fio.utime: %s should be a number",
					i == 0 ? "atime" : "mtime");
		times[i] = lua_tonumber(L, 2 + i);
		if (!(fabs(times[i]) < 9e9)) /* the year 2255 */
			lua_error_usage(L, "fio.utime: no such time");
	}
	o = lua_fs_new(L, work_utime, lua_fio_push_true, path, NULL);
	o->n[0] = (int64_t)(times[0] * 1e9);
	o->n[1] = (int64_t)(times[1] * 1e9);
	return lua_fio_do(L, o, "utime");
}

static void work_sync(struct lua_fs *o)
{
	(void)o;
	sync();
}

static int l_sync(lua_State *L)
{
	return lua_fio_do(
		L, lua_fs_new(L, work_sync, lua_fio_push_true, NULL, NULL),
		"sync");
}

static void work_tempdir(struct lua_fs *o)
{
	if (mkdtemp(o->a) == NULL)
		o->err = errno;
	else if (buf_puts(&o->out, o->a) != 0)
		o->err = ENOMEM;
}

/* tempdir(pattern) */
static int l_tempdir(lua_State *L)
{
	const char *path = lua_fio_path(L, 1, "fio.tempdir()");

	return lua_fio_do(
		L, lua_fs_new(L, work_tempdir, lua_fio_push_bytes, path, NULL),
		"tempdir");
}

/* --- of the process; these do not wait --- */

static int l_cwd(lua_State *L)
{
	char path[PATH_MAX];

	lua_pushboolean(L, 1);
	if (getcwd(path, sizeof path) != NULL) {
		lua_pushstring(L, path);
		return 2;
	}
	diag_set_system(errno, "fio.cwd()");
	return 1 + lua_error_fail(L);
}

/* The mask as it is: umask() alone would have to change it, and other threads
 * make files meanwhile. */
static mode_t current_umask(void)
{
	FILE *f = fopen("/proc/self/status", "re");
	unsigned mask = 022;
	char line[256];

	while (f != NULL && fgets(line, sizeof line, f) != NULL) {
		if (sscanf(line, "Umask: %o", &mask) == 1)
			break;
	}
	if (f != NULL)
		fclose(f);
	return mask;
}

static int l_umask(lua_State *L)
{
	int64_t mask = lua_fio_integer(L, 1, "fio.umask([mask])", 0, -1);

	lua_pushboolean(L, 1);
	lua_pushinteger(L, mask < 0 ? current_umask()
				    : umask((mode_t)mask & 0777));
	return 2;
}

/* --- constants --- */

struct constant {
	const char *name;
	int value;
};

/* clang-format off */
#define C(name) { #name, name }
static const struct constant flags[] = {
	C(O_APPEND), C(O_ASYNC), C(O_CLOEXEC), C(O_CREAT), C(O_DIRECT),
	C(O_DIRECTORY), C(O_EXCL), C(O_LARGEFILE), C(O_NDELAY), C(O_NOATIME),
	C(O_NOCTTY), C(O_NOFOLLOW), C(O_NONBLOCK), C(O_PATH), C(O_RDONLY),
	C(O_RDWR), C(O_SYNC), C(O_TMPFILE), C(O_TRUNC), C(O_WRONLY),
	{ NULL, 0 },
};

static const struct constant modes[] = {
	C(S_IRGRP), C(S_IROTH), C(S_IRUSR), C(S_IRWXG), C(S_IRWXO), C(S_IRWXU),
	C(S_IWGRP), C(S_IWOTH), C(S_IWUSR), C(S_IXGRP), C(S_IXOTH), C(S_IXUSR),
	{ NULL, 0 },
};

static const struct constant seeks[] = {
	C(SEEK_SET), C(SEEK_CUR), C(SEEK_END), { NULL, 0 },
};
#undef C
/* clang-format on */

static void push_constants(lua_State *L, const char *name,
			   const struct constant *c)
{
	lua_newtable(L);
	for (; c->name != NULL; c++) {
		lua_pushinteger(L, c->value);
		lua_setfield(L, -2, c->name);
	}
	lua_setfield(L, -2, name);
}

int luaopen_neap_fio(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{ "stat", l_stat },
		{ "lstat", l_lstat },
		{ "mkdir", l_mkdir },
		{ "rmdir", l_rmdir },
		{ "unlink", l_unlink },
		{ "rename", l_rename },
		{ "link", l_link },
		{ "symlink", l_symlink },
		{ "readlink", l_readlink },
		{ "chmod", l_chmod },
		{ "chown", l_chown },
		{ "truncate", l_truncate },
		{ "utime", l_utime },
		{ "sync", l_sync },
		{ "tempdir", l_tempdir },
		{ "chdir", l_chdir },
		{ "cwd", l_cwd },
		{ "umask", l_umask },
		{ "mktree", lua_fio_mktree },
		{ "rmtree", lua_fio_rmtree },
		{ "copyfile", lua_fio_copyfile },
		{ "copytree", lua_fio_copytree },
		{ "listdir", lua_fio_listdir },
		{ "glob", lua_fio_glob },
		{ "failed", lua_blocking_failed },
		{ "usage", lua_error_usage_text },
		{ NULL, NULL },
	};

	lua_newtable(L);
	luaL_register(L, NULL, functions);
	lua_newtable(L);
	push_constants(L, "flag", flags);
	push_constants(L, "mode", modes);
	push_constants(L, "seek", seeks);
	lua_setfield(L, -2, "c");
	lua_fio_open_class(L);
	return 1;
}
