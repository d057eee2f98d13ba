/*
 * What a response's header says that libcurl does not look at closely.
 *
 * libcurl takes a length for what its digits say, whatever is behind them, and of several
 * the last one: a peer in between may have seen another end of the response. Such a
 * response is nobody's (RFC 9112, 6.3).
 */
#include <string.h>
#include <strings.h>

#include "net/http_client.h"

/* The value of the field @a name in a line, without blanks; false: it is another one. */
static bool value_of(const char *line, size_t size, const char *name,
		     const char **ret, const char **ret_end)
{
	size_t n = strlen(name);
	const char *end = line + size;

	if (size <= n || strncasecmp(line, name, n) != 0 || line[n] != ':')
		return false;
	line += n + 1;
	while (line < end && strchr(" \t\r\n", *line) != NULL)
		line++;
	while (end > line && strchr(" \t\r\n", end[-1]) != NULL)
		end--;
	*ret = line;
	*ret_end = end;
	return true;
}

/* A number, or the same one several times, as of fields that were joined. */
static bool take_length(struct http_call *call, const char *p, const char *end)
{
	while (true) {
		uint64_t length = 0;
		const char *begin = p;

		for (; p < end && *p >= '0' && *p <= '9'; p++) {
			if (length > (INT64_MAX - 9) / 10)
				return false;
			length = length * 10 + (uint64_t)(*p - '0');
		}
		if (p == begin || (call->has_length && call->length != length))
			return false;
		call->has_length = true;
		call->length = length;
		while (p < end && (*p == ' ' || *p == '\t'))
			p++;
		if (p == end)
			return true;
		if (*p++ != ',')
			return false;
		while (p < end && (*p == ' ' || *p == '\t'))
			p++;
	}
}

bool http__call_check_line(struct http_call *call, const char *line,
			   size_t size)
{
	const char *value, *end;

	if (value_of(line, size, "location", &value, &end) && value < end)
		call->has_location = true; /* an empty one leads nowhere */
	if (value_of(line, size, "transfer-encoding", &value, &end) &&
	    end - value >= 7 && strncasecmp(end - 7, "chunked", 7) == 0)
		call->is_chunked = true;
	return !value_of(line, size, "content-length", &value, &end) ||
	       take_length(call, value, end);
}
