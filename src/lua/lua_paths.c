/* Where require() looks. See lua_paths.h. */
#include "lua/lua_paths.h"

#include <dirent.h>
#include <errno.h>
#include <lauxlib.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "base/buf.h"
#include "base/diag.h"
#include "base/inject.h"
#include "lua/lua_call.h"
#include "lua/lua_state.h"

/* Folders above the application's that are looked at. */
enum { PARENTS_MAX = 32 };

struct paths {
	struct buf lua; /* package.path */
	struct buf so;  /* package.cpath */
	int rc;         /* the first failure: out of memory */
};

static void put(struct paths *p, struct buf *b, const char *dir,
		const char *rest)
{
	if (p->rc == 0)
		p->rc = buf_printf(b, "%s%s%s", b->size == 0 ? "" : ";", dir,
				   rest);
}

/* In a template these two mean something else: there is no way to say them. */
static bool can_stand_in_template(const char *dir)
{
	return strpbrk(dir, ";?") == NULL;
}

static bool exists(const char *dir, const char *name)
{
	struct buf path = { 0 };
	struct stat st;
	bool found = buf_printf(&path, "%s/%s%c", dir, name, '\0') == 0 &&
		     stat(path.data, &st) == 0;

	buf_destroy(&path);
	return found;
}

static bool has_rockspec(const char *dir)
{
	static const char tail[] = ".rockspec";
	DIR *d = opendir(dir);
	bool found = false;

	if (d == NULL)
		return false;
	for (struct dirent *e; !found && (e = readdir(d)) != NULL;) {
		size_t n = strlen(e->d_name), m = sizeof tail - 1;

		found = n > m && strcmp(e->d_name + n - m, tail) == 0;
	}
	closedir(d);
	return found;
}

static bool is_project_root(const char *dir)
{
	return exists(dir, ".git") || exists(dir, "luarocks.lock") ||
	       has_rockspec(dir);
}

/* The folder above, in place; false at the top. */
static bool go_up(char *dir)
{
	char *slash = strrchr(dir, '/');

	if (slash == NULL || strcmp(dir, "/") == 0)
		return false;
	if (slash == dir)
		slash++;
	*slash = '\0';
	return true;
}

/* How many folders above @a app_dir the project's root is; 0: it is the root
 * itself, or there is none. */
static int root_above(const char *app_dir)
{
	char *dir = mem_strdup(app_dir);
	int depth = 0, found = 0;

	if (dir == NULL)
		return 0;
	do {
		if (is_project_root(dir)) {
			found = depth;
			break;
		}
	} while (++depth <= PARENTS_MAX && go_up(dir));
	mem_free(dir);
	return found;
}

static bool is_trusted(const char *rocks)
{
	struct stat st;

	return stat(rocks, &st) == 0 && S_ISDIR(st.st_mode) &&
	       (st.st_uid == 0 || st.st_uid == geteuid());
}

static void put_rocks(struct paths *p, const char *dir)
{
	struct buf rocks = { 0 };

	p->rc = buf_printf(&rocks, "%s/rocks%c", dir, '\0');
	if (p->rc == 0 && is_trusted(rocks.data)) {
		put(p, &p->lua, rocks.data, "/share/lua/5.1/?.lua");
		put(p, &p->lua, rocks.data, "/share/lua/5.1/?/init.lua");
		put(p, &p->so, rocks.data, "/lib/lua/5.1/?.so");
	}
	buf_destroy(&rocks);
}

static void put_all_rocks(struct paths *p, const char *app_dir)
{
	int above = root_above(app_dir);
	char *dir = mem_strdup(app_dir);

	if (dir == NULL) {
		p->rc = UV_ENOMEM;
		return;
	}
	do {
		if (p->rc == 0)
			put_rocks(p, dir);
	} while (above-- > 0 && go_up(dir));
	mem_free(dir);
}

/* What the user asked for, with @a defaults in the place of ";;". */
static void put_wish(struct paths *p, struct buf *b, const char *wish,
		     const char *defaults)
{
	const char *gap;

	if (wish == NULL) {
		put(p, b, defaults, "");
		return;
	}
	gap = strstr(wish, ";;");
	if (gap == NULL) {
		put(p, b, wish, "");
		return;
	}
	if (gap > wish && p->rc == 0)
		p->rc = buf_printf(b, "%s%.*s", b->size == 0 ? "" : ";",
				   (int)(gap - wish), wish);
	put(p, b, defaults, "");
	if (gap[2] != '\0')
		put(p, b, gap + 2, "");
}

