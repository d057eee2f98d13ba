/* libcurl, loaded when it is first wanted. See curl_library.h. */
#include "net/curl_library.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/inject.h"

struct curl_library curl_library;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static char problem[256]; /* empty: none */

/* It may have been built with something else, or another OpenSSL than ours. */
static bool shares_openssl(void *lib)
{
	static const char name[] = "SSL_CTX_set_cert_store";
	const void *ours = dlsym(RTLD_DEFAULT, name);
	const char *with = curl_library.version();

	return ours != NULL && ours == dlsym(lib, name) &&
	       strstr(with, " OpenSSL/") != NULL;
}

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
	curl_library.shares_openssl = shares_openssl(lib);
}

const char *curl_library_load(void)
{
	pthread_once(&once, load);
	return problem[0] == '\0' ? NULL : problem;
}
