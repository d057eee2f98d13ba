/* SipHash, by the paper of Aumasson and Bernstein. See siphash.h. */
#include "base/siphash.h"

#include <endian.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

struct state {
	uint64_t v0, v1, v2, v3;
};

static inline uint64_t rotate(uint64_t x, int bits)
{
	return x << bits | x >> (64 - bits);
}

static inline void mix(struct state *s, int rounds)
{
	for (int i = 0; i < rounds; i++) {
		s->v0 += s->v1;
		s->v1 = rotate(s->v1, 13) ^ s->v0;
		s->v0 = rotate(s->v0, 32);
		s->v2 += s->v3;
		s->v3 = rotate(s->v3, 16) ^ s->v2;
		s->v0 += s->v3;
		s->v3 = rotate(s->v3, 21) ^ s->v0;
		s->v2 += s->v1;
		s->v1 = rotate(s->v1, 17) ^ s->v2;
		s->v2 = rotate(s->v2, 32);
	}
}

static inline void absorb(struct state *s, uint64_t word, int rounds)
{
	s->v3 ^= word;
	mix(s, rounds);
	s->v0 ^= word;
}

/* Inlined into both forms, so that the counts are constants. */
static inline __attribute__((always_inline)) uint64_t
hash(const struct siphash_key *key, const void *data, size_t size, int rounds,
     int last_rounds)
{
	const unsigned char *p = data, *end = p + (size & ~(size_t)7);
	struct state s = {
		key->k0 ^ 0x736f6d6570736575u,
		key->k1 ^ 0x646f72616e646f6du,
		key->k0 ^ 0x6c7967656e657261u,
		key->k1 ^ 0x7465646279746573u,
	};
	uint64_t word;

	for (; p < end; p += sizeof word) {
		memcpy(&word, p, sizeof word);
		absorb(&s, le64toh(word), rounds);
	}
	word = (uint64_t)size << 56;
	for (unsigned i = 0; i < (size & 7); i++)
		word |= (uint64_t)p[i] << 8 * i;
	absorb(&s, word, rounds);
	s.v2 ^= 0xff;
	mix(&s, last_rounds);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

uint64_t siphash(const struct siphash_key *key, const void *data, size_t size)
{
	return hash(key, data, size, 1, 3);
}

uint64_t siphash24(const struct siphash_key *key, const void *data, size_t size)
{
	return hash(key, data, size, 2, 4);
}

struct siphash_key siphash_random_key(void)
{
	struct siphash_key key;
	struct timespec now;

	/* Early in the start of a machine there may be none yet; do not wait. */
	if (getrandom(&key, sizeof key, GRND_NONBLOCK) == sizeof key)
		return key;
	clock_gettime(CLOCK_MONOTONIC, &now);
	key.k0 = (uint64_t)now.tv_nsec << 32 ^ (uint64_t)now.tv_sec;
	key.k1 = (uint64_t)(uintptr_t)&key;
	return key;
}
