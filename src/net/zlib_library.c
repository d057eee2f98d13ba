/* zlib, loaded when it is first wanted. See zlib_library.h. */
#include "net/zlib_library.h"

#include <dlfcn.h>
#include <pthread.h>

#include "base/inject.h"

struct zlib_library zlib_library;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static const char *problem;

static void load(void)
{
	void *lib = dlopen("libz.so.1", RTLD_NOW | RTLD_LOCAL);

	if (lib == NULL) {
		problem = "libz.so.1 is missing: install zlib1g";
		return;
	}
#define X(name)                                                        \
	*(void **)&zlib_library.name = dlsym(lib, #name);              \
	if (zlib_library.name == NULL) {                               \
		problem = "libz.so.1 has no " #name ": it is too old"; \
		return;                                                \
	}
	ZLIB_LIBRARY_FUNCTIONS(X)
#undef X
}

const char *zlib_library_load(void)
{
	pthread_once(&once, load);
	return problem;
}

void *zlib_library_alloc(void *arg, unsigned count, unsigned size)
{
	(void)arg;
	return mem_alloc((size_t)count * size);
}

void zlib_library_free(void *arg, void *p)
{
	(void)arg;
	mem_free(p);
}
