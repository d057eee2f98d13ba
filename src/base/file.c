/* Files, where one system call does not do it all. See file.h. */
#include "base/file.h"

#include <errno.h>
#include <unistd.h>

int file_write_all(int fd, const char *data, size_t size)
{
	while (size > 0) {
		ssize_t n = write(fd, data, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		data += n;
		size -= (size_t)n;
	}
	return 0;
}
