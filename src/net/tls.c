/*
 * One TLS connection over any carrier. See tls.h.
 *
 * OpenSSL talks to the carrier by a BIO of ours, which never refuses a write until
 * OUT_MAX bytes are kept: an answer to each of a peer's key updates, say, that it
 * does not take. Then reading stops until there is room.
 */
#include "net/tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

#include "base/buf.h"
#include "base/diag.h"
#include "base/inject.h"
#include "net/tls_context.h"
#include "net/tls_error.h"

enum {
	OUT_MAX = 64 << 10,
	WRITE_MAX = 16 << 10, /* a record's, so one write is one of them */
	WHY_SIZE = 512,
};

struct tls {
	SSL *ssl;
	struct tls_context *context;
	struct tls_io io;
	struct buf first; /* came before us */
	struct buf out;   /* encrypted, not sent yet */
	size_t out_sent;
	int io_error;   /* of the carrier's recv(), since the call began */
	int out_failed; /* of its send(), for ever: what came can be read */
	int failed;     /* of all, for ever; 0: it has not */
	bool done;      /* the handshake */
	bool eof;       /* of the carrier */
	bool closed;    /* we have announced our end */
	char *why;
	char *name; /* a client's server; NULL: none */
};

/* --- the carrier as a BIO --- */

static BIO_METHOD *method;
static pthread_once_t method_once = PTHREAD_ONCE_INIT;

static int take_first(struct tls *t, char *to, int size)
{
	size_t n = t->first.size < (size_t)size ? t->first.size : (size_t)size;

	memcpy(to, t->first.data, n);
	buf_consume(&t->first, n);
	if (t->first.size == 0)
		buf_destroy(&t->first);
	return (int)n;
}

static int bio_read(BIO *bio, char *to, int size)
{
	struct tls *t = BIO_get_data(bio);
	ssize_t n;

	BIO_clear_retry_flags(bio);
	if (size <= 0)
		return 0;
	if (t->first.size > 0)
		return take_first(t, to, size);
	n = t->io.recv(t->io.arg, to, (size_t)size);
	if (n > 0)
		return (int)n;
	if (n == UV_EAGAIN)
		BIO_set_retry_read(bio);
	else if (n == 0)
		t->eof = true;
	else
		t->io_error = (int)n;
	return n == 0 ? 0 : -1;
}

static ssize_t send_some(struct tls *t, const void *data, size_t size)
{
	ssize_t n = t->io.send(t->io.arg, data, size);

	if (n < 0 && n != UV_EAGAIN)
		t->out_failed = (int)n;
	return n == 0 ? UV_EAGAIN : n;
}

/* What is kept goes first; 0: it has gone. */
static int send_out(struct tls *t)
{
	while (t->out_failed == 0 && t->out_sent < t->out.size) {
		ssize_t n = send_some(t, t->out.data + t->out_sent,
				      t->out.size - t->out_sent);

		if (n < 0)
			return (int)n;
		t->out_sent += (size_t)n;
	}
	if (t->out_failed != 0)
		return t->out_failed;
	t->out_sent = 0;
	buf_destroy(&t->out);
	return 0;
}

static int keep(struct tls *t, BIO *bio, const char *data, size_t size)
{
	if (t->out_sent > 0) {
		buf_consume(&t->out, t->out_sent);
		t->out_sent = 0;
	}
	if (t->out.size >= OUT_MAX) {
		BIO_set_retry_write(bio);
		return -1;
	}
	if (buf_append(&t->out, data, size) != 0) {
		t->out_failed = UV_ENOMEM;
		return -1;
	}
	return (int)size;
}

static int bio_write(BIO *bio, const char *data, int size)
{
	struct tls *t = BIO_get_data(bio);
	ssize_t n = 0;
	int rc;

	BIO_clear_retry_flags(bio);
	if (size <= 0)
		return 0;
	rc = send_out(t);
	if (rc == 0)
		n = send_some(t, data, (size_t)size);
	if (t->out_failed != 0) {
		/* OpenSSL looks: who leaves after a whole hello, without its
		 * tickets, has still said what it said. */
		errno = -t->out_failed;
		return -1;
	}
	n = n > 0 ? n : 0;
	if (n == size)
		return size;
	/* Refused only when there was something before: then nothing went. */
	rc = keep(t, bio, data + n, (size_t)(size - n));
	return rc < 0 ? -1 : size;
}

static long bio_ctrl(BIO *bio, int command, long number, void *arg)
{
	const struct tls *t = BIO_get_data(bio);

	(void)number, (void)arg;
	if (command == BIO_CTRL_FLUSH)
		return 1;
	return command == BIO_CTRL_EOF && t->eof;
}

