/*
 * YAML to a tree. See tree_read.h.
 *
 * Not by way of port/yaml_decode.h: its sinks are not told places. What limits
 * there are is the same: size, depth, and the number of nodes, of which an alias
 * makes as many as it stands for.
 */
#include "config/tree_read.h"

#include <string.h>
#include <yaml.h>

#include "config/node.h"
#include "config/problems.h"
#include "config/variables.h"

enum { ANCHORS_MAX = 1000 };

/** A value that an alias may stand for. */
struct anchor {
	struct anchor *next; /* the one before it */
	const struct config_node *node;
	char *name;
};

struct reader {
	yaml_parser_t parser;
	yaml_event_t event;
	bool has_event;
	struct config_tree *tree;
	struct problems *problems;
	const char *text;
	size_t size;
	struct anchor *anchors; /* the newest first */
	unsigned anchor_count;
	unsigned depth;
};

static struct config_place place_of(const yaml_mark_t *mark)
{
	return (struct config_place){ (unsigned)mark->line + 1,
				      (unsigned)mark->column + 1 };
}

static struct config_place here(const struct reader *r)
{
	return place_of(&r->event.start_mark);
}

/* No tree comes of it. */
static struct config_node *refuse(struct reader *r, const char *problem)
{
	problems_add(r->problems, here(r), "%s", problem);
	return NULL;
}

static void drop_event(struct reader *r)
{
	if (r->has_event)
		yaml_event_delete(&r->event);
	r->has_event = false;
}

/* The reader tells bytes from the start: count lines. */
static struct config_place place_of_offset(const struct reader *r)
{
	struct config_place place = { 1, 1 };
	size_t end = r->parser.problem_offset;

	for (size_t i = 0; i < end && i < r->size; i++) {
		if (r->text[i] == '\n') {
			place.line++;
			place.column = 1;
		} else if ((r->text[i] & 0xc0) != 0x80) {
			place.column++;
		}
	}
	return place;
}

/* What the library says of the most common mistakes does not help. */
static const char *hint(const struct reader *r)
{
	const yaml_mark_t *mark = &r->parser.problem_mark;
	char c = mark->index < r->size ? r->text[mark->index] : '\0';

	if (r->parser.problem == NULL ||
	    strcmp(r->parser.problem,
		   "found character that cannot start any token") != 0)
		return "";
	if (c == '\t')
		return " (a tab: indent with spaces)";
	if (c != '\0' && strchr("%@`", c) != NULL)
		return " (a text that begins so needs quotes)";
	return "";
}

static void tell_syntax(struct reader *r)
{
	const yaml_parser_t *p = &r->parser;
	const char *problem = p->problem != NULL ? p->problem : "not YAML";
	struct config_place context = place_of(&p->context_mark);
	bool told = p->context == NULL ||
		    strcmp(p->context, "while scanning for the next token") ==
			    0;

	switch (p->error) {
	case YAML_MEMORY_ERROR:
		r->problems->no_memory = true;
		break;
	case YAML_READER_ERROR:
		problems_add(r->problems, place_of_offset(r), "%s", problem);
		break;
	default:
		if (told)
			problems_add(r->problems, place_of(&p->problem_mark),
				     "%s%s", problem, hint(r));
		else
			problems_add(r->problems, place_of(&p->problem_mark),
				     "%s, %s that begins at %u:%u%s", problem,
				     p->context, context.line, context.column,
				     hint(r));
	}
}

/* False: it is no YAML. */
static bool next_event(struct reader *r)
{
	drop_event(r);
	if (!yaml_parser_parse(&r->parser, &r->event)) {
		tell_syntax(r);
		return false;
	}
	r->has_event = true;
	return true;
}

static struct config_node *new_node(struct reader *r, enum config_type type)
{
	struct config_node *n = config_node_new(r->tree, type);

	if (n == NULL && r->tree->count >= CONFIG_NODES_MAX)
		problems_add(r->problems, here(r),
			     "%d values are the most there can be",
			     CONFIG_NODES_MAX);
	else if (n == NULL)
		r->problems->no_memory = true;
	else
		n->place = here(r);
	if (n != NULL)
		n->origin = ORIGIN_FILE;
	return n;
}

static char *copy_text(struct reader *r, const char *s)
{
	char *copy = arena_strndup(&r->tree->arena, s, strlen(s));

	if (copy == NULL)
		r->problems->no_memory = true;
	return copy;
}

