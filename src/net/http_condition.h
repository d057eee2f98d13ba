/* Conditions that a request puts on what it asks for (RFC 9110, 13). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "net/http_request.h"

#define HTTP_NEVER_MODIFIED INT64_MIN /* nobody knows when */

/** What a state of a thing is known by. */
struct http_validators {
	struct http_text etag; /* with its quotes, and W/; data NULL: none */
	int64_t modified;      /* since 1970, or HTTP_NEVER_MODIFIED */
};

/** Is @a etag in the @a list of a field, or does that say "*"? @a weak: two may
 * match that need not be the same byte for byte. */
bool http_etag_matches(struct http_text list, struct http_text etag, bool weak);

/** '"..."', or that behind "W/", of bytes that may be there. */
bool http_etag_is_valid(struct http_text etag);

/** Returns 0: answer as ever, 304 or 412. */
int http_condition(const struct http_request *req,
		   const struct http_validators *v);

/** The value of the field Range when it counts: to a GET, once, and If-Range
 * does not say that the thing has changed. data NULL: all is wanted. */
struct http_text http_condition_range(const struct http_request *req,
				      const struct http_validators *v);
