/*
 * The last lines of the log, in memory: for who looks at a server whose log is
 * elsewhere, or full. They are numbered from 1 on; the oldest go when there is no
 * room for another.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { LOG_RING_SIZE = 256 << 10 }; /* bytes of all lines */

/** One more; the beginning of one that is longer than a quarter of the ring. Any
 * thread. */
void log_ring_put(unsigned level, const char *line, size_t size);

/** Where a reader is; all zero: at the oldest line. */
struct log_ring_cursor {
	uint64_t number; /* of the last line that was read, or passed over */
	uint64_t place;  /* behind it, among all bytes that ever were */
	uint64_t lost; /* lines of any level that went before they were read */
};

/**
 * The first line behind @a cursor whose level is @a level at most: @a room bytes of it at
 * most. The cursor is moved behind it, or behind all there are. Returns its number; 0:
 * there is none. Any thread.
 */
uint64_t log_ring_read(struct log_ring_cursor *cursor, unsigned level, char *to,
		       size_t room, size_t *ret_size, unsigned *ret_level);

/** Behind the last line. */
struct log_ring_cursor log_ring_end(void);

/** How many lines of each level there were, since the start. */
uint64_t log_ring_count(unsigned level);
