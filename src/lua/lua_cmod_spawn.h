/* Starting the process of a helper. */
#pragma once

#include <sys/types.h>

/**
 * Execute this program as a helper with the library's descriptor and one end
 * of a socket pair. Returns 0, the other end (non-blocking), the process and a
 * descriptor of it; or UV_E* with nothing started. @a symbol and @a file are
 * for those who look at the list of processes.
 */
int lua_cmod_spawn(int library_fd, const char *symbol, const char *file,
		   int *ret_socket, pid_t *ret_pid, int *ret_pidfd);
