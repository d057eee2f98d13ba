/*
 * Paths that were asked for, and the instance each led to: a later load of the
 * same path asks the file's state instead of searching. All of it with
 * cmod__lock() held.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct cmod;

/** What spares a load of the path the stat; whose it is, see quick_load.c. */
struct alias_state {
	uint64_t still;    /* for path_watch_is_still() */
	uint64_t until_ns; /* but no longer than that */
	uint32_t loads;    /* of the path */
	uint32_t tried;    /* loads when it was last to be watched */
	uint32_t pause;    /* loads before the next try */
};

/** The cached instance that @a path led to last, or NULL. */
struct cmod *alias__find(const char *path, size_t size,
			 struct alias_state **ret);

/**
 * @a path leads to @a m. Out of memory, or with too many of them, it is not
 * noted: the next load is only slower.
 */
void alias__note(struct cmod *m, const char *path, size_t size);

/** No path leads to @a m any more. */
void alias__drop_all(struct cmod *m);
