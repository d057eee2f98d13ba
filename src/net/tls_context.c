/*
 * What TLS connections have in common. See tls_context.h.
 *
 * The name that a client asks for is looked up before anything else of its hello
 * is: so the version and the session are judged by the context that it gets, and a
 * session of one name opens no door of another.
 */
#include "net/tls_context.h"

#include <assert.h>
#include <ctype.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/diag.h"
#include "base/inject.h"
#include "net/tls_load.h"

struct session_slot {
	char *name; /* NULL: free */
	SSL_SESSION *session;
};

struct tls_context {
	unsigned refs;
	SSL_CTX *ssl;
	SSL_CTX *next; /* while it is loaded again */
	struct tls_options options;
	char *texts[7];      /* what the options point to */
	struct tls_sni *sni; /* names in lower case */
	struct session_slot sessions[TLS_SESSIONS];
	unsigned oldest; /* of them */
};

static _Atomic(tls_watch_f) watch;

void tls_context_set_watch(tls_watch_f fn)
{
	watch = fn;
}

/* Its certificate serves from now on. */
static void tell_loaded(const struct tls_context *c)
{
	X509 *cert = SSL_CTX_get0_certificate(c->ssl);
	unsigned char digest[EVP_MAX_MD_SIZE];
	char text[2 * EVP_MAX_MD_SIZE + 1];
	tls_watch_f fn = watch;
	unsigned size = 0;

	if (fn == NULL || c->options.role != TLS_SERVER || cert == NULL ||
	    X509_digest(cert, EVP_sha256(), digest, &size) != 1)
		return;
	for (unsigned i = 0; i < size; i++)
		snprintf(text + 2 * (size_t)i, 3, "%02x", digest[i]);
	fn(c->options.cert_file, text, NULL);
}

static void tell_failed(const struct tls_context *c)
{
	tls_watch_f fn = watch;

	if (fn != NULL && c->options.role == TLS_SERVER)
		fn(c->options.cert_file, NULL, diag_last()->message);
}

/* --- names --- */

bool tls_name_is_good(const char *name, size_t size)
{
	if (size == 0 || size > TLS_NAME_MAX)
		return false;
	for (size_t i = 0; i < size; i++) {
		unsigned char ch = (unsigned char)name[i];

		if (!isalnum(ch) && ch != '-' && ch != '.' && ch != '_')
			return false;
	}
	return name[0] != '.';
}

static bool is_pattern(const char *name)
{
	size_t size = strlen(name);

	if (strncmp(name, "*.", 2) == 0)
		return tls_name_is_good(name + 2, size - 2);
	return tls_name_is_good(name, size);
}

static struct tls_context *find_name(struct tls_context *c, const char *name)
{
	for (size_t i = 0; i < c->options.sni_count; i++) {
		if (strcmp(c->sni[i].name, name) == 0)
			return c->sni[i].context;
	}
	return NULL;
}

struct tls_context *tls_context_for(struct tls_context *c, const char *name,
				    size_t size)
{
	char lower[TLS_NAME_MAX + 2];
	struct tls_context *found;
	char *dot;

	if (c->options.sni_count == 0 || !tls_name_is_good(name, size))
		return c;
	for (size_t i = 0; i < size; i++)
		lower[i] = (char)tolower((unsigned char)name[i]);
	if (lower[size - 1] == '.')
		size--;
	lower[size] = '\0';
	found = find_name(c, lower);
	dot = strchr(lower, '.');
	if (found == NULL && dot != NULL && dot != lower) {
		dot[-1] = '*';
		found = find_name(c, dot - 1);
	}
	return found != NULL ? found : c;
}

/* The name in the extension server_name of a hello: a list of one, of the type
 * 0; lengths in two bytes. NULL: there is none, or it is broken, which OpenSSL
 * will say. */
static const char *asked_name(SSL *ssl, size_t *ret_size)
{
	const unsigned char *data;
	size_t size, name_size;

	if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &data,
				      &size) != 1 ||
	    size < 5)
		return NULL;
	name_size = (size_t)data[3] << 8 | data[4];
	if (((size_t)data[0] << 8 | data[1]) + 2 != size || data[2] != 0 ||
	    name_size + 5 != size)
		return NULL;
	*ret_size = name_size;
	return (const char *)data + 5;
}

static int verify_mode(const struct tls_context *c)
{
	switch (c->options.verify) {
	case TLS_VERIFY_NONE:
		return SSL_VERIFY_NONE;
	case TLS_VERIFY_DEFAULT:
		return c->options.role == TLS_CLIENT ? SSL_VERIFY_PEER
						     : SSL_VERIFY_NONE;
	case TLS_VERIFY_PEER:
		return SSL_VERIFY_PEER;
	case TLS_VERIFY_REQUIRED:
		break;
	}
	return SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
}

