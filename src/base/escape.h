/*
 * Text of strangers in lines of logs: escaped so that nobody forges a line, or
 * plays with the terminal of who reads it. Memory that is short cuts the text:
 * who must not have half a line makes room before.
 */
#pragma once

#include <stddef.h>

struct buf;

enum { ESCAPE_MAX = 6 }; /* bytes that one may become */

/** As it stands in a JSON string. A byte that is no UTF-8 is shown as \xff: a
 * strict reader would drop the whole line for it. */
void escape_json(struct buf *b, const char *s, size_t n);

/** As it stands between double quotes: quotes, backslashes and all that is not
 * printable ASCII as \xff. */
void escape_quoted(struct buf *b, const char *s, size_t n);

/** As it stands in a plain line: what follows a newline is indented, so that one
 * message is told from the next. */
void escape_plain(struct buf *b, const char *s, size_t n);
