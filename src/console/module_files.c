/* What folders have, for the completion of modules' names. See module_files.h. */
#include "console/module_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

enum {
	ENTRIES_MAX = 5000, /* read of a folder */
	ROOM = 64 << 10,    /* for the names of one */
	LOOK = 64,          /* entries between two looks at the clock */
};

/* What was read; Lua's memory, so that an error out of it loses nothing. */
struct listing {
	size_t size;
	char text[ROOM];
};

static mode_t kind_of(int fd, const struct dirent *e)
{
	struct stat st;

	switch (e->d_type) {
	case DT_REG:
		return S_IFREG;
	case DT_DIR:
		return S_IFDIR;
	case DT_LNK:
	case DT_UNKNOWN: /* the file system does not say */
		return fstatat(fd, e->d_name, &st, 0) == 0 ? st.st_mode & S_IFMT
							   : 0;
	default:
		return 0;
	}
}

/* "f" of a file, "d" of a folder, and its name. */
static void add(struct listing *l, char kind, const char *name)
{
	size_t n = strlen(name) + 1;

	if (l->size + 1 + n > ROOM)
		return;
	l->text[l->size++] = kind;
	memcpy(l->text + l->size, name, n);
	l->size += n;
}

static void read_folder(struct listing *l, DIR *dir, const char *prefix,
			uint64_t till_ns)
{
	size_t n = strlen(prefix);
	const struct dirent *e;

	for (int i = 0; i < ENTRIES_MAX && (e = readdir(dir)) != NULL; i++) {
		mode_t kind;

		if (i % LOOK == 0 && uv_hrtime() > till_ns)
			return;
		if (*e->d_name == '.' || strncmp(e->d_name, prefix, n) != 0)
			continue;
		kind = kind_of(dirfd(dir), e);
		if (kind == S_IFREG || kind == S_IFDIR)
			add(l, kind == S_IFREG ? 'f' : 'd', e->d_name);
	}
}

/* A pipe of that name is not opened. */
static DIR *open_folder(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (dir == NULL && fd >= 0)
		close(fd);
	return dir;
}

static uint64_t check_time(lua_State *L, int idx)
{
	return (uint64_t)(luaL_checknumber(L, idx) * 1e9);
}

int module_files_folder(lua_State *L)
{
	const char *path = luaL_checkstring(L, 1);
	const char *prefix = luaL_checkstring(L, 2);
	uint64_t till_ns = check_time(L, 3);
	struct listing *l = lua_newuserdata(L, sizeof *l);
	DIR *dir = open_folder(path);

	l->size = 0;
	if (dir != NULL) {
		read_folder(l, dir, prefix, till_ns);
		closedir(dir);
	}
	lua_pushlstring(L, l->text, l->size);
	return 1;
}

int module_files_is_file(lua_State *L)
{
	struct stat st;

	lua_pushboolean(L, stat(luaL_checkstring(L, 1), &st) == 0 &&
				   S_ISREG(st.st_mode));
	return 1;
}

int module_files_now(lua_State *L)
{
	lua_pushnumber(L, (double)uv_hrtime() / 1e9);
	return 1;
}
