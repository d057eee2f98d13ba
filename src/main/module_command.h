/* `neap module ...`: what authors of C modules need. */
#pragma once

enum { MODULE_COMMAND_USAGE = 2 };

/**
 * Carry out the words behind `module`. Returns 0, or, with diag set, 1 for a
 * failure or MODULE_COMMAND_USAGE for words that are not understood.
 */
int module_command(int argc, char **argv);
