/* What the process must have given back. See leaks.h. */
#include "main/leaks.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

#include "cmod/cmod.h"
#include "console/admin_run.h"

/* The descriptors that are open, but for the one that looks. */
static int count_descriptors(bool print)
{
	DIR *dir = opendir("/proc/self/fd");
	char target[256];
	int count = 0;

	if (dir == NULL)
		return 0;
	for (struct dirent *e; (e = readdir(dir)) != NULL;) {
		ssize_t n;

		if (e->d_name[0] == '.' || atoi(e->d_name) == dirfd(dir))
			continue;
		count++;
		if (!print)
			continue;
		n = readlinkat(dirfd(dir), e->d_name, target, sizeof target);
		if (n > 0)
			fprintf(stderr, "neap:   descriptor %s: %.*s\n",
				e->d_name, (int)n, target);
	}
	closedir(dir);
	return count;
}

void leaks_note(struct leaks *l)
{
	l->handles = 0;
	l->descriptors = count_descriptors(false);
}

void leaks_set_handles(struct leaks *l, int count)
{
	l->handles = count;
}

int leaks_report(const struct leaks *l)
{
	int kinds = 0, now;

	uv_library_shutdown(); /* its own pipe for signals */
	if (l->handles > 0) {
		fprintf(stderr, "neap: leak: %d handles in the loop\n",
			l->handles);
		kinds++;
	}
	if (cmod_live_count() > 0) {
		fprintf(stderr, "neap: leak: %u C modules\n",
			cmod_live_count());
		kinds++;
	}
	if (admin_run_held() != 0) {
		fprintf(stderr, "neap: leak: %d admin commands\n",
			admin_run_held());
		kinds++;
	}
	now = count_descriptors(false);
	if (now > l->descriptors) {
		fprintf(stderr,
			"neap: leak: %d descriptors, %d at the "
			"start\n",
			now, l->descriptors);
		count_descriptors(true);
		kinds++;
	}
	return kinds;
}
