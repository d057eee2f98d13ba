/*
 * Whom requests trust.
 *
 * By itself libcurl reads a file of authorities for each client, and with a folder
 * beside it for each connection, for which the worker stands still. So it gets those
 * that tls_trust.h has read, once for the process, when it has made the context of a
 * connection; of the file it is given only a name, as a folder in which it never
 * looks: it has one connection go on for another if they trust the same.
 */
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/inject.h"
#include "net/curl_library.h"
#include "net/http_client.h"
#include "net/tls_load.h"
#include "net/tls_trust.h"

enum { NAME_MORE = 32 }; /* bytes of a name besides the two paths */

static CURLcode on_context(CURL *easy, void *context, void *arg)
{
	struct http_call *call = arg;
	SSL_CTX *ctx = context;

	(void)easy;
	if (SSL_CTX_get_verify_mode(ctx) == SSL_VERIFY_NONE)
		return CURLE_OK;
	if (tls_trust_use(ctx, call->ca_file, call->ca_path) != 0) {
		ERR_clear_error();
		call->trusts_nobody = true;
		return CURLE_SSL_CACERT_BADFILE;
	}
	/* As libcurl has it: who is in the file is trusted, root or not. */
	X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(ctx),
				    X509_V_FLAG_PARTIAL_CHAIN);
	return CURLE_OK;
}

/* Have libcurl ask us. */
static CURLcode trust_ours(struct http_call *call, const char *spelled,
			   const char *file, const char *dir)
{
	size_t dir_size = dir != NULL ? strlen(dir) : 0;
	size_t size = strlen(spelled) + dir_size + NAME_MORE;
	char *name = mem_alloc(size);
	CURLcode rc;

	mem_free(call->ca_file);
	mem_free(call->ca_path);
	call->ca_file = mem_strdup(file);
	call->ca_path = dir != NULL ? mem_strdup(dir) : NULL;
	if (name == NULL || call->ca_file == NULL ||
	    (dir != NULL && call->ca_path == NULL)) {
		mem_free(name);
		return CURLE_OUT_OF_MEMORY;
	}
	snprintf(name, size, "%zu/%s/%s", dir_size, spelled,
		 dir != NULL ? dir : "");
	curl_library.easy_setopt(call->easy, CURLOPT_CAINFO, NULL);
	curl_library.easy_setopt(call->easy, CURLOPT_SSL_CTX_DATA, call);
	rc = curl_library.easy_setopt(call->easy, CURLOPT_SSL_CTX_FUNCTION,
				      on_context);
	if (rc == CURLE_OK)
		rc = curl_library.easy_setopt(call->easy, CURLOPT_CAPATH, name);
	mem_free(name);
	return rc;
}

static CURLcode trust_theirs(struct http_call *call, const char *file,
			     const char *dir)
{
	CURLcode rc;

	curl_library.easy_setopt(call->easy, CURLOPT_SSL_CTX_FUNCTION, NULL);
	rc = curl_library.easy_setopt(call->easy, CURLOPT_CAPATH, dir);
	if (rc == CURLE_OK)
		rc = curl_library.easy_setopt(call->easy, CURLOPT_CAINFO, file);
	return rc;
}

int http_call_trust(struct http_call *call, const char *file, const char *dir)
{
	size_t size;
	char *spelled;
	CURLcode rc;

	if (file == NULL)
		return trust_theirs(call, NULL, dir) == CURLE_OK ? 0
								 : UV_ENOMEM;
	size = strlen(file) + TLS_TRUST_SPELLING;
	spelled = mem_alloc(size);
	if (spelled == NULL)
		return UV_ENOMEM;
	tls_trust_spell(file, spelled, size);
	rc = curl_library.shares_openssl ? trust_ours(call, spelled, file, dir)
					 : trust_theirs(call, spelled, dir);
	mem_free(spelled);
	return rc == CURLE_OK ? 0 : UV_ENOMEM;
}

int http__call_trust_system(struct http_call *call)
{
	const char *file = tls_trust_file(), *dir = tls_trust_folder();

	if (tls_trust_by_folder())
		return http_call_trust(call, NULL, dir);
	if (curl_library.shares_openssl && access(file, R_OK) == 0)
		return http_call_trust(call, file, dir);
	/* A file that is named takes the place of the folder that is not: libcurl
	 * would read it for each connection if there were both. */
	if (tls_trust_file_is_named())
		return http_call_trust(
			call, file, tls_trust_folder_is_named() ? dir : NULL);
	return 0; /* its builder knew best */
}
