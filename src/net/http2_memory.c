/*
 * The memory of sessions: nghttp2's blocks, and our streams.
 *
 * A session's blocks are known, and are what is freed in the end: when memory
 * runs out nghttp2 may free an item and keep it in its stream, and its own way
 * to the end would free that again.
 *
 * Each stream takes half a dozen blocks of a few hundred bytes and gives them back
 * a moment later, and many streams are open at once: more than malloc's caches
 * hold. So the sessions of a server keep some of each size for one another.
 */
#include <string.h>

#include "base/inject.h"
#include "net/http2.h"

enum {
	STEP = 64, /* bytes between the sizes */
#ifdef NEAP_INJECT
	SPARE_MAX = 0, /* each lack is met, each use after the end is seen */
#else
	SPARE_MAX = 128, /* of each size: 300 KB in all */
#endif
};

struct block {
	struct list link; /* in the session's blocks, or with the spare ones */
	size_t size;      /* of data */
	char data[] __attribute__((aligned(16)));
};

static struct block *block_of(void *data)
{
	return list_entry(data, struct block, data);
}

/* The kind of a size that is a number of steps; HTTP2_SPARE_KINDS: not kept. */
static size_t kind_of(size_t size)
{
	size_t kind = size / STEP - 1;

	return kind < HTTP2_SPARE_KINDS ? kind : HTTP2_SPARE_KINDS;
}

static size_t rounded(size_t size)
{
	return size == 0 ? STEP : (size + STEP - 1) / STEP * STEP;
}

void *http2__alloc(struct http2 *h2, size_t size)
{
	struct http2_spare *spare = h2->spare;
	struct block *b = NULL;
	size_t kind;

	if (size > SIZE_MAX / 2)
		return NULL;
	size = rounded(size);
	kind = kind_of(size);
	if (kind < HTTP2_SPARE_KINDS && !list_empty(&spare->blocks[kind])) {
		b = list_entry(list_shift(&spare->blocks[kind]), struct block,
			       link);
		spare->count[kind]--;
	} else {
		b = mem_alloc(sizeof(*b) + size);
		if (b == NULL)
			return NULL;
		b->size = size;
	}
	list_add(&h2->blocks, &b->link);
	return b->data;
}

void http2__dealloc(struct http2 *h2, void *data)
{
	struct http2_spare *spare = h2->spare;
	struct block *b = block_of(data);
	size_t kind = kind_of(b->size);

	list_del(&b->link);
	if (kind == HTTP2_SPARE_KINDS || spare->count[kind] == SPARE_MAX) {
		mem_free(b);
		return;
	}
	spare->count[kind]++;
	list_add(&spare->blocks[kind], &b->link);
}

static void *on_malloc(size_t size, void *arg)
{
	return http2__alloc(arg, size);
}

static void on_free(void *data, void *arg)
{
	if (data != NULL)
		http2__dealloc(arg, data);
}

static void *on_calloc(size_t count, size_t size, void *arg)
{
	/* Of nghttp2's own sizes: their product is small. */
	void *data = http2__alloc(arg, count * size);

	return data == NULL ? NULL : memset(data, 0, count * size);
}

static void *on_realloc(void *data, size_t size, void *arg)
{
	void *moved;

	if (data != NULL && size <= block_of(data)->size)
		return data;
	moved = http2__alloc(arg, size);
	if (moved == NULL || data == NULL)
		return moved;
	memcpy(moved, data, block_of(data)->size);
	http2__dealloc(arg, data);
	return moved;
}

nghttp2_mem http2__memory(struct http2 *h2)
{
	return (nghttp2_mem){ h2, on_malloc, on_free, on_calloc, on_realloc };
}

static void free_all(struct list *blocks)
{
	struct list *link;

	while ((link = list_shift(blocks)) != NULL)
		mem_free(list_entry(link, struct block, link));
}

void http2__memory_free(struct http2 *h2)
{
	free_all(&h2->blocks);
}

void http2__spare_init(struct http2_spare *spare)
{
	for (unsigned i = 0; i < HTTP2_SPARE_KINDS; i++)
		list_init(&spare->blocks[i]);
}

void http2__spare_free(struct http2_spare *spare)
{
	for (unsigned i = 0; i < HTTP2_SPARE_KINDS; i++)
		free_all(&spare->blocks[i]);
}
