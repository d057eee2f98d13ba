/*
 * The helper process of isolated functions: this program, executed anew, with
 * one library and one function in it. It reads calls from a socket, makes them
 * one after the other and writes what they gave; when the library kills it,
 * the server is not concerned.
 */
#pragma once

#include <stdbool.h>

/** The hidden first argument of the program. */
#define ISOLATE_ARGUMENT "--cmod-helper"

/** What a helper inherits, beside the standard files. */
enum {
	ISOLATE_SOCKET_FD = 3,
	ISOLATE_LIBRARY_FD = 4, /* a sealed memory file */
};

/** Exit code: nothing can be heard from the server, or said to it. */
enum { ISOLATE_EXIT_LOST = 113 };

/** True when the program was started as a helper. */
bool isolate_is_child(int argc, char **argv);

/** Be one, from the very start of main() on. Returns the exit code. */
int isolate_child_run(void);
