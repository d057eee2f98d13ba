/* `neap reload`, `neap upgrade`. See reload_command.h. */
#include "main/reload_command.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/diag.h"
#include "base/inject.h"
#include "config/config.h"
#include "config/settings.h"
#include "main/options.h"

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
	if (strncmp(text_of(console, "address"), "fd:", 3) == 0)
		return false; /* only its server knows where that is */
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

/* --- by its number --- */

enum { WORDS_SIZE = 64 * 1024, WORDS_MAX = 1024 };

/* The configuration that process @a pid serves, as its own command line says, read in the
 * folder where it is. NULL: none, or it cannot be told. */
static struct config *config_of(long pid, struct settings *settings)
{
	char path[64], *argv[WORDS_MAX], *text = mem_zalloc(WORDS_SIZE);
	struct config *config = NULL;
	struct settings other;
	struct options o;
	int argc = 0, fd;
	ssize_t n = 0;

	snprintf(path, sizeof path, "/proc/%ld/cmdline", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && text != NULL)
		n = read(fd, text, WORDS_SIZE - 1);
	if (fd >= 0)
		close(fd);
	for (ssize_t at = 0; at < n && argc < WORDS_MAX - 1;
	     at += (ssize_t)strlen(text + at) + 1)
		argv[argc++] = text + at;
	argv[argc] = NULL;
	snprintf(path, sizeof path, "/proc/%ld/cwd", pid);
	settings_create(&other);
	if (argc > 0 && options_parse(&o, argc, argv, &other) == 0) {
		if (o.config > 0 && o.reload == 0 && chdir(path) == 0)
			config = config_load(argv[o.config], settings);
		options_destroy(&o);
	}
	settings_destroy(&other);
	mem_free(text);
	return config;
}

/* Does @a pid itself listen at the unix socket of @a console? */
static bool listens(const struct config_node *console, long pid)
{
	const char *address = text_of(console, "address");
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct ucred peer = { 0 };
	socklen_t size = sizeof peer;
	bool yes;
	int fd;

	if (strncmp(address, "unix:", 5) != 0 ||
	    strlen(address + 5) >= sizeof un.sun_path)
		return false;
	strcpy(un.sun_path, address + 5);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	yes = fd >= 0 && connect(fd, (struct sockaddr *)&un, sizeof un) == 0 &&
	      getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
	      peer.pid == pid;
	if (fd >= 0)
		close(fd);
	return yes;
}

/* @a word: reload, upgrade. Returns an exit code, if not 0 with diag set. */
static int tell_by_signal(const char *word, long pid)
{
	int signo = strcmp(word, "reload") == 0 ? SIGHUP : SIGUSR2;

	if (kill((pid_t)pid, signo) != 0) {
		diag_set_system(errno, "%s: process %ld", word, pid);
		return 1;
	}
	printf("process %ld has been told; its log says what comes of it\n",
	       pid);
	return 0;
}

int reload_by_pid(const struct options *o, int argc, char **argv,
		  struct settings *settings, struct config **ret_config)
{
	const char *word;
	struct config *config;
	long pid = 0;

	if (o->reload + 1 >= argc || strcmp(argv[o->reload + 1], "--pid") != 0)
		return -1;
	word = o->reload + 3 == argc ? argv[o->reload + 2] : "";
	if (strspn(word, "0123456789") == strlen(word) && strlen(word) < 10)
		pid = strtol(word, NULL, 10);
	if (pid <= 1) {
		diag_set(IllegalParams,
			 "%s: --pid wants the number of a process",
			 argv[o->reload]);
		return 2;
	}
	config = config_of(pid, settings);
	if (config != NULL && find_console(config) != NULL &&
	    listens(find_console(config), pid)) {
		*ret_config = config;
		return -1;
	}
	config_unref(config);
	diag_clear();
	return tell_by_signal(argv[o->reload], pid);
}

int reload_put_text(const struct options *o, const char *word,
		    const struct config *config, struct buf *text)
{
	const struct config_node *console;
	const char *address, *password;

	buf_printf(text, "require('console')._reload_command('%s', %d", word,
		   o->reload);
	if (config != NULL) {
		console = find_console(config);
		if (console == NULL) {
			diag_set(IllegalParams,
				 "%s: %s has no console that may: one of "
				 "level admin, or of Lua, without TLS; name "
				 "it, or give --pid",
				 word, config_path(config));
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
