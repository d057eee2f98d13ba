/*
 * Bodies of type multipart/form-data, taken apart while they come.
 *
 * Bytes go in as they come, events come out one by one: a part begins, with what
 * its header says; bytes of it; it ends; the body ends. Nothing but a part's header,
 * and what may be the beginning of a boundary, is kept.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "net/http_request.h"

enum {
	MULTIPART_BOUNDARY_MAX = 70, /* RFC 2046 */
};

struct multipart_limits {
	uint32_t parts;
	uint32_t header_bytes; /* of one part */
};

enum multipart_event {
	MULTIPART_MORE, /* all was used: more has to come */
	MULTIPART_BEGIN,
	MULTIPART_DATA,
	MULTIPART_PART_END,
	MULTIPART_END, /* what follows is nobody's */
	MULTIPART_BAD, /* why says why */
};

enum multipart_state {
	MULTIPART_IN_START, /* before the first boundary, or in it */
	MULTIPART_IN_LINE,  /* behind a boundary */
	MULTIPART_IN_HEADER,
	MULTIPART_IN_FIRST, /* at the line end before the bytes */
	MULTIPART_IN_DATA,
	MULTIPART_IN_END,
	MULTIPART_IN_FAULT,
};

/** All zero but by multipart_create(). */
struct multipart {
	struct multipart_limits limits;
	enum multipart_state state;
	char mark[MULTIPART_BOUNDARY_MAX + 5]; /* "\r\n--" and the boundary */
	uint32_t mark_size;
	uint32_t parts;
	struct buf held;       /* input that is not used yet */
	size_t used;           /* of it */
	struct http_text data; /* of MULTIPART_DATA; until the next call */
	/* Of MULTIPART_BEGIN; NULL: not there. */
	struct http_text name;
	struct http_text filename;
	struct http_text type;
	const char *why;
};

/** The boundary in the value of a Content-Type; data NULL: it is no form, or has
 * none that may be. */
struct http_text multipart_boundary(struct http_text content_type);

/** @a boundary has at most MULTIPART_BOUNDARY_MAX bytes, and one at least. */
void multipart_create(struct multipart *m, struct http_text boundary,
		      const struct multipart_limits *limits);

/** Frees what it holds. */
void multipart_destroy(struct multipart *m);

/** Bytes more, which are copied. Returns 0 or UV_ENOMEM. */
int multipart_feed(struct multipart *m, const char *data, size_t size);

/** What comes next of that. What it points to is good until the next call. */
enum multipart_event multipart_next(struct multipart *m);
