/* libcurl, loaded when it is first wanted. See curl_library.h. */
#include "net/curl_library.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/inject.h"

struct curl_library curl_library;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static char problem[256]; /* empty: none */

static void load(void)
{
	void *lib = inject("curl.load")
			    ? NULL
			    : dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);

	if (lib == NULL) {
		const char *why = dlerror();

		snprintf(problem, sizeof problem, "%s",
			 why != NULL ? why : "libcurl.so.4 cannot be loaded");
		return;
	}
#define X(name)                                                             \
	*(void **)&curl_library.name = dlsym(lib, "curl_" #name);           \
	if (curl_library.name == NULL) {                                    \
		snprintf(problem, sizeof problem,                           \
			 "libcurl.so.4 has no function curl_%s: it is too " \
			 "old",                                             \
			 #name);                                            \
		return;                                                     \
	}
	CURL_LIBRARY_FUNCTIONS(X)
#undef X
	if (curl_library.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		snprintf(problem, sizeof problem,
			 "libcurl.so.4 cannot be initialised");
}

const char *curl_library_load(void)
{
	pthread_once(&once, load);
	return problem[0] == '\0' ? NULL : problem;
}