/* From @a c on to @a to: what SSL_set_SSL_CTX() leaves as it was, too. */
static bool change(SSL *ssl, const struct tls_context *c,
		   const struct tls_context *to)
{
	const struct tls_options *a = &c->options, *b = &to->options;

	if (SSL_set_SSL_CTX(ssl, to->ssl) == NULL)
		return false;
	SSL_set_verify(ssl, verify_mode(to), NULL);
	if (b->no_tickets)
		SSL_set_options(ssl, SSL_OP_NO_TICKET);
	if ((a->ciphers != NULL || b->ciphers != NULL) &&
	    SSL_set_cipher_list(ssl, b->ciphers != NULL
					     ? b->ciphers
					     : OSSL_default_cipher_list()) != 1)
		return false;
	if ((a->ciphersuites != NULL || b->ciphersuites != NULL) &&
	    SSL_set_ciphersuites(ssl, b->ciphersuites != NULL
					      ? b->ciphersuites
					      : OSSL_default_ciphersuites()) !=
		    1)
		return false;
	return SSL_set_min_proto_version(
		       ssl, SSL_CTX_get_min_proto_version(to->ssl)) == 1 &&
	       SSL_set_max_proto_version(
		       ssl, SSL_CTX_get_max_proto_version(to->ssl)) == 1;
}

static int on_hello(SSL *ssl, int *alert, void *arg)
{
	struct tls_context *c = arg, *found;
	size_t size = 0;
	const char *name = asked_name(ssl, &size);

	found = name != NULL ? tls_context_for(c, name, size) : c;
	if (found == c)
		return SSL_CLIENT_HELLO_SUCCESS;
	*alert = SSL_AD_INTERNAL_ERROR;
	return change(ssl, c, found) ? SSL_CLIENT_HELLO_SUCCESS
				     : SSL_CLIENT_HELLO_ERROR;
}

/* --- protocols of the application --- */

/* Ours decide, in their order; without one in common it ends. */
static int on_alpn(SSL *ssl, const unsigned char **ret, unsigned char *ret_size,
		   const unsigned char *theirs, unsigned size, void *arg)
{
	const struct tls_options *o = arg;
	unsigned char *chosen;

	(void)ssl;
	if (SSL_select_next_proto(&chosen, ret_size,
				  (const unsigned char *)o->alpn,
				  (unsigned)o->alpn_size, theirs,
				  size) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*ret = chosen;
	return SSL_TLSEXT_ERR_OK;
}

/* --- sessions --- */

void tls_context_put_session(struct tls_context *c, const char *name,
			     SSL_SESSION *session)
{
	struct session_slot *slot = NULL;
	char *copy;

	for (unsigned i = 0; i < TLS_SESSIONS; i++) {
		if (c->sessions[i].name != NULL &&
		    strcmp(c->sessions[i].name, name) == 0)
			slot = &c->sessions[i];
	}
	if (slot == NULL) {
		copy = mem_strdup(name);
		if (copy == NULL) {
			SSL_SESSION_free(session);
			return;
		}
		slot = &c->sessions[c->oldest++ % TLS_SESSIONS];
		mem_free(slot->name);
		slot->name = copy;
	}
	SSL_SESSION_free(slot->session);
	slot->session = session;
}

SSL_SESSION *tls_context_session(struct tls_context *c, const char *name)
{
	for (unsigned i = 0; i < TLS_SESSIONS; i++) {
		if (c->sessions[i].name != NULL &&
		    strcmp(c->sessions[i].name, name) == 0)
			return c->sessions[i].session;
	}
	return NULL;
}

static void forget_sessions(struct tls_context *c)
{
	for (unsigned i = 0; i < TLS_SESSIONS; i++) {
		mem_free(c->sessions[i].name);
		SSL_SESSION_free(c->sessions[i].session);
		c->sessions[i] = (struct session_slot){ NULL, NULL };
	}
}

/* --- making and loading --- */

static int load(struct tls_context *c)
{
	SSL_CTX *ssl = tls__load(&c->options);

	if (ssl == NULL)
		return -1;
	SSL_CTX_set_verify(ssl, verify_mode(c), NULL);
	if (c->options.role == TLS_SERVER) {
		SSL_CTX_set_client_hello_cb(ssl, on_hello, c);
		if (c->options.alpn_size > 0)
			SSL_CTX_set_alpn_select_cb(ssl, on_alpn, &c->options);
	}
	c->next = ssl;
	return 0;
}

/* An option's text of our own; -1 with diag set: there is no memory. */
static int own_text(struct tls_context *c, unsigned i, const char **text)
{
	if (*text == NULL)
		return 0;
	c->texts[i] = mem_strdup(*text);
	*text = c->texts[i];
	if (*text != NULL)
		return 0;
	diag_set_oom(0, "a TLS context");
	return -1;
}

static int own_texts(struct tls_context *c)
{
	struct tls_options *o = &c->options;
	const char **texts[] = { &o->cert_file,    &o->key_file,
				 &o->key_password, &o->ca_file,
				 &o->ca_path,      &o->ciphers,
				 &o->ciphersuites };
	const char *alpn = o->alpn;
	int rc = 0;

	_Static_assert(sizeof texts / sizeof *texts ==
			       sizeof c->texts / sizeof *c->texts,
		       "each has a place");
	o->alpn = NULL;
	for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++)
		rc = rc != 0 ? (*texts[i] = NULL, rc)
			     : own_text(c, i, texts[i]);
	if (rc != 0 || o->alpn_size == 0)
		return rc;
	o->alpn = mem_alloc(o->alpn_size);
	if (o->alpn == NULL) {
		diag_set_oom(o->alpn_size, "a TLS context");
		return -1;
	}
	memcpy((char *)o->alpn, alpn, o->alpn_size);
	return 0;
}

