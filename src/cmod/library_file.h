/* A library's file read into memory, whole and of one state. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "cmod/identity.h"

struct library_file {
	struct identity id;
	char *data;
	size_t size;
};

/**
 * Read @a file, through @a fd when that is not -1. It is stat'ed before and
 * after; changed in between, it is read again, a few times. Errors: SystemError, ClientError (not a regular
 * file, empty, too large), OutOfMemory. Returns 0, or -1 with diag set.
 */
int library_file_read(struct library_file *lf, const char *file, int fd);

void library_file_free(struct library_file *lf);

/** A hash of the contents. */
uint64_t library_file_hash(const struct library_file *lf);
