/* Memory that dies together. See arena.h. */
#include "base/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <string.h>

#include "base/inject.h"

enum { ARENA_BLOCK = 4096, ARENA_ALIGN = alignof(max_align_t) };

struct arena_block {
	struct arena_block *next;
	size_t size; /* of the bytes behind the header */
	alignas(max_align_t) char data[];
};

static void arena_use(struct arena *a, struct arena_block *b)
{
	b->next = a->blocks;
	a->blocks = b;
	a->next = b->data;
	a->end = b->data + b->size;
	a->used += b->size;
}

/* How much to allocate for @a size more: less than that when the limit is in
 * the way. The last bytes of a limit can be had too. */
static size_t block_size(const struct arena *a, size_t size)
{
	size_t block = size > ARENA_BLOCK ? size : ARENA_BLOCK;
	size_t left = SIZE_MAX;

	if (a->limit != 0)
		left = a->limit > a->used ? a->limit - a->used : 0;
	return block < left ? block : left & ~(size_t)(ARENA_ALIGN - 1);
}

void *arena_alloc(struct arena *a, size_t size)
{
	struct arena_block *b;
	size_t block;
	void *p;

	if (size > SIZE_MAX / 4)
		return NULL;
	size = (size + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
	if (a->next == NULL || (size_t)(a->end - a->next) < size) {
		block = block_size(a, size);
		if (block < size)
			return NULL;
		b = mem_alloc(sizeof *b + block);
		if (b == NULL)
			return NULL;
		b->size = block;
		arena_use(a, b);
	}
	p = a->next;
	a->next += size;
	return p;
}

char *arena_strndup(struct arena *a, const char *s, size_t size)
{
	char *copy = size == SIZE_MAX ? NULL : arena_alloc(a, size + 1);

	if (copy == NULL)
		return NULL;
	memcpy(copy, s, size);
	copy[size] = '\0';
	return copy;
}

void arena_reset(struct arena *a)
{
	struct arena_block *keep = NULL, *next;

	for (struct arena_block *b = a->blocks; b != NULL; b = next) {
		next = b->next;
		if (keep == NULL && b->size == ARENA_BLOCK)
			keep = b;
		else
			mem_free(b);
	}
	a->blocks = NULL;
	a->next = a->end = NULL;
	a->used = 0;
	if (keep != NULL)
		arena_use(a, keep);
}

void arena_destroy(struct arena *a)
{
	struct arena_block *next;

	for (struct arena_block *b = a->blocks; b != NULL; b = next) {
		next = b->next;
		mem_free(b);
	}
	a->blocks = NULL;
	a->next = a->end = NULL;
	a->used = 0;
}
