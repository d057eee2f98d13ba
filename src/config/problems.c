/* What is wrong with a configuration. See problems.h. */
#include "config/problems.h"

#include "base/diag.h"

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

int problems_put_line(struct buf *b, const char *s, size_t size)
{
	int rc = 0;

	for (size_t i = 0; i < size && rc == 0; i++) {
		unsigned char c = (unsigned char)s[i];

		rc = c < ' ' || c == 0x7f ? buf_printf(b, "\\x%02x", c)
					  : buf_putc(b, s[i]);
	}
	return rc;
}

/* Where @a n is (NULL: nowhere), and the text. */
static void put_text(struct problems *p, const struct config_node *n,
		     const char *fmt, va_list ap)
{
	struct buf line = { 0 };

	if (n != NULL && n->parent != NULL) {
		note(p, config_node_path(n, &line));
		note(p, buf_puts(&line, ": "));
	}
	note(p, buf_vprintf(&line, fmt, ap));
	note(p, problems_put_line(&p->text, line.data, line.size));
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
	put_text(p, NULL, fmt, ap);
	va_end(ap);
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
	va_start(ap, fmt);
	put_text(p, n, fmt, ap);
	va_end(ap);
}

void problems_at_name(struct problems *p, const struct config_node *n,
		      const char *fmt, ...)
{
	va_list ap;

	if (!begin(p))
		return;
	put_place(p, n->name_place);
	va_start(ap, fmt);
	put_text(p, n, fmt, ap);
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
