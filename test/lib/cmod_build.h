/*
 * C modules made on the spot by the compiler of $CC (or cc), and files that
 * are replaced in the ways editors, linkers and package managers do it.
 */
#pragma once

#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

/** A whole file; *ret_size is its size. The caller frees it. */
static inline char *file_read(const char *path, size_t *ret_size)
{
	FILE *f = fopen(path, "rb");
	struct stat st;
	char *data;

	if (f == NULL || fstat(fileno(f), &st) != 0)
		abort();
	data = malloc((size_t)st.st_size + 1);
	if (fread(data, 1, (size_t)st.st_size, f) != (size_t)st.st_size)
		abort();
	fclose(f);
	*ret_size = (size_t)st.st_size;
	return data;
}

/** Write into the file as it is, as `cp` does: the inode stays. */
static inline void file_overwrite(const char *path, const void *data,
				  size_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	close(fd);
}

/** Put a new file in its place, as `install` and careful writers do. */
static inline void file_replace(const char *path, const void *data, size_t size)
{
	char aside[4200];

	snprintf(aside, sizeof aside, "%s.new", path);
	file_overwrite(aside, data, size);
	if (rename(aside, path) != 0)
		abort();
}

static inline void file_copy(const char *from, const char *to)
{
	size_t size;
	char *data = file_read(from, &size);

	file_replace(to, data, size);
	free(data);
}

/** Old as far as the cache can tell: settled, so that one stat decides. */
static inline void file_age(const char *path)
{
	struct timespec t[2] = { { .tv_sec = 1000000000 },
				 { .tv_sec = 1000000000 } };

	if (utimensat(AT_FDCWD, path, t, 0) != 0)
		abort();
}

/** True where path_watch.c watches: from here up to the root there are only file
 * systems whose every change is told of. */
static inline bool folder_can_be_watched(void)
{
	char path[160] = ".";
	struct statfs fs;

	for (int i = 0; i < 40; i++) {
		if (statfs(path, &fs) != 0 ||
		    (fs.f_type != 0xef53 && fs.f_type != 0x58465342 &&
		     fs.f_type != 0x01021994))
			return false;
		strcat(path, "/..");
	}
	return true;
}

/** Compile @a source, a text in the language of files that end in @a ending
 * (".c", ".cc"), to @a so with @a flags. Aborts when it fails. */
static inline void build_so_from(const char *so, const char *source,
				 const char *ending, const char *flags)
{
	const char *cc = getenv("CC");
	const char *root = getenv("NEAP_SOURCE_DIR");
	char c_file[4200], command[16000];

	snprintf(c_file, sizeof c_file, "%s%s", so, ending);
	file_overwrite(c_file, source, strlen(source));
	snprintf(command, sizeof command,
		 "%s -shared -fPIC -g -w -I%s/src/include -o %s %s %s",
		 cc == NULL || *cc == '\0' ? "cc" : cc,
		 root == NULL ? "." : root, so, c_file, flags);
	if (system(command) != 0) {
		fprintf(stderr, "failed: %s\n", command);
		abort();
	}
	unlink(c_file);
}

/** The same from C. */
static inline void build_so(const char *so, const char *source,
			    const char *flags)
{
	build_so_from(so, source, ".c", flags);
}