static void make_method(void)
{
	BIO_METHOD *m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK,
				     "neap");

	if (m == NULL)
		return;
	if (BIO_meth_set_read(m, bio_read) &&
	    BIO_meth_set_write(m, bio_write) && BIO_meth_set_ctrl(m, bio_ctrl))
		method = m;
	else
		BIO_meth_free(m);
}

static bool set_bio(struct tls *t)
{
	BIO *bio;

	pthread_once(&method_once, make_method);
	bio = method != NULL ? BIO_new(method) : NULL;
	if (bio == NULL)
		return false;
	BIO_set_data(bio, t);
	BIO_set_init(bio, 1);
	SSL_set_bio(t->ssl, bio, bio); /* owns it once */
	return true;
}

/* --- making one --- */

static bool is_number(const char *name)
{
	unsigned char address[16];

	return inet_pton(AF_INET, name, address) == 1 ||
	       inet_pton(AF_INET6, name, address) == 1;
}

static int refuse_name(const char *name)
{
	diag_set(IllegalParams,
		 "tls: '%.300s' is no name that a certificate may be for: give "
		 "server_name",
		 name);
	return -1;
}

/* Whom a client wants to talk to. A name by its end in a dot is the same. */
static int set_name(struct tls *t, const char *name)
{
	bool check = tls_context_verify(t->context) != TLS_VERIFY_NONE;
	X509_VERIFY_PARAM *param = SSL_get0_param(t->ssl);
	size_t size = name != NULL ? strlen(name) : 0;
	SSL_SESSION *session;

	if (name == NULL && !check)
		return 0;
	if (name == NULL) {
		diag_set(
			IllegalParams,
			"tls: whose certificate is it to be? Give server_name, "
			"or verify = 'none'");
		return -1;
	}
	t->name = mem_strdup(name);
	if (t->name == NULL) {
		diag_set_oom(size, "a TLS connection");
		return -1;
	}
	if (is_number(name)) {
		if (check && X509_VERIFY_PARAM_set1_ip_asc(param, name) != 1)
			return refuse_name(name);
	} else {
		if (!tls_name_is_good(name, size))
			return refuse_name(name);
		if (name[size - 1] == '.')
			t->name[size - 1] = '\0';
		if (SSL_set_tlsext_host_name(t->ssl, t->name) != 1)
			return refuse_name(name);
		X509_VERIFY_PARAM_set_hostflags(
			param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
		if (check &&
		    X509_VERIFY_PARAM_set1_host(param, t->name, 0) != 1)
			return refuse_name(name);
	}
	session = tls_context_session(t->context, t->name);
	if (session != NULL)
		SSL_set_session(t->ssl, session);
	return 0;
}

/* A client's session has come: for the next connection. */
static int on_session(SSL *ssl, SSL_SESSION *session)
{
	struct tls *t = SSL_get_app_data(ssl);

	if (t->name == NULL || !SSL_SESSION_is_resumable(session))
		return 0;
	tls_context_put_session(t->context, t->name, session);
	return 1;
}

static int begin(struct tls *t, const char *name)
{
	SSL_CTX *ctx = tls_context_ssl(t->context);

	ERR_clear_error();
	t->ssl = SSL_new(ctx);
	if (t->ssl == NULL || !set_bio(t)) {
		diag_set_oom(0, "a TLS connection");
		return -1;
	}
	SSL_set_app_data(t->ssl, t);
	if (tls_context_role(t->context) == TLS_SERVER) {
		SSL_set_accept_state(t->ssl);
		return 0;
	}
	SSL_CTX_sess_set_new_cb(ctx, on_session);
	SSL_set_connect_state(t->ssl);
	return set_name(t, name);
}

struct tls *tls_new(struct tls_context *context, const char *name,
		    const struct tls_io *io)
{
	struct tls *t = mem_zalloc(sizeof *t);

	if (t == NULL) {
		diag_set_oom(sizeof *t, "a TLS connection");
		return NULL;
	}
	t->context = tls_context_ref(context);
	t->io = *io;
	if (begin(t, name) == 0)
		return t;
	tls_delete(t);
	return NULL;
}

void tls_delete(struct tls *t)
{
	if (t == NULL)
		return;
	SSL_free(t->ssl);
	tls_context_unref(t->context);
	buf_destroy(&t->first);
	buf_destroy(&t->out);
	mem_free(t->why);
	mem_free(t->name);
	mem_free(t);
}

void tls_set_arg(struct tls *t, void *arg)
{
	t->io.arg = arg;
}

int tls_feed(struct tls *t, const void *data, size_t size)
{
	return size == 0 ? 0 : buf_append(&t->first, data, size);
}

/* --- what went wrong --- */

static bool is_about_certificates(int alert)
{
	return (alert >= SSL_AD_NO_CERTIFICATE &&
		alert <= SSL_AD_CERTIFICATE_UNKNOWN) ||
	       alert == SSL_AD_UNKNOWN_CA || alert == SSL_AD_ACCESS_DENIED ||
	       alert == SSL_AD_CERTIFICATE_REQUIRED;
}

__attribute__((format(printf, 2, 3))) static void tell(struct tls *t,
						       const char *fmt, ...)
{
	char text[WHY_SIZE];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	mem_free(t->why);
	t->why = mem_strdup(text);
}

static int tell_unverified(struct tls *t)
{
	long result = SSL_get_verify_result(t->ssl);
	const char *hint =
		result == X509_V_ERR_HOSTNAME_MISMATCH ||
				result == X509_V_ERR_IP_ADDRESS_MISMATCH
			? "connect by a name that is in it, or give server_name"
		: result == X509_V_ERR_CERT_HAS_EXPIRED ||
				result == X509_V_ERR_CERT_NOT_YET_VALID
			? "it needs a new one, or the clock is wrong"
			: "if its authority is to be trusted give ca_file";

	ERR_clear_error();
	tell(t, "the certificate of the other side is refused: %s; %s",
	     X509_verify_cert_error_string(result), hint);
	return UV_EACCES;
}

static int tell_alert(struct tls *t, int alert)
{
	ERR_clear_error();
	tell(t, "the other side refuses: alert '%s'%s",
	     SSL_alert_desc_string_long(alert),
	     alert == SSL_AD_CERTIFICATE_REQUIRED
		     ? ": it wants a certificate, give cert_file"
	     : alert == SSL_AD_UNKNOWN_CA
		     ? ": it does not trust the authority of ours"
		     : "");
	return is_about_certificates(alert) ? UV_EACCES : UV_EPROTO;
}

static int tell_cut(struct tls *t)
{
	ERR_clear_error();
	tell(t, "%s",
	     t->done ? "the other side has ended without saying so: what came "
		       "may be cut short"
		     : "the other side has ended in the handshake");
	return UV_ECONNABORTED;
}

/* What OpenSSL's own error is, as a code and in words. */
static int tell_tls(struct tls *t)
{
	unsigned long err = ERR_peek_error();
	int reason = ERR_GET_REASON(err);
	char text[WHY_SIZE / 2];

	if (err == 0 || (ERR_GET_LIB(err) == ERR_LIB_SSL &&
			 reason == SSL_R_UNEXPECTED_EOF_WHILE_READING))
		return tell_cut(t);
	if (ERR_GET_LIB(err) == ERR_LIB_SSL) {
		if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED)
			return tell_unverified(t);
		if (reason >= SSL_AD_REASON_OFFSET)
			return tell_alert(t, reason - SSL_AD_REASON_OFFSET);
	}
	tls_error_text(text, sizeof text);
	if (ERR_GET_LIB(err) == ERR_LIB_SSL &&
	    reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE) {
		tell(t, "the client has shown no certificate");
		return UV_EACCES;
	}
	tell(t, "%s%s", text,
	     ERR_GET_LIB(err) == ERR_LIB_SSL &&
			     (reason == SSL_R_WRONG_VERSION_NUMBER ||
			      reason == SSL_R_HTTP_REQUEST)
		     ? ": the other side does not speak TLS"
		     : "");
	return UV_EPROTO;
}

