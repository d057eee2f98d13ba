/* UTF-8 and hexadecimal digits: everything there is, by rules of their own. */
#include "unit.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/hex.h"
#include "base/utf8.h"

static void all_code_points(void **state)
{
	char text[4];

	(void)state;
	for (uint32_t c = 0; c <= 0x10ffff; c++) {
		unsigned n = utf8_put(text, c);
		bool surrogate = c >= 0xd800 && c < 0xe000;

		assert_int_equal(utf8_valid(text, n), surrogate ? 0 : n);
		for (unsigned cut = 1; cut < n; cut++)
			assert_int_equal(utf8_valid(text, cut), 0);
	}
}

static void all_pairs_of_bytes(void **state)
{
	char text[2];

	(void)state;
	for (unsigned i = 0; i < 65536; i++) {
		bool ascii = i < 0x8000 && (i & 0xff) < 0x80;
		bool two = i >> 8 >= 0xc2 && i >> 8 < 0xe0 &&
			   (i & 0xc0) == 0x80;

		text[0] = (char)(i >> 8);
		text[1] = (char)i;
		assert_int_equal(utf8_valid(text, 2), ascii || two ? 2
						      : i < 0x8000 ? 1
								   : 0);
	}
}

static void none_of_these(void **state)
{
	(void)state;
	assert_int_equal(utf8_valid("0123456789abcde\xff", 16), 15);
	assert_int_equal(utf8_valid("\xf4\x90\x80\x80", 4), 0);
	assert_int_equal(utf8_valid("\xe0\x9f\xbf", 3), 0);
	assert_int_equal(utf8_valid("\xf0\x8f\xbf\xbf", 4), 0);
}

static void hex_digits(void **state)
{
	(void)state;
	for (int c = 0; c < 256; c++) {
		char text[2] = { (char)c };
		int want = c < 128 && isxdigit(c) ? (int)strtol(text, NULL, 16)
						  : -1;

		assert_int_equal(hex_value((unsigned char)c), want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_code_points),
		cmocka_unit_test(all_pairs_of_bytes),
		cmocka_unit_test(none_of_these),
		cmocka_unit_test(hex_digits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
