/*
 * Requests as lines of an access log. What a peer has sent is escaped: it can
 * forge no line, and end no field.
 */
#pragma once

#include <time.h>

#include "base/buf.h"

struct http_access;

enum http_access_kind {
	/** Apache's and nginx's combined format, and the seconds it took. */
	HTTP_ACCESS_COMBINED,
	HTTP_ACCESS_JSON, /**< an object */
};

/** What is kept from line to line. All zero at the start. */
struct http_access_format {
	enum http_access_kind kind;
	time_t second; /* that the times below are of */
	char time[40];
	char zone[8];
};

/** Append the line of @a a, whose handler's route is @a route (NULL: none).
 * Returns 0 or UV_ENOMEM with nothing appended. */
int http_access_format(struct http_access_format *f, struct buf *b,
		       const struct http_access *a, const char *route);
