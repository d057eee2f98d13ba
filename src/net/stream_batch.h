/*
 * The streams of one turn of the loop, all read, then served, then written: what
 * stream.c hands over when their group has a batch. Inside net only.
 */
#pragma once

#include "net/stream.h"

/* What a batch has of a stream, in libuv's word for its user: a field of its own
 * would have an idle connection take another 16 bytes of malloc's. */
enum {
	STREAM_READ = 1,    /* a read */
	STREAM_WRITTEN = 2, /* what it writes */
};

static inline bool stream__batch_has(const struct stream *s, uintptr_t what)
{
	return ((uintptr_t)s->uv.handle.data & what) != 0;
}

static inline void stream__batch_note(struct stream *s, uintptr_t what, bool on)
{
	uintptr_t all = (uintptr_t)s->uv.handle.data;

	s->uv.handle.data = (void *)(on ? all | what : all & ~what);
}

/** Where the next read of @a s may put its bytes; of no size: not now. */
uv_buf_t stream__batch_room(const struct stream *s);

/** Keep what a read has brought, to be delivered by stream_group_serve(). */
void stream__batch_read(struct stream *s, char *data, ssize_t size);

/** Keep what @a s writes, @a total bytes, until all are served. False: it has to
 * leave now. */
bool stream__batch_write(struct stream *s, const uv_buf_t *bufs, unsigned count,
			 size_t total);

/** What is kept of @a s's writes leaves. */
void stream__batch_flush(struct stream *s);

/* stream.c */

/** What a read has brought, past the batch. */
void stream__deliver(struct stream *s, char *data, ssize_t size);

/** stream__write_raw(), past the batch; a failure is also *the group's* to know,
 * by on_drained(), and what does not leave at once by on_stalled(). */
void stream__write_now(struct stream *s, uv_buf_t buf);
