/*
 * A file to which a loop appends lines without waiting for its disk.
 *
 *	line_file_open -> (line_file_add)* -> line_file_close
 *
 * Lines are gathered in memory and written by a thread of the pool, whole lines in
 * one call, so that several of these, of one process or many, may append to the
 * same file. What does not fit because the disk is too slow, or cannot be written
 * because it is full, is dropped and counted.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct line_file;
struct loop;
struct timers;

struct line_file_options {
	size_t buffer;     /* bytes that may wait; 0: LINE_FILE_BUFFER */
	uint32_t flush_ms; /* how long at most, on a disk that keeps up; 0:
			      LINE_FILE_FLUSH_MS */
	/** Lines begin to be lost, because of @a err (UV_ENOBUFS: they do not fit);
	 * or, with 0, so many were, and now they are written again. When the file
	 * could not be opened again, with -1 for @a lost: the old one is used. */
	void (*on_trouble)(struct line_file *f, int err, int64_t lost);
};

enum {
	LINE_FILE_BUFFER = 1 << 20,
	LINE_FILE_FLUSH_MS = 500,
	LINE_FILE_LAST_MS = 2000, /* for the last lines, at the end */
};

/** Open, or make, the file @a path. A FIFO must have its reader. Returns NULL with
 * *ret_err, UV_E*. */
struct line_file *line_file_open(struct loop *loop, struct timers *timers,
				 const char *path,
				 const struct line_file_options *options,
				 int *ret_err);

/** Append @a size bytes: whole lines. */
void line_file_add(struct line_file *f, const char *data, size_t size);

/** The file's name as it was given. */
const char *line_file_path(const struct line_file *f);

/** Lines that were lost so far. */
uint64_t line_file_lost(const struct line_file *f);

/** Open the file again under its name, after a rotation: what is added from now
 * on goes there, and what waits. So it is, when lines are written next, after a
 * log_reopen(). Returns 0, or UV_E* and nothing has changed. */
int line_file_reopen(struct line_file *f);

/** Call @a on_flushed when all that was added has been written or lost, or after
 * LINE_FILE_LAST_MS: now or later. One at a time. */
void line_file_flush(struct line_file *f,
		     void (*on_flushed)(struct line_file *f, void *arg),
		     void *arg);

/** Close; what waits is still written. Nothing is called back any more, and the
 * timers are not used. NULL is fine. */
void line_file_close(struct line_file *f);
