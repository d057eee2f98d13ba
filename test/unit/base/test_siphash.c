/* SipHash: a published vector, every size and place of the bytes, the key. */
#include "unit.h"

#include "base/siphash.h"

static const struct siphash_key key = { 0x0706050403020100u,
					0x0f0e0d0c0b0a0908u };

/* From the paper, appendix A: the bytes 0 to 14. */
static void test_vector(void **state)
{
	unsigned char bytes[15];

	(void)state;
	for (int i = 0; i < 15; i++)
		bytes[i] = (unsigned char)i;
	assert_true(siphash24(&key, bytes, 15) == 0xa129ca6149be45e5u);
}

/* Each bit of each byte counts, wherever the bytes lie. */
static void test_every_bit(void **state)
{
	unsigned char bytes[64 + 8];

	(void)state;
	memset(bytes, 0x5a, sizeof bytes);
	for (size_t size = 0; size <= 64; size++) {
		uint64_t whole = siphash(&key, bytes, size);

		assert_true(whole != siphash24(&key, bytes, size));
		for (size_t shift = 1; shift < 8; shift++)
			assert_true(siphash(&key, bytes + shift, size) ==
				    whole);
		for (size_t bit = 0; bit < size * 8; bit++) {
			bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
			assert_true(siphash(&key, bytes, size) != whole);
			bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
		}
		assert_true(siphash(&key, bytes, size + 1) != whole);
	}
}

static void test_keys(void **state)
{
	struct siphash_key a = siphash_random_key(), b = siphash_random_key();

	(void)state;
	assert_true(a.k0 != b.k0 || a.k1 != b.k1);
	assert_true(siphash(&a, "x", 1) != siphash(&b, "x", 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vector),
		cmocka_unit_test(test_every_bit),
		cmocka_unit_test(test_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
