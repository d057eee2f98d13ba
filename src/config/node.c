/* The tree of a configuration. See node.h. */
#include "config/node.h"

#include <string.h>

#include "base/buf.h"

struct config_node *config_node_new(struct config_tree *t,
				    enum config_type type)
{
	struct config_node *n;

	if (t->count >= CONFIG_NODES_MAX)
		return NULL;
	n = arena_alloc(&t->arena, sizeof *n);
	if (n == NULL)
		return NULL;
	*n = (struct config_node){ .type = type };
	t->count++;
	return n;
}

void config_node_add(struct config_node *parent, struct config_node *n)
{
	n->parent = parent;
	n->next = NULL;
	if (parent->last == NULL)
		parent->first = n;
	else
		parent->last->next = n;
	parent->last = n;
	parent->count++;
}

void config_node_replace(struct config_node *old, struct config_node *n)
{
	struct config_node *parent = old->parent;
	struct config_node **at = &parent->first;

	while (*at != old)
		at = &(*at)->next;
	*at = n;
	n->next = old->next;
	n->parent = parent;
	n->name = old->name;
	n->name_place = old->name_place;
	if (parent->last == old)
		parent->last = n;
	old->parent = NULL;
	old->next = NULL;
}

static struct config_node *find(const struct config_node *n, const char *name,
				size_t size)
{
	if (n->type != CONFIG_MAP)
		return NULL;
	for (struct config_node *c = n->first; c != NULL; c = c->next) {
		if (strlen(c->name) == size && memcmp(c->name, name, size) == 0)
			return c;
	}
	return NULL;
}

struct config_node *config_find(const struct config_node *n, const char *name)
{
	return find(n, name, strlen(name));
}

struct config_node *config_at(const struct config_node *n, const char *names)
{
	struct config_node *c = NULL;

	for (;;) {
		size_t size = strcspn(names, ".");

		c = find(n, names, size);
		if (c == NULL || names[size] == '\0')
			return c;
		n = c;
		names += size + 1;
	}
}

static int put_step(const struct config_node *n, struct buf *b)
{
	unsigned index = 0;

	if (n->name != NULL)
		return buf_printf(b, "%s%s",
				  n->parent->parent == NULL ? "" : ".",
				  n->name);
	for (const struct config_node *c = n->parent->first; c != n;
	     c = c->next)
		index++;
	return buf_printf(b, "[%u]", index);
}

int config_node_path(const struct config_node *n, struct buf *b)
{
	const struct config_node *way[CONFIG_DEPTH_MAX + 8];
	unsigned depth = 0;
	int rc = 0;

	for (; n->parent != NULL; n = n->parent)
		way[depth++] = n;
	while (depth > 0 && rc == 0)
		rc = put_step(way[--depth], b);
	return rc;
}
