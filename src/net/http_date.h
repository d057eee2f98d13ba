/* Dates as HTTP writes them. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "net/http_request.h"

enum { HTTP_DATE_SIZE = 30 }; /* with its NUL */

/** "Sun, 06 Nov 1994 08:49:37 GMT" of the @a seconds since 1970; a year that has
 * no four digits becomes the nearest that has. */
void http_date_format(char to[HTTP_DATE_SIZE], int64_t seconds);

/** The seconds of a date in one of the three forms that HTTP knows. Returns
 * false for anything else. */
bool http_date_parse(struct http_text text, int64_t *ret_seconds);