static const char *env_of(const char *versioned, const char *plain)
{
	const char *wish = getenv(versioned);

	return wish != NULL ? wish : getenv(plain);
}

static void put_defaults(struct paths *p, const char *share_dir)
{
	struct paths d = { { 0 }, { 0 }, 0 };

	if (share_dir != NULL && can_stand_in_template(share_dir)) {
		put(&d, &d.lua, share_dir, "/?.lua");
		put(&d, &d.lua, share_dir, "/?/init.lua");
	}
	put(&d, &d.lua, LUA_PATH_DEFAULT, "");
	put(&d, &d.lua, "/usr/share/lua/5.1/", "?.lua");
	put(&d, &d.lua, "/usr/share/lua/5.1/", "?/init.lua");
	put(&d, &d.so, LUA_CPATH_DEFAULT, "");
	put(&d, &d.so, "/usr/lib/" NEAP_MULTIARCH "/lua/5.1/", "?.so");
	put(&d, &d.so, "/usr/lib/lua/5.1/", "?.so");
	if (d.rc == 0)
		d.rc = buf_putc(&d.lua, '\0');
	if (d.rc == 0)
		d.rc = buf_putc(&d.so, '\0');
	if (d.rc == 0) {
		put_wish(p, &p->lua, env_of("LUA_PATH_5_1", "LUA_PATH"),
			 d.lua.data);
		put_wish(p, &p->so, env_of("LUA_CPATH_5_1", "LUA_CPATH"),
			 d.so.data);
	} else {
		p->rc = d.rc;
	}
	buf_destroy(&d.lua);
	buf_destroy(&d.so);
}

static void store(lua_State *L, void *arg)
{
	const struct paths *p = arg;

	lua_getglobal(L, "package");
	lua_pushlstring(L, p->lua.data, p->lua.size);
	lua_setfield(L, -2, "path");
	lua_pushlstring(L, p->so.data, p->so.size);
	lua_setfield(L, -2, "cpath");
}

int lua_paths_set(struct lua_vm *vm, const char *app_dir, const char *share_dir)
{
	struct paths p = { { 0 }, { 0 }, 0 };
	int rc;

	if (can_stand_in_template(app_dir)) {
		put(&p, &p.lua, app_dir, "/?.lua");
		put(&p, &p.lua, app_dir, "/?/init.lua");
		put(&p, &p.so, app_dir, "/?.so");
		put_all_rocks(&p, app_dir);
	}
	if (p.rc == 0)
		put_defaults(&p, share_dir);
	if (p.rc != 0) {
		diag_set_oom(p.lua.size + p.so.size, "package.path");
		rc = -1;
	} else {
		rc = lua_vm_protect(vm, store, &p);
	}
	buf_destroy(&p.lua);
	buf_destroy(&p.so);
	return rc;
}

char *lua_paths_app_dir(const char *script)
{
	bool is_file = script != NULL && strcmp(script, "-") != 0;
	char found[PATH_MAX];
	char *dir;

	/* A pipe, as in /dev/fd/63, has no folder. */
	if (is_file && realpath(script, found) != NULL) {
		go_up(found);
	} else if (realpath(".", found) == NULL) {
		diag_set_system(errno, "working directory");
		return NULL;
	}
	dir = mem_strdup(found);
	if (dir == NULL)
		diag_set_oom(strlen(found), "a path");
	return dir;
}

char *lua_paths_share_dir(void)
{
	static const char name[] = "share/neap";
	char exe[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);

	if (n <= 0)
		return NULL;
	exe[n] = '\0';
	for (int i = 0; i < 2; i++) {
		struct buf dir = { 0 };

		if (!go_up(exe))
			break;
		if (!exists(exe, name))
			continue;
		if (buf_printf(&dir, "%s/%s%c", exe, name, '\0') == 0)
			return dir.data;
		buf_destroy(&dir);
	}
	return NULL;
}
