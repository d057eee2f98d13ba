/* What matches of a regular expression do. See regex_work.h. */
#include "app/regex_work.h"

#include <stdbool.h>
#include <string.h>

#include "base/inject.h"

enum {
	ITEM_COST = 16,  /* to call back takes as long as so many bytes */
	REPEAT = 0xffff, /* of an item's cost: how often it must be there */
	BACK_REFERENCE = 1 << 16,
};

/* The largest number behind a brace. There may be more of them, and some that are no
 * repetition: then it counts for more than it does. */
static uint32_t repeat_of(const char *p, const char *end)
{
	uint32_t most = 0;

	while (p < end && (p = memchr(p, '{', (size_t)(end - p))) != NULL) {
		uint32_t n = 0;

		for (p++; p < end && *p >= '0' && *p <= '9' && n < REPEAT; p++)
			n = n * 10 + (uint32_t)(*p - '0');
		most = n > most ? n : most;
	}
	return most < REPEAT ? most : REPEAT;
}

static bool is_back_reference(const char *p, const char *end)
{
	if (end - p >= 2 && *p == '\\')
		return p[1] == 'g' || p[1] == 'k' ||
		       (p[1] >= '1' && p[1] <= '9');
	return end - p >= 4 && memcmp(p, "(?P=", 4) == 0;
}

struct listing {
	uint32_t *items;
	const char *pattern;
};

static int list_item(pcre2_callout_enumerate_block *b, void *arg)
{
	const struct listing *l = arg;
	const char *p = l->pattern + b->pattern_position;
	const char *end = p + b->next_item_length;

	l->items[b->pattern_position] =
		repeat_of(p, end) |
		(is_back_reference(p, end) ? BACK_REFERENCE : 0u);
	return 0;
}

int regex_work_create(struct regex_work *w, const pcre2_code *code,
		      const char *pattern, size_t size)
{
	struct listing l = { mem_zalloc((size + 1) * sizeof *l.items),
			     pattern };

	if (l.items == NULL)
		return -1;
	pcre2_callout_enumerate(code, list_item, &l);
	w->items = l.items;
	return 0;
}

void regex_work_destroy(struct regex_work *w)
{
	mem_free(w->items);
	w->items = NULL;
}

static size_t longest_group(const pcre2_callout_block *b)
{
	size_t most = 0;

	for (uint32_t i = 1; i < b->capture_top; i++) {
		size_t from = b->offset_vector[2 * i];
		size_t to = b->offset_vector[2 * i + 1];

		if (from != PCRE2_UNSET && to > from && to - from > most)
			most = to - from;
	}
	return most;
}

/* What an item has looked at shows in where the next one is tried; but for those that
 * look at many bytes and then do not match. */
static size_t lost_by(uint32_t item, const pcre2_callout_block *b)
{
	size_t rest = b->subject_length - b->current_position;
	size_t repeat = item & REPEAT;

	if (item & BACK_REFERENCE)
		repeat = longest_group(b) * (repeat > 0 ? repeat : 1);
	return repeat < rest ? repeat : rest;
}

int regex_work_count(pcre2_callout_block *b, void *work)
{
	struct regex_work *w = work;
	size_t now = b->current_position;
	size_t cost = (now > w->at ? now - w->at : w->at - now) + ITEM_COST +
		      b->capture_top;

	if (w->items[b->pattern_position] != 0)
		cost += lost_by(w->items[b->pattern_position], b);
	w->at = now;
	if (cost > w->left) {
		w->left = 0;
		return PCRE2_ERROR_CALLOUT;
	}
	w->left -= cost;
	return 0;
}
