/* A configuration as its schema wants it. See check.h. */
#include "config/check.h"

#include <string.h>

#include "config/check_scalar.h"
#include "config/node.h"
#include "config/problems.h"
#include "config/schema.h"
#include "config/values.h"

static void check(struct check *c, struct config_node *n,
		  const struct schema *s);

static const struct schema *field_of(const struct schema *fields,
				     const char *name)
{
	for (const struct schema *f = fields; f->name != NULL; f++) {
		if (strcmp(f->name, name) == 0)
			return f;
	}
	return NULL;
}

static unsigned count_fields(const struct schema *fields)
{
	unsigned n = 0;

	while (fields[n].name != NULL)
		n++;
	return n;
}

static void refuse_name(struct check *c, const struct config_node *n,
			const struct schema *s)
{
	const char *nearest = config_nearest(n->name, &s->fields->name,
					     sizeof *s->fields,
					     count_fields(s->fields));

	if (nearest != NULL)
		problems_at_name(c->target->problems, n,
				 "there is no such key; the nearest is '%s'",
				 nearest);
	else
		problems_at_name(c->target->problems, n,
				 "there is no such key");
}

/* A value that is not in the file. */
static struct config_node *add_text(struct check *c, struct config_node *map,
				    const char *name, const char *text)
{
	struct config_node *n = check_new(c, CONFIG_TEXT);

	if (n == NULL)
		return NULL;
	n->name = name;
	n->text = text;
	n->place = map->place;
	config_node_add(map, n);
	return n;
}

/* What the file does not say. */
static void fill(struct check *c, struct config_node *map,
		 const struct schema *f)
{
	struct config_node *n = NULL;

	if (f->flags & SCHEMA_REQUIRED) {
		problems_at(c->target->problems, map, "'%s' is missing",
			    f->name);
	} else if (c->as_written) {
		return;
	} else if (f->flags & SCHEMA_FILL) {
		n = check_new(c, CONFIG_MAP);
		if (n == NULL)
			return;
		n->name = f->name;
		config_node_add(map, n);
	} else if (f->kind == SCHEMA_SETTING) {
		const char *text = settings_table[f->setting].fallback;

		n = add_text(c, map, f->name, text == NULL ? "" : text);
		if (n != NULL)
			check_setting_in_force(c, n, f->setting);
		return;
	} else if (f->fallback != NULL) {
		n = add_text(c, map, f->name, f->fallback);
	}
	if (n != NULL)
		check(c, n, f);
}

static void check_fields(struct check *c, struct config_node *map,
			 const struct schema *s)
{
	unsigned written = map->count;
	struct config_node *n = map->first, *next;

	/* In the order of the file, so that problems are told in it. What is
	 * checked may be replaced by another, in its place. */
	for (unsigned i = 0; i < written; i++, n = next) {
		const struct schema *f = field_of(s->fields, n->name);

		next = n->next;
		if (f == NULL)
			refuse_name(c, n, s);
		else
			check(c, n, f);
	}
	for (const struct schema *f = s->fields; f->name != NULL; f++) {
		if (config_find(map, f->name) == NULL)
			fill(c, map, f);
	}
}

/* A value of `brief` for the map: as it is, or in a map of its own. */
static struct config_node *check_brief(struct check *c, struct config_node *n,
				       const struct schema *s)
{
	struct config_node *map;

	if (c->as_written) {
		check(c, n, field_of(s->fields, s->brief));
		return NULL;
	}
	map = check_new(c, CONFIG_MAP);
	if (map == NULL)
		return NULL;
	map->origin = n->origin;
	map->place = n->place;
	map->from = n->from;
	config_node_replace(n, map);
	n->name = s->brief;
	n->name_place = n->place;
	config_node_add(map, n);
	return map;
}

static void check_map(struct check *c, struct config_node *n,
		      const struct schema *s)
{
	if (n->type == CONFIG_TEXT && s->brief != NULL) {
		n = check_brief(c, n, s);
		if (n == NULL)
			return;
	}
	if (n->type == CONFIG_MAP)
		check_fields(c, n, s);
	else if (s->brief != NULL)
		check_refuse(c, n, "%s, or a map with it as '%s'",
			     check_wanted(field_of(s->fields, s->brief)),
			     s->brief);
	else
		check_refuse(c, n, "a map of settings");
}

