/*
 * Encodings of expressions: URLs, JSON strings, base64, hexadecimal digits and
 * addresses. Each writes into memory of the caller's, whose size the header gives,
 * and returns how many bytes it has written, or -1: that is no text of this kind.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/** Room: 3 * size. */
ssize_t sample_url_encode(const char *text, size_t size, char *out);

/** "+" is a space behind the first "?", or with @a form everywhere. Room: size. */
ssize_t sample_url_decode(const char *text, size_t size, char *out, bool form);

enum sample_json_flag {
	SAMPLE_JSON_ASCII = 1 << 0, /* each byte is a character */
	SAMPLE_JSON_LENIENT = 1 << 1 /* overlong forms are accepted */,
	SAMPLE_JSON_SILENT = 1 << 2, /* what is wrong is left out */
};

/** As it stands in a JSON string, in ASCII. Room: 6 * size. */
ssize_t sample_json(const char *text, size_t size, char *out, int flags);

/** With @a url in the alphabet for URLs, without padding. Room:
 * (size + 2) / 3 * 4. */
ssize_t sample_base64(const char *data, size_t size, char *out, bool url);

/** The ordinary alphabet must be padded. Room: size. */
ssize_t sample_base64_decode(const char *text, size_t size, char *out,
			     bool url);

/** Room: 2 * size. */
ssize_t sample_hex(const char *data, size_t size, char *out);

/** Room: size / 2. */
ssize_t sample_hex_decode(const char *text, size_t size, char *out);

enum { SAMPLE_ADDRESS_MAX = 46 };

/** An IPv4 or IPv6 address: 4 or 16 bytes. Room: 16. */
ssize_t sample_address(const char *text, size_t size, unsigned char *out);

/** The text of 4 or 16 bytes. Room: SAMPLE_ADDRESS_MAX. */
ssize_t sample_address_text(const unsigned char *address, size_t size,
			    char *out);

/** Do the first @a bits of two addresses agree? */
bool sample_address_in(const unsigned char *address,
		       const unsigned char *network, unsigned bits);

/** Is that address one of this machine? (It is tried to bind a socket to it.) */
bool sample_address_is_local(const char *text, size_t size);
