/* Rows of cells. See admin_rows.h. */
#include "console/admin_rows.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/diag.h"
#include "base/escape.h"
#include "base/siphash.h"
#include "port/json_encode.h"

enum { HASH_ROOM = 16 };

static int add_cell(struct buf *b, const struct admin_cell *c)
{
	if (buf_putc(b, (char)c->type) != 0)
		return -1;
	switch (c->type) {
	case ADMIN_CELL_NUMBER:
		return buf_append(b, &c->number, sizeof c->number);
	case ADMIN_CELL_TEXT:
		return buf_append(b, c->text, strlen(c->text) + 1);
	default:
		return 0;
	}
}

bool admin_rows_add(struct admin_rows *r, const struct admin_cell *cells)
{
	size_t before = r->bytes.size;

	for (unsigned i = 0; i < r->columns; i++) {
		if (add_cell(&r->bytes, &cells[i]) != 0) {
			r->bytes.size = before;
			return false;
		}
	}
	if (before > 0 && r->bytes.size > r->room) {
		r->bytes.size = before;
		return false;
	}
	return true;
}

bool admin_rows_take(struct admin_rows *r, struct admin_cell *cells)
{
	const char *p = r->bytes.data + r->taken;

	if (r->taken == r->bytes.size)
		return false;
	for (unsigned i = 0; i < r->columns; i++) {
		struct admin_cell *c = &cells[i];

		*c = (struct admin_cell){ .type = (unsigned char)*p++ };
		if (c->type == ADMIN_CELL_NUMBER) {
			memcpy(&c->number, p, sizeof c->number);
			p += sizeof c->number;
		} else if (c->type == ADMIN_CELL_TEXT) {
			c->text = p;
			p += strlen(p) + 1;
		}
	}
	r->taken = (size_t)(p - r->bytes.data);
	return true;
}

void admin_rows_reset(struct admin_rows *r)
{
	r->bytes.size = r->taken = 0;
}

/* --- text --- */

void admin_number_text(char *to, enum admin_kind kind, double v)
{
	if (kind == ADMIN_SECONDS)
		snprintf(to, ADMIN_NUMBER_ROOM, fabs(v) < 10 ? "%.6f" : "%.3f",
			 v);
	else if (floor(v) == v && fabs(v) < 0x1p63)
		snprintf(to, ADMIN_NUMBER_ROOM, "%.0f", v);
	else
		snprintf(to, ADMIN_NUMBER_ROOM, "%.3f", v);
}

static int put_padded(struct buf *b, const char *text, size_t size, int width)
{
	size_t least = (size_t)abs(width);
	size_t pad = size < least ? least - size : 0;
	char *to = buf_reserve(b, size + pad);

	if (to == NULL)
		return -1;
	if (width > 0) {
		memset(to, ' ', pad);
		to += pad;
	}
	memcpy(to, text, size);
	if (width < 0)
		memset(to + size, ' ', pad);
	b->size += size + pad;
	return 0;
}

/* Text of strangers: without what could be taken for a line or a key. */
static int put_text(struct buf *b, const char *text, int width)
{
	struct buf safe = { 0 };
	size_t size = strlen(text);
	int rc;

	/* Without room for all of it, it would be cut. */
	if (buf_reserve(&safe, ESCAPE_MAX * size + 1) == NULL)
		return -1;
	escape_json(&safe, text, size);
	rc = put_padded(b, safe.data, safe.size, width);
	buf_destroy(&safe);
	return rc;
}

/* A text that may name somebody, as the same hash each time. Empty ones name nobody. */
static const char *anonymise(const struct admin_format *f,
			     const struct admin_column *column,
			     const char *text, char *hash)
{
	if (f->anon_key == NULL || column->open || *text == '\0')
		return text;
	snprintf(hash, HASH_ROOM, "~%06x",
		 (unsigned)(siphash24(f->anon_key, text, strlen(text)) &
			    0xffffff));
	return hash;
}

static int put_cell(const struct admin_format *f, struct buf *b,
		    const struct admin_column *column,
		    const struct admin_cell *c, int width)
{
	char hash[HASH_ROOM];
	char number[ADMIN_NUMBER_ROOM];

	switch (c->type) {
	case ADMIN_CELL_NUMBER:
		if (column->kind == ADMIN_FLAG)
			return put_padded(b, c->number != 0 ? "yes" : "no",
					  c->number != 0 ? 3 : 2, width);
		admin_number_text(number, column->kind, c->number);
		return put_padded(b, number, strlen(number), width);
	case ADMIN_CELL_TEXT:
		if (column->as_is && f->plain)
			return buf_puts(b, c->text);
		return put_text(b, anonymise(f, column, c->text, hash), width);
	default:
		return put_padded(b, "-", 1, width);
	}
}

