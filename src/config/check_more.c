/*
 * What a configuration must have beside forms. See check_more.h. Who opens a console
 * or a port would refuse the same, but when the server has begun.
 */
#include "config/check_more.h"

#include <string.h>

#include "config/node.h"
#include "config/problems.h"

enum { PASSWORD_MIN = 8, PASSWORD_MAX = 256, ADDRESSES_MAX = 1000 };

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
	bool by_name = strncmp(text_of(console, "address"), "fd:", 3) == 0;

	/* One by its name may be a unix socket: looked at when it opens. */
	if (!by_name && config_find(console, "password") == NULL &&
	    strcmp(verify, "required") != 0)
		problems_at(p, console,
			    "over TCP a password is wanted, or tls with "
			    "`verify: required`: who gets in may run anything");
	for (unsigned i = 0; i < sizeof of_files / sizeof *of_files; i++) {
		const struct config_node *n = config_find(console, of_files[i]);

		if (n != NULL)
			problems_at_name(
				p, n,
				by_name ? "who gives the socket says that"
					: "this is of a unix socket's "
					  "file");
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

/* Each address once, among all listeners; but port 0 is any that is free. */
static void check_address(const struct config_node *address,
			  const struct config_node **seen, unsigned count,
			  struct problems *p)
{
	size_t size = strlen(address->text);

	if (size >= 2 && strcmp(address->text + size - 2, ":0") == 0)
		return;
	for (unsigned i = 0; i < count; i++) {
		if (strcmp(seen[i]->text, address->text) != 0)
			continue;
		problems_at(p, address, "'%s' has a listener at %u:%u already",
			    address->text, seen[i]->place.line,
			    seen[i]->place.column);
		return;
	}
}

static void check_listeners(const struct config_node *list, struct problems *p)
{
	const struct config_node *seen[ADDRESSES_MAX], *a;
	unsigned count = 0;

	for (const struct config_node *l = list->first; l != NULL;
	     l = l->next) {
		for (a = config_find(l, "address")->first; a != NULL;
		     a = a->next) {
			if (count == ADDRESSES_MAX) {
				problems_at(p, a,
					    "%d addresses are the most there "
					    "can be",
					    ADDRESSES_MAX);
				return;
			}
			check_address(a, seen, count, p);
			seen[count++] = a;
		}
	}
}

void check_more(const struct config_node *root, struct problems *p)
{
	const struct config_node *consoles = config_find(root, "console");
	const struct config_node *listeners = config_find(root, "listeners");
	const struct config_node *c;

	for (c = consoles == NULL ? NULL : consoles->first; c != NULL;
	     c = c->next)
		check_console(c, p);
	if (listeners != NULL)
		check_listeners(listeners, p);
}
