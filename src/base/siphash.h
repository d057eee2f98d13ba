/*
 * SipHash: a hash of bytes under a secret key, so that who chooses the keys of
 * a table cannot make them collide.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/** A secret; the same one gives the same hashes. */
struct siphash_key {
	uint64_t k0, k1;
};

/** A key that nobody outside this process knows. Cannot fail. */
struct siphash_key siphash_random_key(void);

/** SipHash-1-3, for tables. */
uint64_t siphash(const struct siphash_key *key, const void *data, size_t size);

/** SipHash-2-4, the form of which test vectors were published. */
uint64_t siphash24(const struct siphash_key *key, const void *data,
		   size_t size);
