/*
 * Whether a Lua text that grows by lines can be a whole chunk yet, without
 * compiling it: what is open at its end, told from its tokens alone. The cost
 * is that of the new line, however long the text has become.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/** All zero is the scan of an empty text. */
struct scan {
	int depth;       /* brackets and blocks that are open */
	unsigned loops;  /* `for` and `while` whose `do` is still to come */
	size_t bracket;  /* inside a long bracket: its level + 1; else 0 */
	bool in_comment; /* that long bracket is a comment */
	bool in_string;  /* the text ends inside quotes */
	bool wants_more; /* nothing can end with the last token */
	size_t tokens;   /* how many there were, also ends of comments */
};

/** Go on with the next line, or several, of the text. */
void scan_feed(struct scan *s, const char *text, size_t size);

/**
 * The text cannot be a whole chunk: it wants more lines, or is wrong. False
 * says nothing for certain: `x = 1 y` wants more, too.
 */
static inline bool scan_is_open(const struct scan *s)
{
	return !s->in_string &&
	       (s->depth > 0 || s->bracket > 0 || s->wants_more);
}
