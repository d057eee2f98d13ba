/* Making an SSL_CTX of options. Inside net only. */
#pragma once

#include <stdbool.h>

#include "net/tls_context.h"

/** A new one; NULL with diag set. */
SSL_CTX *tls__load(const struct tls_options *options);

/** Has the system a folder of those whom it trusts, of which only what is asked for
 * is read? Its one large file takes 50 ms to read, for which a worker stands still.
 * Looked up once. */
bool tls_trust_by_folder(void);

/** The file and the folder of those whom the system trusts, whether they are there or
 * not; and whether the environment names them. */
const char *tls_trust_file(void);
const char *tls_trust_folder(void);
bool tls_trust_file_is_named(void);
bool tls_trust_folder_is_named(void);
