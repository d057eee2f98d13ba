/* Memory that dies together: allocate many, release all at once. */
#pragma once

#include <stddef.h>

struct arena_block;

/** All zero is an empty arena. */
struct arena {
	struct arena_block *blocks; /* newest first */
	char *next;                 /* first free byte of the newest block */
	char *end;
	size_t used;  /* bytes of all blocks */
	size_t limit; /* refuse past this; 0: none */
};

/**
 * @a size bytes, aligned for anything, not cleared. NULL when out of memory
 * or past the limit. Valid until arena_reset() or arena_destroy().
 */
void *arena_alloc(struct arena *a, size_t size);

/** A copy of @a size bytes with a NUL behind, or NULL. */
char *arena_strndup(struct arena *a, const char *s, size_t size);

/** Forget all; one block is kept for the next round. */
void arena_reset(struct arena *a);

void arena_destroy(struct arena *a);
