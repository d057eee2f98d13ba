/*
 * Many streams served together. See stream_batch.h.
 *
 * A server that reads, serves and writes one connection after the other has the
 * kernel's code and its own push each other out of the processor's caches, for each
 * request twice. So what one turn of the loop's poll finds is only read there; then
 * all of it is served, then all answers are written. That is a seventh of a small
 * request's time (doc/performance.md).
 *
 * Nothing waits for what does not come: a batch is of one turn, it ends early when
 * its memory is full, and when serving takes long what is there is written first.
 */
#include "net/stream_batch.h"

#include <assert.h>
#include <string.h>

#include "base/inject.h"

enum {
	READS = 64,            /* in a batch */
	READ_ROOM = 64 << 10,  /* for them, and then one more */
	READ_LARGE = 16 << 10, /* not worth to be kept */
	WRITE_ROOM = 64 << 10,
	WRITE_LARGE = 4 << 10,
	LINE = 64,         /* bytes; two streams share none */
	SERVE_NS = 500000, /* then what there is to write leaves */
	CLOCK_EVERY = 4,   /* streams between two looks at the clock */
};

struct batch_read {
	struct stream *stream;
	char *data;
	ssize_t size; /* or why there is no more */
};

struct batch_write {
	struct stream *stream; /* NULL: it has left */
	uint32_t at;
	uint32_t size;
};

struct stream_batch {
	unsigned read_count;
	unsigned write_count;
	size_t read_size; /* of the group's buffer, in use */
	size_t write_size;
	bool serving;
	bool gathering; /* there is more than one to serve */
	struct batch_read reads[READS];
	struct batch_write writes[READS];
	char out[WRITE_ROOM];
};

int stream_group_set_batch(struct stream_group *group)
{
	char *buffer = mem_alloc(group->buffer_size + READ_ROOM);

	group->batch = buffer != NULL ? mem_alloc(sizeof(*group->batch)) : NULL;
	if (group->batch == NULL) {
		mem_free(buffer);
		return UV_ENOMEM;
	}
	memset(group->batch, 0, offsetof(struct stream_batch, reads));
	mem_free(group->buffer);
	group->buffer = buffer;
	return 0;
}

void stream_group_drop_batch(struct stream_group *group)
{
	mem_free(group->batch);
	group->batch = NULL;
}

uv_buf_t stream__batch_room(const struct stream *s)
{
	const struct stream_group *group = s->group;

	/* A second read of the same turn could come after a stop. */
	return uv_buf_init(
		group->buffer + group->batch->read_size,
		stream__batch_has(s, STREAM_READ) ? 0 : group->buffer_size);
}

void stream__batch_read(struct stream *s, char *data, ssize_t size)
{
	struct stream_batch *batch = s->group->batch;

	assert(!batch->serving && batch->read_count < READS);
	batch->reads[batch->read_count++] =
		(struct batch_read){ s, data, size };
	stream__batch_note(s, STREAM_READ, true);
	if (size > 0)
		batch->read_size += ((size_t)size + LINE - 1) / LINE * LINE;
	if (batch->read_count == READS || batch->read_size > READ_ROOM ||
	    size >= READ_LARGE)
		stream_group_serve(s->group);
}

bool stream__batch_write(struct stream *s, const uv_buf_t *bufs, unsigned count,
			 size_t total)
{
	struct stream_batch *batch = s->group->batch;
	char *to = batch->out + batch->write_size;

	if (!batch->gathering || batch->write_count == READS ||
	    total > WRITE_LARGE || total > WRITE_ROOM - batch->write_size ||
	    stream_unsent(s) > 0)
		return false;
	for (unsigned i = 0; i < count; i++) {
		memcpy(to, bufs[i].base, bufs[i].len);
		to += bufs[i].len;
	}
	batch->writes[batch->write_count++] =
		(struct batch_write){ s, (uint32_t)batch->write_size,
				      (uint32_t)total };
	batch->write_size += total;
	stream__batch_note(s, STREAM_WRITTEN, true);
	return true;
}

static void write_one(struct stream_batch *batch, struct batch_write *w)
{
	struct stream *s = w->stream;

	if (s == NULL)
		return;
	w->stream = NULL; /* before others are told */
	stream__batch_note(s, STREAM_WRITTEN, false);
	stream__write_now(s, uv_buf_init(batch->out + w->at, w->size));
}

static void write_all(struct stream_batch *batch)
{
	bool gathering = batch->gathering;

	batch->gathering = false; /* what comes of a failure */
	for (unsigned i = 0; i < batch->write_count; i++)
		write_one(batch, &batch->writes[i]);
	batch->gathering = gathering;
	batch->write_count = 0;
	batch->write_size = 0;
}

void stream__batch_flush(struct stream *s)
{
	struct stream_batch *batch = s->group->batch;

	for (unsigned i = 0; i < batch->write_count; i++)
		if (batch->writes[i].stream == s)
			write_one(batch, &batch->writes[i]);
}

void stream_group_serve(struct stream_group *group)
{
	struct stream_batch *batch = group->batch;
	uint64_t start;

	if (batch->read_count == 0)
		return;
	batch->serving = true;
	batch->gathering = batch->read_count > 1;
	start = uv_hrtime();
	for (unsigned i = 0; i < batch->read_count; i++) {
		struct batch_read *r = &batch->reads[i];

		stream__batch_note(r->stream, STREAM_READ, false);
		if (uv_is_closing(&r->stream->uv.handle))
			continue;
		stream__deliver(r->stream, r->data, r->size);
		if (i % CLOCK_EVERY == 0 && batch->write_count > 0 &&
		    uv_hrtime() - start > SERVE_NS) {
			write_all(batch);
			start = uv_hrtime();
		}
	}
	write_all(batch);
	batch->read_count = 0;
	batch->read_size = 0;
	batch->serving = batch->gathering = false;
}
