/* The files of unix sockets. See unix_file.h. */
#include "net/unix_file.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

static const char *path_of(const struct sockaddr *addr)
{
	return ((const struct sockaddr_un *)addr)->sun_path;
}

static bool is_socket(const struct sockaddr *addr)
{
	struct stat st;

	return lstat(path_of(addr), &st) == 0 && S_ISSOCK(st.st_mode);
}

/* True when nobody answers there any more. */
static bool is_stale(const struct sockaddr *addr, socklen_t size)
{
	bool stale = false;
	int fd;

	/* Connecting to what is no socket is refused as well. */
	if (!is_socket(addr))
		return false;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return false;
	if (connect(fd, addr, size) != 0)
		stale = errno == ECONNREFUSED;
	close(fd);
	return stale;
}

int unix_file_bind(int fd, const struct sockaddr *addr, socklen_t size,
		   bool replace)
{
	if (bind(fd, addr, size) == 0)
		return 0;
	if (errno != EADDRINUSE || addr->sa_family != AF_UNIX)
		return -errno;
	if (path_of(addr)[0] == '\0' ||
	    !(replace ? is_socket(addr) : is_stale(addr, size)))
		return UV_EADDRINUSE;
	if (unlink(path_of(addr)) != 0)
		return -errno;
	return bind(fd, addr, size) == 0 ? 0 : -errno;
}

void unix_file_note(struct unix_file *f, const struct sockaddr *addr,
		    socklen_t size)
{
	struct stat st;

	f->path[0] = '\0';
	if (addr->sa_family != AF_UNIX ||
	    size <= offsetof(struct sockaddr_un, sun_path) ||
	    path_of(addr)[0] == '\0' || stat(path_of(addr), &st) != 0)
		return;
	memcpy(f->path, path_of(addr), sizeof f->path);
	f->dev = st.st_dev;
	f->ino = st.st_ino;
}

void unix_file_remove(struct unix_file *f)
{
	struct stat st;

	if (f->path[0] == '\0' || stat(f->path, &st) != 0)
		return;
	if (st.st_dev == f->dev && st.st_ino == f->ino)
		unlink(f->path);
	f->path[0] = '\0';
}
