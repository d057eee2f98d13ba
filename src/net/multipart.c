/* Bodies of type multipart/form-data. See multipart.h. */
#include "net/multipart.h"

#include <string.h>
#include <strings.h>
#include <uv.h>

#include "base/utf8.h"

static const char crlf[] = "\r\n";

static void trim(struct http_text *t)
{
	while (t->size > 0 && (t->data[0] == ' ' || t->data[0] == '\t')) {
		t->data++;
		t->size--;
	}
	while (t->size > 0 &&
	       (t->data[t->size - 1] == ' ' || t->data[t->size - 1] == '\t'))
		t->size--;
}

static bool is_named(struct http_text t, const char *name)
{
	return t.size == strlen(name) && strncasecmp(t.data, name, t.size) == 0;
}

/* Cut what is before the first @a stop outside quotes from *rest. */
static struct http_text cut(struct http_text *rest, char stop)
{
	struct http_text first = { rest->data, rest->size };
	bool quoted = false;

	for (size_t i = 0; i < rest->size; i++) {
		char c = rest->data[i];

		if (quoted && c == '\\' && i + 1 < rest->size)
			i++;
		else if (c == '"')
			quoted = !quoted;
		else if (c == stop && !quoted) {
			first.size = i;
			rest->data += i + 1;
			rest->size -= i + 1;
			return first;
		}
	}
	rest->data += rest->size;
	rest->size = 0;
	return first;
}

/* The parameter @a name of "kind; a=b; c="d""; data NULL: it is not there. The
 * quotes are taken off, what is escaped between them stays so: browsers escape a
 * quote as "%22". */
static struct http_text parameter(struct http_text value, const char *name)
{
	cut(&value, ';');
	while (value.size > 0) {
		struct http_text v = cut(&value, ';'), key = cut(&v, '=');

		trim(&key);
		trim(&v);
		if (!is_named(key, name))
			continue;
		if (v.size >= 2 && v.data[0] == '"' &&
		    v.data[v.size - 1] == '"') {
			v.data++;
			v.size -= 2;
		}
		return v;
	}
	return (struct http_text){ NULL, 0 };
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Undo "%41" in the @a size bytes at @a from, in place: a character of ISO 8859-1 becomes
 * two bytes at most. Returns how many there are then; -1: that is no name. */
static ssize_t unescape(char *from, size_t size, bool latin)
{
	const char *end = from + size;
	char *to = from, *begin = from;

	while (from < end) {
		unsigned char ch = (unsigned char)*from++;

		if (ch == '%') {
			int high = end - from < 2 ? -1 : hex(from[0]);
			int low = end - from < 2 ? -1 : hex(from[1]);

			if (high < 0 || low < 0)
				return -1;
			ch = (unsigned char)(high << 4 | low);
			from += 2;
		} else if (ch >= 0x80) {
			return -1;
		}
		if (ch < 0x20 || ch == 0x7f ||
		    (latin && ch >= 0x80 && ch < 0xa0))
			return -1;
		if (latin)
			to += utf8_put(to, ch);
		else
			*to++ = (char)ch;
	}
	size = (size_t)(to - begin);
	return utf8_valid(begin, size) == size ? (ssize_t)size : -1;
}

/* A value in the extended form of RFC 8187, "UTF-8'en'a%20b", in bytes that are ours; if it
 * is none, @a plain, for a part with a name of its file is a file. */
static struct http_text extended(struct http_text v, struct http_text plain)
{
	const char *first = memchr(v.data, '\'', v.size), *second = NULL;
	struct http_text charset;
	ssize_t size = -1;

	if (first != NULL)
		second = memchr(first + 1, '\'', v.data + v.size - (first + 1));
	if (second != NULL) {
		bool latin;

		charset = (struct http_text){ v.data, first - v.data };
		latin = is_named(charset, "iso-8859-1");
		if (latin || is_named(charset, "utf-8"))
			size = unescape((char *)second + 1,
					v.data + v.size - (second + 1), latin);
	}
	if (size >= 0)
		return (struct http_text){ second + 1, (size_t)size };
	return plain.data != NULL ? plain : (struct http_text){ v.data, 0 };
}

struct http_text multipart_boundary(struct http_text content_type)
{
	const struct http_text none = { NULL, 0 };
	struct http_text rest = content_type, kind = cut(&rest, ';'), boundary;

