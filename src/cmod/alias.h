/*
 * Paths that were asked for, and the instance each led to: a later load of the
 * same path asks the file's state instead of searching. All of it with
 * cmod__lock() held.
 */
#pragma once

#include <stddef.h>

struct cmod;

/** The cached instance that @a path led to last, or NULL. */
struct cmod *alias__find(const char *path, size_t size);

/**
 * @a path leads to @a m. Out of memory, or with too many of them, it is not
 * noted: the next load is only slower.
 */
void alias__note(struct cmod *m, const char *path, size_t size);

/** No path leads to @a m any more. */
void alias__drop_all(struct cmod *m);
