/*
 * The module `fio`: files and folders. Each function is one call of the system
 * or a few of them, made by a thread of the pool.
 */
#pragma once

#include "lua/lua_fs.h"

enum { FIO_DEPTH_MAX = 256 /* folders inside folders, of a tree */ };

/** The string at @a arg, a path; @a usage is told when it is none. Throws. */
const char *lua_fio_path(lua_State *L, int arg, const char *usage);

/** The number at @a arg as an integer from @a min to 2^53, or @a def when there
 * is none. Throws. */
int64_t lua_fio_integer(lua_State *L, int arg, const char *usage, int64_t min,
			int64_t def);

/** Do it; @a name is for messages. */
int lua_fio_do(lua_State *L, struct lua_fs *o, const char *name);

/* Ends of operations. What failed is `false, err` or `nil, err`, and errno. */

/** Push false (or nil) and what is wrong. Throws: out of memory. */
int lua_fio_push_failure(lua_State *L, struct lua_fs *o, bool as_nil);
int lua_fio_push_true(lua_State *L, struct lua_fs *o);
int lua_fio_push_bytes(lua_State *L, struct lua_fs *o);
int lua_fio_push_stat(lua_State *L, struct lua_fs *o);

/** For trees, whose o->out has the place and the reason: `false, text`. */
int lua_fio_push_tree(lua_State *L, struct lua_fs *o);

/* lua_fio_tree.c: parts of the C half. */
int lua_fio_mktree(lua_State *L);
int lua_fio_rmtree(lua_State *L);
int lua_fio_copyfile(lua_State *L);
int lua_fio_copytree(lua_State *L);
int lua_fio_listdir(lua_State *L);
int lua_fio_glob(lua_State *L);

/** lua_fio_file.c: the class of open files, its methods in the table at the top,
 * and what opens one. Throws: out of memory. */
void lua_fio_open_class(lua_State *L);

/** The C half of fio.lua. */
int luaopen_neap_fio(lua_State *L);
