/*
 * Whom clients and servers trust, out of files of authorities: a file is read when it
 * is first wanted, and again when it has changed. The system's has some hundred
 * certificates, for which a worker would stand still for 20 to 50 ms each time.
 *
 * What was read belongs to the process: any thread. It keeps the last TLS_TRUSTS.
 */
#pragma once

#include <openssl/types.h>
#include <stddef.h>

enum {
	TLS_TRUSTS = 32,
	TLS_TRUST_SPELLING = 66, /* bytes that tls_trust_spell() may add */
};

/** Have @a ctx trust those in the file, and those in the folder @a dir (NULL: none).
 * Returns 0; -1 (the file) or -2 (the folder) with OpenSSL's error queued. */
int tls_trust_use(SSL_CTX *ctx, const char *file, const char *dir);

/**
 * Write the path @a file in a way that no other state of that file was written by,
 * for libcurl, which knows by its path alone what it has read, and whose connections
 * have proved themselves to it.
 */
void tls_trust_spell(const char *file, char *to, size_t size);
