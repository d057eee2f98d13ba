/*
 * Tokens of Lua, as far as they tell what is open. See scan.h.
 *
 * A token ends with its line; only long brackets go on. What is no Lua at all
 * may be counted anyhow: the compiler finds it sooner or later.
 */
#include "console/scan.h"

#include <stdint.h>
#include <string.h>

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* As LuaJIT has it: all beyond ASCII are letters. */
static bool is_ident(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z') ||
	       (c >= 'A' && c <= 'Z') || c == '_' || (unsigned char)c >= 0x80;
}

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static void token(struct scan *s, int depth, bool wants_more)
{
	s->tokens++;
	s->depth += depth;
	s->wants_more = wants_more;
}

/* The functions below take the text from p, where their token begins, and
 * return where it goes on behind it. */

static const char *skip_long(struct scan *s, const char *p, const char *end)
{
	const char *q;

	while ((p = memchr(p, ']', (size_t)(end - p))) != NULL) {
		for (q = p + 1; q < end && *q == '='; q++)
			continue;
		if (q < end && *q == ']' && (size_t)(q - p) == s->bracket) {
			s->bracket = 0;
			/* A comment leaves the last token as it was. */
			token(s, 0, s->in_comment && s->wants_more);
			return q + 1;
		}
		p = q;
	}
	return end;
}

/* The level + 1 of the long bracket that opens at @a p; 0: none does. */
static size_t long_bracket(const char *p, const char *end)
{
	const char *q = p + 1;

	if (p >= end || *p != '[')
		return 0;
	while (q < end && *q == '=')
		q++;
	return q < end && *q == '[' ? (size_t)(q - p) : 0;
}

static const char *open_long(struct scan *s, const char *p, const char *end,
			     bool is_comment)
{
	s->bracket = long_bracket(p, end);
	s->in_comment = is_comment;
	return skip_long(s, p + s->bracket + 1, end);
}

static const char *comment(struct scan *s, const char *p, const char *end)
{
	const char *newline;

	if (long_bracket(p + 2, end) > 0)
		return open_long(s, p + 2, end, true);
	newline = memchr(p, '\n', (size_t)(end - p));
	return newline == NULL ? end : newline;
}

static const char *string(struct scan *s, const char *p, const char *end)
{
	char quote = *p++;

	token(s, 0, false);
	while (p < end) {
		char c = *p++;

		if (c == quote || c == '\n') /* the latter is an error */
			return p;
		if (c != '\\' || p == end)
			continue;
		if (*p++ != 'z')
			continue;
		while (p < end && is_space(*p))
			p++;
	}
	s->in_string = true;
	return end;
}

static const char *number(struct scan *s, const char *p, const char *end)
{
	char before = *p;

	token(s, 0, false);
	for (p++; p < end; before = *p++) {
		bool is_sign = *p == '+' || *p == '-';

		if (is_sign && memchr("eEpP", before, 4) != NULL)
			continue;
		if (!is_ident(*p) && *p != '.')
			break;
	}
	return p;
}

enum word { WORD_OPENS, WORD_LOOP, WORD_DO, WORD_END, WORD_UNTIL, WORD_WANTS };

static void known_word(struct scan *s, enum word kind)
{
	switch (kind) {
	case WORD_OPENS:
		token(s, 1, false);
		break;
	case WORD_LOOP:
		token(s, 1, false);
		s->loops++;
		break;
	case WORD_DO: /* a loop's own opens nothing more */
		token(s, s->loops > 0 ? 0 : 1, false);
		s->loops -= s->loops > 0;
		break;
	case WORD_END:
		token(s, -1, false);
		break;
	case WORD_UNTIL:
		token(s, -1, true);
		break;
	case WORD_WANTS:
		token(s, 0, true);
		break;
	}
}

static const char *word(struct scan *s, const char *p, const char *end)
{
	static const struct {
		char text[9];
		uint8_t size;
		uint8_t kind;
	} known[] = {
		{ "do", 2, WORD_DO },          { "if", 2, WORD_OPENS },
		{ "in", 2, WORD_WANTS },       { "or", 2, WORD_WANTS },
		{ "and", 3, WORD_WANTS },      { "end", 3, WORD_END },
		{ "for", 3, WORD_LOOP },       { "not", 3, WORD_WANTS },
		{ "local", 5, WORD_WANTS },    { "until", 5, WORD_UNTIL },
		{ "while", 5, WORD_LOOP },     { "repeat", 6, WORD_OPENS },
		{ "function", 8, WORD_OPENS },
	};
	const char *begin = p;
	size_t size;

	while (p < end && is_ident(*p))
		p++;
	size = (size_t)(p - begin);
	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		if (known[i].size == size &&
		    memcmp(known[i].text, begin, size) == 0) {
			known_word(s, known[i].kind);
			return p;
		}
	}
	token(s, 0, false);
	return p;
}

static const char *dots(struct scan *s, const char *p, const char *end)
{
	const char *begin = p;

	while (p < end && *p == '.' && p - begin < 3)
		p++;
	token(s, 0, p - begin < 3); /* `...` is a value */
	return p;
}

static const char *symbol(struct scan *s, const char *p, const char *end)
{
	switch (*p) {
	case '(':
	case '{':
	case '[':
		token(s, 1, false);
		break;
	case ')':
	case '}':
	case ']':
		token(s, -1, false);
		break;
	case '.':
		return dots(s, p, end);
	case ':':
		if (p + 1 < end && p[1] == ':') { /* of a label */
			token(s, 0, false);
			return p + 2;
		}
		token(s, 0, true);
		break;
	default:
		token(s, 0, strchr(",=+-*/%^#<>~", *p) != NULL && *p != '\0');
		break;
	}
	return p + 1;
}

void scan_feed(struct scan *s, const char *text, size_t size)
{
	const char *p = text, *end = text + size;

	s->in_string = false;
	if (s->bracket > 0)
		p = skip_long(s, p, end);
	while (p < end) {
		bool has_next = p + 1 < end;

		if (is_space(*p))
			p++;
		else if (is_digit(*p) ||
			 (*p == '.' && has_next && is_digit(p[1])))
			p = number(s, p, end);
		else if (is_ident(*p))
			p = word(s, p, end);
		else if (*p == '"' || *p == '\'')
			p = string(s, p, end);
		else if (*p == '-' && has_next && p[1] == '-')
			p = comment(s, p, end);
		else if (long_bracket(p, end) > 0)
			p = open_long(s, p, end, false);
		else
			p = symbol(s, p, end);
	}
}
