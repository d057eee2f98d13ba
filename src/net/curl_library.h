/*
 * libcurl, loaded when it is first wanted: the libraries behind it would triple the
 * start-up time of programs that have no use for it.
 */
#pragma once

#include <curl/curl.h>
#include <stdbool.h>

/* The types of curl_easy_setopt() and its kin are checked by macros of the same
 * names, which would get in the way of members that are called so. */
#undef curl_easy_setopt
#undef curl_easy_getinfo
#undef curl_multi_setopt

#define CURL_LIBRARY_FUNCTIONS(X) \
	X(easy_init)              \
	X(easy_cleanup)           \
	X(easy_setopt)            \
	X(easy_getinfo)           \
	X(easy_pause)             \
	X(easy_strerror)          \
	X(multi_init)             \
	X(multi_cleanup)          \
	X(multi_setopt)           \
	X(multi_add_handle)       \
	X(multi_remove_handle)    \
	X(multi_socket_action)    \
	X(multi_assign)           \
	X(multi_info_read)        \
	X(slist_append)           \
	X(slist_free_all)         \
	X(global_init)            \
	X(version)

/** Its functions, by their names without `curl_`. */
struct curl_library {
#define X(name) __typeof__(curl_##name) *name;
	CURL_LIBRARY_FUNCTIONS(X)
#undef X
	bool shares_openssl; /* a context of its TLS is one of our OpenSSL's */
};

/** Good after curl_library_load() has returned NULL. */
extern struct curl_library curl_library;

/** Load it, once for the process; it stays. Returns NULL, or why it cannot be
 * had. Any thread. */
const char *curl_library_load(void);
