/* Functions that follow their file. See live.h. */
#include "cmod/live.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/inject.h"
#include "base/log.h"
#include "cmod/resolve.h"

/*
 * A file may change without its identity doing so: within a tick of its
 * clock, or when its writer has mapped it. For a while after a change it is
 * therefore looked at again, bad builds as well as good ones.
 *
 * A bad one is never believed for good. The kernel gives a file its new time
 * before its new bytes, and a writer may be held up in between for as long as
 * the disk is busy; nor need it be the file that is wrong: a dependency may be
 * installed later. No call would ever bring the new build then.
 */
#define SETTLE_NS UINT64_C(2000000000)
#define LOOK_NS   UINT64_C(50000000)
#define RETRY_NS  UINT64_C(1000000000) /* of a bad one that has settled */

/* What lasts no longer than this is a build under way, and not worth a word;
 * and one that takes long is not worth a word for each of its writes. */
#define GRACE_NS UINT64_C(200000000)
#define RELOG_NS UINT64_C(1000000000)

/* Its granularity, some milliseconds, is enough, and it costs little. */
static uint64_t now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC_COARSE);
}

static void expect_change(struct cmod_live *live, uint64_t now)
{
	live->look_again_ns = now + LOOK_NS;
	live->settled_ns = now + SETTLE_NS;
}

/* Believe what was found for a moment, or, when it is good and has settled, for
 * good. */
static void postpone_look(struct cmod_live *live, uint64_t now, bool good)
{
	if (now < live->settled_ns)
		live->look_again_ns = now + LOOK_NS;
	else
		live->look_again_ns = good ? UINT64_MAX : now + RETRY_NS;
}

int cmod_live_create(struct cmod_live *live, const char *path,
		     const char *cpath, const char *name, size_t name_size,
		     struct cmod *m)
{
	struct cmod *loaded = NULL;
	struct resolved r;
	int rc;

	memset(live, 0, sizeof *live);
	if (resolve(path, cpath, &r) != 0)
		return -1;
	if (resolve_absolute(&r, &live->path, &live->file) != 0)
		goto fail;
	live->name = mem_strdup(name);
	if (live->name == NULL) {
		diag_set_oom(name_size, "a function's name");
		goto fail;
	}
	if (m == NULL)
		m = loaded = cmod_load(live->path, NULL);
	if (m == NULL)
		goto fail;
	live->good = *cmod_identity(m);
	rc = cmod_use_create(&live->use, m, name, name_size);
	cmod_unref(loaded);
	if (rc != 0)
		goto fail;
	expect_change(live, now_ns());
	return 0;
fail:
	cmod_live_destroy(live);
	return -1;
}

void cmod_live_destroy(struct cmod_live *live)
{
	cmod_use_destroy(&live->use);
	cmod_candidate_delete(live->candidate);
	live->candidate = NULL;
	mem_free(live->path);
	mem_free(live->file);
	mem_free(live->name);
	live->path = live->file = live->name = NULL;
}

/* The function of @a m, a reference that is taken over, takes the place of the
 * one in use. Returns 0, or -1 with diag set. */
static int take(struct cmod_live *live, struct cmod *m)
{
	struct cmod_use use;
	int rc = 0;

	if (m == cmod_func_module(live->use.func)) {
		live->good = *cmod_identity(m);
		cmod_unref(m);
		return 0;
	}
	rc = cmod_use_create(&use, m, live->name, strlen(live->name));
	if (rc == 0) {
		live->good = *cmod_identity(m);
		cmod_use_move(&live->use, &use);
	}
	cmod_unref(m);
	return rc;
}

/* Returns 0, or -1 with diag set, or 1: the newest build is the candidate. */
static int take_newest(struct cmod_live *live)
{
	struct cmod *m = live->probe
				 ? cmod_look(live->path, NULL, &live->candidate)
				 : cmod_load(live->path, NULL);

	if (m != NULL)
		return take(live, m);
	return live->candidate != NULL ? 1 : -1;
}

