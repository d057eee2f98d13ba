/* The arguments of an admin command. See admin_args.h. */
#include "console/admin_args.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/diag.h"
#include "console/admin_commands.h"

#define WHOLE_MAX 0x1.fffffffffffffp52 /* which a double has exactly */

enum { WORKER_MAX = 65535 };

struct unit {
	const char *name;
	double factor;
};

static const struct unit time_units[] = {
	{ "", 1 },   { "s", 1 },    { "ms", 1e-3 }, { "us", 1e-6 },
	{ "m", 60 }, { "h", 3600 }, { "d", 86400 }, { NULL, 0 },
};

static const struct unit size_units[] = {
	{ "", 1 },       { "k", 1024.0 }, { "m", 1048576.0 },
	{ "g", 0x1p30 }, { NULL, 0 },
};

static const struct unit no_units[] = { { "", 1 }, { NULL, 0 } };

/* A decimal number with a unit of @a units. Returns 0 or -1. */
static int read_number(const char *text, const struct unit *units, double *ret)
{
	size_t size = strspn(text, "0123456789.");
	char *end;

	errno = 0;
	*ret = strtod(text, &end);
	if (size == 0 || end != text + size || errno != 0)
		return -1;
	for (; units->name != NULL; units++) {
		if (strcmp(end, units->name) == 0) {
			*ret *= units->factor;
			return isfinite(*ret) ? 0 : -1;
		}
	}
	return -1;
}

/* A whole number of @a max at most. Returns 0 or -1. */
static int read_whole(const char *text, double max, double *ret)
{
	if (text[strspn(text, "0123456789")] != '\0' ||
	    read_number(text, no_units, ret) != 0)
		return -1;
	return *ret <= max ? 0 : -1;
}

static int wrong(const struct admin_command *c, const char *what,
		 const char *text)
{
	struct buf usage = { 0 };

	if (admin_usage(c, &usage) != 0 || buf_putc(&usage, '\0') != 0)
		diag_set_oom(usage.size, "a message");
	else
		diag_set(IllegalParams, "%s '%s'; usage: %s", what, text,
			 usage.data);
	buf_destroy(&usage);
	return -1;
}

/* Is @a text one of "a|b|c"? */
static bool is_choice(const char *choices, const char *text)
{
	size_t size = strlen(text);

	for (;;) {
		size_t n = strcspn(choices, "|");

		if (n == size && memcmp(choices, text, n) == 0)
			return true;
		if (choices[n] == '\0')
			return false;
		choices += n + 1;
	}
}

static int read_value(const struct admin_command *c, const struct admin_arg *a,
		      const char *text, struct admin_value *ret)
{
	ret->given = true;
	ret->text = text;
	if (a->choices != NULL && !is_choice(a->choices, text))
		return wrong(c, "not understood:", text);
	switch (a->kind) {
	case ADMIN_VERSION:
		if (read_whole(text + 1, WHOLE_MAX, &ret->number) != 0)
			return wrong(c, "a version as @3 is wanted, not", text);
		return 0;
	case ADMIN_NUMBER:
	case ADMIN_COUNTER:
		if (read_whole(text, WHOLE_MAX, &ret->number) != 0)
			return wrong(c, "a whole number is wanted, not", text);
		return 0;
	case ADMIN_PERCENT:
		if (read_number(text, no_units, &ret->number) != 0)
			return wrong(c, "a number is wanted, not", text);
		return 0;
	case ADMIN_BYTES:
		if (read_number(text, size_units, &ret->number) != 0)
			return wrong(c, "a size as 64k is wanted, not", text);
		return 0;
	case ADMIN_SECONDS:
		if (read_number(text, time_units, &ret->number) != 0)
			return wrong(c, "a time as 10s or 100ms is wanted, not",
				     text);
		return 0;
	default:
		return 0;
	}
}

/* What belongs to all commands of rows is taken off the end. */
static int take_common(const struct admin_command *c, char *const *words,
		       unsigned *count, struct admin_args *ret)
{
	double number;

	if (c->columns == NULL)
		return 0;
	if (*count > 0 && strcmp(words[*count - 1], "json") == 0) {
		ret->json = true;
		--*count;
	} else if (*count > 0 && !c->plain &&
		   strcmp(words[*count - 1], "typed") == 0) {
		ret->typed = true;
		--*count;
	}
	if (c->collect == NULL || *count < 2 ||
	    strcmp(words[*count - 2], "worker") != 0)
		return 0;
	if (read_whole(words[*count - 1], WORKER_MAX, &number) != 0)
		return wrong(c, "a worker's number is wanted, not",
			     words[*count - 1]);
	ret->one = true;
	ret->worker = (unsigned)number;
	*count -= 2;
	return 0;
}

/* The rest of the line is one text: the words lie behind each other. */
static char *join(char *const *words, unsigned count)
{
	char *to = words[0];

	for (unsigned i = 0; i < count; i++) {
		size_t size = strlen(words[i]);

		if (i > 0)
			*to++ = ' ';
		memmove(to, words[i], size);
		to += size;
	}
	*to = '\0';
	return words[0];
}

/* What is told by its name, in any order: from argument @a first on. Returns how many
 * words that was, or -1. */
static int read_keyed(const struct admin_command *c, unsigned first,
		      char *const *words, unsigned count,
		      struct admin_value *values)
{
	const struct admin_arg *a = c->args;
	unsigned used = 0, i;

	while (used < count) {
		for (i = first; a[i].name != NULL; i++)
			if (strcmp(a[i].name, words[used]) == 0)
				break;
		if (a[i].name == NULL)
			break;
		if (values[i].given)
			return wrong(c, "told twice:", a[i].name);
		if (used + 1 == count)
			return wrong(c, "nothing behind", a[i].name);
		if (read_value(c, &a[i], words[used + 1], &values[i]) != 0)
			return -1;
		used += 2;
	}
	for (i = first; a[i].name != NULL; i++)
		if (!a[i].optional && !values[i].given)
			return wrong(c, "missing:", a[i].name);
	return (int)used;
}

int admin_args_read(const struct admin_command *c, char *const *words,
		    unsigned count, struct admin_args *ret)
{
	const struct admin_arg *a = c->args;
	unsigned used = 0, i;

	if (take_common(c, words, &count, ret) != 0)
		return -1;
	for (i = 0; a != NULL && a[i].name != NULL; i++) {
		if (a[i].keyed) {
			int n = read_keyed(c, i, words + used, count - used,
					   ret->values);

			if (n < 0)
				return -1;
			used += (unsigned)n;
			break;
		}
		if (a[i].kind == ADMIN_FLAG) {
			if (used < count &&
			    strcmp(words[used], a[i].name) == 0) {
				ret->values[i].given = true;
				used++;
			}
			continue;
		}
		if (used == count ||
		    (a[i].kind == ADMIN_VERSION && *words[used] != '@')) {
			if (a[i].optional)
				continue;
			return wrong(c, "missing:", a[i].name);
		}
		if ((a[i].kind == ADMIN_TEXT || a[i].kind == ADMIN_COMMAND) &&
		    a[i].choices == NULL && a[i + 1].name == NULL &&
		    count - used > 1) {
			join(words + used, count - used);
			count = used + 1;
		}
		if (read_value(c, &a[i], words[used], &ret->values[i]) != 0)
			return -1;
		used++;
	}
	return used == count ? 0 : wrong(c, "too much:", words[used]);
}