/* After a call of OpenSSL that did not do its work. */
static int result(struct tls *t, int rc)
{
	int err = SSL_get_error(t->ssl, rc);

	if (err == SSL_ERROR_WANT_READ || err == SSL_ERROR_WANT_WRITE)
		return UV_EAGAIN;
	if (err == SSL_ERROR_ZERO_RETURN && t->done)
		return 0;
	if (t->io_error == 0 && t->out_failed != 0 && err == SSL_ERROR_SYSCALL)
		return t->out_failed;
	if (t->io_error != 0)
		t->failed = t->io_error;
	else
		t->failed = err == SSL_ERROR_ZERO_RETURN ? tell_cut(t)
							 : tell_tls(t);
	ERR_clear_error();
	return t->failed;
}

const char *tls_why(const struct tls *t)
{
	return t->why;
}

/* --- what it does --- */

/* Before each call of OpenSSL: its queue is empty, and what is kept is tried. */
static int enter(struct tls *t)
{
	if (t->failed != 0)
		return t->failed;
	ERR_clear_error();
	t->io_error = 0;
	return send_out(t);
}

int tls_handshake(struct tls *t)
{
	int rc = enter(t);

	if (rc != 0 && rc != UV_EAGAIN)
		return rc;
	if (!t->done) {
		rc = SSL_do_handshake(t->ssl);
		if (rc != 1)
			return result(t, rc);
		t->done = true;
	}
	/* One who has left may have said something before. */
	return tls_flush(t) == UV_EAGAIN ? UV_EAGAIN : 0;
}

