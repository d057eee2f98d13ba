/*
 * Rows of cells on their way from one thread to another, or to the client: as
 * bytes, and as the text or JSON that becomes of them.
 */
#pragma once

#include "base/buf.h"
#include "console/admin.h"

struct siphash_key;

/** Rows in the order they were added. All zero but columns and room: none. */
struct admin_rows {
	struct buf bytes;
	size_t room;      /* what all may have; the first always fits */
	size_t taken;     /* of the bytes */
	unsigned columns; /* in each row */
};

/** Add a row, one cell for each column. False: there is no room, or no memory;
 * it comes again in the next call. */
bool admin_rows_add(struct admin_rows *r, const struct admin_cell *cells);

/** Take the next row; its texts are valid until admin_rows_reset(). False: there
 * is none. */
bool admin_rows_take(struct admin_rows *r, struct admin_cell *cells);

/** Forget all rows, and keep the memory. */
void admin_rows_reset(struct admin_rows *r);

/** How rows are written. */
struct admin_format {
	const struct admin_column *columns;
	bool json;
	bool typed;      /* a line for each cell: see admin_format_row() */
	bool single;     /* one row, lines "name: value" */
	bool plain;      /* lines of text, the last column, without a head */
	bool of_worker;  /* each row is a worker's: a column for it */
	unsigned worker; /* which; 0 is the shared state's, see worker.h */
	/** Of hashes in the place of text that may name somebody; NULL: none. */
	const struct siphash_key *anon_key;
	uint64_t count; /* of rows that were written */
};

/** Append a row: text, or JSON, or with `typed` for each cell a line
 * "ROW.POSITION.NAME.WORKER:TAGS:TYPE:VALUE", as HAProxy writes them. Behind the head if it is the first. Returns 0 or -1: no memory,
 * and nothing, or less than a row, was appended. */
int admin_format_row(struct admin_format *f, const struct admin_cell *cells,
		     struct buf *out);

/** A number as text: whole ones whole, times to the microsecond. ADMIN_NUMBER_ROOM bytes. */
enum { ADMIN_NUMBER_ROOM = 32 };
void admin_number_text(char *to, enum admin_kind kind, double v);

/** Append @a text in a row's place: why there are none of f->worker. */
int admin_format_error(struct admin_format *f, const char *text,
		       struct buf *out);

/** Append what comes behind all rows. */
int admin_format_end(struct admin_format *f, struct buf *out);

static inline unsigned admin_column_count(const struct admin_column *columns)
{
	unsigned n = 0;

	while (columns[n].name != NULL)
		n++;
	return n;
}
