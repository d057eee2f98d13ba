/* Lines of admin commands. See admin_line.h. */
#include "console/admin_line.h"

#include <string.h>

#include "base/diag.h"

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Copy the word at *at down to *to, without its quotes. Returns 0 or -1. */
static int take_word(char **at, char **to, bool *ret_plain)
{
	char *p = *at, *out = *to, quote = '\0';

	*ret_plain = true;
	for (; *p != '\0'; p++) {
		if (quote == '\0' && (is_blank(*p) || *p == ';'))
			break;
		if (*p == '\\' && quote != '\'') {
			*ret_plain = false;
			if (p[1] == '\0') {
				diag_set(IllegalParams,
					 "the line ends in a backslash");
				return -1;
			}
			*out++ = *++p;
		} else if (quote != '\0' ? *p == quote
					 : *p == '"' || *p == '\'') {
			quote = quote == '\0' ? *p : '\0';
			*ret_plain = false;
		} else {
			*out++ = *p;
		}
	}
	if (quote != '\0') {
		diag_set(IllegalParams, "a quote %c is not closed", quote);
		return -1;
	}
	*at = p;
	*to = out;
	return 0;
}

int admin_line_next(char **at, struct admin_words *ret)
{
	char *p = *at, *to = p, end;

	ret->count = 0;
	if (*p == '\0')
		return 0;
	for (;;) {
		while (is_blank(*p))
			p++;
		if (*p == '\0' || *p == ';')
			break;
		if (ret->count == ADMIN_WORDS_MAX) {
			diag_set(IllegalParams,
				 "a command of more than %d words",
				 ADMIN_WORDS_MAX);
			return -1;
		}
		ret->word[ret->count] = to;
		if (take_word(&p, &to, &ret->plain[ret->count]) != 0)
			return -1;
		ret->count++;
		end = *p; /* which the word's own end may be written over */
		if (end != '\0')
			p++;
		*to++ = '\0';
		if (end == '\0' || end == ';') {
			*at = p;
			return 1;
		}
	}
	*at = *p == ';' ? p + 1 : p;
	return 1;
}

bool admin_line_wants_payload(struct admin_words *w, const char **ret_mark)
{
	const char *last = w->count > 0 ? w->word[w->count - 1] : "";

	if (strncmp(last, "<<", 2) != 0 || !w->plain[w->count - 1])
		return false;
	*ret_mark = last + 2;
	w->count--;
	return true;
}

bool admin_line_may_want_payload(const char *line, size_t size)
{
	size_t start;

	while (size > 0 && is_blank(line[size - 1]))
		size--;
	for (start = size; start > 0; start--)
		if (is_blank(line[start - 1]) || line[start - 1] == ';')
			break;
	return size - start >= 2 && memcmp(line + start, "<<", 2) == 0;
}
