/* Values of a configuration. See values.h. */
#include "config/values.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "config/settings.h"

enum { SECONDS_MAX = 1000000000 };

double config_duration(const char *text)
{
	/* Divided, so that what is not whole is the nearest there is. */
	static const struct {
		const char *unit;
		double factor, divisor;
	} units[] = {
		{ "us", 1, 1e6 }, { "ms", 1, 1e3 }, { "s", 1, 1 },
		{ "m", 60, 1 },   { "h", 3600, 1 }, { "d", 86400, 1 },
	};
	size_t digits = strspn(text, "0123456789"), rest;
	char *end;
	double v;

	rest = text[digits] == '.' ? strspn(text + digits + 1, "0123456789")
				   : 0;
	if (digits == 0 || digits + rest > 15 ||
	    (text[digits] == '.' && rest == 0))
		return -1;
	v = strtod(text, &end);
	if (end != text + digits + (rest == 0 ? 0 : rest + 1))
		return -1; /* an exponent */
	if (*end == '\0' && v == 0)
		return 0;
	for (unsigned i = 0; i < sizeof units / sizeof *units; i++) {
		if (strcmp(end, units[i].unit) != 0)
			continue;
		v = v * units[i].factor / units[i].divisor;
		return v <= SECONDS_MAX ? v : -1;
	}
	return -1;
}

uint64_t config_size(const char *text)
{
	return settings_parse_size(text);
}

int config_switch(const char *text)
{
	return settings_parse_switch(text);
}

static bool is_port(const char *s)
{
	size_t size = strspn(s, "0123456789");

	return size > 0 && size <= 5 && s[size] == '\0' && atoi(s) <= 65535;
}

bool config_is_address(const char *text)
{
	static const char host_set[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
		"0123456789.-_*";
	static const char six_set[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
		"0123456789.-_%:";
	const char *colon;
	size_t size;

	if (strncmp(text, "unix:", 5) == 0)
		return text[5] != '\0';
	if (strncmp(text, "fd:", 3) == 0)
		return text[3] != '\0' && strchr(text + 3, ':') == NULL;
	if (*text == '[') {
		size = strcspn(text, "]");
		return size > 2 && strspn(text + 1, six_set) == size - 1 &&
		       memchr(text, ':', size) != NULL && text[size] == ']' &&
		       text[size + 1] == ':' && is_port(text + size + 2);
	}
	colon = strrchr(text, ':');
	return colon != NULL &&
	       strspn(text, host_set) == (size_t)(colon - text) &&
	       is_port(colon + 1);
}

enum { NAME_MAX_LOOKED_AT = 31 };

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* How many letters to change, add, take away or swap. */
static unsigned distance(const char *a, const char *b)
{
	unsigned rows[3][NAME_MAX_LOOKED_AT + 1];
	unsigned m = (unsigned)strlen(a), n = (unsigned)strlen(b);

	if (m > NAME_MAX_LOOKED_AT || n > NAME_MAX_LOOKED_AT)
		return NAME_MAX_LOOKED_AT;
	for (unsigned j = 0; j <= n; j++)
		rows[0][j] = j;
	for (unsigned i = 1; i <= m; i++) {
		unsigned *now = rows[i % 3], *up = rows[(i + 2) % 3];

		now[0] = i;
		for (unsigned j = 1; j <= n; j++) {
			unsigned same = a[i - 1] == b[j - 1] ? 0 : 1;

			now[j] = least(least(up[j], now[j - 1]) + 1,
				       up[j - 1] + same);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] &&
			    a[i - 2] == b[j - 1])
				now[j] = least(now[j],
					       rows[(i + 1) % 3][j - 2] + 1);
		}
	}
	return rows[m % 3][n];
}

const char *config_nearest(const char *wrong, const void *names,
			   unsigned stride, unsigned count)
{
	unsigned best = (unsigned)strlen(wrong) / 3 + 2;
	const char *found = NULL;

	for (unsigned i = 0; i < count; i++) {
		const char *name;
		unsigned d;

		memcpy(&name, (const char *)names + (size_t)i * stride,
		       sizeof name);
		d = distance(wrong, name);
		if (d < best) {
			best = d;
			found = name;
		}
	}
	return found;
}
