/*
 * A load of a path that was loaded before, which needs to know only that the
 * path leads to the very file still. A stat tells; where all on the way is
 * watched, so does a call that costs a fraction of it.
 *
 * A path is watched once it was loaded some times. That costs as much as a few
 * dozen stats, hence the pauses between two tries.
 */
#include <limits.h>

#include "base/clock.h"
#include "cmod/alias.h"
#include "cmod/module.h"
#include "cmod/path_watch.h"
#include "cmod/resolve.h"

enum {
	PAUSE = 64, /* loads */
	PAUSE_MAX = 65536,
};

/* What no watch tells of is found after so long (see path_watch.c). */
#define TRUST_NS UINT64_C(1000000000)

/* What the path led to last, with a reference, unless it is unsettled. */
static struct cmod *find(const char *path, size_t size, struct alias_state *ret)
{
	struct alias_state *state;
	struct cmod *m;

	cmod__lock();
	m = alias__find(path, size, &state);
	if (m != NULL && m->unsettled)
		m = NULL;
	if (m != NULL) {
		cmod__hold(m);
		state->loads++;
		*ret = *state;
	}
	cmod__unlock();
	return m;
}

static void note(const struct cmod *m, const char *path, size_t size,
		 const struct alias_state *now)
{
	struct alias_state *state;

	cmod__lock();
	if (alias__find(path, size, &state) == m) {
		state->still = now->still;
		state->until_ns = now->until_ns;
		state->tried = now->tried;
		state->pause = now->pause;
	}
	cmod__unlock();
}

/* @a file, which @a path stands for, is that of @a m. */
static void watch(const struct cmod *m, const char *path, size_t size,
		  const char *file, struct alias_state *state)
{
	uint32_t pause = state->pause != 0 ? state->pause : PAUSE;

	/* (Where a relative one leads changes without a word.) */
	if (path[0] != '/' || state->loads - state->tried < pause)
		return;
	state->tried = state->loads;
	state->still = path_watch_begin(file, &m->image.id);
	if (state->still != 0)
		state->pause = PAUSE;
	else
		state->pause = pause < PAUSE_MAX ? pause * 2 : PAUSE_MAX;
	state->until_ns = clock_ns(CLOCK_MONOTONIC_COARSE) + TRUST_NS;
	note(m, path, size, state);
}

static bool leads_to(const char *file, const struct cmod *m)
{
	struct identity id;
	struct stat st;

	if (stat(file, &st) != 0)
		return false;
	id = identity_of(&st);
	return identity_equal(&id, &m->image.id);
}

struct cmod *cmod_load_cached(const char *path, size_t size)
{
	struct alias_state state;
	struct cmod *m = find(path, size, &state);
	char file[PATH_MAX];
	uint64_t now;
	bool still;

	if (m == NULL)
		return NULL;
	now = clock_ns(CLOCK_MONOTONIC_COARSE);
	still = path_watch_is_still(state.still);
	if (still && now < state.until_ns)
		return m;
	if (resolve_first(path, size, file, sizeof file) == NULL ||
	    !leads_to(file, m)) {
		cmod_unref(m);
		return NULL;
	}
	if (still) {
		state.until_ns = now + TRUST_NS;
		note(m, path, size, &state);
	} else {
		watch(m, path, size, file, &state);
	}
	return m;
}
