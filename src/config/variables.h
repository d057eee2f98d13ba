/* Variables of the environment in texts of a configuration. */
#pragma once

struct buf;

enum variables_rc {
	VARIABLES_NONE,      /* the text has none */
	VARIABLES_PUT,       /* the text with their values is in the buffer */
	VARIABLES_UNSET,     /* one is not set, and has no default */
	VARIABLES_BROKEN,    /* one has no end */
	VARIABLES_NO_MEMORY, /* or longer than the buffer may become */
};

enum { VARIABLES_NAME_MAX = 64 };

/**
 * Put values into `${NAME}` and `${NAME:-default}` (when it is not set, or empty)
 * in @a text, into @a b, which is empty, with a zero byte behind. `$${` stands
 * for `${`. The first name is in @a name, which has VARIABLES_NAME_MAX bytes and
 * a zero.
 */
enum variables_rc variables_put(const char *text, struct buf *b, char *name);