/* Blanks at the end of a line help nobody; but without any it would be the end of
 * the answer. */
static int end_line(struct buf *b, size_t start)
{
	while (b->size > start && b->data[b->size - 1] == ' ')
		b->size--;
	return buf_puts(b, b->size == start ? " \n" : "\n");
}

static int put_head(const struct admin_format *f, struct buf *b)
{
	const struct admin_column *c = f->columns;
	size_t start = b->size;

	if (f->plain)
		return 0;
	if (f->of_worker && buf_puts(b, "worker ") != 0)
		return -1;
	for (; c->name != NULL; c++) {
		if (put_padded(b, c->name, strlen(c->name), c->width) != 0 ||
		    (c[1].name != NULL && buf_putc(b, ' ') != 0))
			return -1;
	}
	return end_line(b, start);
}

static int put_line(const struct admin_format *f,
		    const struct admin_cell *cells, struct buf *b)
{
	const struct admin_column *c = f->columns;
	unsigned first = f->plain ? admin_column_count(c) - 1 : 0;
	size_t start = b->size;

	if (f->of_worker && !f->plain && buf_printf(b, "%6u ", f->worker) != 0)
		return -1;
	for (unsigned i = first; c[i].name != NULL; i++) {
		if (put_cell(f, b, &c[i], &cells[i], c[i].width) != 0 ||
		    (c[i + 1].name != NULL && buf_putc(b, ' ') != 0))
			return -1;
	}
	return end_line(b, start);
}

static int put_single(const struct admin_format *f,
		      const struct admin_cell *cells, struct buf *b)
{
	const struct admin_column *c = f->columns;

	if (f->of_worker && buf_printf(b, "worker: %u\n", f->worker) != 0)
		return -1;
	for (unsigned i = 0; c[i].name != NULL; i++) {
		if (buf_printf(b, "%s: ", c[i].name) != 0 ||
		    put_cell(f, b, &c[i], &cells[i], 0) != 0 ||
		    buf_putc(b, '\n') != 0)
			return -1;
	}
	return 0;
}

/* --- a line for each cell --- */

/* Origin (metric, status, key), nature (counter, gauge, duration, output), scope
 * (process, or this worker, as a service), persistence (volatile). */
static const char *tags_of(const struct admin_format *f,
			   const struct admin_column *c, char *to)
{
	bool label = c->role == ADMIN_LABEL;
	bool state = c->role == ADMIN_FACT || c->kind == ADMIN_TEXT ||
		     c->kind == ADMIN_FLAG;

	to[0] = label ? 'K' : state ? 'S' : 'M';
	to[1] = label || state                                       ? 'O'
		: c->kind == ADMIN_COUNTER || c->role == ADMIN_GROWS ? 'C'
		: c->kind == ADMIN_SECONDS                           ? 'D'
								     : 'G';
	to[2] = f->of_worker ? 'S' : 'P';
	to[3] = 'V';
	to[4] = '\0';
	return to;
}

static const char *type_of(const struct admin_column *c)
{
	switch (c->kind) {
	case ADMIN_COUNTER:
	case ADMIN_BYTES:
	case ADMIN_NUMBER:
		return "u64";
	case ADMIN_SECONDS:
	case ADMIN_PERCENT:
		return "flt";
	case ADMIN_FLAG:
		return "bool";
	default:
		return "str";
	}
}

/* What there is none of has no line. */
static int put_typed(const struct admin_format *f,
		     const struct admin_cell *cells, struct buf *b)
{
	char tags[5];

	for (unsigned i = 0; f->columns[i].name != NULL; i++) {
		const struct admin_column *c = &f->columns[i];

		if (cells[i].type == ADMIN_CELL_NONE)
			continue;
		if (buf_printf(b, "%llu.%u.%s.%u:%s:%s:",
			       (unsigned long long)f->count, i, c->name,
			       f->worker, tags_of(f, c, tags),
			       type_of(c)) != 0 ||
		    put_cell(f, b, c, &cells[i], 0) != 0 ||
		    buf_putc(b, '\n') != 0)
			return -1;
	}
	return 0;
}

