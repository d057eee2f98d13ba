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
#include <stdlib.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define LEAK_SANITIZED
#endif
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define LEAK_SANITIZED
#endif

#ifdef LEAK_SANITIZED

size_t __sanitizer_get_current_allocated_bytes(void);

/** Run @a call; the leak sanitizer overlooks what it allocates. */
#if defined(__SANITIZE_THREAD__)
#define LEAK_IGNORE(call) ((void)(call))
#else
void __lsan_disable(void);
void __lsan_enable(void);
#define LEAK_IGNORE(call) (__lsan_disable(), (void)(call), __lsan_enable())
#endif

static inline size_t leak_bytes(void)
{
	return __sanitizer_get_current_allocated_bytes();
}

#else

/* The C library's own figure counts what its caches keep: a leaked unit may
 * come from there unseen. So the test brings functions that count. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *ptr, size_t size);
void __libc_free(void *ptr);

#define LEAK_IGNORE(call) ((void)(call))

/* Libraries must find them as well. */
#define LEAK_SEEN         __attribute__((visibility("default")))

static size_t leak_counted;

static inline void *leak_count(void *ptr)
{
	__atomic_fetch_add(&leak_counted, malloc_usable_size(ptr),
			   __ATOMIC_RELAXED);
	return ptr;
}

LEAK_SEEN void *malloc(size_t size)
{
	return leak_count(__libc_malloc(size));
}

LEAK_SEEN void *calloc(size_t count, size_t size)
{
	return leak_count(__libc_calloc(count, size));
}

LEAK_SEEN void *realloc(void *ptr, size_t size)
{
	size_t old_size = malloc_usable_size(ptr);
	void *p = __libc_realloc(ptr, size);

	if (p != NULL || size == 0)
		__atomic_fetch_sub(&leak_counted, old_size, __ATOMIC_RELAXED);
	return leak_count(p);
}

LEAK_SEEN void free(void *ptr)
{
	__atomic_fetch_sub(&leak_counted, malloc_usable_size(ptr),
			   __ATOMIC_RELAXED);
	__libc_free(ptr);
}

static inline size_t leak_bytes(void)
{
	return __atomic_load_n(&leak_counted, __ATOMIC_RELAXED);
}

#endif
