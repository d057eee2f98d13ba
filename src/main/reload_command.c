/* `neap reload`. See reload_command.h. */
#include "main/reload_command.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/diag.h"
#include "config/config.h"
#include "main/options.h"

int reload_by_pid(const struct options *o, int argc, char **argv)
{
	const char *word;
	long pid = 0;

	if (o->reload + 1 >= argc || strcmp(argv[o->reload + 1], "--pid") != 0)
		return -1;
	word = o->reload + 3 == argc ? argv[o->reload + 2] : "";
	if (strspn(word, "0123456789") == strlen(word) && strlen(word) < 10)
		pid = strtol(word, NULL, 10);
	if (pid <= 1) {
		diag_set(IllegalParams,
			 "reload: --pid wants the number of a process");
		return 2;
	}
	if (kill((pid_t)pid, SIGHUP) != 0) {
		diag_set_system(errno, "reload: process %ld", pid);
		return 1;
	}
	printf("process %ld has been told; its log says what comes of it\n",
	       pid);
	return 0;
}

static const char *text_of(const struct config_node *map, const char *name)
{
	const struct config_node *n = config_find(map, name);

	return n == NULL ? NULL : n->text;
}

/* Admin commands of all levels, or Lua, without TLS. */
static bool may_reload(const struct config_node *console)
{
	const char *language = text_of(console, "language");
	const char *level = text_of(console, "level");

	if (config_find(console, "tls") != NULL)
		return false;
	if (level != NULL)
		return strcmp(level, "admin") == 0;
	return language == NULL || strcmp(language, "lua") == 0;
}

static const struct config_node *find_console(const struct config *config)
{
	const struct config_node *list =
		config_find(config_root(config), "console");
	const struct config_node *c = list == NULL ? NULL : list->first;

	while (c != NULL && !may_reload(c))
		c = c->next;
	return c;
}

/* Into a string of Lua. */
static void put_quoted(struct buf *text, const char *s)
{
	buf_putc(text, '\'');
	for (; *s != '\0'; s++)
		buf_printf(text, "\\%03u", (unsigned char)*s);
	buf_putc(text, '\'');
}

int reload_put_text(const struct options *o, const struct config *config,
		    struct buf *text)
{
	const struct config_node *console;
	const char *address, *password;

	buf_printf(text, "require('console')._reload_command(%d", o->reload);
	if (config != NULL) {
		console = find_console(config);
		if (console == NULL) {
			diag_set(IllegalParams,
				 "reload: %s has no console that may: one of "
				 "level admin, or of Lua, without TLS; name "
				 "it, or give --pid",
				 config_path(config));
			return -1;
		}
		address = text_of(console, "address");
		if (strncmp(address, "unix:", 5) == 0)
			address += 5;
		else if (address[0] == ':')
			address++; /* on this machine */
		password = text_of(console, "password");
		if (password != NULL)
			setenv("NEAP_PASSWORD", password, 1);
		buf_puts(text, ", ");
		put_quoted(text, address);
	}
	buf_puts(text, ")");
	if (buf_putc(text, '\0') == 0)
		return 0;
	diag_set_oom(0, "the command line");
	return -1;
}
