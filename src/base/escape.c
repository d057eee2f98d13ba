/* Text of strangers in lines of logs. See escape.h. */
#include "base/escape.h"

#include "base/buf.h"
#include "base/utf8.h"

/* The bytes of the character at @a s, of which @a n bytes are there; 0 when it
 * is no UTF-8, or a control character beyond ASCII (U+0080 to U+009F). */
static size_t text_size(const char *s, size_t n)
{
	const unsigned char *p = (const unsigned char *)s;

	return p[0] == 0xc2 && n > 1 && p[1] < 0xa0 ? 0 : utf8_length(p, p + n);
}

/* How many bytes at @a s stand for themselves, wherever they are put. */
static size_t plain_run(const char *s, size_t n)
{
	size_t i = 0;

	while (i < n && s[i] >= 0x20 && s[i] < 0x7f && s[i] != '"' &&
	       s[i] != '\\')
		i++;
	return i;
}

void escape_json(struct buf *b, const char *s, size_t n)
{
	for (size_t i = 0, size; i < n; i += size) {
		unsigned char c = s[i];

		size = plain_run(s + i, n - i);
		if (size == 0)
			size = text_size(s + i, n - i);
		if (size > 1)
			buf_append(b, s + i, size);
		else if (size == 0)
			buf_printf(b, "\\\\x%02x", c), size = 1;
		else if (c == '"' || c == '\\')
			buf_printf(b, "\\%c", c);
		else if (c == '\n')
			buf_puts(b, "\\n");
		else if (c == '\t')
			buf_puts(b, "\\t");
		else if (c < 0x20 || c == 0x7f)
			buf_printf(b, "\\u%04x", c);
		else
			buf_putc(b, (char)c);
	}
}

void escape_plain(struct buf *b, const char *s, size_t n)
{
	for (size_t i = 0, size; i < n; i += size) {
		unsigned char c = s[i];

		size = text_size(s + i, n - i);
		if (size > 1)
			buf_append(b, s + i, size);
		else if (size == 0)
			buf_printf(b, "\\x%02x", c), size = 1;
		else if (c == '\n')
			buf_puts(b, i + 1 < n ? "\n\t" : "");
		else if ((c < 0x20 && c != '\t') || c == 0x7f)
			buf_printf(b, "\\x%02x", c);
		else
			buf_putc(b, (char)c);
	}
}

void escape_quoted(struct buf *b, const char *s, size_t n)
{
	for (size_t i = 0, run; i < n; i += run) {
		run = plain_run(s + i, n - i);
		if (run > 0)
			buf_append(b, s + i, run);
		else
			buf_printf(b, "\\x%02x", (unsigned char)s[i]), run = 1;
	}
}
