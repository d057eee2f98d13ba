/*
 * The files of unix sockets that listen: one that nobody answers on any more
 * is replaced, and at the end the one that is ours is removed, but not one
 * that somebody has put in its place.
 */
#pragma once

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/types.h>

/** Which file it is; all zero: none. */
struct unix_file {
	dev_t dev;
	ino_t ino;
	char path[108];
};

/** As bind(2), of any family. Returns 0 or UV_E*; of a unix socket's file,
 * UV_EADDRINUSE is said only when somebody answers, or it is no socket. @a replace: who
 * answers is about to go and removes nothing but its own file, so it may be replaced. */
int unix_file_bind(int fd, const struct sockaddr *addr, socklen_t size,
		   bool replace);

/** Remember the file that @a fd's address, just bound, has; if it has one. */
void unix_file_note(struct unix_file *f, const struct sockaddr *addr,
		    socklen_t size);

/** Remove it, if it is still the same; twice is harmless. */
void unix_file_remove(struct unix_file *f);
