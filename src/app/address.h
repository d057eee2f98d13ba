/* Networks of IPv4 and IPv6: an address, and how many of its bits count. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ADDRESS_TEXT_MAX = 96 }; /* bytes: what is longer is none */

struct address {
	uint8_t bytes[16]; /* those beyond the bits are zero */
	uint8_t bits;      /* that count: to 32, to 128 */
	bool is_v6;
};

/**
 * The network of "10.1.2.3", "10.0.0.0/8", "10.0.0.0/255.0.0.0", "::1", "fd00::/8".
 * False: it is none of these; a mask with holes is none.
 */
bool address_parse(const char *text, size_t size, struct address *ret);

/** The same without a mask. */
bool address_parse_host(const char *text, size_t size, struct address *ret);

/** An IPv4 address in an IPv6 one (::ffff:1.2.3.4) becomes that. */
void address_unmap(struct address *a);

/** Have they an address in common? */
bool address_overlap(const struct address *a, const struct address *b);
