/* Where require() looks: package.path and package.cpath. */
#pragma once

struct lua_vm;

/**
 * Set both for an application in the folder @a app_dir, in this order:
 *
 * - the folder itself: DIR/?.lua, DIR/?/init.lua, DIR/?.so;
 * - its rocks/, then those of the folders above up to the project's root, the
 *   nearest one with .git, luarocks.lock or a rockspec. A rocks/ that neither
 *   we nor root own is passed over: in /tmp anybody could put one there;
 * - LUA_PATH_5_1 or LUA_PATH, LUA_CPATH_5_1 or LUA_CPATH; when they are set,
 *   what follows here stands only where they have ";;";
 * - @a share_dir (NULL: none), LuaJIT's own defaults, and Debian's folders.
 *
 * Returns 0, or -1 with diag set.
 */
int lua_paths_set(struct lua_vm *vm, const char *app_dir,
		  const char *share_dir);

/**
 * The folder of a script, with symbolic links resolved; NULL or "-" as
 * @a script mean the working directory. To be freed with mem_free(); NULL with
 * diag set.
 */
char *lua_paths_app_dir(const char *script);

/**
 * The folder of neap's own Lua files beside the program that runs: share/neap
 * in the same folder, or in the one above. To be freed with mem_free(); NULL:
 * there is none.
 */
char *lua_paths_share_dir(void);