/* The error in the diag keeps the old build serving: tell, or not yet. */
static void note_wrong(struct cmod_live *live, uint64_t now, bool old)
{
	struct error *e = diag_take();

	if (live->wrong_since_ns == 0)
		live->wrong_since_ns = now;
	if (!live->logged && (old || now - live->wrong_since_ns >= GRACE_NS) &&
	    (live->last_log_ns == 0 || now - live->last_log_ns >= RELOG_NS)) {
		log_warn("cmod.live: %s; the former build of '%s' goes on "
			 "serving",
			 e->message, live->file);
		live->logged = true;
		live->last_log_ns = now;
	}
	error_unref(e);
}

static bool is_old(const struct identity *id)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	/* (A file's time can be any: centuries ahead, too.) */
	return difftime(now.tv_sec, id->mtime.tv_sec) * 1e9 +
		       (double)(now.tv_nsec - id->mtime.tv_nsec) >=
	       (double)GRACE_NS;
}

static bool is_known_bad(const struct cmod_live *live,
			 const struct identity *id)
{
	return live->has_bad && identity_equal(id, &live->bad);
}

static void note_good(struct cmod_live *live)
{
	live->has_bad = live->logged = false;
	live->wrong_since_ns = 0;
}

/* With the reason in the diag. */
static void note_bad(struct cmod_live *live, const struct identity *id,
		     uint64_t now)
{
	if (!is_known_bad(live, id)) {
		live->has_bad = true;
		live->logged = false;
		live->bad = *id;
	}
	note_wrong(live, now, is_old(id));
}

static void look(struct cmod_live *live, const struct identity *id,
		 uint64_t now)
{
	bool known = is_known_bad(live, id) || identity_equal(id, &live->good);
	const struct cmod *before = cmod_func_module(live->use.func);
	int rc = take_newest(live);

	if (rc == 1)
		return;
	/* What is new was young when its bytes were read: count from there,
	 * however long the load took. */
	if (known && cmod_func_module(live->use.func) == before)
		postpone_look(live, now, rc == 0);
	else
		expect_change(live, now_ns());
	if (rc == 0)
		note_good(live);
	else
		note_bad(live, id, now);
}

void cmod_live_probed(struct cmod_live *live, struct error *e)
{
	struct cmod_candidate *c = live->candidate;
	struct identity id = *cmod_candidate_identity(c);
	struct cmod *m = NULL;
	bool good;

	if (e != NULL)
		diag_set_error(e);
	else
		m = cmod_load_candidate(c);
	good = m != NULL && take(live, m) == 0;
	live->candidate = NULL;
	cmod_candidate_delete(c);
	expect_change(live, now_ns());
	if (good) {
		note_good(live);
		return;
	}
	/* A probe is a process: not one for each look. */
	live->look_again_ns = now_ns() + RETRY_NS;
	note_bad(live, &id, now_ns());
}

/* A file that is gone is not looked for more often than is worth logging. */
static void note_missing(struct cmod_live *live, int err)
{
	if (live->logged && !live->has_bad)
		return;
	diag_set_system(err, "cannot stat '%s'", live->file);
	if (live->has_bad)
		live->has_bad = live->logged = false;
	note_wrong(live, now_ns(), false);
}

void cmod_live_follow(struct cmod_live *live)
{
	struct identity id;
	struct stat st;
	uint64_t now;

	if (live->candidate != NULL)
		return;
	if (stat(live->file, &st) != 0) {
		note_missing(live, errno);
		return;
	}
	id = identity_of(&st);
	if (identity_equal(&id, &live->good) && live->wrong_since_ns != 0 &&
	    !live->has_bad) {
		/* The very file is back. */
		live->wrong_since_ns = 0;
		live->logged = false;
	}
	if (!identity_equal(&id, &live->good) && !is_known_bad(live, &id)) {
		look(live, &id, now_ns());
		return;
	}
	if (live->look_again_ns == UINT64_MAX)
		return;
	now = now_ns();
	if (now >= live->look_again_ns)
		look(live, &id, now);
}
