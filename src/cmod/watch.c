/* A module's file that is looked at for new builds. See watch.h. */
#include "cmod/watch.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/diag.h"
#include "base/inject.h"
#include "base/log.h"
#include "cmod/cmod.h"
#include "cmod/image.h"
#include "cmod/resolve.h"

/* A file may change without its time or size doing so within SETTLE_NS of a
 * change (see live.c): it is looked at again in pauses that double. */
#define SETTLE_NS UINT64_C(2000000000)
#define PAUSE_NS  UINT64_C(50000000)

/* A bad build is looked at again for ever, as what is missing may not be in the
 * file: a dependency, or bytes that were written without a new time. */
#define PAUSE_MAX_NS UINT64_C(10000000000)

/* What lasts no longer is a build under way. */
#define GRACE_NS UINT64_C(1000000000)

int cmod_watch_create(struct cmod_watch *w, const char *path, const char *cpath)
{
	struct resolved r;
	struct stat st;

	memset(w, 0, sizeof *w);
	if (resolve(path, cpath, &r) != 0 ||
	    resolve_absolute(&r, &w->path, &w->file) != 0)
		return -1;
	if (!cmod_peek(r.file, &w->known, &w->known_hash)) {
		if (stat(r.file, &st) != 0) {
			diag_set_system(errno, "cannot stat '%s'", r.file);
			goto fail;
		}
		w->known = identity_of(&st);
		if (image_hash_file(r.file, &w->known_hash) != 0)
			goto fail;
	}
	return 0;
fail:
	cmod_watch_destroy(w);
	return -1;
}

void cmod_watch_destroy(struct cmod_watch *w)
{
	mem_free(w->path);
	mem_free(w->file);
	w->path = w->file = NULL;
}

static bool is_settled(const struct cmod_watch *w, uint64_t now)
{
	return w->changed_ns != 0 && now - w->changed_ns >= SETTLE_NS;
}

static void note_change(struct cmod_watch *w, uint64_t now)
{
	w->changed_ns = now;
	w->pause_ns = PAUSE_NS / 2;
}

/* The file is @a id, which is the build that is known; are its bytes? */
static bool is_known(struct cmod_watch *w, const struct identity *id,
		     uint64_t now)
{
	uint64_t hash;

	if (!identity_equal(id, &w->known))
		return false;
	if (is_settled(w, now))
		return true;
	if (image_hash_file(w->file, &hash) != 0) {
		diag_clear();
		return false;
	}
	return hash == w->known_hash;
}

/* The error in the diag keeps a new build from being used. */
static void note_bad(struct cmod_watch *w, const struct identity *id,
		     uint64_t now)
{
	struct error *e = diag_take();

	if (w->bad_since_ns == 0 || !identity_equal(id, &w->bad)) {
		w->bad = *id;
		w->bad_since_ns = now;
		w->logged = false;
		note_change(w, now);
	}
	if (!w->logged && now - w->bad_since_ns >= GRACE_NS) {
		log_warn("cmod.watch: %s; a good build is waited for",
			 e->message);
		w->logged = true;
	}
	error_unref(e);
}

/* A reference on the build that is not known, or NULL. */
static struct cmod *take_new(struct cmod_watch *w, uint64_t now)
{
	struct identity id = { 0 };
	struct cmod *m = NULL;
	struct stat st;

	if (stat(w->file, &st) != 0) {
		diag_set_system(errno, "cannot stat '%s'", w->file);
		note_bad(w, &id, now);
		return NULL;
	}
	id = identity_of(&st);
	if (!is_known(w, &id, now)) {
		m = cmod_load(w->path, NULL);
		if (m == NULL) {
			note_bad(w, &id, now);
			return NULL;
		}
	}
	w->bad_since_ns = 0;
	if (m == NULL)
		return NULL;
	note_change(w, now);
	if (cmod_hash(m) == w->known_hash &&
	    identity_equal(cmod_identity(m), &w->known)) {
		/* The cache had not seen it yet: there is a next look. */
		cmod_unref(m);
		return NULL;
	}
	w->known = *cmod_identity(m);
	w->known_hash = cmod_hash(m);
	return m;
}

struct cmod *cmod_watch_look(struct cmod_watch *w, uint64_t now_ns,
			     uint64_t *ret_again_ns)
{
	struct cmod *m;

	if (w->changed_ns == 0)
		note_change(w, now_ns);
	m = take_new(w, now_ns);
	if (w->bad_since_ns == 0 && is_settled(w, now_ns)) {
		*ret_again_ns = UINT64_MAX;
		return m;
	}
	w->pause_ns *= 2;
	if (w->pause_ns > PAUSE_MAX_NS)
		w->pause_ns = PAUSE_MAX_NS;
	*ret_again_ns = now_ns + w->pause_ns;
	return m;
}
