/*
 * Failures on demand: tests reach the error paths that nothing else reaches.
 *
 * A place in the code asks `inject("name")`; a test arms the name with a
 * countdown. Compiled in only with NEAP_INJECT (debug and sanitizer builds);
 * elsewhere a place costs nothing.
 */
#pragma once

#include <stdbool.h>
#include <stdlib.h>

#ifdef NEAP_INJECT
/** True when the failure @a name is due now. Thread-safe. */
bool inject(const char *name);
#else
#define inject(name) ((void)(name), false)
#endif

/**
 * Arm @a name: pass @a after times, then fail @a count times (-1: for ever).
 * Returns 0, or -1 when failures are not compiled in or the table is full.
 */
int inject_arm(const char *name, long after, long count);

/** Disarm everything. */
void inject_reset(void);

/** How often @a name was asked since it was armed. */
long inject_asked(const char *name);

/* Allocation with the failure "malloc"; NULL when out of memory. */
static inline void *mem_alloc(size_t size)
{
	return inject("malloc") ? NULL : malloc(size);
}

static inline void *mem_zalloc(size_t size)
{
	return inject("malloc") ? NULL : calloc(1, size);
}

static inline void *mem_realloc(void *ptr, size_t size)
{
	return inject("malloc") ? NULL : realloc(ptr, size);
}

char *mem_strdup(const char *s);

static inline void mem_free(void *ptr)
{
	free(ptr);
}
