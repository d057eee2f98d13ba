/*
 * Which of Lua's libraries scripts get. Those that are closed are there for the
 * server's own Lua, which has the globals of before; scripts have others.
 */
#pragma once

struct lua_vm;

enum { LUA_LIBRARY_COUNT = 10 };

/** Their names: "bit", .. Base and coroutine are always open. */
extern const char *const lua_library_names[LUA_LIBRARY_COUNT];

/**
 * Those in @a closed, a bit for each by its place above, are closed in states
 * that are made from now on. Of the process; any thread.
 */
void lua_libraries_close(unsigned closed);

/**
 * Close them in @a vm, in which no script has run, but the modules of all layers
 * are known. Returns 0, or -1 with diag set.
 */
int lua_libraries_apply(struct lua_vm *vm);
