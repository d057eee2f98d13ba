/*
 * One call of the system about files, made by a Lua function on a thread of the
 * pool: what os.remove() and most of fio are.
 */
#pragma once

#include <stdint.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "lua/lua_blocking.h"

struct lua_fs;

typedef void (*lua_fs_work_f)(struct lua_fs *o);
typedef int (*lua_fs_push_f)(lua_State *L, struct lua_fs *o);

struct lua_fs {
	struct lua_blocking base;
	lua_fs_work_f work; /* sets err, or what push is to give */
	lua_fs_push_f push; /* as lua_blocking_kind's */
	int err;            /* errno; 0: all well */
	const char *name;   /* the function, for messages; NULL: not set */
	char *a;            /* paths or data, as they were given; may be NULL */
	char *b;
	int64_t n[3]; /* numbers that were given */
	int64_t value;
	struct buf out;
	struct stat st;
};

/** A call with copies of the strings (NULL: none). Throws: out of memory. */
struct lua_fs *lua_fs_new(lua_State *L, lua_fs_work_f work, lua_fs_push_f push,
			  const char *a, const char *b);

/** `return lua_fs_do(L, o)`. */
int lua_fs_do(lua_State *L, struct lua_fs *o);