/* --- JSON --- */

static int tell_cell(const struct admin_format *f, struct port_sink *s,
		     const struct admin_column *column,
		     const struct admin_cell *c)
{
	char hash[HASH_ROOM];
	const char *text;

	if (port_str(s, column->name, strlen(column->name)) != 0)
		return -1;
	if (c->type == ADMIN_CELL_TEXT) {
		text = anonymise(f, column, c->text, hash);
		return port_str(s, text, strlen(text));
	}
	if (c->type == ADMIN_CELL_NONE || !isfinite(c->number))
		return port_nil(s);
	if (column->kind == ADMIN_FLAG)
		return port_boolean(s, c->number != 0);
	if (floor(c->number) == c->number && fabs(c->number) < 0x1p53)
		return port_sint(s, (int64_t)c->number);
	return port_real(s, c->number);
}

static int tell_worker(const struct admin_format *f, struct port_sink *s)
{
	if (!f->of_worker)
		return 0;
	return port_str(s, "worker", 6) != 0 || port_uint(s, f->worker) != 0
		       ? -1
		       : 0;
}

static int put_object(const struct admin_format *f,
		      const struct admin_cell *cells, struct buf *b)
{
	struct json_encoder e;
	struct port_sink *s = &e.sink;

	json_encoder_create(&e, b, &json_encode_default);
	if (port_map(s, PORT_COUNT_UNKNOWN, PORT_STYLE_FLOW) != 0 ||
	    tell_worker(f, s) != 0)
		return -1;
	for (unsigned i = 0; f->columns[i].name != NULL; i++)
		if (tell_cell(f, s, &f->columns[i], &cells[i]) != 0)
			return -1;
	return port_end(s);
}

/* A row a line, in an array when there may be more than one. */
static int lead_object(const struct admin_format *f, struct buf *b)
{
	if (f->single && !f->of_worker)
		return 0;
	return buf_puts(b, f->count == 0 ? "[" : ",\n");
}

/* --- either --- */

static int fail(struct buf *out, size_t before)
{
	out->size = before;
	diag_clear();
	return -1;
}

int admin_format_row(struct admin_format *f, const struct admin_cell *cells,
		     struct buf *out)
{
	size_t before = out->size;
	int rc = 0;

	if (f->json)
		rc = lead_object(f, out) != 0 || put_object(f, cells, out) != 0;
	else if (f->typed)
		rc = put_typed(f, cells, out);
	else if (f->single)
		rc = put_single(f, cells, out);
	else
		rc = (f->count == 0 && put_head(f, out) != 0) ||
		     put_line(f, cells, out) != 0;
	if (rc != 0)
		return fail(out, before);
	f->count++;
	return 0;
}

static int put_error_object(const struct admin_format *f, const char *text,
			    struct buf *b)
{
	struct json_encoder e;
	struct port_sink *s = &e.sink;

	json_encoder_create(&e, b, &json_encode_default);
	return port_map(s, PORT_COUNT_UNKNOWN, PORT_STYLE_FLOW) != 0 ||
	       tell_worker(f, s) != 0 || port_str(s, "error", 5) != 0 ||
	       port_str(s, text, strlen(text)) != 0 || port_end(s) != 0;
}

int admin_format_error(struct admin_format *f, const char *text,
		       struct buf *out)
{
	size_t before = out->size;
	int rc;

	if (f->json)
		rc = lead_object(f, out) != 0 ||
		     put_error_object(f, text, out) != 0;
	else if (f->typed)
		rc = buf_printf(out, "%llu.0.error.%u:SOSV:str:%s\n",
				(unsigned long long)f->count, f->worker, text);
	else if (f->single)
		rc = buf_printf(out, "worker: %u\nerror: %s\n", f->worker,
				text);
	else
		rc = (f->count == 0 && put_head(f, out) != 0) ||
		     buf_printf(out, "%6u %s\n", f->worker, text) != 0;
	if (rc != 0)
		return fail(out, before);
	f->count++;
	return 0;
}

int admin_format_end(struct admin_format *f, struct buf *out)
{
	if (!f->json)
		return f->count == 0 && !f->single && !f->typed
			       ? put_head(f, out)
			       : 0;
	if (f->single && !f->of_worker)
		return buf_puts(out, f->count == 0 ? "null\n" : "\n");
	return buf_puts(out, f->count == 0 ? "[]\n" : "]\n");
}