static int own_names(struct tls_context *c, const struct tls_sni *from,
		     size_t count)
{
	if (count == 0)
		return 0;
	c->sni = mem_zalloc(count * sizeof *c->sni);
	if (c->sni == NULL) {
		diag_set_oom(count * sizeof *c->sni, "a TLS context");
		return -1;
	}
	for (size_t i = 0; i < count; i++) {
		char *name;

		if (!is_pattern(from[i].name)) {
			diag_set(IllegalParams,
				 "tls: sni: '%s' is no name of a host, nor "
				 "*.name",
				 from[i].name);
			return -1;
		}
		name = mem_strdup(from[i].name);
		if (name == NULL) {
			diag_set_oom(strlen(from[i].name), "a TLS context");
			return -1;
		}
		for (char *p = name; *p != '\0'; p++)
			*p = (char)tolower((unsigned char)*p);
		c->sni[i] = (struct tls_sni){ name, tls_context_ref(
							    from[i].context) };
		c->options.sni_count++;
	}
	return 0;
}

struct tls_context *tls_context_new(const struct tls_options *options)
{
	struct tls_context *c = mem_zalloc(sizeof *c);

	assert(options->alpn_size <= TLS_ALPN_SIZE_MAX);
	assert(options->sni_count <= TLS_SNI_MAX);
	if (c == NULL) {
		diag_set_oom(sizeof *c, "a TLS context");
		return NULL;
	}
	c->refs = 1;
	c->options = *options;
	c->options.sni = NULL;
	c->options.sni_count = 0;
	if (own_texts(c) != 0 ||
	    own_names(c, options->sni, options->sni_count) != 0 ||
	    load(c) != 0) {
		tls_context_unref(c);
		return NULL;
	}
	c->ssl = c->next;
	c->next = NULL;
	tell_loaded(c);
	return c;
}

struct tls_context *tls_context_ref(struct tls_context *c)
{
	c->refs++;
	return c;
}

void tls_context_unref(struct tls_context *c)
{
	if (c == NULL || --c->refs > 0)
		return;
	for (size_t i = 0; i < c->options.sni_count; i++) {
		mem_free((char *)c->sni[i].name);
		tls_context_unref(c->sni[i].context);
	}
	mem_free(c->sni);
	forget_sessions(c);
	SSL_CTX_free(c->ssl);
	if (c->texts[2] != NULL)
		OPENSSL_cleanse(c->texts[2], strlen(c->texts[2]));
	for (unsigned i = 0; i < sizeof c->texts / sizeof *c->texts; i++)
		mem_free(c->texts[i]);
	mem_free((char *)c->options.alpn);
	mem_free(c);
}

/* It is loaded aside, or nothing is. */
static int prepare(struct tls_context *c)
{
	if (c->next != NULL) /* it has two names */
		return 0;
	for (size_t i = 0; i < c->options.sni_count; i++) {
		if (prepare(c->sni[i].context) != 0)
			return -1;
	}
	return load(c);
}

/* What was loaded aside serves from now on, or not. */
static void finish(struct tls_context *c, bool good)
{
	SSL_CTX *next = c->next;

	c->next = NULL;
	for (size_t i = 0; i < c->options.sni_count; i++)
		finish(c->sni[i].context, good);
	if (next == NULL || !good) {
		SSL_CTX_free(next);
		return;
	}
	SSL_CTX_free(c->ssl);
	c->ssl = next;
	forget_sessions(c);
	tell_loaded(c);
}

int tls_context_reload(struct tls_context *c)
{
	int rc = prepare(c);

	if (rc != 0)
		tell_failed(c);
	finish(c, rc == 0);
	return rc;
}

/* --- what it is --- */

enum tls_role tls_context_role(const struct tls_context *c)
{
	return c->options.role;
}

enum tls_verify tls_context_verify(const struct tls_context *c)
{
	return c->options.verify;
}

SSL_CTX *tls_context_ssl(struct tls_context *c)
{
	return c->ssl;
}
