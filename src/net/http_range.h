/* The header field Range: which bytes of a body are wanted. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "net/http_request.h"

/** Bytes of a body, from its first one. */
struct http_range {
	uint64_t start;
	uint64_t size; /* > 0 */
};

enum {
	HTTP_RANGES_MAX = 32,  /* more are not answered one by one */
	HTTP_RANGES_WHOLE = 0, /* the field is to be ignored */
	HTTP_RANGES_NONE = -1, /* 416: there is nothing of what is wanted */
};

/**
 * The ranges of a body of @a size bytes that @a value wants, as it puts them.
 * Returns how many; HTTP_RANGES_WHOLE for what is no list of byte ranges, for
 * more than HTTP_RANGES_MAX, and when they are more bytes than the body;
 * HTTP_RANGES_NONE. Ranges behind the body's end are left out.
 */
int http_range_parse(struct http_text value, uint64_t size,
		     struct http_range ranges[HTTP_RANGES_MAX]);
