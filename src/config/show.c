/* `neap config show`. See show.h. */
#include "config/show.h"

#include "base/buf.h"
#include "base/diag.h"
#include "base/escape.h"
#include "config/config.h"
#include "config/problems.h"
#include "port/number.h"

struct show {
	const struct config *config;
	struct buf *b;
	bool json;
	int rc; /* the first failure: out of memory */
};

static const char *const origins[] = {
	[ORIGIN_DEFAULT] = "default",
	[ORIGIN_FILE] = "file",
	[ORIGIN_ENV] = "environment",
	[ORIGIN_FLAG] = "flag",
};

static void put(struct show *s, const char *text)
{
	if (s->rc == 0)
		s->rc = buf_puts(s->b, text);
}

/* In quotes; as JSON has it, which YAML reads, too. */
static void put_quoted(struct show *s, const char *text)
{
	size_t size = strlen(text);

	put(s, "\"");
	if (s->rc == 0 && buf_reserve(s->b, size * ESCAPE_MAX + 1) == NULL)
		s->rc = -1;
	if (s->rc == 0)
		escape_json(s->b, text, size);
	put(s, "\"");
}

static void put_value(struct show *s, const struct config_node *n)
{
	char number[NUMBER_TEXT_MAX + 1];

	switch (n->type) {
	case CONFIG_NIL:
		put(s, "null");
		break;
	case CONFIG_BOOLEAN:
		put(s, n->boolean ? "true" : "false");
		break;
	case CONFIG_NUMBER:
		number[number_put_real(number, n->number, 14)] = '\0';
		put(s, number);
		break;
	case CONFIG_TEXT:
		put_quoted(s, n->secret ? "(secret)" : n->text);
		break;
	case CONFIG_LIST:
		put(s, "[]");
		break;
	case CONFIG_MAP:
		put(s, "{}");
		break;
	}
}

static void put_place(struct show *s, const struct config_node *n)
{
	if (s->rc == 0)
		s->rc = buf_printf(s->b, "%s:%u:%u", config_path(s->config),
				   n->place.line, n->place.column);
}

static void put_origin(struct show *s, const struct config_node *n)
{
	put(s, "  # ");
	if (n->origin == ORIGIN_FILE)
		put_place(s, n);
	else
		put(s, origins[n->origin]);
	if (n->from != NULL && s->rc == 0)
		s->rc = buf_printf(s->b,
				   n->origin == ORIGIN_FILE ? " ${%s}" : " %s",
				   n->from);
	put(s, "\n");
}

static void put_line(struct show *s, const struct config_node *n)
{
	struct buf path = { 0 };

	if (s->rc == 0)
		s->rc = config_node_path(n, &path);
	if (s->rc == 0)
		s->rc = problems_put_line(s->b, path.data, path.size);
	buf_destroy(&path);
	put(s, ": ");
	put_value(s, n);
	put_origin(s, n);
}

static void put_object(struct show *s, const struct config_node *n)
{
	struct buf path = { 0 };

	if (config_node_path(n, &path) != 0 || buf_putc(&path, '\0') != 0)
		s->rc = -1;
	put(s, s->b->size > 1 ? ",\n{\"key\": " : "{\"key\": ");
	put_quoted(s, path.data == NULL ? "" : path.data);
	buf_destroy(&path);
	put(s, ", \"value\": ");
	put_value(s, n);
	put(s, ", \"origin\": ");
	put_quoted(s, origins[n->origin]);
	if (n->origin == ORIGIN_FILE && s->rc == 0)
		s->rc = buf_printf(s->b, ", \"line\": %u, \"column\": %u",
				   n->place.line, n->place.column);
	if (n->from != NULL) {
		put(s, n->origin == ORIGIN_FLAG ? ", \"flag\": "
						: ", \"variable\": ");
		put_quoted(s, n->from);
	}
	put(s, "}");
}

static void show(struct show *s, const struct config_node *n)
{
	if ((n->type != CONFIG_MAP && n->type != CONFIG_LIST) ||
	    n->first == NULL) {
		if (s->json)
			put_object(s, n);
		else
			put_line(s, n);
		return;
	}
	for (const struct config_node *c = n->first; c != NULL; c = c->next)
		show(s, c);
}

int config_show(const struct config *c, bool json, struct buf *b)
{
	struct show s = { c, b, json, 0 };

	put(&s, json ? "[" : "");
	show(&s, config_root(c));
	put(&s, json ? "]\n" : "");
	if (s.rc == 0)
		return 0;
	diag_set_oom(b->size, "the configuration");
	return -1;
}
