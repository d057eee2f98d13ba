/* Networks of IPv4 and IPv6. See address.h. */
#include "app/address.h"

#include <arpa/inet.h>
#include <string.h>

static unsigned width_of(const struct address *a)
{
	return a->is_v6 ? 128 : 32;
}

/* What does not count is zero. */
static void cut(struct address *a)
{
	unsigned whole = a->bits / 8, rest = a->bits % 8;

	if (rest != 0)
		a->bytes[whole++] &= (uint8_t)(0xff << (8 - rest));
	memset(a->bytes + whole, 0, sizeof a->bytes - whole);
}

bool address_parse_host(const char *text, size_t size, struct address *ret)
{
	struct address a = { .bits = 32 };
	char copy[ADDRESS_TEXT_MAX];

	if (size == 0 || size >= sizeof copy ||
	    memchr(text, '\0', size) != NULL)
		return false;
	memcpy(copy, text, size);
	copy[size] = '\0';
	if (inet_pton(AF_INET, copy, a.bytes) != 1) {
		if (inet_pton(AF_INET6, copy, a.bytes) != 1)
			return false;
		a.is_v6 = true;
		a.bits = 128;
	}
	*ret = a;
	return true;
}

/* One to three digits, nothing else. */
static bool parse_bits(const char *text, size_t size, unsigned max,
		       uint8_t *ret)
{
	unsigned n = 0;

	if (size == 0 || size > 3)
		return false;
	for (size_t i = 0; i < size; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		n = n * 10 + (unsigned)(text[i] - '0');
	}
	if (n > max)
		return false;
	*ret = (uint8_t)n;
	return true;
}

/* 255.255.240.0: ones, then zeros. */
static bool parse_mask(const char *text, size_t size, bool is_v6, uint8_t *ret)
{
	struct address mask;
	unsigned bits = 0;

	if (!address_parse_host(text, size, &mask) || mask.is_v6 != is_v6)
		return false;
	while (bits < width_of(&mask) &&
	       (mask.bytes[bits / 8] & (0x80 >> bits % 8)) != 0)
		bits++;
	for (unsigned i = bits; i < width_of(&mask); i++) {
		if ((mask.bytes[i / 8] & (0x80 >> i % 8)) != 0)
			return false;
	}
	*ret = (uint8_t)bits;
	return true;
}

bool address_parse(const char *text, size_t size, struct address *ret)
{
	const char *slash = memchr(text, '/', size);
	size_t host = slash == NULL ? size : (size_t)(slash - text);
	struct address a;

	if (!address_parse_host(text, host, &a))
		return false;
	if (slash != NULL) {
		size_t rest = size - host - 1;

		if (!parse_bits(slash + 1, rest, width_of(&a), &a.bits) &&
		    !parse_mask(slash + 1, rest, a.is_v6, &a.bits))
			return false;
		cut(&a);
	}
	*ret = a;
	return true;
}

void address_unmap(struct address *a)
{
	static const uint8_t prefix[12] = { [10] = 0xff, [11] = 0xff };

	if (!a->is_v6 || a->bits < 96 || memcmp(a->bytes, prefix, 12) != 0)
		return;
	memmove(a->bytes, a->bytes + 12, 4);
	memset(a->bytes + 4, 0, 12);
	a->is_v6 = false;
	a->bits -= 96;
}

bool address_overlap(const struct address *a, const struct address *b)
{
	unsigned bits = a->bits < b->bits ? a->bits : b->bits;
	unsigned whole = bits / 8, rest = bits % 8;

	if (a->is_v6 != b->is_v6 || memcmp(a->bytes, b->bytes, whole) != 0)
		return false;
	return rest == 0 ||
	       ((a->bytes[whole] ^ b->bytes[whole]) >> (8 - rest)) == 0;
}
