/*
 * What a server and its helper processes tell each other: frames, a head and
 * a body each, over a socket pair.
 *
 *	server              helper
 *	LOAD (once)    -->
 *	               <--  READY, or ERROR and the end
 *	CALL           -->
 *	               <--  RESULTS or ERROR
 *	...
 *	(end of file)  -->  the library is closed, the process ends
 *
 * Both ends are the same program on the same machine, so numbers lie as the
 * machine has them. But the library in the helper may have written anything
 * into the socket: the server believes nothing that it has not checked.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"

struct error;

enum isolate_kind {
	ISOLATE_LOAD = 1, /* struct isolate_load and its strings */
	ISOLATE_CALL,     /* arguments: one msgpack array */
	ISOLATE_READY,    /* no body: the library is loaded */
	ISOLATE_RESULTS,  /* as in the field `out` of a call */
	ISOLATE_ERROR,    /* see isolate_put_error() */
};

/** What a frame begins with. */
struct isolate_head {
	uint32_t magic;
	uint32_t kind;   /* enum isolate_kind */
	uint64_t serial; /* of the question; its answer has the same */
	uint64_t size;   /* bytes of the body */
	uint32_t count;  /* ISOLATE_RESULTS: how many; ISOLATE_ERROR: 1 when
			    the helper ends */
	uint32_t unused; /* 0 */
};

/** The body of ISOLATE_LOAD; three strings with their NULs follow. */
struct isolate_load {
	uint64_t memory; /* bytes that the helper may take */
	uint32_t path_size;
	uint32_t file_size;
	uint32_t symbol_size; /* of an empty one: the library alone */
	uint32_t unused;      /* 0 */
};

/** Reads one frame after the other from bytes that come as they come. */
struct isolate_reader {
	struct isolate_head head;
	size_t head_size;  /* bytes of it that have come */
	struct buf body;   /* its memory grows with what has come */
	uint64_t size_max; /* of a body; larger ones are refused */
};

/** The head of a frame. */
struct isolate_head isolate_head(enum isolate_kind kind, uint64_t serial,
				 uint64_t size, uint32_t count);

/**
 * Take bytes until a frame is complete, which *ret_complete tells; call
 * isolate_reader_next() before the next one. Returns how many were taken (all,
 * unless the frame is complete), UV_EPROTO (these are no frames), UV_EMSGSIZE
 * (the frame is larger than it may be) or UV_ENOMEM; it cannot go on then.
 */
ssize_t isolate_reader_feed(struct isolate_reader *r, const char *data,
			    size_t size, bool *ret_complete);

/** Done with the frame; a small body's memory is kept. */
void isolate_reader_next(struct isolate_reader *r);

void isolate_reader_destroy(struct isolate_reader *r);

/** True when these are @a count results, each behind its size. */
bool isolate_check_results(const char *data, size_t size, uint32_t count);

/** Append @a e with its causes. Returns 0, or UV_ENOMEM. */
int isolate_put_error(struct buf *out, const struct error *e);

/** The error in these bytes, or NULL: they are no error. */
struct error *isolate_get_error(const char *data, size_t size);

/** The strings of a frame ISOLATE_LOAD. */
struct isolate_names {
	const char *path;
	const char *file;
	const char *symbol;
};

/** Append the body. Returns 0, or UV_ENOMEM. */
int isolate_put_load(struct buf *out, uint64_t memory,
		     const struct isolate_names *names);

/** Take it apart; the names point into it. False: it is none. */
bool isolate_get_load(const char *data, size_t size,
		      struct isolate_load *ret_load,
		      struct isolate_names *ret_names);
