/* From what the user wrote to a file. */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

struct resolved {
	char found[PATH_MAX]; /* where it was found, links not followed;
				 relative when the search was */
	char file[PATH_MAX];  /* the file itself */
	bool first;           /* nothing is looked at before `found` */
};

/**
 * Find the library of @a path. See cmod_load() for the places and the errors.
 * Returns 0, or -1 with diag set.
 */
int resolve(const char *path, const char *cpath, struct resolved *ret);

/** The first file that is looked at: `path` with its ending, or NULL when that
 * does not fit into @a size bytes. Returns @a buf. */
char *resolve_first(const char *path, char *buf, size_t size);