/* False: there are too many, or there is no memory. */
static bool note_anchor(struct reader *r, const char *name,
			const struct config_node *n)
{
	struct anchor *a;

	if (name == NULL || n == NULL)
		return true;
	if (++r->anchor_count > ANCHORS_MAX) {
		problems_add(r->problems, n->place,
			     "%d anchors are the most there can be",
			     ANCHORS_MAX);
		return false;
	}
	a = arena_alloc(&r->tree->arena, sizeof *a);
	if (a == NULL) {
		r->problems->no_memory = true;
		return false;
	}
	*a = (struct anchor){ r->anchors, n, (char *)name };
	r->anchors = a;
	return true;
}

/* The copy has the places of what it is a copy of. */
static struct config_node *
copy_node(struct reader *r, const struct config_node *of, unsigned depth)
{
	struct config_node *n, *child;

	if (depth > CONFIG_DEPTH_MAX)
		return refuse(r, "nested too deep");
	n = new_node(r, of->type);
	if (n == NULL)
		return NULL;
	*n = *of;
	n->parent = n->first = n->last = n->next = NULL;
	n->count = 0;
	for (const struct config_node *c = of->first; c != NULL; c = c->next) {
		child = copy_node(r, c, depth + 1);
		if (child == NULL)
			return NULL;
		config_node_add(n, child);
	}
	return n;
}

static struct config_node *read_alias(struct reader *r)
{
	const char *name = (const char *)r->event.data.alias.anchor;

	for (const struct anchor *a = r->anchors; a != NULL; a = a->next) {
		if (strcmp(a->name, name) == 0)
			return copy_node(r, a->node, r->depth);
	}
	problems_add(r->problems, here(r),
		     "'*%s': there is no value '&%s' that ends before", name,
		     name);
	return NULL;
}

static bool is_nothing(const struct reader *r)
{
	const char *s = (const char *)r->event.data.scalar.value;

	return r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
	       (*s == '\0' || strcmp(s, "~") == 0 || strcmp(s, "null") == 0);
}

/* The text of @a n, with variables put in. */
static bool set_text(struct reader *r, struct config_node *n, const char *text)
{
	struct buf b = { .limit = CONFIG_FILE_MAX };
	char name[VARIABLES_NAME_MAX + 1];
	enum variables_rc rc = variables_put(text, &b, name);

	if (rc == VARIABLES_UNSET)
		problems_add(r->problems, n->place,
			     "the environment has no %s (a default is written "
			     "${%s:-value})",
			     name, name);
	else if (rc == VARIABLES_BROKEN)
		problems_add(r->problems, n->place,
			     "${%s: expected ${NAME} or ${NAME:-default}",
			     name);
	else if (rc == VARIABLES_NO_MEMORY && b.size < CONFIG_FILE_MAX / 2)
		r->problems->no_memory = true;
	else if (rc == VARIABLES_NO_MEMORY)
		problems_add(r->problems, n->place,
			     "with its variables the text is too long");
	n->text = copy_text(r, rc == VARIABLES_PUT ? b.data : text);
	if (rc == VARIABLES_PUT && *name != '\0')
		n->from = copy_text(r, name);
	buf_destroy(&b);
	return n->text != NULL;
}

static bool has_zero(const yaml_event_t *e)
{
	return strlen((const char *)e->data.scalar.value) !=
	       e->data.scalar.length;
}

static struct config_node *read_scalar(struct reader *r)
{
	struct config_node *n;

	if (has_zero(&r->event))
		return refuse(r, "a text without zero bytes is wanted");
	n = new_node(r, is_nothing(r) ? CONFIG_NIL : CONFIG_TEXT);
	if (n == NULL)
		return NULL;
	n->quoted = r->event.data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
	return set_text(r, n, (const char *)r->event.data.scalar.value) ? n
									: NULL;
}

static struct config_node *read_value(struct reader *r);

static struct config_node *read_list(struct reader *r)
{
	struct config_node *n = new_node(r, CONFIG_LIST), *item;

	if (n == NULL || !next_event(r))
		return NULL;
	while (r->event.type != YAML_SEQUENCE_END_EVENT) {
		item = read_value(r);
		if (item == NULL || !next_event(r))
			return NULL;
		config_node_add(n, item);
	}
	return n;
}

/* A name of the map @a n: what is at hand. */
static const char *read_name(struct reader *r, const struct config_node *n)
{
	const char *name;

	if (r->event.type != YAML_SCALAR_EVENT || has_zero(&r->event)) {
		refuse(r, "a name is wanted before the colon");
		return NULL;
	}
	name = (const char *)r->event.data.scalar.value;
	for (const struct config_node *c = n->first; c != NULL; c = c->next) {
		if (strcmp(c->name, name) != 0)
			continue;
		problems_add(r->problems, here(r),
			     "'%s' stands here twice, first at %u:%u", name,
			     c->name_place.line, c->name_place.column);
		break;
	}
	if (n->count >= CONFIG_NAMES_MAX) {
		problems_add(r->problems, here(r),
			     "%d names are the most a map can have",
			     CONFIG_NAMES_MAX);
		return NULL;
	}
	return copy_text(r, name);
}

