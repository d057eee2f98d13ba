/*
 * zlib, loaded when it is first wanted: who does not compress shall not wait for it at
 * the start.
 */
#pragma once

#include <zlib.h>

#define ZLIB_LIBRARY_FUNCTIONS(X) \
	X(deflateInit2_)          \
	X(deflate)                \
	X(deflateEnd)             \
	X(inflateInit2_)          \
	X(inflate)                \
	X(inflateReset)           \
	X(inflateResetKeep)       \
	X(inflateEnd)

/** Its functions, by their names. */
struct zlib_library {
#define X(name) __typeof__(name) *name;
	ZLIB_LIBRARY_FUNCTIONS(X)
#undef X
};

/** Good after zlib_library_load() has returned NULL. */
extern struct zlib_library zlib_library;

/** Load it, once for the process; it stays. Returns NULL, or why it cannot be had,
 * a static text. Any thread. */
const char *zlib_library_load(void);

/** For z_stream::zalloc and zfree: failures can be injected. */
void *zlib_library_alloc(void *arg, unsigned count, unsigned size);
void zlib_library_free(void *arg, void *p);
