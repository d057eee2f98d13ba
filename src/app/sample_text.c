/* Encodings of expressions. */
#include "app/sample_text.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/hex.h"

static const char upper_digits[] = "0123456789ABCDEF";
static const char lower_digits[] = "0123456789abcdef";

static bool is_plain(unsigned char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
	       (c >= 'a' && c <= 'z') || c == '-' || c == '.' || c == '_' ||
	       c == '~';
}

ssize_t sample_url_encode(const char *text, size_t size, char *out)
{
	char *p = out;

	for (size_t i = 0; i < size; i++) {
		unsigned char c = (unsigned char)text[i];

		if (is_plain(c)) {
			*p++ = (char)c;
			continue;
		}
		*p++ = '%';
		*p++ = upper_digits[c >> 4];
		*p++ = upper_digits[c & 15];
	}
	return p - out;
}

ssize_t sample_url_decode(const char *text, size_t size, char *out, bool form)
{
	char *p = out;

	for (size_t i = 0; i < size; i++) {
		char c = text[i];

		if (c == '%') {
			int high, low;

			if (size - i < 3)
				return -1;
			high = hex_value((unsigned char)text[i + 1]);
			low = hex_value((unsigned char)text[i + 2]);
			if (high < 0 || low < 0)
				return -1;
			c = (char)(high << 4 | low);
			i += 2;
		} else if (c == '+' && form) {
			c = ' ';
		} else if (c == '?') {
			form = true;
		}
		*p++ = c;
	}
	return p - out;
}

/* --- JSON --- */

/* One character of UTF-8, of at least one byte. Returns how many bytes it is;
 * *ret_c is -1 when they are none. */
static size_t take_utf8(const unsigned char *s, size_t size, bool lenient,
			int32_t *ret_c)
{
	static const int32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t n = s[0] < 0x80   ? 1
		   : s[0] < 0xc0 ? 0
		   : s[0] < 0xe0 ? 2
		   : s[0] < 0xf0 ? 3
		   : s[0] < 0xf8 ? 4
				 : 0;
	int32_t c;

	*ret_c = -1;
	if (n <= 1) {
		*ret_c = n == 1 ? s[0] : -1;
		return 1;
	}
	c = s[0] & (0x7f >> n);
	for (size_t i = 1; i < n; i++) {
		if (i >= size || (s[i] & 0xc0) != 0x80)
			return i;
		c = c << 6 | (s[i] & 0x3f);
	}
	if ((c >= least[n] || lenient) && c <= 0x10ffff &&
	    !(c >= 0xd800 && c < 0xe000))
		*ret_c = c;
	return n;
}

static char *put_escape(char *p, int32_t c)
{
	*p++ = '\\';
	*p++ = 'u';
	for (int shift = 12; shift >= 0; shift -= 4)
		*p++ = lower_digits[c >> shift & 15];
	return p;
}

static char *put_json(char *p, int32_t c)
{
	static const char from[] = "\"\\/\b\f\n\r\t", to[] = "\"\\/bfnrt";
	const char *found;

	if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\' && c != '/') {
		*p++ = (char)c;
		return p;
	}
	found = c > 0 && c < 0x80 ? strchr(from, c) : NULL;
	if (found == NULL)
		return put_escape(p, c);
	*p++ = '\\';
	*p++ = to[found - from];
	return p;
}

ssize_t sample_json(const char *text, size_t size, char *out, int flags)
{
	const unsigned char *s = (const unsigned char *)text;
	char *p = out;
	int32_t c;

	for (size_t i = 0, n; i < size; i += n) {
		if (flags & SAMPLE_JSON_ASCII) {
			n = 1;
			c = s[i];
		} else {
			n = take_utf8(s + i, size - i,
				      flags & SAMPLE_JSON_LENIENT, &c);
		}
		/* An escape has four digits. */
		if (c >= 0 && c <= 0xffff)
			p = put_json(p, c);
		else if (!(flags & SAMPLE_JSON_SILENT))
			return -1;
	}
	return p - out;
}

/* --- base64, hexadecimal digits --- */