	trim(&kind);
	if (!is_named(kind, "multipart/form-data"))
		return none;
	boundary = parameter(content_type, "boundary");
	if (boundary.size == 0 || boundary.size > MULTIPART_BOUNDARY_MAX ||
	    boundary.data[boundary.size - 1] == ' ')
		return none;
	for (size_t i = 0; i < boundary.size; i++) {
		if (boundary.data[i] < ' ' || boundary.data[i] == 0x7f)
			return none;
	}
	return boundary;
}

void multipart_create(struct multipart *m, struct http_text boundary,
		      const struct multipart_limits *limits)
{
	memset(m, 0, sizeof(*m));
	m->limits = *limits;
	memcpy(m->mark, "\r\n--", 4);
	memcpy(m->mark + 4, boundary.data, boundary.size);
	m->mark_size = (uint32_t)boundary.size + 4;
}

void multipart_destroy(struct multipart *m)
{
	buf_destroy(&m->held);
}

int multipart_feed(struct multipart *m, const char *data, size_t size)
{
	/* The first boundary may stand without a line end before it. */
	if (m->state == MULTIPART_IN_START && m->held.data == NULL &&
	    buf_append(&m->held, crlf, 2) != 0)
		return UV_ENOMEM;
	if (m->used > 0) {
		buf_consume(&m->held, m->used);
		m->used = 0;
	}
	return buf_append(&m->held, data, size);
}

static enum multipart_event bad(struct multipart *m, const char *why)
{
	m->state = MULTIPART_IN_FAULT;
	m->why = why;
	return MULTIPART_BAD;
}

/* What is not used yet. */
static struct http_text rest_of(const struct multipart *m)
{
	return (struct http_text){ m->held.data + m->used,
				   m->held.size - m->used };
}

/* How many of the last bytes of @a t may be the beginning of the mark. */
static size_t may_be_mark(const struct multipart *m, struct http_text t)
{
	size_t n = m->mark_size - 1 < t.size ? m->mark_size - 1 : t.size;

	for (; n > 0; n--) {
		if (memcmp(t.data + t.size - n, m->mark, n) == 0)
			return n;
	}
	return 0;
}

/* What is before the first boundary is nobody's, and bounded by the limit of a
 * header. */
static enum multipart_event start(struct multipart *m)
{
	struct http_text t = rest_of(m);
	const char *hit =
		t.size == 0 ? NULL
			    : memmem(t.data, t.size, m->mark, m->mark_size);

	size_t before = hit != NULL ? (size_t)(hit - t.data)
				    : t.size + 1 - m->mark_size;

	if ((hit != NULL || t.size >= m->mark_size) &&
	    before > m->limits.header_bytes)
		return bad(m, "there is no boundary where it should be");
	if (hit == NULL)
		return MULTIPART_MORE;
	m->used += hit - t.data + m->mark_size;
	m->state = MULTIPART_IN_LINE;
	return MULTIPART_MORE;
}

/* "\r\n": a part begins; "--": the end. Blanks may stand before the former. */
static enum multipart_event line(struct multipart *m)
{
	struct http_text t = rest_of(m);
	size_t blanks = 0;

