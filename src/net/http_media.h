/* What files hold, by the end of their names. */
#pragma once

#include <stddef.h>

/** The media type of a file called @a name, text with its charset; a name that
 * nobody knows is "application/octet-stream". A static string. */
const char *http_media_type(const char *name, size_t size);
