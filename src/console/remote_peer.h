/* Who is at the other end of a remote console, and whether he knows its secret. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct stream;

enum { REMOTE_PEER_SIZE = 256 };

/** "uid 0 pid 7" of a unix socket, else the address and, of TLS, the subject of
 * his certificate, escaped; REMOTE_PEER_SIZE bytes at most. */
void remote_peer_format(char *text, const struct stream *s);

/** Is it the password? The time this takes tells nothing of it. */
bool remote_secret_is(const char *secret, const char *told, size_t size);