ssize_t tls_read(struct tls *t, void *to, size_t size, bool peek)
{
	size_t n = 0;
	int rc;

	enter(t); /* what cannot leave is the writer's matter */
	if (t->failed != 0)
		return t->failed;
	if (!t->done)
		return UV_ENOTCONN;
	rc = peek ? SSL_peek_ex(t->ssl, to, size, &n)
		  : SSL_read_ex(t->ssl, to, size, &n);
	return rc == 1 ? (ssize_t)n : result(t, rc);
}

ssize_t tls_write(struct tls *t, const void *data, size_t size)
{
	size_t n = 0;
	int rc = enter(t);

	if (rc != 0)
		return rc;
	if (!t->done)
		return UV_ENOTCONN;
	if (t->closed)
		return UV_EPIPE;
	if (size == 0)
		return 0;
	rc = SSL_write_ex(t->ssl, data, size < WRITE_MAX ? size : WRITE_MAX,
			  &n);
	return rc == 1 ? (ssize_t)n : result(t, rc);
}

int tls_flush(struct tls *t)
{
	return enter(t);
}

bool tls_has_out(const struct tls *t)
{
	return t->out.size > t->out_sent;
}

bool tls_has_input(const struct tls *t)
{
	return t->first.size > 0 || SSL_has_pending(t->ssl);
}

int tls_shutdown(struct tls *t)
{
	int rc = enter(t);

	if (rc != 0 && rc != UV_EAGAIN)
		return rc;
	if (!t->done)
		return UV_ENOTCONN;
	if (!t->closed) {
		t->closed = true;
		rc = SSL_shutdown(t->ssl);
		if (rc < 0)
			result(t, rc);
	}
	return tls_flush(t);
}

/* --- what came of it --- */

static void copy_dn(X509_NAME *dn, char to[static TLS_SUBJECT_SIZE])
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *data;
	long size;

	to[0] = '\0';
	if (bio == NULL)
		return;
	if (X509_NAME_print_ex(bio, dn, 0,
			       XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB) >= 0) {
		size = BIO_get_mem_data(bio, &data);
		if (size > 0 && size < TLS_SUBJECT_SIZE) {
			memcpy(to, data, (size_t)size);
			to[size] = '\0';
		}
	}
	BIO_free(bio);
}

static void copy_peer(const struct tls *t, X509 *cert, struct tls_info *info)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned size = 0;
	struct tm tm;

	info->has_peer = true;
	info->verified = SSL_get_verify_mode(t->ssl) != SSL_VERIFY_NONE &&
			 SSL_get_verify_result(t->ssl) == X509_V_OK;
	copy_dn(X509_get_subject_name(cert), info->subject);
	copy_dn(X509_get_issuer_name(cert), info->issuer);
	if (X509_digest(cert, EVP_sha256(), digest, &size) == 1) {
		for (unsigned i = 0; i < size; i++)
			snprintf(info->fingerprint + 2 * (size_t)i, 3, "%02x",
				 digest[i]);
	}
	if (ASN1_TIME_to_tm(X509_get0_notAfter(cert), &tm) == 1)
		info->not_after = timegm(&tm);
}

bool tls_speaks(const struct tls *t, const char *protocol)
{
	const unsigned char *alpn;
	unsigned size = 0;

	SSL_get0_alpn_selected(t->ssl, &alpn, &size);
	return size == strlen(protocol) && memcmp(alpn, protocol, size) == 0;
}

bool tls_info(const struct tls *t, struct tls_info *ret_info)
{
	const unsigned char *alpn;
	unsigned size = 0;
	X509 *cert;

	if (!t->done)
		return false;
	memset(ret_info, 0, sizeof *ret_info);
	ret_info->version = SSL_get_version(t->ssl);
	ret_info->cipher = SSL_get_cipher_name(t->ssl);
	SSL_get0_alpn_selected(t->ssl, &alpn, &size);
	if (size > 0)
		memcpy(ret_info->alpn, alpn, size);
	ret_info->name = SSL_get_servername(t->ssl, TLSEXT_NAMETYPE_host_name);
	ret_info->resumed = SSL_session_reused(t->ssl) == 1;
	cert = SSL_get0_peer_certificate(t->ssl);
	if (cert != NULL)
		copy_peer(t, cert, ret_info);
	ERR_clear_error();
	return true;
}