static void check_list(struct check *c, struct config_node *n,
		       const struct schema *s)
{
	struct config_node *list;

	if (n->type != CONFIG_LIST && n->type != CONFIG_NIL &&
	    s->flags & SCHEMA_ALONE) {
		list = check_new(c, CONFIG_LIST);
		if (list == NULL)
			return;
		list->origin = n->origin;
		list->place = n->place;
		list->from = n->from;
		config_node_replace(n, list);
		n->name = NULL;
		config_node_add(list, n);
		n = list;
	}
	if (n->type != CONFIG_LIST) {
		check_refuse(c, n, "a list");
		return;
	}
	if (n->first == NULL && s->flags & SCHEMA_REQUIRED)
		check_refuse(c, n, "a list that is not empty");
	for (struct config_node *item = n->first, *next; item != NULL;
	     item = next) {
		next = item->next;
		check(c, item, s->fields);
	}
}

static void check_names(struct check *c, struct config_node *n,
			const struct schema *s)
{
	if (n->type != CONFIG_MAP) {
		check_refuse(c, n, "a map of names");
		return;
	}
	for (struct config_node *item = n->first, *next; item != NULL;
	     item = next) {
		next = item->next;
		if (*item->name == '\0')
			problems_at_name(c->target->problems, item,
					 "a name is wanted");
		check(c, item, s->fields);
	}
}

static void put_actions(struct buf *b, const struct schema *s)
{
	unsigned where = s->flags & (SCHEMA_REQUEST | SCHEMA_RESPONSE);

	for (const struct schema *f = s->fields; f->name != NULL; f++) {
		if (f->flags & SCHEMA_ACTION && f->flags & where)
			buf_printf(b, "%s%s", b->size == 0 ? "" : ", ",
				   f->name);
	}
	buf_putc(b, '\0');
}

static void refuse_idle_rule(struct check *c, const struct config_node *n,
			     const struct schema *s)
{
	struct buf b = { 0 };

	put_actions(&b, s);
	problems_at(c->target->problems, n,
		    "a rule has exactly one action: expected one of %s",
		    b.data == NULL ? "" : b.data);
	buf_destroy(&b);
}

static void check_rule(struct check *c, struct config_node *n,
		       const struct schema *s)
{
	const struct config_node *first = NULL, *args;
	const struct schema *action = NULL;
	unsigned where = s->flags & (SCHEMA_REQUEST | SCHEMA_RESPONSE);

	if (n->type != CONFIG_MAP) {
		check_refuse(c, n, "a map with an action");
		return;
	}
	check_fields(c, n, s);
	for (const struct config_node *i = n->first; i != NULL; i = i->next) {
		const struct schema *f = field_of(s->fields, i->name);

		if (f == NULL || !(f->flags & SCHEMA_ACTION))
			continue;
		if (!(f->flags & where))
			problems_at_name(c->target->problems, i,
					 "this action has its place in %s",
					 where & SCHEMA_REQUEST
						 ? "response_rules"
						 : "rules");
		if (first != NULL)
			problems_at_name(c->target->problems, i,
					 "a rule has exactly one action, this "
					 "one has '%s' already",
					 first->name);
		else
			action = f;
		first = first == NULL ? i : first;
	}
	args = config_find(n, "args");
	if (first == NULL)
		refuse_idle_rule(c, n, s);
	else if (args != NULL && !(action->flags & SCHEMA_WITH_ARGS))
		problems_at_name(c->target->problems, args,
				 "'%s' takes no arguments", first->name);
}

static void check(struct check *c, struct config_node *n,
		  const struct schema *s)
{
	bool as_written = c->as_written;

	if (s->flags & SCHEMA_AS_WRITTEN)
		c->as_written = true;
	if (s->flags & SCHEMA_SECRET)
		n->secret = true;
	switch (s->kind) {
	case SCHEMA_LIST:
		check_list(c, n, s);
		break;
	case SCHEMA_NAMES:
		check_names(c, n, s);
		break;
	case SCHEMA_MAP:
		check_map(c, n, s);
		break;
	case SCHEMA_RULE:
		check_rule(c, n, s);
		break;
	default:
		check_scalar(c, n, s);
	}
	c->as_written = as_written;
}

void check_tree(const struct check_target *target, const struct schema *schema)
{
	struct check c = { .target = target };

	check(&c, target->tree->root, schema);
}
