/*
 * Making an SSL_CTX of options: reads the files, and says which one is wrong,
 * why, and what to do. See tls_load.h.
 */
#include "net/tls_load.h"

#include <dirent.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/diag.h"
#include "net/tls_error.h"
#include "net/tls_ticket.h"
#include "net/tls_trust.h"

enum {
	ERROR_SIZE = 512,
	/* Sessions without tickets that a server keeps, a few KiB each. */
	SESSIONS_MAX = 4096,
};

static int refuse(const char *what, const char *hint)
{
	char text[ERROR_SIZE];

	tls_error_text(text, sizeof text);
	diag_set(ClientError, "tls: %s: %s; %s", what, text, hint);
	return -1;
}

/* The same for a file; one that cannot be read is the system's error. */
static int refuse_file(const char *what, const char *path, const char *hint)
{
	char text[ERROR_SIZE];

	if (access(path, R_OK) != 0) {
		diag_set_system(errno, "tls: cannot read the %s '%s'", what,
				path);
		ERR_clear_error();
		return -1;
	}
	tls_error_text(text, sizeof text);
	diag_set(ClientError, "tls: the %s '%s' is not usable: %s; %s", what,
		 path, text, hint);
	return -1;
}

/* --- the certificate --- */

/* Never asks at a terminal, as OpenSSL does by itself. */
static int give_password(char *to, int size, int writing, void *arg)
{
	const struct tls_options *o = arg;
	size_t len = o->key_password != NULL ? strlen(o->key_password) : 0;

	(void)writing;
	if (o->key_password == NULL || len > (size_t)size)
		return -1;
	memcpy(to, o->key_password, len);
	return (int)len;
}

static const char *key_hint(const struct tls_options *o)
{
	unsigned long err = ERR_peek_last_error();
	int reason = ERR_GET_REASON(err);

	if ((ERR_GET_LIB(err) == ERR_LIB_X509 &&
	     reason == X509_R_KEY_VALUES_MISMATCH) ||
	    (ERR_GET_LIB(err) == ERR_LIB_SSL &&
	     reason == SSL_R_NO_CERTIFICATE_ASSIGNED))
		return "it is not the key of the certificate in cert_file";
	if (o->key_password == NULL)
		return "a private key in PEM form is wanted; an encrypted one "
		       "needs key_password";
	return "a private key in PEM form is wanted, and its key_password";
}

/* The thread would wait for who writes into it, maybe for ever. */
static int refuse_pipe(const char *path)
{
	struct stat st;

	if (path == NULL || stat(path, &st) != 0 || !S_ISFIFO(st.st_mode))
		return 0;
	diag_set(IllegalParams, "tls: '%s' is a pipe: a file is wanted", path);
	return -1;
}

static int load_certificate(SSL_CTX *ctx, const struct tls_options *o)
{
	const char *key = o->key_file != NULL ? o->key_file : o->cert_file;

	if (refuse_pipe(o->cert_file) != 0 || refuse_pipe(o->key_file) != 0 ||
	    refuse_pipe(o->ca_file) != 0)
		return -1;

	if (o->cert_file == NULL) {
		if (o->role == TLS_CLIENT && o->key_file == NULL)
			return 0;
		diag_set(IllegalParams,
			 "tls: %s needs a certificate: give cert_file",
			 o->role == TLS_SERVER ? "a server" : "key_file");
		return -1;
	}
	if (SSL_CTX_use_certificate_chain_file(ctx, o->cert_file) != 1)
		return refuse_file("certificate file", o->cert_file,
				   "the certificate, then its chain, is wanted "
				   "in PEM form");
	SSL_CTX_set_default_passwd_cb(ctx, give_password);
	SSL_CTX_set_default_passwd_cb_userdata(ctx, (void *)o);
	if (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1 ||
	    SSL_CTX_check_private_key(ctx) != 1)
		return refuse_file("private key", key, key_hint(o));
	return 0;
}

/* --- whom it trusts --- */

/* Is there something in the folder that `openssl rehash` has prepared? */
static bool has_hashes(const char *path)
{
	DIR *dir = opendir(path);
	const struct dirent *e;
	bool found = false;

	if (dir == NULL)
		return false;
	while (!found && (e = readdir(dir)) != NULL)
		found = strlen(e->d_name) == 10 && e->d_name[8] == '.' &&
			strspn(e->d_name, "0123456789abcdef") == 8;
	closedir(dir);
	return found;
}

