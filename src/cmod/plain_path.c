/* Files without symbolic links on the way. See plain_path.h. */
#include "cmod/plain_path.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Append the parts of @a path to the @a used bytes of @a buf. Without links ".."
 * could be told from the text, but is not worth it. Returns 0 or -1. */
static int append_parts(const char *path, char *buf, size_t used, size_t size)
{
	size_t n;

	for (; *path != '\0'; path += n) {
		path += strspn(path, "/");
		n = strcspn(path, "/");
		if (n == 0 || (n == 1 && path[0] == '.'))
			continue;
		if (n == 2 && path[0] == '.' && path[1] == '.')
			return -1;
		if (n + 2 > size - used)
			return -1;
		buf[used++] = '/';
		memcpy(buf + used, path, n);
		used += n;
	}
	buf[used] = '\0';
	return 0;
}

/* The text of the real path, if nothing on the way is a link. */
static int spell(const char *path, char *buf, size_t size)
{
	size_t used = 0;

	/* (Of a folder that was moved out of reach it has no slash.) */
	if (path[0] != '/') {
		if (getcwd(buf, size) == NULL || buf[0] != '/')
			return -1;
		used = buf[1] == '\0' ? 0 : strlen(buf);
	}
	return append_parts(path, buf, used, size);
}

int plain_path_open(const char *path, char *buf, size_t size)
{
	struct open_how how = {
		.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK,
		.resolve = RESOLVE_NO_SYMLINKS,
	};
	struct stat st;
	int fd;

	fd = (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof how);
	if (fd < 0)
		return -1;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	    spell(path, buf, size) == 0)
		return fd;
	close(fd);
	return -1;
}
