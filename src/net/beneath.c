/*
 * Files that lie in a folder. See beneath.h.
 *
 * The kernel itself holds the way inside the folder, so that nobody can change
 * a link between a look and the opening. An older one gets a walk that follows
 * no link at all.
 */
#include "net/beneath.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <uv.h>

#include "base/inject.h"

enum {
	FLAGS = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
	TRIES = 8, /* while others rename things around us */
};

static int open_kernel(int dir, const char *path, bool follow)
{
	struct open_how how = {
		.flags = FLAGS,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
	};
	int fd;

	if (inject("openat2"))
		return UV_ENOSYS;
	if (!follow)
		how.resolve |= RESOLVE_NO_SYMLINKS;
	for (int i = 0; i < TRIES; i++) {
		fd = (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));
		if (fd >= 0 || (errno != EAGAIN && errno != EINTR))
			break;
	}
	return fd >= 0 ? fd : -errno;
}

static int open_walking(int dir, const char *path)
{
	char name[NAME_MAX + 1];
	const char *slash;
	int at = dir, next;

	while ((slash = strchr(path, '/')) != NULL) {
		size_t size = slash - path;

		if (size > NAME_MAX || size == 0 ||
		    (size == 2 && memcmp(path, "..", 2) == 0)) {
			next = -1;
			errno = ENOENT;
		} else {
			memcpy(name, path, size);
			name[size] = '\0';
			next = openat(at, name,
				      O_PATH | O_NOFOLLOW | O_DIRECTORY |
					      O_CLOEXEC);
		}
		if (at != dir)
			close(at);
		if (next < 0)
			return -errno;
		at = next;
		path = slash + 1;
	}
	if (strcmp(path, "..") == 0) {
		next = -1;
		errno = ENOENT;
	} else {
		next = openat(at, *path != '\0' ? path : ".",
			      FLAGS | O_NOFOLLOW);
	}
	if (next < 0)
		next = -errno;
	if (at != dir)
		close(at);
	return next;
}

int beneath_open(const char *folder, const char *path, enum beneath_links links)
{
	int dir = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int fd;

	if (dir < 0)
		return -errno;
	if (*path == '\0')
		path = ".";
	if (links == BENEATH_LINKS_ANYWHERE) {
		fd = openat(dir, path, FLAGS);
		fd = fd < 0 ? -errno : fd;
	} else {
		fd = open_kernel(dir, path, links == BENEATH_LINKS_INSIDE);
		/* A sandbox may forbid the call altogether. */
		if (fd == UV_ENOSYS || fd == UV_EPERM)
			fd = open_walking(dir, path);
	}
	close(dir);
	return fd;
}