const char *tls_trust_file(void)
{
	const char *file = getenv(X509_get_default_cert_file_env());

	return file != NULL ? file : X509_get_default_cert_file();
}

bool tls_trust_file_is_named(void)
{
	return getenv(X509_get_default_cert_file_env()) != NULL;
}

const char *tls_trust_folder(void)
{
	const char *dir = getenv(X509_get_default_cert_dir_env());

	return dir != NULL ? dir : X509_get_default_cert_dir();
}

bool tls_trust_folder_is_named(void)
{
	return getenv(X509_get_default_cert_dir_env()) != NULL;
}

bool tls_trust_by_folder(void)
{
	static atomic_int known; /* 0: not yet; else 1 or 2 */

	if (known == 0)
		known = !tls_trust_file_is_named() &&
					has_hashes(tls_trust_folder())
				? 2
				: 1;
	return known == 2;
}

/* Returns 1, or what OpenSSL says. */
static int trust_system(SSL_CTX *ctx)
{
	if (tls_trust_by_folder())
		return SSL_CTX_set_default_verify_dir(ctx);
	if (tls_trust_use(ctx, tls_trust_file(), tls_trust_folder()) == 0)
		return 1;
	/* There need not be such a file. */
	ERR_clear_error();
	return SSL_CTX_set_default_verify_paths(ctx);
}

/* Those of the file and the folder that are given. */
static int trust_given(SSL_CTX *ctx, const struct tls_options *o)
{
	bool ok = true;

	if (o->ca_file != NULL) {
		int rc = tls_trust_use(ctx, o->ca_file, o->ca_path);

		if (rc == -1)
			return refuse_file("file of authorities", o->ca_file,
					   "certificates in PEM form are "
					   "wanted");
		ok = rc == 0;
	} else if (o->ca_path != NULL) {
		ok = SSL_CTX_load_verify_dir(ctx, o->ca_path) == 1;
	}
	if (!ok || (o->ca_path != NULL && access(o->ca_path, X_OK | R_OK) != 0))
		return refuse_file("folder of authorities", o->ca_path,
				   "a folder that `openssl rehash` has "
				   "prepared is wanted");
	return 0;
}

static int load_trust(SSL_CTX *ctx, const struct tls_options *o)
{
	STACK_OF(X509_NAME) * names;

	if (trust_given(ctx, o) != 0)
		return -1;
	if (o->ca_file == NULL && o->ca_path == NULL) {
		if (o->role == TLS_CLIENT && o->verify != TLS_VERIFY_NONE &&
		    trust_system(ctx) != 1)
			return refuse("cannot read the system's authorities",
				      "give ca_file");
		if (o->role == TLS_SERVER && o->verify != TLS_VERIFY_NONE &&
		    o->verify != TLS_VERIFY_DEFAULT) {
			diag_set(IllegalParams,
				 "tls: verify of a server needs to know whom "
				 "to trust: give ca_file or ca_path");
			return -1;
		}
	}
	if (o->role == TLS_CLIENT || o->ca_file == NULL ||
	    o->verify == TLS_VERIFY_DEFAULT || o->verify == TLS_VERIFY_NONE)
		return 0;
	names = SSL_load_client_CA_file(o->ca_file);
	if (names == NULL)
		return refuse_file("file of authorities", o->ca_file,
				   "certificates in PEM form are wanted");
	SSL_CTX_set_client_CA_list(ctx, names);
	return 0;
}

/* --- protocols --- */

static int load_protocols(SSL_CTX *ctx, const struct tls_options *o)
{
	int least = o->min_version != 0 ? o->min_version : TLS1_2_VERSION;

	if (SSL_CTX_set_min_proto_version(ctx, least) != 1 ||
	    SSL_CTX_set_max_proto_version(ctx, o->max_version) != 1)
		return refuse("this OpenSSL has no such version",
			      "take TLSv1.2 or TLSv1.3");
	if (o->max_version != 0 && o->max_version < least) {
		diag_set(IllegalParams, "tls: min_version is over max_version");
		return -1;
	}
	if (o->ciphers != NULL && SSL_CTX_set_cipher_list(ctx, o->ciphers) != 1)
		return refuse("ciphers name none of TLS 1.2",
			      "`openssl ciphers -tls1_2` lists them");
	if (o->ciphersuites != NULL &&
	    SSL_CTX_set_ciphersuites(ctx, o->ciphersuites) != 1)
		return refuse("ciphersuites name none of TLS 1.3",
			      "`openssl ciphers -tls1_3 -s` lists them");
	if (o->role == TLS_CLIENT && o->alpn_size > 0 &&
	    SSL_CTX_set_alpn_protos(ctx, (const unsigned char *)o->alpn,
				    (unsigned)o->alpn_size) != 0)
		return refuse("alpn cannot be set", "give names of protocols");
	return 0;
}

