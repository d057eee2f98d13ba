/* Files, where one system call does not do it all. */
#pragma once

#include <stddef.h>

/** Write all of it, past short writes and signals. Returns 0, or an errno
 * negative; some of it may have been written then. */
int file_write_all(int fd, const char *data, size_t size);
