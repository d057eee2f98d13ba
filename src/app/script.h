/* The main fiber: steps of the command line, then the script. */
#pragma once

#include <lua.h>

struct app_script;
struct worker;

/** Set what all files of the application find, in this state: paths of modules
 * and the table `arg`. Returns 0, or -1 with diag set. */
int script_prepare(struct worker *w, const struct app_script *script);

/** Start it; it runs until it first waits. Returns 0, or -1 with diag set. */
int script_start(struct worker *w, const struct app_script *script);

/** load(path) of the Lua halves -> function | nil, reason; "-" is standard
 * input. */
int l_script_load(lua_State *L);
