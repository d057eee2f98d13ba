/*
 * The keys of session tickets. See tls_ticket.h.
 *
 * One key encrypts for an hour, and decrypts for another one; then it is wiped.
 * So who gets hold of the memory can read, of what was recorded, sessions that began
 * with a ticket in the last two hours before, and no older ones. All threads share
 * them: a session goes on with any worker.
 */
#include "net/tls_ticket.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "base/inject.h"

enum { NAME_SIZE = 16, IV_SIZE = 16, SECRET_SIZE = 32 };

struct key {
	unsigned char name[NAME_SIZE];
	unsigned char cipher[SECRET_SIZE];
	unsigned char mac[SECRET_SIZE];
	time_t made; /* by the steady clock; 0: there is none */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct key current, previous;

/* Seconds that a suspended machine counts, too. */
static time_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return ts.tv_sec + 1;
}

static void forget_old(time_t at)
{
	if (previous.made != 0 &&
	    at - previous.made >= 2 * (time_t)TLS_TICKET_SECONDS)
		OPENSSL_cleanse(&previous, sizeof previous);
	if (current.made != 0 &&
	    at - current.made >= 2 * (time_t)TLS_TICKET_SECONDS)
		OPENSSL_cleanse(&current, sizeof current);
}

/* The key to encrypt with. False: there is no chance to be had. */
static bool renew(time_t at)
{
	struct key fresh = { .made = at };
	bool due = current.made == 0 ||
		   at - current.made >= TLS_TICKET_SECONDS ||
		   inject("tls_ticket_hour");

	if (!due)
		return true;
	if (RAND_bytes(fresh.name, NAME_SIZE) != 1 ||
	    RAND_priv_bytes(fresh.cipher, SECRET_SIZE) != 1 ||
	    RAND_priv_bytes(fresh.mac, SECRET_SIZE) != 1)
		return false;
	if (current.made != 0)
		previous = current;
	current = fresh;
	OPENSSL_cleanse(&fresh, sizeof fresh);
	return true;
}

static bool has_name(const struct key *key, const unsigned char *name)
{
	return key->made != 0 && memcmp(key->name, name, NAME_SIZE) == 0;
}

/* A copy of the key that is wanted. 1: it is the one in use, 2: an old one, so a new
 * ticket is due; 0: there is none (any more), -1: no chance. */
static int get(unsigned char *name, int encrypt, struct key *ret_key)
{
	time_t at = now();
	int rc = 0;

	pthread_mutex_lock(&lock);
	forget_old(at);
	if (encrypt) {
		rc = renew(at) ? 1 : -1;
		if (rc == 1) {
			*ret_key = current;
			memcpy(name, current.name, NAME_SIZE);
		}
	} else if (has_name(&current, name)) {
		*ret_key = current;
		rc = at - current.made < TLS_TICKET_SECONDS ? 1 : 2;
	} else if (has_name(&previous, name)) {
		*ret_key = previous;
		rc = 2;
	}
	pthread_mutex_unlock(&lock);
	return rc;
}

static bool set_mac(EVP_MAC_CTX *mac, unsigned char *secret)
{
	char digest[] = "SHA256";
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, secret,
						  SECRET_SIZE),
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest,
						 0),
		OSSL_PARAM_construct_end(),
	};

	return EVP_MAC_CTX_set_params(mac, params) == 1;
}

static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv,
		     EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int encrypt)
{
	struct key key;
	int rc = get(name, encrypt, &key);

	if (rc <= 0)
		return rc;
	/* A ticket of TLS 1.3 is used once: there is always another. */
	if (!encrypt && SSL_version(ssl) == TLS1_3_VERSION)
		rc = 2;
	if ((encrypt && RAND_bytes(iv, IV_SIZE) != 1) ||
	    EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, key.cipher, iv,
			      encrypt) != 1 ||
	    !set_mac(mac, key.mac))
		rc = -1;
	OPENSSL_cleanse(&key, sizeof key);
	return rc;
}

int tls__tickets(SSL_CTX *ctx)
{
	return SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket) == 1 ? 0
									 : -1;
}
