/* Frames between server and helper: put together, taken apart, checked. */
#include "cmod/isolate_frame.h"

#include <string.h>
#include <uv.h>

#include "base/diag.h"
#include "cmod/call.h"

enum {
	MAGIC = 0x46504c48,
	CHUNK = 64 * 1024, /* a body's first memory, whatever it claims */
	KEEP = 64 * 1024,
	CAUSES_MAX = 16,
	NO_FILE = 0,
};

/* An error in a body; the file's and the message's bytes follow, with their
 * NULs, and then the cause, if it has one. */
struct wire_error {
	uint32_t type; /* place in the table */
	uint32_t code;
	int32_t saved_errno;
	uint32_t line;
	uint32_t file_size; /* NO_FILE: it has none */
	uint32_t message_size;
	uint32_t has_cause;
};

static const struct error_type *const types[] = {
	&ClientError, &IllegalParams, &SystemError,      &OutOfMemory,
	&LuaError,    &TimedOut,      &FiberIsCancelled,
};

enum { TYPES = sizeof types / sizeof types[0] };

struct isolate_head isolate_head(enum isolate_kind kind, uint64_t serial,
				 uint64_t size, uint32_t count)
{
	return (struct isolate_head){
		.magic = MAGIC,
		.kind = kind,
		.serial = serial,
		.size = size,
		.count = count,
	};
}

static int check_head(const struct isolate_reader *r)
{
	const struct isolate_head *h = &r->head;

	if (h->magic != MAGIC || h->kind < ISOLATE_LOAD ||
	    h->kind > ISOLATE_ERROR || h->unused != 0)
		return UV_EPROTO;
	return h->size <= r->size_max ? 0 : UV_EMSGSIZE;
}

static size_t take_head(struct isolate_reader *r, const char *data, size_t size)
{
	size_t n = sizeof r->head - r->head_size;

	if (n > size)
		n = size;
	memcpy((char *)&r->head + r->head_size, data, n);
	r->head_size += n;
	return n;
}

/* At most twice what has come is ever held: a head can promise anything. */
static int take_body(struct isolate_reader *r, const char *data, size_t size)
{
	uint64_t missing = r->head.size - r->body.size;
	size_t more = r->body.size < CHUNK ? CHUNK : r->body.size;

	if (more > missing)
		more = missing;
	if (more < size)
		more = size;
	if (r->body.capacity - r->body.size < size &&
	    buf_reserve(&r->body, more) == NULL)
		return UV_ENOMEM;
	return buf_append(&r->body, data, size);
}

ssize_t isolate_reader_feed(struct isolate_reader *r, const char *data,
			    size_t size, bool *ret_complete)
{
	size_t taken = 0, n;
	int rc;

	*ret_complete = false;
	if (r->head_size < sizeof r->head) {
		taken = take_head(r, data, size);
		if (r->head_size < sizeof r->head)
			return (ssize_t)taken;
		rc = check_head(r);
		if (rc != 0)
			return rc;
	}
	n = size - taken;
	if (n > r->head.size - r->body.size)
		n = r->head.size - r->body.size;
	if (n > 0) {
		rc = take_body(r, data + taken, n);
		if (rc != 0)
			return rc;
	}
	*ret_complete = r->body.size == r->head.size;
	return (ssize_t)(taken + n);
}

void isolate_reader_next(struct isolate_reader *r)
{
	r->head_size = 0;
	buf_reset(&r->body, KEEP);
}

void isolate_reader_destroy(struct isolate_reader *r)
{
	buf_destroy(&r->body);
	r->head_size = 0;
}

bool isolate_check_results(const char *data, size_t size, uint32_t count)
{
	call_size_t one;

	for (; count > 0; count--) {
		if (size < sizeof one)
			return false;
		memcpy(&one, data, sizeof one);
		data += sizeof one;
		size -= sizeof one;
		if (one > size)
			return false;
		data += one;
		size -= one;
	}
	return size == 0;
}

static uint32_t type_index(const struct error_type *type)
{
	for (uint32_t i = 0; i < TYPES; i++) {
		if (types[i] == type)
			return i;
	}
	return 0;
}

