/*
 * What a console must have. See check_console.h. console.listen() refuses the same,
 * but would do so when the server has begun.
 */
#include "config/check_console.h"

#include <string.h>

#include "config/node.h"
#include "config/problems.h"

enum { PASSWORD_MIN = 8, PASSWORD_MAX = 256 };

static const char *text_of(const struct config_node *map, const char *name)
{
	const struct config_node *n = map == NULL ? NULL
						  : config_find(map, name);

	return n == NULL ? "" : n->text;
}

static void check_password(const struct config_node *console,
			   struct problems *p)
{
	const struct config_node *n = config_find(console, "password");
	size_t size = n == NULL ? PASSWORD_MIN : strlen(n->text);

	if (size < PASSWORD_MIN || size > PASSWORD_MAX)
		problems_at(p, n, "a password has %d to %d bytes, not %zu",
			    PASSWORD_MIN, PASSWORD_MAX, size);
}

/* Whoever gets in may run anything. */
static void check_tcp(const struct config_node *console, struct problems *p)
{
	static const char *const of_files[] = { "mode", "owner", "group" };
	const char *verify = text_of(config_find(console, "tls"), "verify");

	if (config_find(console, "password") == NULL &&
	    strcmp(verify, "required") != 0)
		problems_at(p, console,
			    "over TCP a password is wanted, or tls with "
			    "`verify: required`: who gets in may run anything");
	for (unsigned i = 0; i < sizeof of_files / sizeof *of_files; i++) {
		const struct config_node *n = config_find(console, of_files[i]);

		if (n != NULL)
			problems_at_name(p, n,
					 "this is of a unix socket's file");
	}
}

static void check_console(const struct config_node *console, struct problems *p)
{
	const char *language = text_of(console, "language");
	const char *level = text_of(console, "level");

	check_password(console, p);
	if (strcmp(language, "lua") == 0 && *level != '\0' &&
	    strcmp(level, "admin") != 0)
		problems_at(p, config_find(console, "level"),
			    "who may run Lua may do anything: a lower level is "
			    "of `language: admin`");
	if (strncmp(text_of(console, "address"), "unix:", 5) != 0)
		check_tcp(console, p);
}

void check_consoles(const struct config_node *root, struct problems *p)
{
	const struct config_node *list = config_find(root, "console");

	if (list == NULL)
		return;
	for (const struct config_node *c = list->first; c != NULL; c = c->next)
		check_console(c, p);
}
