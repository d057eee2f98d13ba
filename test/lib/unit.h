/*
 * What a unit test includes first: cmocka with the headers it wants before
 * it, and the check that no descriptor is left open at the end.
 */
#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/** Number of open descriptors of this process. */
static inline int unit_open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int count = 0;

	if (dir == NULL)
		return -1;
	for (struct dirent *e; (e = readdir(dir)) != NULL;)
		count += e->d_name[0] != '.';
	closedir(dir);
	return count - 1; /* without the one opendir used */
}

/** Number of mappings of this process. Allocates nothing. */
static inline int unit_count_maps(void)
{
	int fd = open("/proc/self/maps", O_RDONLY), count = 0;
	char text[4096];
	ssize_t n;

	while ((n = read(fd, text, sizeof text)) > 0) {
		for (ssize_t i = 0; i < n; i++)
			count += text[i] == '\n';
	}
	close(fd);
	return count;
}

static int unit_fds_at_start;

__attribute__((constructor)) static void unit_note_fds(void)
{
	unit_fds_at_start = unit_open_fds();
}

/* libuv, where a test is linked with it, keeps descriptors of its own. */
__attribute__((weak)) void uv_library_shutdown(void);

/** A test program ends with no descriptor more than it was given. */
__attribute__((destructor)) static void unit_check_fds(void)
{
	int fds;

	if (uv_library_shutdown != NULL)
		uv_library_shutdown();
	fds = unit_open_fds();
	if (fds <= unit_fds_at_start)
		return;
	fprintf(stderr, "leak: %d descriptors, %d at the start\n", fds,
		unit_fds_at_start);
	_exit(1);
}
