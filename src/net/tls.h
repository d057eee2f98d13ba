/*
 * One TLS connection over any carrier of bytes: it is given two functions, and
 * nothing here waits. What cannot be done now says UV_EAGAIN.
 *
 *	tls_handshake(), tls_read() ->	UV_EAGAIN: wait until the carrier has
 *					bytes; or, if tls_has_out(), room
 *	tls_write(), tls_flush()    ->	UV_EAGAIN: wait until it has room
 *
 * What was encrypted and found no room is kept here and leaves with the next
 * call: so bytes that tls_write() has taken are never asked for again, whoever
 * writes next, and a read that must answer first is no special case.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct tls;
struct tls_context;

/** The carrier: how many bytes, or UV_E*, UV_EAGAIN among them. recv() with 0:
 * the other side has ended. A send() must not raise a signal. */
struct tls_io {
	ssize_t (*recv)(void *arg, void *to, size_t size);
	ssize_t (*send)(void *arg, const void *data, size_t size);
	void *arg;
};

/**
 * A new one, of a client or server as @a context is, which it holds.
 * @a name: of a client's server, which is asked for and, unless told not to,
 * checked; a number will do. NULL: only of a client that does not check.
 * Errors: no name, a bad one, OutOfMemory. NULL with diag set.
 */
struct tls *tls_new(struct tls_context *context, const char *name,
		    const struct tls_io *io);
void tls_delete(struct tls *t); /* NULL is fine; sends nothing */

/** The carrier has moved. */
void tls_set_arg(struct tls *t, void *arg);

/** Bytes that came from the carrier before: they are read first. Returns 0 or
 * UV_ENOMEM. */
int tls_feed(struct tls *t, const void *data, size_t size);

/**
 * Go on with the handshake; 0: it is done, else UV_EAGAIN or why it failed:
 * UV_EACCES: a certificate is missing or refused, by us or by them;
 * UV_ECONNABORTED: the other side has ended in the middle; UV_EPROTO: the rest
 * of TLS; or what the carrier said. tls_why() has more. A failure is for ever.
 */
int tls_handshake(struct tls *t);

/**
 * As recv(2): 0 is the end that the other side has announced. UV_ECONNABORTED:
 * it has ended without, somebody may have cut it. UV_ENOTCONN: no handshake yet.
 * @a peek: the bytes stay.
 */
ssize_t tls_read(struct tls *t, void *to, size_t size, bool peek);

/** Take some of @a data, at least one byte. UV_EPIPE: it was shut down. */
ssize_t tls_write(struct tls *t, const void *data, size_t size);

/** Send what is kept. 0: nothing is any more. */
int tls_flush(struct tls *t);

/** Is anything kept? */
bool tls_has_out(const struct tls *t);

/** Has it bytes of a record that is not whole, or not read? */
bool tls_has_input(const struct tls *t);

/** Announce our end, and tls_flush(). Again is fine. */
int tls_shutdown(struct tls *t);

/** Why it failed, in words; NULL: it did not. */
const char *tls_why(const struct tls *t);

enum { TLS_SUBJECT_SIZE = 1024 };

/** What came of the handshake. Texts that are empty: there is none. */
struct tls_info {
	const char *version;
	const char *cipher;
	char alpn[256];
	const char *name; /* that was asked for; NULL: none */
	bool resumed;
	bool has_peer; /* the other side has shown a certificate: */
	bool verified; /* it was looked at, and is good */
	char subject[TLS_SUBJECT_SIZE]; /* empty: too long */
	char issuer[TLS_SUBJECT_SIZE];
	char fingerprint[65]; /* SHA-256, hexadecimal */
	int64_t not_after;    /* seconds since 1970 */
};

/** Has ALPN chosen @a protocol? */
bool tls_speaks(const struct tls *t, const char *protocol);

/** False: the handshake is not done. The name is borrowed from @a t. */
bool tls_info(const struct tls *t, struct tls_info *ret_info);
