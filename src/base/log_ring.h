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

/**
 * The first line above number @a after whose level is @a level at most: @a room bytes of
 * it at most. Returns its number; 0: there is none. Any thread.
 */
uint64_t log_ring_read(uint64_t after, unsigned level, char *to, size_t room,
		       size_t *ret_size, unsigned *ret_level);

/** The number of the last line; 0: there was none. */
uint64_t log_ring_last(void);

/** How many lines of each level there were, since the start. */
uint64_t log_ring_count(unsigned level);
