/*
 * What a unit test includes first: cmocka with the headers it wants before
 * it, and the check that no descriptor is left open at the end.
 */
#pragma once

#include <dirent.h>
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
