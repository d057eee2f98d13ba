/* Hashes of expressions. */
#define XXH_INLINE_ALL
#include "app/sample_hash.h"

#include <pthread.h>
#include <xxhash.h>

static uint32_t crc32_table[256], crc32c_table[256];
static pthread_once_t tables_once = PTHREAD_ONCE_INIT;

uint32_t sample_sdbm(const unsigned char *data, size_t size)
{
	uint32_t h = 0;

	for (size_t i = 0; i < size; i++)
		h = h * 65599u + data[i];
	return h;
}

uint32_t sample_djb2(const unsigned char *data, size_t size)
{
	uint32_t h = 5381;

	for (size_t i = 0; i < size; i++)
		h = h * 33u + data[i];
	return h;
}

static uint32_t rotate(uint32_t x, unsigned n)
{
	return x << (n & 31) | x >> (-n & 31);
}

/* Two halves that turn each other; how far depends on what they are. */
uint32_t sample_wt6(const unsigned char *data, size_t size)
{
	uint32_t a = 0xa53c965a, b = 0x5ca6953a;
	unsigned turn_b = 6, turn_a = 18;

	for (size_t i = 0; i < size; i++) {
		uint32_t mixed_a = ~(a ^ data[i]), mixed_b = ~(b + data[i]);

		a = rotate(mixed_b, turn_b);
		b = rotate(mixed_a, turn_a);
		turn_b = (a >> 16 ^ b) & 31;
		turn_a = ((a >> 16 ^ b) & 0xffff) >> 11;
	}
	return a ^ b;
}

static void make_table(uint32_t table[256], uint32_t polynomial)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t c = i;

		for (int bit = 0; bit < 8; bit++)
			c = c & 1 ? c >> 1 ^ polynomial : c >> 1;
		table[i] = c;
	}
}

static void make_tables(void)
{
	make_table(crc32_table, 0xedb88320);
	make_table(crc32c_table, 0x82f63b78);
}

static uint32_t crc(const uint32_t *table, const unsigned char *data,
		    size_t size)
{
	uint32_t c = UINT32_MAX;

	pthread_once(&tables_once, make_tables);
	for (size_t i = 0; i < size; i++)
		c = c >> 8 ^ table[(c ^ data[i]) & 0xff];
	return ~c;
}

uint32_t sample_crc32(const unsigned char *data, size_t size)
{
	return crc(crc32_table, data, size);
}

uint32_t sample_crc32c(const unsigned char *data, size_t size)
{
	return crc(crc32c_table, data, size);
}

/* Bob Jenkins' hash of an integer in six turns, and spread over all of them. */
uint32_t sample_avalanche(uint32_t h)
{
	h = h + 0x7ed55d16 + (h << 12);
	h = h ^ 0xc761c23c ^ h >> 19;
	h = h + 0x165667b1 + (h << 5);
	h = (h + 0xd3a2646c) ^ h << 9;
	h = h + 0xfd7046c5 + (h << 3);
	h = h ^ 0xb55a4f09 ^ h >> 16;
	return h * 3221225473u;
}

uint32_t sample_xxh32(const unsigned char *data, size_t size, uint32_t seed)
{
	return XXH32(data, size, seed);
}

int64_t sample_xxh64(const unsigned char *data, size_t size, int64_t seed)
{
	return (int64_t)XXH64(data, size, (uint64_t)seed);
}

int64_t sample_xxh3(const unsigned char *data, size_t size, int64_t seed)
{
	return (int64_t)XXH3_64bits_withSeed(data, size, (uint64_t)seed);
}
