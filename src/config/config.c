/* A configuration. See config.h. */
#include "config/config.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/inject.h"
#include "config/check.h"
#include "config/check_more.h"
#include "config/problems.h"
#include "config/schema.h"
#include "config/tree_read.h"
#include "config/values.h"

struct config {
	unsigned refs; /* atomic */
	struct config_tree tree;
	const char *folder;
	char path[];
};

/* All of the file, or -1 with diag set. */
static int read_file(const char *path, struct buf *b)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY), err = 0;
	ssize_t n = 1;
	struct stat st;

	if (fd < 0) {
		diag_set_system(errno, "%s", path);
		return -1;
	}
	if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode))
		err = EISDIR;
	b->limit = CONFIG_FILE_MAX + 1;
	while (err == 0 && n != 0 && b->size <= CONFIG_FILE_MAX) {
		size_t room = CONFIG_FILE_MAX + 1 - b->size;
		char *to = buf_reserve(b, room < 65536 ? room : 65536);

		if (to == NULL) {
			err = ENOMEM;
			break;
		}
		n = read(fd, to, room < 65536 ? room : 65536);
		if (n < 0 && errno != EINTR)
			err = errno;
		b->size += n > 0 ? (size_t)n : 0;
	}
	close(fd);
	if (err == 0 && b->size > CONFIG_FILE_MAX)
		diag_set(ClientError, "%s: %d bytes are the most it can have",
			 path, CONFIG_FILE_MAX);
	else if (err == ENOMEM)
		diag_set_oom(b->size, path);
	else if (err != 0)
		diag_set_system(err, "%s", path);
	else
		return 0;
	return -1;
}

/* The folder of @a path, in @a c's memory; NULL with diag set. */
static const char *folder_of(struct config *c, const char *path)
{
	char found[PATH_MAX], *slash;
	const char *folder;

	if (realpath(path, found) == NULL) {
		diag_set_system(errno, "%s", path);
		return NULL;
	}
	slash = strrchr(found, '/');
	slash[slash == found] = '\0';
	folder = arena_strndup(&c->tree.arena, found, strlen(found));
	if (folder == NULL)
		diag_set_oom(strlen(found), path);
	return folder;
}

/* Put @a text, which is the value of @a variable, in the place of @a old. */
static void override(struct config *c, struct config_node *old,
		     const char *text, size_t size, const char *variable,
		     struct problems *p)
{
	struct config_node *n = config_node_new(&c->tree, CONFIG_TEXT);
	const char *copy = arena_strndup(&c->tree.arena, text, size);

	if (n == NULL || copy == NULL) {
		p->no_memory = true;
		return;
	}
	n->text = copy;
	n->origin = ORIGIN_ENV;
	n->from = variable;
	config_node_replace(old, n);
}

/* NEAP_LISTEN: one address, or several with commas between them. */
static void override_addresses(struct config *c, struct config_node *listener,
			       const char *text, struct problems *p)
{
	struct config_node *old = config_find(listener, "address"), *list, *n;

	list = config_node_new(&c->tree, CONFIG_LIST);
	if (list == NULL) {
		p->no_memory = true;
		return;
	}
	list->origin = ORIGIN_ENV;
	list->from = "NEAP_LISTEN";
	if (old != NULL) {
		config_node_replace(old, list);
	} else {
		list->name = "address";
		config_node_add(listener, list);
	}
	for (;;) {
		size_t size = strcspn(text, ",");
		const char *copy = arena_strndup(&c->tree.arena, text, size);

		n = config_node_new(&c->tree, CONFIG_TEXT);
		if (n == NULL || copy == NULL) {
			p->no_memory = true;
			return;
		}
		n->text = copy;
		n->origin = ORIGIN_ENV;
		n->from = "NEAP_LISTEN";
		config_node_add(list, n);
		if (text[size] == '\0')
			return;
		text += size + 1;
	}
}

/* PORT: of the first address, unless that is a unix socket's, or one by its name. */
static void override_port(struct config *c, struct config_node *listener,
			  const char *port, struct problems *p)
{
	struct config_node *n = config_find(listener, "address");
	struct buf b = { 0 };
	const char *colon;

	if (n != NULL && n->type == CONFIG_LIST)
		n = n->first;
	if (n == NULL || n->type != CONFIG_TEXT ||
	    !config_is_address(n->text) || strncmp(n->text, "unix:", 5) == 0 ||
	    strncmp(n->text, "fd:", 3) == 0)
		return;
	colon = strrchr(n->text, ':');
	if (buf_append(&b, n->text, (size_t)(colon + 1 - n->text)) != 0 ||
	    buf_puts(&b, port) != 0)
		p->no_memory = true;
	else
		override(c, n, b.data, b.size, "PORT", p);
	buf_destroy(&b);
}

static void override_listener(struct config *c, struct problems *p)
{
	const char *listen = getenv("NEAP_LISTEN"), *port = getenv("PORT");
	struct config_node *list = config_find(c->tree.root, "listeners");

	if (list == NULL || list->type != CONFIG_LIST || list->first == NULL ||
	    list->first->type != CONFIG_MAP)
		return;
	if (listen != NULL && *listen != '\0')
		override_addresses(c, list->first, listen, p);
	else if (port != NULL && *port != '\0')
		override_port(c, list->first, port, p);
}

static int read_and_check(struct config *c, struct settings *settings,
			  const struct buf *text)
{
	struct check_target target = { &c->tree, NULL, settings, c->folder };
	struct problems p;
	int rc;

	problems_create(&p, c->path);
	target.problems = &p;
	tree_read(&c->tree, text->data, text->size, &p);
	if (c->tree.root != NULL) {
		override_listener(c, &p);
		check_tree(&target, &server_schema);
		if (p.count == 0 && !p.no_memory)
			check_more(c->tree.root, &p);
	}
	rc = problems_tell(&p);
	problems_destroy(&p);
	return rc;
}

struct config *config_load(const char *path, struct settings *settings)
{
	size_t size = strlen(path) + 1;
	struct config *c = mem_zalloc(sizeof *c + size);
	struct buf text = { 0 };
	int rc = -1;

	if (c == NULL) {
		diag_set_oom(sizeof *c + size, path);
		return NULL;
	}
	memcpy(c->path, path, size);
	c->refs = 1;
	c->folder = NULL;
	if (read_file(path, &text) == 0) {
		c->folder = folder_of(c, path);
		if (c->folder != NULL)
			rc = read_and_check(c, settings, &text);
	}
	buf_destroy(&text);
	if (rc == 0)
		return c;
	config_unref(c);
	return NULL;
}

struct config *config_ref(struct config *c)
{
	__atomic_add_fetch(&c->refs, 1, __ATOMIC_RELAXED);
	return c;
}

void config_unref(struct config *c)
{
	if (c == NULL || __atomic_sub_fetch(&c->refs, 1, __ATOMIC_ACQ_REL) != 0)
		return;
	arena_destroy(&c->tree.arena);
	mem_free(c);
}

const char *config_path(const struct config *c)
{
	return c->path;
}

const char *config_folder(const struct config *c)
{
	return c->folder;
}

const struct config_node *config_root(const struct config *c)
{
	return c->tree.root;
}
