/*
 * Fuzzes the parser of multipart/form-data: bytes in, parts out.
 *
 * The first byte says how the rest is cut. Whole, byte by byte and in such pieces
 * the same parts must come out, and no more bytes than went in.
 *
 * fuzz: layer net
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "net/multipart.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct run {
	uint32_t hash;
	size_t bytes;
	unsigned parts;
	enum multipart_event end;
};

static void mix(struct run *r, struct http_text t)
{
	for (size_t i = 0; i < t.size; i++)
		r->hash = (r->hash ^ (uint8_t)t.data[i]) * 16777619u;
}

/* All events that are there. Returns false after the last one. */
static bool take(struct multipart *m, struct run *r)
{
	while (true) {
		r->end = multipart_next(m);
		switch (r->end) {
		case MULTIPART_MORE:
			return true;
		case MULTIPART_BEGIN:
			r->parts++;
			mix(r, (struct http_text){ "begin", 5 });
			assert(m->name.data != NULL);
			mix(r, m->name);
			mix(r, m->filename);
			mix(r, m->type);
			break;
		case MULTIPART_DATA:
			assert(m->data.size > 0);
			r->bytes += m->data.size;
			mix(r, m->data);
			break;
		case MULTIPART_PART_END:
			mix(r, (struct http_text){ "end", 3 });
			break;
		default:
			return false;
		}
	}
}

static struct run run(const char *data, size_t size, size_t step)
{
	static const struct multipart_limits limits = { 8, 64 };
	struct run r = { 0 };
	struct multipart m;

	multipart_create(&m, (struct http_text){ "xX", 2 }, &limits);
	for (size_t at = 0; at < size; at += step) {
		/* A copy of its own, so that a read behind it is seen. */
		size_t n = size - at < step ? size - at : step;
		char *piece = malloc(n);

		assert(piece != NULL);
		memcpy(piece, data + at, n);
		assert(multipart_feed(&m, piece, n) == 0);
		free(piece);
		if (!take(&m, &r))
			break;
	}
	multipart_destroy(&m);
	assert(r.bytes <= size && r.parts <= 8);
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	const char *data = (const char *)bytes;
	struct run whole, steps, cut;
	struct http_text boundary;

	if (size < 2)
		return 0;
	boundary = multipart_boundary((struct http_text){ data, size });
	assert(boundary.size <= MULTIPART_BOUNDARY_MAX);
	cut = run(data + 1, size - 1, 1 + bytes[0]);
	whole = run(data + 1, size - 1, size);
	steps = run(data + 1, size - 1, 1);
	if (whole.end == MULTIPART_BAD || steps.end == MULTIPART_BAD ||
	    cut.end == MULTIPART_BAD) {
		assert(whole.end == steps.end && whole.end == cut.end);
		return 0; /* what came before the fault may be more or less */
	}
	assert(whole.end == steps.end && whole.end == cut.end);
	assert(whole.hash == steps.hash && whole.hash == cut.hash);
	assert(whole.bytes == steps.bytes && whole.bytes == cut.bytes);
	return 0;
}
