/*
 * Is a file still what an instance was loaded from? Called without the lock.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct cmod;

/** When a file's bytes were about to be read. */
struct moment {
	uint64_t now_ns;
	uint64_t real_ns; /* since 1970 */
};

struct moment freshness__moment(void);

/** @a m was made of what was read from @a read on. */
void freshness__begin(struct cmod *m, const struct moment *read);

/** One check at a time. */
bool freshness__is_current(struct cmod *m);
