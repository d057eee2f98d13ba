/* Base64 (RFC 4648, the ordinary alphabet), for binary strings in YAML. */
#pragma once

#include <stddef.h>

struct buf;

/** Append @a size bytes as base64. Returns 0, or UV_ENOMEM. */
int base64_encode(struct buf *out, const char *data, size_t size);

/**
 * Append the bytes that a base64 text stands for; white space in it is
 * skipped, padding may be missing. Returns 0; UV_EINVAL: no base64; UV_ENOMEM.
 */
int base64_decode(struct buf *out, const char *text, size_t size);
