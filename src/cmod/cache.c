/*
 * The cache of modules: which instance a path gives out, and who holds what.
 *
 *   files   --> newest instance of each file, while somebody holds it
 *   aliases --> the same, for paths that were asked for before: one stat
 *               instead of a search, or less (alias.c, quick_load.c)
 *   all     --> every instance, orphans included (inventory.c tells of them)
 *
 * Two locks. `lock` guards all data and is held for moments. `load_lock` is
 * held while a library is loaded, so that two threads that want the same new
 * file load it once; it is taken first.
 */
#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "base/diag.h"
#include "cmod/alias.h"
#include "cmod/cmod.h"
#include "cmod/freshness.h"
#include "cmod/module.h"
#include "cmod/resolve.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t load_lock = PTHREAD_MUTEX_INITIALIZER;

static struct cmod *files;
struct list cmod__all = { &cmod__all, &cmod__all };
static unsigned live_count;
static _Atomic(cmod_watch_f) watch;

void cmod_set_watch(cmod_watch_f fn)
{
	watch = fn;
}

static void tell(enum cmod_change change, const char *file)
{
	cmod_watch_f fn = watch;

	if (fn != NULL)
		fn(change, file);
}

void cmod__lock(void)
{
	pthread_mutex_lock(&lock);
}

void cmod__unlock(void)
{
	pthread_mutex_unlock(&lock);
}

/* Out of the cache: no path leads to @a m any more. */
static void evict(struct cmod *m)
{
	if (!m->cached)
		return;
	alias__drop_all(m);
	HASH_DEL(files, m);
	m->cached = false;
}

/* A new instance takes its place; the one before is an orphan from now on. */
static int insert(struct cmod *m)
{
	static uint64_t serial;
	struct cmod *old;
	bool cached;

	cmod__lock();
	HASH_FIND_STR(files, m->file, old);
	HASH_ADD_STR(files, file, m); /* beside the old one for a moment */
	cached = m->cached = m->hh.tbl != NULL;
	if (cached) {
		if (old != NULL)
			evict(old);
		m->serial = ++serial;
		list_add_tail(&cmod__all, &m->all);
		live_count++;
	}
	cmod__unlock();
	if (!cached)
		return -1;
	tell(old == NULL ? CMOD_LOADED : CMOD_REPLACED, m->file);
	return 0;
}

static bool is_made_of(const struct cmod *m, const struct image *img)
{
	return identity_equal(&m->image.id, &img->id) &&
	       m->image.hash == img->hash;
}

/*
 * Takes over the image. Gives @a old if it was made of the same: its file may
 * have been replaced after this one was opened and before @a old was looked at.
 */
static struct cmod *load_image(const char *path, const char *file,
			       struct image *img, const struct moment *read,
			       struct cmod *old)
{
	struct cmod *m;

	if (old != NULL && is_made_of(old, img)) {
		image_destroy(img);
		return old;
	}
	m = cmod__open(path, file, img);
	if (m == NULL)
		return NULL;
	freshness__begin(m, read);
	if (insert(m) != 0) {
		diag_set_oom(sizeof *m, "the cache of modules");
		cmod__close(m);
		return NULL;
	}
	return m;
}

static struct cmod *load_new(const char *path, const struct resolved *r,
			     struct cmod *old)
{
	/* Before the file is read: a load may take longer than it is young. */
	struct moment read = freshness__moment();
	struct image img;

	if (image_create(&img, r->file, r->fd) != 0)
		return NULL;
	return load_image(path, r->file, &img, &read, old);
}

/* The cached instance of @a file with a reference, current or not. */
static struct cmod *find(const char *file)
{
	struct cmod *m;

	cmod__lock();
	HASH_FIND_STR(files, file, m);
	if (m != NULL)
		cmod__hold(m);
	cmod__unlock();
	return m;
}

static void note_alias(struct cmod *m, const char *path,
		       const struct resolved *r)
{
	if (!r->first)
		return;
	cmod__lock();
	alias__note(m, path, strlen(path));
	cmod__unlock();
}

struct cmod *cmod_load(const char *path, const char *cpath)
{
	struct cmod *m = NULL, *old = NULL;
	struct resolved r;

	/* The file is opened with the lock held: waiting for it, one that was
	 * opened before could take the place of a newer one. */
	pthread_mutex_lock(&load_lock);
	if (resolve_open(path, cpath, &r) == 0) {
		old = m = find(r.file);
		if (old == NULL || !freshness__is_current(old))
			m = load_new(path, &r, old);
		if (r.fd >= 0)
			close(r.fd);
	}
	if (m != NULL)
		note_alias(m, path, &r);
	pthread_mutex_unlock(&load_lock);
	if (m != old)
		cmod_unref(old);
	return m;
}

