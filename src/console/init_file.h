/* The Lua file that a console on a terminal runs at its start. */
#pragma once

/**
 * Its path: @a setting when not NULL ("" means none), else where the rules of the
 * desktop have it, if there is one. To be freed with mem_free(); NULL: none.
 */
char *init_file_path(const char *setting);
