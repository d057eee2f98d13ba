/* What OpenSSL's error queue says, as text for people. */
#pragma once

#include <stddef.h>

/**
 * Write the first error of this thread's queue, which caused the rest, with
 * what it is about and where OpenSSL noticed it, and empty the queue. Without
 * any: that there is none. Cut to @a size, which includes the end.
 */
void tls_error_text(char *text, size_t size);
