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
	int fd;               /* the file, open for reading; -1: not yet */
};

/**
 * Find the library of @a path. See cmod_load() for the places and the errors.
 * Returns 0, or -1 with diag set. ret->fd is -1.
 */
int resolve(const char *path, const char *cpath, struct resolved *ret);

/** The same for who reads the file next: ret->fd, the caller's to close, may be
 * set. */
int resolve_open(const char *path, const char *cpath, struct resolved *ret);

/**
 * Where @a r was found, from the root of the file system on, links not
 * followed: *ret_path without the ending, *ret_file with it; the caller's to
 * free. Returns 0, or -1 with diag set and neither set.
 */
int resolve_absolute(const struct resolved *r, char **ret_path,
		     char **ret_file);

/** The first file that is looked at: `path` of @a n bytes with its ending, or
 * NULL when that does not fit into @a size bytes. Returns @a buf. */
char *resolve_first(const char *path, size_t n, char *buf, size_t size);
