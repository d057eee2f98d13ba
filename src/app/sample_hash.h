/*
 * Hashes of expressions: those of HAProxy's converters, whose numbers other
 * programs compute, too. None of them is for secrets.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

uint32_t sample_sdbm(const unsigned char *data, size_t size);
uint32_t sample_djb2(const unsigned char *data, size_t size);
uint32_t sample_wt6(const unsigned char *data, size_t size);
uint32_t sample_crc32(const unsigned char *data, size_t size);
uint32_t sample_crc32c(const unsigned char *data, size_t size);

/** All bits of the result depend on all of @a hash. */
uint32_t sample_avalanche(uint32_t hash);

uint32_t sample_xxh32(const unsigned char *data, size_t size, uint32_t seed);
int64_t sample_xxh64(const unsigned char *data, size_t size, int64_t seed);
int64_t sample_xxh3(const unsigned char *data, size_t size, int64_t seed);
