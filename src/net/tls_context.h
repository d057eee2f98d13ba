/*
 * What TLS connections have in common: certificates, whom to trust, protocols,
 * sessions. A context belongs to one thread; its connections hold it.
 *
 * It can be loaded again from its files: what begins then has the new ones,
 * what is open is not touched, and when a file is bad the old ones stay.
 */
#pragma once

#include <openssl/types.h>
#include <stdbool.h>
#include <stddef.h>

struct ssl_session_st;

enum tls_role { TLS_CLIENT, TLS_SERVER };

/** Whom of the other side is looked at. */
enum tls_verify {
	/** A client checks its server, a server asks for nothing. */
	TLS_VERIFY_DEFAULT,
	TLS_VERIFY_NONE,
	TLS_VERIFY_PEER,     /* what the other side shows must be good */
	TLS_VERIFY_REQUIRED, /* and it must show something */
};

enum {
	TLS_SNI_MAX = 1024,       /* names of one context */
	TLS_ALPN_SIZE_MAX = 1024, /* bytes of its protocols */
	TLS_NAME_MAX = 253,       /* bytes of a host's name */
};

struct tls_context;

/** A name of the SNI table: `host`, or `*.host` for one label more. */
struct tls_sni {
	const char *name;
	struct tls_context *context; /* of a server */
};

/** All strings are copied; NULL: not given. */
struct tls_options {
	enum tls_role role;
	const char *cert_file; /* PEM: the certificate, then its chain */
	const char *key_file;  /* PEM; NULL: in cert_file */
	const char *key_password;
	const char *ca_file; /* PEM: who is trusted; without these two ... */
	const char *ca_path; /* ... a client trusts whom the system does */
	enum tls_verify verify;
	const char *alpn; /* as on the wire: a byte of length, the name, .. */
	size_t alpn_size;
	const char *ciphers;      /* of TLS 1.2 */
	const char *ciphersuites; /* of TLS 1.3 */
	int min_version;          /* TLS1_2_VERSION ..; 0: TLS 1.2 */
	int max_version;          /* 0: the newest */
	bool no_tickets;
	bool no_session_cache;
	const struct tls_sni *sni; /* each is referenced */
	size_t sni_count;
};

/** With one reference; NULL with diag set, which names the file and the way
 * out. */
struct tls_context *tls_context_new(const struct tls_options *options);
struct tls_context *tls_context_ref(struct tls_context *c);
void tls_context_unref(struct tls_context *c); /* NULL is fine */

/** Read all files again, those of the SNI table too. All of it or nothing: -1
 * with diag set, and it is as before. */
int tls_context_reload(struct tls_context *c);

/**
 * Have @a fn told, on the thread of a server's context, when that has loaded a
 * certificate, with its SHA-256 in hexadecimal; and, with @a why, when one could not be
 * loaded again. NULL: nobody.
 */
typedef void (*tls_watch_f)(const char *cert_file, const char *fingerprint,
			    const char *why);
void tls_context_set_watch(tls_watch_f fn);

enum tls_role tls_context_role(const struct tls_context *c);

/** Is the other side looked at? */
enum tls_verify tls_context_verify(const struct tls_context *c);

/** What new connections are made of; borrowed. */
SSL_CTX *tls_context_ssl(struct tls_context *c);

/** The context of a server's name, itself if the table has none. */
struct tls_context *tls_context_for(struct tls_context *c, const char *name,
				    size_t size);

/** Is @a name one that a certificate may be for? */
bool tls_name_is_good(const char *name, size_t size);

/** A client keeps the last session of each server it knows, up to
 * TLS_SESSIONS of them. put() takes over the reference; get() lends. */
enum { TLS_SESSIONS = 64 };
void tls_context_put_session(struct tls_context *c, const char *name,
			     struct ssl_session_st *session);
struct ssl_session_st *tls_context_session(struct tls_context *c,
					   const char *name);
