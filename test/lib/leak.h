/*
 * Bytes that this process has allocated, for tests that demand a level heap:
 *
 *	for each of a few rounds: work();	// fills caches and pools
 *	size_t before = leak_bytes();
 *	for each of many rounds: work();
 *	assert_int_equal(leak_bytes(), before);
 *
 * Such a test is only worth something when it sees a leak of a single unit:
 * its twin runs the same rounds, leaks one unit on purpose, and asserts that
 * the figure has risen.
 */
#pragma once

#include <malloc.h>
#include <stddef.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define LEAK_SANITIZED
#endif
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define LEAK_SANITIZED
#endif

#ifdef LEAK_SANITIZED
size_t __sanitizer_get_current_allocated_bytes(void);
#endif

static inline size_t leak_bytes(void)
{
#ifdef LEAK_SANITIZED
	return __sanitizer_get_current_allocated_bytes();
#else
	struct mallinfo2 m = mallinfo2();

	return m.uordblks + m.hblkhd;
#endif
}
