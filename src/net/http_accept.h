/* What a peer accepts: lists with qualities. */
#pragma once

#include "net/http_request.h"

enum { HTTP_QUALITY_MAX = 1000 };

/**
 * How much a peer likes @a name by the list of its Accept-Encoding: 0 (not at all)
 * to HTTP_QUALITY_MAX. What it does not name is as "*", or else not accepted,
 * but for "identity".
 */
int http_accept_quality(struct http_text list, const char *name);
