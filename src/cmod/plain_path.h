/*
 * Opening a file and learning its real path in one step. Most paths have no
 * symbolic link in them; for those the kernel's word on that replaces
 * realpath(), which asks for each part of the path.
 */
#pragma once

#include <stddef.h>

/**
 * Open the regular file @a path for reading when there is no symbolic link on
 * the way; @a buf then holds its path from the root on. Never waits for a
 * FIFO's writer. Returns the descriptor, or -1 when it is anything else or
 * cannot be opened, or when this kernel does not know: no error, the long way
 * tells.
 */
int plain_path_open(const char *path, char *buf, size_t size);
