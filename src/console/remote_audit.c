/*
 * The log of what is run on a remote console, and by whom. See remote_parts.h.
 *
 * Whoever reads the log learns no password from it: neither one that is typed where none is
 * asked for, nor one that a script gives by name. But nothing else is left out: what is
 * taken for a password must not be code that hides. Lines behind "<<" may be a file's
 * content: how many bytes they are is told.
 */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/escape.h"
#include "base/log.h"
#include "console/remote_parts.h"

enum { AUDIT_MAX = 1024 }; /* bytes of a line that are logged */

static const char mask[] = "***";

/* Text that is copied without what is secret in it. */
struct masked {
	const char *begin, *end;
	const char *rest; /* not yet copied */
	struct buf *to;
};

static void put_masked(struct masked *m, const char *from, const char *till)
{
	buf_append(m->to, m->rest, (size_t)(from - m->rest));
	buf_puts(m->to, mask);
	m->rest = till;
}

static const char *skip_blanks(const char *at, const char *end)
{
	while (at < end && (*at == ' ' || *at == '\t'))
		at++;
	return at;
}

/* Behind the word and a blank; NULL: it does not stand there. */
static const char *behind_login(const char *at, const char *end)
{
	static const char word[] = "login";
	size_t n = sizeof word - 1;

	if (at < end && *at == '\\')
		at++;
	if ((size_t)(end - at) <= n || strncasecmp(at, word, n) != 0)
		return NULL;
	at += n;
	return skip_blanks(at, end) > at ? skip_blanks(at, end) : NULL;
}

/* Where the admin command ends that begins at @a at; see admin_line.c. */
static const char *end_of_command(const char *at, const char *end)
{
	char quote = '\0';

	for (; at < end && (quote != '\0' || *at != ';'); at++) {
		if (*at == '\\' && quote != '\'')
			at++;
		else if (quote != '\0' ? *at == quote
				       : *at == '"' || *at == '\'')
			quote = quote == '\0' ? *at : '\0';
	}
	return at < end ? at : end;
}

static void mask_admin(struct masked *m)
{
	const char *at = m->begin;

	while (at < m->end) {
		const char *stop = end_of_command(at, m->end);
		const char *secret = behind_login(skip_blanks(at, stop), stop);

		if (secret != NULL)
			put_masked(m, secret, stop);
		at = stop + 1;
	}
}

/* --- Lua --- */

/* What is open at @a at of a line that begins as @a before says. */
static struct scan scan_until(const struct masked *m, const char *at,
			      const struct scan *before)
{
	struct scan s = *before;

	scan_feed(&s, m->begin, (size_t)(at - m->begin));
	return s;
}

static bool is_ident(char c)
{
	return isalnum((unsigned char)c) || c == '_' ||
	       (unsigned char)c >= 0x80;
}

/* Is what stands from @a from to @a till one token of Lua, and no part of another, or of a
 * comment? */
static bool is_token(const struct masked *m, const char *from, const char *till,
		     const struct scan *before)
{
	struct scan a = scan_until(m, from, before);
	struct scan b = scan_until(m, till, before);

	return a.bracket == 0 && !a.in_string && b.bracket == 0 &&
	       !b.in_string && b.tokens == a.tokens + 1;
}

/* The text of the string that begins at @a at: *ret_begin, and its end; NULL: none does. */
static const char *string_at(const char *at, const char *end,
			     const char **ret_begin)
{
	char close[AUDIT_MAX + 1] = "]", quote = at < end ? *at : '\0';
	size_t n = 1;

	if (quote == '"' || quote == '\'') {
		*ret_begin = ++at;
		for (; at < end && *at != quote; at++)
			if (*at == '\\')
				at++;
		return at < end ? at : end;
	}
	if (quote != '[')
		return NULL;
	for (at++; at < end && *at == '='; at++)
		close[n++] = '=';
	if (at == end || *at != '[')
		return NULL;
	close[n++] = ']';
	*ret_begin = ++at;
	at = memmem(at, (size_t)(end - at), close, n);
	return at != NULL ? at : end;
}

/* At the name of something, a variable or ["name"], with "password" at its end: is it set to a string, or
 * compared with one? That is left out. Returns where to go on. */
static const char *mask_value(struct masked *m, const char *word,
			      const struct scan *before)
{
	const char *from = word, *till = word + strlen("password");
	const char *begin, *stop;

	while (from > m->begin && is_ident(from[-1]))
		from--;
	if (from > m->begin && till < m->end && from[-1] == *till &&
	    (*till == '"' || *till == '\'')) {
		from--;
		till++;
	}
	if ((till < m->end && is_ident(*till)) ||
	    !is_token(m, from, till, before))
		return till;
	stop = skip_blanks(till, m->end);
	if (stop < m->end && *stop == ']')
		stop = skip_blanks(stop + 1, m->end);
	if (stop == m->end || *stop != '=')
		return till;
	while (stop < m->end && *stop == '=')
		stop++;
	stop = string_at(skip_blanks(stop, m->end), m->end, &begin);
	if (stop == NULL)
		return till;
	put_masked(m, begin, stop);
	return stop;
}

static void mask_lua(struct masked *m, const struct session *s)
{
	static const char name[] = "password";
	const char *secret =
		behind_login(skip_blanks(m->begin, m->end), m->end);

	/* A line that begins with a backslash runs no Lua. */
	if (!s->continuing && secret != NULL &&
	    *skip_blanks(m->begin, m->end) == '\\') {
		put_masked(m, secret, m->end);
		return;
	}
	if (s->scan.in_string) /* where it ends is not known */
		return;
	for (const char *at = m->begin;
	     (size_t)(m->end - at) >= sizeof name - 1;)
		at = strncasecmp(at, name, sizeof name - 1) == 0
			     ? mask_value(m, at, &s->scan)
			     : at + 1;
}

void remote__audit(const struct connection *c, const struct session_line *line)
{
	size_t shown = line->size < AUDIT_MAX ? line->size : AUDIT_MAX;
	struct buf masked = { 0 }, text = { 0 };
	struct masked m = { line->text, line->text + shown, line->text,
			    &masked };
	char behind[64] = "";

	if (line->admin)
		mask_admin(&m);
	else
		mask_lua(&m, &c->session);
	if (m.rest < m.end)
		buf_append(&masked, m.rest, (size_t)(m.end - m.rest));
	if (buf_reserve(&text, masked.size * ESCAPE_MAX + 1) != NULL)
		escape_json(&text, masked.data, masked.size);
	if (line->payload != SIZE_MAX)
		snprintf(behind, sizeof behind, " with %zu bytes behind it",
			 line->payload);
	log_info("console '%s': %s runs \"%.*s\"%s%s", c->remote->path, c->who,
		 (int)text.size, text.size == 0 ? "" : text.data,
		 shown < line->size ? " and more" : "", behind);
	buf_destroy(&masked);
	buf_destroy(&text);
}
