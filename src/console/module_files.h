/*
 * Files that may be modules, for completion: what folders have is read, and nothing is opened
 * besides. A folder that cannot be read has nothing.
 */
#pragma once

#include <lua.h>

/** folder(path, prefix, till) -> string: what a folder has whose name begins so: "f" or "d" for a
 * file or folder, the name and a zero byte. Not all, when they are many, or the time
 * now() is @till. */
int module_files_folder(lua_State *L);

/** is_file(path) -> boolean */
int module_files_is_file(lua_State *L);

/** now() -> number: seconds, of a clock of its own. */
int module_files_now(lua_State *L);
