/* Lists with qualities: "gzip;q=0.5, br, *;q=0". See http_accept.h. */
#include "net/http_accept.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

/* Where @a p, past blanks, is. */
static const char *past_blanks(const char *p, const char *end)
{
	while (p < end && (*p == ' ' || *p == '\t'))
		p++;
	return p;
}

/* The quality of "0.5", up to three digits; what is no number is 0. */
static int read_quality(const char *p, const char *end)
{
	int q = 0, place = HTTP_QUALITY_MAX / 10;

	if (p == end || (*p != '0' && *p != '1'))
		return 0;
	q = (*p++ - '0') * HTTP_QUALITY_MAX;
	if (p < end && *p == '.') {
		for (p++; p < end && *p >= '0' && *p <= '9'; p++) {
			q += (*p - '0') * place;
			place /= 10;
		}
	}
	return q < HTTP_QUALITY_MAX ? q : HTTP_QUALITY_MAX;
}

/* The quality among the parameters of a member, which begin at @a p. */
static int quality_of(const char *p, const char *end)
{
	while (p < end) {
		const char *next = memchr(p, ';', end - p);

		p = past_blanks(p, end);
		if (end - p > 2 && (*p | 32) == 'q' && p[1] == '=')
			return read_quality(p + 2, end);
		p = next != NULL ? next + 1 : end;
	}
	return HTTP_QUALITY_MAX;
}

/* The size of the name at @a p. */
static size_t name_size(const char *p, const char *end)
{
	size_t n = 0;

	while (p + n < end && p[n] != ';' && p[n] != ' ' && p[n] != '\t')
		n++;
	return n;
}

static bool is_named(const char *p, size_t size, const char *name)
{
	return size == strlen(name) && strncasecmp(p, name, size) == 0;
}

int http_accept_quality(struct http_text list, const char *name)
{
	const char *p = list.data, *end = p + list.size;
	int others = strcmp(name, "identity") == 0 ? HTTP_QUALITY_MAX : 0;

	while (p < end) {
		const char *stop = memchr(p, ',', end - p);
		size_t size;

		stop = stop != NULL ? stop : end;
		p = past_blanks(p, stop);
		size = name_size(p, stop);
		if (is_named(p, size, name))
			return quality_of(p + size, stop);
		if (is_named(p, size, "*"))
			others = quality_of(p + size, stop);
		p = stop + 1;
	}
	return others;
}
