/*
 * What the thread sanitizer does not see of the C library, for programs with
 * several loops:
 * - libuv closes descriptors by syscall(): the next one of that number is taken
 *   for the one that is gone, and its users for racing;
 * - the locks of its streams;
 * - what mremap() moves: LuaJIT's allocator does without when it fails.
 */
#pragma once

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TSAN_LIBC
#endif
#elif defined(__SANITIZE_THREAD__)
#define TSAN_LIBC
#endif

#ifdef TSAN_LIBC

#include <dlfcn.h>
#include <errno.h>
#include <sanitizer/tsan_interface.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static void *next(const char *name, void **known)
{
	void *found = __atomic_load_n(known, __ATOMIC_RELAXED);

	if (found == NULL) {
		found = dlsym(RTLD_NEXT, name);
		__atomic_store_n(known, found, __ATOMIC_RELAXED);
	}
	return found;
}

__attribute__((visibility("default"))) long syscall(long number, ...)
{
	static void *known;
	long (*real)(long, ...);
	void *found;
	long arg[6];
	va_list ap;

	va_start(ap, number);
	for (int i = 0; i < 6; i++)
		arg[i] = va_arg(ap, long);
	va_end(ap);
	if (number == SYS_close)
		return close((int)arg[0]);
	found = next("syscall", &known);
	memcpy(&real, &found, sizeof real);
	return real(number, arg[0], arg[1], arg[2], arg[3], arg[4], arg[5]);
}

__attribute__((visibility("default"))) void *mremap(void *old, size_t old_size,
						    size_t size, int flags, ...)
{
	(void)old, (void)old_size, (void)size, (void)flags;
	errno = ENOMEM;
	return MAP_FAILED;
}

__attribute__((visibility("default"))) int ftrylockfile(FILE *fp)
{
	static void *known;
	void *found = next("ftrylockfile", &known);
	int (*real)(FILE *), rc;

	memcpy(&real, &found, sizeof real);
	rc = real(fp);
	if (rc == 0)
		__tsan_acquire(fp);
	return rc;
}

__attribute__((visibility("default"))) void flockfile(FILE *fp)
{
	static void *known;
	void *found = next("flockfile", &known);
	void (*real)(FILE *);

	memcpy(&real, &found, sizeof real);
	real(fp);
	__tsan_acquire(fp);
}

__attribute__((visibility("default"))) void funlockfile(FILE *fp)
{
	static void *known;
	void *found = next("funlockfile", &known);
	void (*real)(FILE *);

	memcpy(&real, &found, sizeof real);
	__tsan_release(fp);
	real(fp);
}

#endif
