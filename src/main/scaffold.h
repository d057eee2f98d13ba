/* A new folder of files, made of a template: all of it, or nothing. */
#pragma once

#include <stdio.h>

struct embedded_file;

/**
 * Make the folder @a name, which must not exist, with @a files in it, whose
 * table ends in NULLs. `NAME` in a path and `@NAME@` in a text become @a name.
 * Tells @a out of each file. Errors: SystemError. Returns 0, or -1 with diag
 * set and what was made taken away again.
 */
int scaffold_make(const char *name, const struct embedded_file *files,
		  FILE *out);