	if (t.size < 2)
		return MULTIPART_MORE;
	if (memcmp(t.data, "--", 2) == 0) {
		m->state = MULTIPART_IN_END;
		return MULTIPART_END;
	}
	while (blanks < t.size &&
	       (t.data[blanks] == ' ' || t.data[blanks] == '\t'))
		blanks++;
	if (blanks > m->limits.header_bytes)
		return bad(m, "the line of a boundary is too long");
	if (t.size - blanks < 2)
		return MULTIPART_MORE;
	if (memcmp(t.data + blanks, crlf, 2) != 0)
		return bad(m, "a boundary is followed by something else");
	if (m->parts++ == m->limits.parts)
		return bad(m, "there are too many parts");
	/* The line end may be that of an empty header, too. */
	m->used += blanks;
	m->state = MULTIPART_IN_HEADER;
	return MULTIPART_MORE;
}

/* A line of a part's header. Returns false when it is none. */
static bool read_field(struct multipart *m, struct http_text field)
{
	struct http_text value = field, name;
	const char *colon = memchr(field.data, ':', field.size);

	if (colon == NULL || colon == field.data ||
	    memchr(field.data, '\0', field.size) != NULL ||
	    memchr(field.data, '\r', field.size) != NULL ||
	    memchr(field.data, '\n', field.size) != NULL)
		return false;
	name = (struct http_text){ field.data, colon - field.data };
	value = (struct http_text){ colon + 1,
				    field.data + field.size - (colon + 1) };
	trim(&value);
	if (is_named(name, "content-type")) {
		m->type = value;
	} else if (is_named(name, "content-disposition")) {
		struct http_text rest = value, kind = cut(&rest, ';');

		trim(&kind);
		if (!is_named(kind, "form-data"))
			return false;
		m->name = parameter(value, "name");
		m->filename = parameter(value, "filename");
		rest = parameter(value, "filename*");
		if (rest.data != NULL)
			m->filename = extended(rest, m->filename);
	}
	return true;
}

/* The header begins with the line end of the boundary. */
static enum multipart_event header(struct multipart *m)
{
	struct http_text t = rest_of(m);
	const char *end = memmem(t.data, t.size, "\r\n\r\n", 4), *p;

	if (end == NULL) {
		if (t.size > m->limits.header_bytes + 5)
			return bad(m, "the header of a part is too long");
		return MULTIPART_MORE;
	}
	if ((size_t)(end - t.data) > m->limits.header_bytes + 2)
		return bad(m, "the header of a part is too long");
	m->name = m->filename = m->type = (struct http_text){ NULL, 0 };
	for (p = t.data + 2; p < end;) {
		const char *stop = memmem(p, end + 2 - p, crlf, 2);

		if (!read_field(m, (struct http_text){ p, stop - p }))
			return bad(m, "the header of a part is broken");
		p = stop + 2;
	}
	if (m->name.data == NULL)
		return bad(m, "a part has no name");
	m->used += end + 2 - t.data;
	m->state = MULTIPART_IN_FIRST;
	return MULTIPART_BEGIN;
}

/* The line end behind the header may be that of a boundary: a part without any
 * bytes. */
static enum multipart_event first(struct multipart *m)
{
	struct http_text t = rest_of(m);
	size_t n = t.size < m->mark_size ? t.size : m->mark_size;

	if (memcmp(t.data, m->mark, n) != 0) {
		m->used += 2;
		m->state = MULTIPART_IN_DATA;
		return MULTIPART_MORE;
	}
	if (n < m->mark_size)
		return MULTIPART_MORE;
	m->used += m->mark_size;
	m->state = MULTIPART_IN_LINE;
	return MULTIPART_PART_END;
}

static enum multipart_event data(struct multipart *m)
{
	struct http_text t = rest_of(m);
	const char *hit =
		t.size == 0 ? NULL
			    : memmem(t.data, t.size, m->mark, m->mark_size);
	size_t size = hit != NULL ? (size_t)(hit - t.data)
				  : t.size - may_be_mark(m, t);

	if (size > 0) {
		m->data = (struct http_text){ t.data, size };
		m->used += size;
		return MULTIPART_DATA;
	}
	if (hit == NULL)
		return MULTIPART_MORE;
	m->used += m->mark_size;
	m->state = MULTIPART_IN_LINE;
	return MULTIPART_PART_END;
}

enum multipart_event multipart_next(struct multipart *m)
{
	enum multipart_state before;
	enum multipart_event event;

	do {
		before = m->state;
		switch (before) {
		case MULTIPART_IN_START:
			event = start(m);
			break;
		case MULTIPART_IN_LINE:
			event = line(m);
			break;
		case MULTIPART_IN_HEADER:
			event = header(m);
			break;
		case MULTIPART_IN_FIRST:
			event = first(m);
			break;
		case MULTIPART_IN_DATA:
			event = data(m);
			break;
		case MULTIPART_IN_END:
			return MULTIPART_END;
		default:
			return MULTIPART_BAD;
		}
	} while (event == MULTIPART_MORE && m->state != before);
	return event;
}
