/*
 * Ranges of bytes. See http_range.h.
 *
 * A peer may ask for the same bytes over and over in one line: what it can get
 * so is bounded by the size of the body.
 */
#include "net/http_range.h"

#include <string.h>
#include <strings.h>

/* A number of digits at *p, which is moved behind them. Too large a one is
 * UINT64_MAX. Returns false when there is none. */
static bool read_number(const char **p, const char *end, uint64_t *ret)
{
	const char *start = *p;
	uint64_t n = 0;

	for (; *p < end && **p >= '0' && **p <= '9'; ++*p) {
		unsigned digit = **p - '0';

		n = n > (UINT64_MAX - digit) / 10 ? UINT64_MAX : n * 10 + digit;
	}
	*ret = n;
	return *p > start;
}

static void skip_blanks(const char **p, const char *end)
{
	while (*p < end && (**p == ' ' || **p == '\t'))
		++*p;
}

/* One of "5-9", "5-", "-5" at *p. Returns 1: it is in *ret; 0: it lies behind
 * the end; -1: it is none of these. */
static int read_range(const char **p, const char *end, uint64_t size,
		      struct http_range *ret)
{
	uint64_t from, to = UINT64_MAX;
	bool has_from = read_number(p, end, &from), has_to;

	if (*p == end || **p != '-')
		return -1;
	++*p;
	has_to = read_number(p, end, &to);
	if (!has_from && !has_to)
		return -1;
	if (!has_from) { /* the last so many */
		if (to == 0 || size == 0)
			return 0;
		ret->size = to < size ? to : size;
		ret->start = size - ret->size;
		return 1;
	}
	if (!has_to)
		to = UINT64_MAX;
	else if (to < from)
		return -1;
	if (from >= size)
		return 0;
	ret->start = from;
	ret->size = (to < size ? to + 1 : size) - from;
	return 1;
}

int http_range_parse(struct http_text value, uint64_t size,
		     struct http_range ranges[HTTP_RANGES_MAX])
{
	static const char unit[] = "bytes=";
	const char *p = value.data, *end = p + value.size;
	uint64_t total = 0;
	bool any = false;
	int count = 0, rc;

	if (value.size < strlen(unit) ||
	    strncasecmp(p, unit, strlen(unit)) != 0)
		return HTTP_RANGES_WHOLE;
	p += strlen(unit);
	while (true) {
		skip_blanks(&p, end);
		if (p == end)
			break;
		if (*p == ',') { /* a list may have empty places */
			p++;
			continue;
		}
		if (count == HTTP_RANGES_MAX)
			return HTTP_RANGES_WHOLE;
		rc = read_range(&p, end, size, &ranges[count]);
		skip_blanks(&p, end);
		if (rc < 0 || (p < end && *p != ','))
			return HTTP_RANGES_WHOLE;
		any = true;
		if (rc == 0)
			continue;
		if (ranges[count].size > size - total)
			return HTTP_RANGES_WHOLE;
		total += ranges[count++].size;
	}
	if (!any)
		return HTTP_RANGES_WHOLE;
	return count > 0 ? count : HTTP_RANGES_NONE;
}
