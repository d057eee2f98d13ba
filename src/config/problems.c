/* What is wrong with a configuration. See problems.h. */
#include "config/problems.h"

#include "base/diag.h"
#include "base/escape.h"

void problems_create(struct problems *p, const char *file)
{
	*p = (struct problems){ .file = file };
}

void problems_destroy(struct problems *p)
{
	buf_destroy(&p->text);
}

static void note(struct problems *p, int rc)
{
	if (rc != 0)
		p->no_memory = true;
}

/* False: it is only counted. */
static bool begin(struct problems *p)
{
	if (++p->count > PROBLEMS_TOLD_MAX)
		return false;
	if (p->text.size > 0)
		note(p, buf_putc(&p->text, '\n'));
	return true;
}

static void put_place(struct problems *p, struct config_place place)
{
	note(p, place.line == 0 ? buf_printf(&p->text, "%s: ", p->file)
				: buf_printf(&p->text, "%s:%u:%u: ", p->file,
					     place.line, place.column));
}

/* A problem is one line, whatever the file holds. */
static void put_text(struct problems *p, const char *fmt, va_list ap)
{
	struct buf line = { 0 };

	if (buf_vprintf(&line, fmt, ap) != 0 ||
	    buf_reserve(&p->text, line.size * ESCAPE_MAX + 1) == NULL) {
		p->no_memory = true;
	} else {
		for (size_t i = 0; i < line.size; i++) {
			unsigned char c = (unsigned char)line.data[i];

			if (c < ' ' || c == 0x7f)
				note(p, buf_printf(&p->text, "\\x%02x", c));
			else
				note(p, buf_putc(&p->text, line.data[i]));
		}
	}
	buf_destroy(&line);
}

void problems_add(struct problems *p, struct config_place place,
		  const char *fmt, ...)
{
	va_list ap;

	if (!begin(p))
		return;
	put_place(p, place);
	va_start(ap, fmt);
	put_text(p, fmt, ap);
	va_end(ap);
}

static void put_path(struct problems *p, const struct config_node *n)
{
	if (n->parent == NULL)
		return;
	note(p, config_node_path(n, &p->text));
	note(p, buf_puts(&p->text, ": "));
}

void problems_at(struct problems *p, const struct config_node *n,
		 const char *fmt, ...)
{
	va_list ap;

	if (!begin(p))
		return;
	if (n->origin == ORIGIN_ENV)
		note(p, buf_printf(&p->text, "%s: ", n->from));
	else
		put_place(p, n->place);
	put_path(p, n);
	va_start(ap, fmt);
	put_text(p, fmt, ap);
	va_end(ap);
}

void problems_at_name(struct problems *p, const struct config_node *n,
		      const char *fmt, ...)
{
	va_list ap;

	if (!begin(p))
		return;
	put_place(p, n->name_place);
	put_path(p, n);
	va_start(ap, fmt);
	put_text(p, fmt, ap);
	va_end(ap);
}

int problems_tell(const struct problems *p)
{
	unsigned more =
		p->count > PROBLEMS_TOLD_MAX ? p->count - PROBLEMS_TOLD_MAX : 0;

	if (p->no_memory) {
		diag_set_oom(p->text.size, p->file);
		return -1;
	}
	if (p->count == 0)
		return 0;
	if (more > 0)
		diag_set(ClientError, "%.*s\n%s: and %u more",
			 (int)p->text.size, p->text.data, p->file, more);
	else
		diag_set(ClientError, "%.*s", (int)p->text.size, p->text.data);
	return -1;
}
