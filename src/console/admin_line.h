/*
 * Lines of admin commands: words, and commands between semicolons.
 *
 * Blanks part words, ";" parts commands. A backslash takes the next character as
 * it is; so do quotes with what is between them ("\" still escapes within double
 * ones). A last word "<<", or "<<MARK", says that lines follow, up to an empty one
 * or MARK alone.
 */
#pragma once

#include <stdbool.h>

#include "console/admin.h"

enum { ADMIN_MARK_MAX = 64 };

/** One command; the words lie in the line. */
struct admin_words {
	unsigned count;
	char *word[ADMIN_WORDS_MAX];
	bool plain[ADMIN_WORDS_MAX]; /* nothing in it was quoted or escaped */
};

/**
 * Take the next command off the line at *at, which is written over. Returns 1 with
 * its words, maybe none; 0: the line is at its end; -1 with diag set:
 * IllegalParams.
 */
int admin_line_next(char **at, struct admin_words *ret);

/**
 * Does the command ask for lines? Then its word for that is taken off, and *ret_mark,
 * of whatever length, is what ends them: "" is an empty line.
 */
bool admin_line_wants_payload(struct admin_words *w, const char **ret_mark);

/** Is the last word of @a line, which was not understood, one that asks for lines? What
 * follows is none for a session to run then. */
bool admin_line_may_want_payload(const char *line, size_t size);
