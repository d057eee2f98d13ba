/* What is wrong with a configuration: collected, and told together. */
#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "config/node.h"

enum { PROBLEMS_TOLD_MAX = 20 };

struct problems {
	const char *file; /* as the user calls it */
	struct buf text;
	unsigned count;
	bool no_memory; /* what is told is not all */
};

void problems_create(struct problems *p, const char *file);
void problems_destroy(struct problems *p);

/** "FILE:LINE:COLUMN: ", or without a place "FILE: ", then the text. */
void problems_add(struct problems *p, struct config_place place,
		  const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/** At the value of @a n, with where in the tree it is: "FILE:LINE:COLUMN:
 * listeners[0].address: ", then the text. One from a variable has its name as
 * the place. */
void problems_at(struct problems *p, const struct config_node *n,
		 const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/** At the name of @a n. */
void problems_at_name(struct problems *p, const struct config_node *n,
		      const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/** Append @a size bytes as they stand in one line: what is no text is shown as
 * \xff. Returns 0, or UV_ENOMEM. */
int problems_put_line(struct buf *b, const char *s, size_t size);

/** 0: there are none. Else -1, and the diag has them, a line each: ClientError,
 * or OutOfMemory. */
int problems_tell(const struct problems *p);