struct cmod *cmod_load_sealed(const char *path, const char *file, int fd)
{
	struct moment read = freshness__moment();
	struct image img;

	if (image_adopt(&img, fd) != 0)
		return NULL;
	return load_image(path, file, &img, &read, NULL);
}

struct cmod_candidate {
	struct resolved where;
	struct image image;
	struct moment read;
	char path[];
};

struct cmod *cmod_look(const char *path, const char *cpath,
		       struct cmod_candidate **ret)
{
	size_t size = strlen(path) + 1;
	struct cmod_candidate *c = mem_alloc(sizeof *c + size);
	struct cmod *m;
	bool current;

	*ret = NULL;
	if (c == NULL) {
		diag_set_oom(sizeof *c + size, "a library to be loaded");
		return NULL;
	}
	memcpy(c->path, path, size);
	if (resolve(path, cpath, &c->where) != 0)
		goto fail;
	pthread_mutex_lock(&load_lock);
	m = find(c->where.file);
	current = m != NULL && freshness__is_current(m);
	pthread_mutex_unlock(&load_lock);
	if (current) {
		mem_free(c);
		return m;
	}
	cmod_unref(m);
	c->read = freshness__moment();
	if (image_create(&c->image, c->where.file, -1) != 0)
		goto fail;
	*ret = c;
	return NULL;
fail:
	mem_free(c);
	return NULL;
}

struct cmod *cmod_load_candidate(struct cmod_candidate *c)
{
	struct cmod *m, *old;

	pthread_mutex_lock(&load_lock);
	/* Somebody may have loaded the file meanwhile. */
	old = m = find(c->where.file);
	if (old == NULL || !freshness__is_current(old)) {
		m = load_image(c->path, c->where.file, &c->image, &c->read,
			       old);
		image_forget(&c->image);
	}
	if (m != NULL)
		note_alias(m, c->path, &c->where);
	pthread_mutex_unlock(&load_lock);
	if (m != old)
		cmod_unref(old);
	return m;
}

void cmod_candidate_delete(struct cmod_candidate *c)
{
	if (c == NULL)
		return;
	image_destroy(&c->image);
	mem_free(c);
}

const struct identity *cmod_candidate_identity(const struct cmod_candidate *c)
{
	return &c->image.id;
}

struct cmod_sealed cmod_candidate_sealed(const struct cmod_candidate *c)
{
	return (struct cmod_sealed){ .path = c->path,
				     .file = c->where.file,
				     .fd = c->image.fd };
}

struct cmod_sealed cmod_sealed(const struct cmod *m)
{
	return (struct cmod_sealed){ .path = m->path,
				     .file = m->file,
				     .fd = m->image.fd };
}

bool cmod__drop(struct cmod *m)
{
	unsigned before = atomic_fetch_sub(&m->refs, 1);

	assert(before > 0);
	if (before > 1)
		return false;
	evict(m);
	list_del(&m->all);
	live_count--;
	return true;
}

void cmod__unload(struct cmod *m)
{
	tell(CMOD_UNLOADED, m->file);
	cmod__close(m);
}

void cmod_unref(struct cmod *m)
{
	unsigned refs;
	bool last;

	if (m == NULL)
		return;
	/* Only the last one has anything to do under the lock. */
	refs = atomic_load(&m->refs);
	while (refs > 1) {
		if (atomic_compare_exchange_weak(&m->refs, &refs, refs - 1))
			return;
	}
	cmod__lock();
	last = cmod__drop(m);
	cmod__unlock();
	if (last)
		cmod__unload(m);
}

bool cmod_is_cached(const struct cmod *m)
{
	bool cached;

	cmod__lock();
	cached = m->cached;
	cmod__unlock();
	return cached;
}

const char *cmod_file(const struct cmod *m)
{
	return m->file;
}

const struct identity *cmod_identity(const struct cmod *m)
{
	return &m->image.id;
}

uint64_t cmod_hash(const struct cmod *m)
{
	return m->image.hash;
}

bool cmod_peek(const char *file, struct identity *ret_id, uint64_t *ret_hash)
{
	struct cmod *m;

	cmod__lock();
	HASH_FIND_STR(files, file, m);
	if (m != NULL) {
		*ret_id = m->image.id;
		*ret_hash = m->image.hash;
	}
	cmod__unlock();
	return m != NULL;
}

unsigned cmod_live_count(void)
{
	unsigned count;

	cmod__lock();
	count = live_count;
	cmod__unlock();
	return count;
}
