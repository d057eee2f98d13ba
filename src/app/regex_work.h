/*
 * What matches of a regular expression do, counted: PCRE2 calls back before each item
 * of a pattern that is compiled with PCRE2_AUTO_CALLOUT, wherever in the text a match is
 * tried, so one budget holds for all of them. Its own limits begin anew at each place.
 */
#pragma once

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdint.h>

struct regex_work {
	uint64_t left;   /* bytes that may still be looked at */
	size_t at;       /* where in the text the last item was tried */
	uint32_t *items; /* what they may cost, by their place in the pattern */
};

/** For @a code, which is of @a pattern. Returns 0; -1: no memory. */
int regex_work_create(struct regex_work *w, const pcre2_code *code,
		      const char *pattern, size_t size);
void regex_work_destroy(struct regex_work *w); /* all zero is fine */

/** The callout: PCRE2_ERROR_CALLOUT when nothing is left. */
int regex_work_count(pcre2_callout_block *block, void *work);
