/*
 * A module's file that is looked at when it may have changed, and gives each
 * new build once. A build that cannot be loaded is waited for: it may be half
 * written. One that stays so is logged once.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "cmod/identity.h"

struct cmod;

struct cmod_watch {
	struct identity known; /* the build given last, or the first one */
	uint64_t known_hash;
	struct identity bad;   /* what cannot be used; all zero: no file */
	uint64_t bad_since_ns; /* 0: all is well */
	bool logged;           /* that it is so */
	uint64_t changed_ns;   /* when a change was last seen */
	uint64_t pause_ns;     /* before the last look */
	char *path;            /* absolute, without the ending */
	char *file;            /* the same with it: what is stat'ed */
};

/**
 * Watch the module @a path, to be found as by cmod_load(). The build that
 * cmod_load() gave last is the known one, or else what the file holds. Errors:
 * as cmod_load() has them for finding and reading.
 * Returns 0, or -1 with diag set and @a w empty.
 */
int cmod_watch_create(struct cmod_watch *w, const char *path,
		      const char *cpath);

/** Empty is fine. */
void cmod_watch_destroy(struct cmod_watch *w);

/**
 * Look at the file, at @a now_ns of the monotonic clock. Returns a reference on
 * a new build, or NULL. *ret_again_ns is when to look again even if nothing
 * tells of a change; UINT64_MAX: never. Blocks: reads the file.
 */
struct cmod *cmod_watch_look(struct cmod_watch *w, uint64_t now_ns,
			     uint64_t *ret_again_ns);
