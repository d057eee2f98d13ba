/*
 * Admin commands in Lua: what console.register_command() declares, run in a fiber of
 * worker 1.
 */
#pragma once

#include <lua.h>

/** register_command(words, f, {level=, help=, payload=}): the C half. Throws:
 * misuse, out of memory. */
int l_console_register_command(lua_State *L);

/** Push the table of C functions that the object of a running command has its methods
 * made of. Throws: out of memory. */
void lua_command_push_functions(lua_State *L);

/** The state is closed: its commands are gone. */
void lua_commands_end(void);
