/* Base64. See base64.h. */
#include "port/base64.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"

static const char alphabet[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

int base64_encode(struct buf *out, const char *data, size_t size)
{
	const unsigned char *p = (const unsigned char *)data;
	char *to = buf_reserve(out, size / 3 * 4 + 4);
	uint32_t v;

	if (to == NULL)
		return -ENOMEM;
	for (; size > 0; p += 3, to += 4, out->size += 4) {
		v = (uint32_t)p[0] << 16;
		if (size > 1)
			v |= (uint32_t)p[1] << 8;
		if (size > 2)
			v |= p[2];
		to[0] = alphabet[v >> 18];
		to[1] = alphabet[v >> 12 & 63];
		to[2] = size > 1 ? alphabet[v >> 6 & 63] : '=';
		to[3] = size > 2 ? alphabet[v & 63] : '=';
		size -= size > 2 ? 3 : size;
	}
	return 0;
}

static int digit(char c)
{
	const char *at = c == '\0' ? NULL : strchr(alphabet, c);

	return at == NULL ? -1 : (int)(at - alphabet);
}

int base64_decode(struct buf *out, const char *text, size_t size)
{
	char *to = buf_reserve(out, size / 4 * 3 + 3);
	size_t old = out->size;
	unsigned bits = 0, pads = 0;
	uint32_t v = 0;
	int d;

	if (to == NULL)
		return -ENOMEM;
	for (const char *p = text, *end = text + size; p < end; p++) {
		if (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t')
			continue;
		if (*p == '=') {
			pads++;
			continue;
		}
		d = digit(*p);
		if (d < 0 || pads > 0)
			goto bad;
		v = v << 6 | (uint32_t)d;
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			*to++ = (char)(v >> bits);
			out->size++;
			v &= (1u << bits) - 1;
		}
	}
	/* Six bits left over are a lone digit; others must be zeros. */
	if (bits == 6 || v != 0 || pads > 2)
		goto bad;
	return 0;
bad:
	out->size = old;
	return -EINVAL;
}
