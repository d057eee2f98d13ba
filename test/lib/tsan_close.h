/*
 * libuv closes descriptors by syscall(), past the thread sanitizer, which then
 * takes the next one of that number for the one that is gone, and its users for
 * racing. This has it see them. For programs with several loops.
 */
#pragma once

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TSAN_CLOSE
#endif
#elif defined(__SANITIZE_THREAD__)
#define TSAN_CLOSE
#endif

#ifdef TSAN_CLOSE

#include <dlfcn.h>
#include <stdarg.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

__attribute__((visibility("default"))) long syscall(long number, ...)
{
	static long (*known)(long, ...);
	long (*real)(long, ...) = __atomic_load_n(&known, __ATOMIC_RELAXED);
	void *found;
	long arg[6];
	va_list ap;

	va_start(ap, number);
	for (int i = 0; i < 6; i++)
		arg[i] = va_arg(ap, long);
	va_end(ap);
	if (number == SYS_close)
		return close((int)arg[0]);
	if (real == NULL) {
		found = dlsym(RTLD_NEXT, "syscall");
		memcpy(&real, &found, sizeof real);
		__atomic_store_n(&known, real, __ATOMIC_RELAXED);
	}
	return real(number, arg[0], arg[1], arg[2], arg[3], arg[4], arg[5]);
}

#endif