static int put_one(struct buf *out, const struct error *e, bool has_cause)
{
	struct wire_error w = {
		.type = type_index(e->type),
		.code = e->code,
		.saved_errno = e->saved_errno,
		.line = e->line,
		.file_size = e->file == NULL ? NO_FILE
					     : (uint32_t)strlen(e->file) + 1,
		.message_size = (uint32_t)strlen(e->message) + 1,
		.has_cause = has_cause,
	};

	if (buf_append(out, &w, sizeof w) != 0 ||
	    (e->file != NULL && buf_append(out, e->file, w.file_size) != 0))
		return UV_ENOMEM;
	return buf_append(out, e->message, w.message_size);
}

int isolate_put_error(struct buf *out, const struct error *e)
{
	int left = CAUSES_MAX, rc;

	do {
		bool more = e->cause != NULL && --left > 0;

		rc = put_one(out, e, more);
		e = more ? e->cause : NULL;
	} while (e != NULL && rc == 0);
	return rc;
}

/* A string of @a size bytes with its NUL, at *p. NULL: it is not there. */
static const char *get_text(const char **p, const char *end, uint32_t size)
{
	const char *text = *p;

	if (size == 0 || size > (size_t)(end - text) || text[size - 1] != '\0')
		return NULL;
	*p += size;
	return text;
}

static struct error *get_one(const char **p, const char *end, bool *ret_more)
{
	const char *file = NULL, *message;
	struct wire_error w;
	struct error *e;

	if ((size_t)(end - *p) < sizeof w)
		return NULL;
	memcpy(&w, *p, sizeof w);
	*p += sizeof w;
	if (w.type >= TYPES || w.has_cause > 1)
		return NULL;
	if (w.file_size != NO_FILE) {
		file = get_text(p, end, w.file_size);
		if (file == NULL)
			return NULL;
	}
	message = get_text(p, end, w.message_size);
	if (message == NULL)
		return NULL;
	e = error_new(types[w.type], w.code, file, w.line, "%s", message);
	/* Without memory it is another one, which is not to be written to. */
	if (e->type == &SystemError)
		e->saved_errno = w.saved_errno;
	*ret_more = w.has_cause != 0;
	return e;
}

struct error *isolate_get_error(const char *data, size_t size)
{
	struct error *chain[CAUSES_MAX];
	bool more = true;
	const char *end;
	int count = 0;

	if (size == 0)
		return NULL;
	end = data + size;
	while (more && count < CAUSES_MAX) {
		chain[count] = get_one(&data, end, &more);
		if (chain[count] == NULL)
			goto fail;
		count++;
	}
	if (more || data != end)
		goto fail;
	while (--count > 0)
		error_set_cause(chain[count - 1], chain[count]);
	return chain[0];
fail:
	while (count > 0)
		error_unref(chain[--count]);
	return NULL;
}

int isolate_put_load(struct buf *out, uint64_t memory,
		     const struct isolate_names *names)
{
	struct isolate_load load = {
		.memory = memory,
		.path_size = (uint32_t)strlen(names->path) + 1,
		.file_size = (uint32_t)strlen(names->file) + 1,
		.symbol_size = (uint32_t)strlen(names->symbol) + 1,
	};

	if (buf_append(out, &load, sizeof load) != 0 ||
	    buf_append(out, names->path, load.path_size) != 0 ||
	    buf_append(out, names->file, load.file_size) != 0)
		return UV_ENOMEM;
	return buf_append(out, names->symbol, load.symbol_size);
}

bool isolate_get_load(const char *data, size_t size,
		      struct isolate_load *ret_load,
		      struct isolate_names *ret_names)
{
	struct isolate_names names;
	struct isolate_load load;
	const char *end;

	if (size < sizeof load)
		return false;
	end = data + size;
	memcpy(&load, data, sizeof load);
	data += sizeof load;
	names.path = get_text(&data, end, load.path_size);
	if (names.path == NULL)
		return false;
	names.file = get_text(&data, end, load.file_size);
	if (names.file == NULL)
		return false;
	names.symbol = get_text(&data, end, load.symbol_size);
	if (names.symbol == NULL || data != end)
		return false;
	*ret_load = load;
	*ret_names = names;
	return true;
}