ssize_t sample_base64(const char *data, size_t size, char *out, bool url)
{
	const char *digits =
		url ? "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
		      "0123456789-_"
		    : "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
		      "0123456789+/";
	const unsigned char *s = (const unsigned char *)data;
	char *p = out;

	for (size_t i = 0; i < size; i += 3) {
		size_t n = size - i < 3 ? size - i : 3;
		uint32_t bits = (uint32_t)s[i] << 16;

		if (n > 1)
			bits |= (uint32_t)s[i + 1] << 8;
		if (n > 2)
			bits |= s[i + 2];
		for (size_t k = 0; k <= n; k++)
			*p++ = digits[bits >> (18 - 6 * k) & 63];
		for (size_t k = n; k < 3 && !url; k++)
			*p++ = '=';
	}
	return p - out;
}

static int digit_of(char c, bool url)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == (url ? '-' : '+'))
		return 62;
	return c == (url ? '_' : '/') ? 63 : -1;
}

static size_t without_padding(const char *text, size_t size)
{
	for (int i = 0; i < 2 && size > 0 && text[size - 1] == '='; i++)
		size--;
	return size;
}

ssize_t sample_base64_decode(const char *text, size_t size, char *out, bool url)
{
	uint32_t bits = 0;
	int have = 0, v;
	char *p = out;

	if (!url && size % 4 != 0)
		return -1;
	size = without_padding(text, size);
	if (size % 4 == 1)
		return -1;
	for (size_t i = 0; i < size; i++) {
		v = digit_of(text[i], url);
		if (v < 0)
			return -1;
		bits = bits << 6 | (uint32_t)v;
		have += 6;
		if (have < 8)
			continue;
		have -= 8;
		*p++ = (char)(bits >> have);
	}
	return p - out;
}

ssize_t sample_hex(const char *data, size_t size, char *out)
{
	for (size_t i = 0; i < size; i++) {
		unsigned char c = (unsigned char)data[i];

		out[2 * i] = upper_digits[c >> 4];
		out[2 * i + 1] = upper_digits[c & 15];
	}
	return (ssize_t)size * 2;
}

ssize_t sample_hex_decode(const char *text, size_t size, char *out)
{
	if (size % 2 != 0)
		return -1;
	for (size_t i = 0; i < size; i += 2) {
		int high = hex_value((unsigned char)text[i]);
		int low = hex_value((unsigned char)text[i + 1]);

		if (high < 0 || low < 0)
			return -1;
		out[i / 2] = (char)(high << 4 | low);
	}
	return (ssize_t)size / 2;
}

/* --- addresses --- */

ssize_t sample_address(const char *text, size_t size, unsigned char *out)
{
	char copy[SAMPLE_ADDRESS_MAX];

	if (size == 0 || size >= sizeof copy || memchr(text, 0, size) != NULL)
		return -1;
	memcpy(copy, text, size);
	copy[size] = 0;
	if (inet_pton(AF_INET, copy, out) == 1)
		return 4;
	return inet_pton(AF_INET6, copy, out) == 1 ? 16 : -1;
}

ssize_t sample_address_text(const unsigned char *address, size_t size,
			    char *out)
{
	if (inet_ntop(size == 4 ? AF_INET : AF_INET6, address, out,
		      SAMPLE_ADDRESS_MAX) == NULL)
		return -1;
	return (ssize_t)strlen(out);
}

bool sample_address_in(const unsigned char *address,
		       const unsigned char *network, unsigned bits)
{
	unsigned whole = bits / 8, rest = bits % 8;

	if (memcmp(address, network, whole) != 0)
		return false;
	return rest == 0 || ((address[whole] ^ network[whole]) &
			     (0xff00 >> rest & 0xff)) == 0;
}

bool sample_address_is_local(const char *text, size_t size)
{
	union {
		struct sockaddr any;
		struct sockaddr_in four;
		struct sockaddr_in6 six;
	} name;
	unsigned char address[16];
	ssize_t n = sample_address(text, size, address);
	bool bound;
	int fd;

	if (n < 0)
		return false;
	memset(&name, 0, sizeof name);
	if (n == 4) {
		name.four.sin_family = AF_INET;
		memcpy(&name.four.sin_addr, address, 4);
	} else {
		name.six.sin6_family = AF_INET6;
		memcpy(&name.six.sin6_addr, address, 16);
	}
	fd = socket(name.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return false;
	bound = bind(fd, &name.any,
		     n == 4 ? sizeof name.four : sizeof name.six) == 0;
	close(fd);
	return bound;
}
