/*
 * The keys of session tickets: of the process, changed every hour. Inside net only.
 */
#pragma once

#include <openssl/types.h>

enum { TLS_TICKET_SECONDS = 3600 };

/** Have a server's @a ctx encrypt its tickets with them. Returns 0, or -1 with the
 * reason in OpenSSL's queue. */
int tls__tickets(SSL_CTX *ctx);
