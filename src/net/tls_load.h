/* Making an SSL_CTX of options. Inside net only. */
#pragma once

#include "net/tls_context.h"

/** A new one; NULL with diag set. */
SSL_CTX *tls__load(const struct tls_options *options);