static struct config_node *read_map(struct reader *r)
{
	struct config_node *n = new_node(r, CONFIG_MAP), *value;

	if (n == NULL || !next_event(r))
		return NULL;
	while (r->event.type != YAML_MAPPING_END_EVENT) {
		const char *name = read_name(r, n);
		struct config_place place = here(r);

		if (name == NULL || !next_event(r))
			return NULL;
		value = read_value(r);
		if (value == NULL)
			return NULL;
		value->name = name;
		value->name_place = place;
		if (!next_event(r))
			return NULL;
		config_node_add(n, value);
	}
	return n;
}

/* The tag and the anchor of the value at hand. */
static void properties(const yaml_event_t *e, const char **ret_tag,
		       const char **ret_anchor)
{
	const yaml_char_t *tag = NULL, *anchor = NULL;

	switch (e->type) {
	case YAML_SCALAR_EVENT:
		tag = e->data.scalar.tag;
		anchor = e->data.scalar.anchor;
		break;
	case YAML_SEQUENCE_START_EVENT:
		tag = e->data.sequence_start.tag;
		anchor = e->data.sequence_start.anchor;
		break;
	case YAML_MAPPING_START_EVENT:
		tag = e->data.mapping_start.tag;
		anchor = e->data.mapping_start.anchor;
		break;
	default:
		break;
	}
	*ret_tag = (const char *)tag;
	*ret_anchor = (const char *)anchor;
}

static struct config_node *read_plain_value(struct reader *r)
{
	struct config_node *n;

	switch (r->event.type) {
	case YAML_ALIAS_EVENT:
		return read_alias(r);
	case YAML_SCALAR_EVENT:
		return read_scalar(r);
	default:
		break;
	}
	if (++r->depth > CONFIG_DEPTH_MAX)
		return refuse(r, "nested too deep");
	n = r->event.type == YAML_SEQUENCE_START_EVENT ? read_list(r)
						       : read_map(r);
	r->depth--;
	return n;
}

/* One that says what a value is without it, too. */
static bool is_plain_tag(const char *tag)
{
	static const char *const names[] = { "str",  "int", "float", "bool",
					     "null", "seq", "map" };

	if (strcmp(tag, "!") == 0)
		return true;
	if (strncmp(tag, "tag:yaml.org,2002:", 18) != 0)
		return false;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		if (strcmp(tag + 18, names[i]) == 0)
			return true;
	}
	return false;
}

/* The value that begins with the event at hand; its last event is at hand then.
 * NULL: there is no tree. */
static struct config_node *read_value(struct reader *r)
{
	const char *tag, *anchor, *name = NULL;
	struct config_node *n;

	properties(&r->event, &tag, &anchor);
	if (tag != NULL && !is_plain_tag(tag)) {
		problems_add(r->problems, here(r),
			     "there are no tags such as '%s' (a text that "
			     "begins with ! needs quotes)",
			     tag);
		return NULL;
	}
	if (anchor != NULL) {
		name = copy_text(r, anchor);
		if (name == NULL)
			return NULL;
	}
	n = read_plain_value(r);
	return note_anchor(r, name, n) ? n : NULL;
}

static void read_document(struct reader *r)
{
	struct config_node *root;

	do {
		if (!next_event(r))
			return;
	} while (r->event.type == YAML_STREAM_START_EVENT);
	if (r->event.type != YAML_DOCUMENT_START_EVENT) {
		problems_add(r->problems, (struct config_place){ 1, 1 },
			     "expected a map of settings, got an empty file");
		return;
	}
	if (!next_event(r))
		return;
	root = read_value(r);
	if (root == NULL)
		return;
	do { /* the document's end, then the stream's */
		if (!next_event(r))
			return;
	} while (r->event.type == YAML_DOCUMENT_END_EVENT);
	if (r->event.type != YAML_STREAM_END_EVENT)
		refuse(r, "one document is wanted, here begins another");
	else
		r->tree->root = root;
}

void tree_read(struct config_tree *t, const char *text, size_t size,
	       struct problems *p)
{
	struct reader r = {
		.tree = t,
		.problems = p,
		.text = text,
		.size = size,
	};

	t->arena.limit = CONFIG_TREE_MAX;
	if (!yaml_parser_initialize(&r.parser)) {
		p->no_memory = true;
		return;
	}
	yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&r.parser, (const yaml_char_t *)text,
				     size);
	read_document(&r);
	drop_event(&r);
	yaml_parser_delete(&r.parser);
}