/* --- sessions --- */

static bool digest_file(EVP_MD_CTX *md, const char *path)
{
	BIO *file = path != NULL ? BIO_new_file(path, "r") : NULL;
	char part[4096];
	int n;

	if (file == NULL)
		return path == NULL;
	while ((n = BIO_read(file, part, sizeof part)) > 0)
		EVP_DigestUpdate(md, part, (size_t)n);
	BIO_free(file);
	return n == 0;
}

/*
 * What a session was let in by. Tickets are good for all contexts of the process
 * (any worker, before and after a reload), so a session must not get past one
 * that has another certificate or looks at its clients otherwise.
 */
static int set_identity(SSL_CTX *ctx, const struct tls_options *o)
{
	unsigned char id[EVP_MAX_MD_SIZE], leaf[EVP_MAX_MD_SIZE];
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	unsigned size = 0, leaf_size = 0;
	const char *path = o->ca_path != NULL ? o->ca_path : "";
	int verify = o->verify;
	bool ok = md != NULL && EVP_DigestInit_ex(md, EVP_sha256(), NULL) &&
		  X509_digest(SSL_CTX_get0_certificate(ctx), EVP_sha256(), leaf,
			      &leaf_size) &&
		  EVP_DigestUpdate(md, leaf, leaf_size) &&
		  EVP_DigestUpdate(md, &verify, sizeof verify) &&
		  EVP_DigestUpdate(md, path, strlen(path) + 1) &&
		  digest_file(md, o->ca_file) &&
		  EVP_DigestFinal_ex(md, id, &size) &&
		  SSL_CTX_set_session_id_context(ctx, id, size) == 1;

	EVP_MD_CTX_free(md);
	return ok ? 0 : refuse("cannot set up sessions", "try again");
}

static int load_sessions(SSL_CTX *ctx, const struct tls_options *o)
{
	if (o->no_tickets)
		SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
	if (o->role == TLS_CLIENT) {
		SSL_CTX_set_session_cache_mode(
			ctx, o->no_session_cache
				     ? SSL_SESS_CACHE_OFF
				     : SSL_SESS_CACHE_CLIENT |
					       SSL_SESS_CACHE_NO_INTERNAL);
		return 0;
	}
	SSL_CTX_set_session_cache_mode(ctx, o->no_session_cache
						    ? SSL_SESS_CACHE_OFF
						    : SSL_SESS_CACHE_SERVER);
	SSL_CTX_sess_set_cache_size(ctx, SESSIONS_MAX);
	if (o->no_tickets && o->no_session_cache)
		SSL_CTX_set_num_tickets(ctx, 0);
	if (tls__tickets(ctx) != 0)
		return refuse("cannot set up tickets", "try again");
	return set_identity(ctx, o);
}

SSL_CTX *tls__load(const struct tls_options *o)
{
	SSL_CTX *ctx;

	ERR_clear_error();
	ctx = SSL_CTX_new(o->role == TLS_SERVER ? TLS_server_method()
						: TLS_client_method());
	if (ctx == NULL) {
		refuse("cannot make a context", "is there memory?");
		return NULL;
	}
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION |
					 SSL_OP_NO_COMPRESSION |
					 SSL_OP_CIPHER_SERVER_PREFERENCE);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS |
				      SSL_MODE_NO_AUTO_CHAIN |
				      SSL_MODE_ENABLE_PARTIAL_WRITE |
				      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_read_ahead(ctx, 1);
	if (load_protocols(ctx, o) != 0 || load_certificate(ctx, o) != 0 ||
	    load_trust(ctx, o) != 0 || load_sessions(ctx, o) != 0) {
		SSL_CTX_free(ctx);
		return NULL;
	}
	/* The options stay, the password is not asked for again. */
	SSL_CTX_set_default_passwd_cb_userdata(ctx, NULL);
	SSL_CTX_set_default_passwd_cb(ctx, NULL);
	ERR_clear_error();
	return ctx;
}
