/*
 * A function that follows its file: called through here, it is always the
 * newest build's. While there is a build that cannot be used (damaged,
 * half-written, without the function, missing), the old one goes on serving;
 * one that stays so for more than a moment, as a linker needs, is logged once.
 */
#pragma once

#include <stdint.h>

#include "cmod/cmod.h"
#include "cmod/identity.h"

struct error;

struct cmod_live {
	struct cmod_use use;  /* the function as it is now */
	struct identity good; /* the file that it came from */
	struct identity bad;  /* the last one that could not be used */
	bool has_bad;
	bool logged;             /* what is wrong now was logged */
	uint64_t wrong_since_ns; /* nothing usable since; 0: all is well */
	uint64_t last_log_ns;
	uint64_t look_again_ns; /* until then equal identities are believed */
	uint64_t settled_ns;    /* from then on for good, if it is good */
	bool probe;             /* a new build is to be probed first */
	struct cmod_candidate *candidate; /* it is this one, or NULL */
	char *path;                       /* absolute, without the ending */
	char *file; /* the same with it: what is stat'ed */
	char *name; /* of the function */
};

/**
 * Load the function @a name of the module @a path, from @a m, which was loaded
 * by that path, or, when that is NULL, from its newest build. Errors: as
 * cmod_load() and cmod_use_create(). Returns 0, or -1 with diag set and @a live
 * empty.
 */
int cmod_live_create(struct cmod_live *live, const char *path,
		     const char *cpath, const char *name, size_t name_size,
		     struct cmod *m);

/** Empty is fine. */
void cmod_live_destroy(struct cmod_live *live);

/** Before each call: bring live->use up to date. One stat when nothing has
 * changed. Never fails: at worst all stays as it is. */
void cmod_live_follow(struct cmod_live *live);

/**
 * With live->probe a new build is not loaded by cmod_live_follow(), but becomes
 * live->candidate, and the old one goes on serving. After the probe of it: @a e,
 * taken over, is why it is not to be used, or NULL: it is loaded now.
 */
void cmod_live_probed(struct cmod_live *live, struct error *e);
