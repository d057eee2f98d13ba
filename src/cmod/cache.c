/*
 * The cache of modules: which instance a path gives out, and who holds what.
 *
 *   files --> newest instance of each file, while somebody holds it
 *   paths --> the same, for paths that were asked for before (aliases): one
 *             stat instead of a search
 *   all   --> every instance, orphans included
 *
 * Two locks. `lock` guards all data and is held for moments. `load_lock` is
 * held while a library is loaded, so that two threads that want the same new
 * file load it once; it is taken first.
 */
#include <assert.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "base/diag.h"
#include "cmod/cmod.h"
#include "cmod/cpu.h"
#include "cmod/module.h"
#include "cmod/resolve.h"
#include "neap/module.h"

/* A path that was asked for, and where it was found. */
struct alias {
	UT_hash_handle hh; /* by path */
	struct list link;  /* in its instance */
	struct cmod *module;
	const char *found; /* behind the path */
	char path[];
};

enum {
	ALIASES_MAX = 16, /* per instance */
	SETTLE_S = 2,     /* a file younger than this may still be written */
	VERIFY_NS = 50000000, /* between two comparisons of such a file */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t load_lock = PTHREAD_MUTEX_INITIALIZER;

static struct cmod *files;
static struct alias *aliases;
static struct list all = { &all, &all };
static unsigned live_count;

void cmod__lock(void)
{
	pthread_mutex_lock(&lock);
}

void cmod__unlock(void)
{
	pthread_mutex_unlock(&lock);
}

static uint64_t now_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void alias_drop(struct alias *a)
{
	HASH_DEL(aliases, a);
	list_del(&a->link);
	a->module->alias_count--;
	mem_free(a);
}

/* Out of the cache: no path leads to @a m any more. */
static void evict(struct cmod *m)
{
	struct list *link;

	if (!m->cached)
		return;
	while ((link = m->aliases.next) != &m->aliases)
		alias_drop(list_entry(link, struct alias, link));
	HASH_DEL(files, m);
	m->cached = false;
}

/* Out of memory here only makes the next load slower. */
static void alias_add(struct cmod *m, const char *path, const char *found)
{
	size_t path_size = strlen(path) + 1, found_size = strlen(found) + 1;
	struct alias *a;

	HASH_FIND_STR(aliases, path, a);
	if (a != NULL)
		alias_drop(a);
	if (!m->cached || m->alias_count >= ALIASES_MAX)
		return;
	a = mem_alloc(sizeof *a + path_size + found_size);
	if (a == NULL)
		return;
	a->module = m;
	a->found = memcpy(a->path + path_size, found, found_size);
	memcpy(a->path, path, path_size);
	HASH_ADD_STR(aliases, path, a);
	if (a->hh.tbl == NULL) {
		mem_free(a);
		return;
	}
	list_add(&m->aliases, &a->link);
	m->alias_count++;
}

struct cmod *cmod_load_cached(const char *path)
{
	char found[PATH_MAX];
	struct cmod *m = NULL;
	struct identity id;
	struct alias *a;
	struct stat st;

	if (resolve_first(path, found, sizeof found) == NULL ||
	    stat(found, &st) != 0)
		return NULL;
	id = identity_of(&st);
	cmod__lock();
	HASH_FIND_STR(aliases, path, a);
	if (a != NULL && strcmp(a->found, found) == 0 &&
	    !a->module->unsettled &&
	    identity_equal(&id, &a->module->image.id)) {
		m = a->module;
		m->refs++;
	}
	cmod__unlock();
	return m;
}

/*
 * Is the file what @a m was loaded from? A file's time has the granularity of
 * a clock tick, and a writer that maps its file changes it without touching
 * the time: while a file is young, equal times prove nothing and its bytes are
 * compared. Called with load_lock, without lock.
 */
static bool is_current(struct cmod *m)
{
	uint64_t now, real, hash;
	struct identity id;
	struct stat st;
	int64_t age;

	if (stat(m->file, &st) != 0)
		return false;
	id = identity_of(&st);
	if (!identity_equal(&id, &m->image.id))
		return false;
	if (!m->unsettled)
		return true;
	now = now_ns(CLOCK_MONOTONIC);
	if (now - m->verified_ns < VERIFY_NS)
		return true;
	real = now_ns(CLOCK_REALTIME);
	if (image_hash_file(m->file, &hash) != 0 || hash != m->image.hash)
		return false;
	age = (int64_t)(real / 1000000000u) - st.st_mtim.tv_sec;
	cmod__lock();
	m->verified_ns = now;
	m->unsettled = age >= 0 && age <= SETTLE_S;
	cmod__unlock();
	return true;
}

/* A new instance takes its place; the one before is an orphan from now on. */
static int insert(struct cmod *m)
{
	struct cmod *old;

	cmod__lock();
	HASH_FIND_STR(files, m->file, old);
	HASH_ADD_STR(files, file, m); /* beside the old one for a moment */
	m->cached = m->hh.tbl != NULL;
	if (m->cached) {
		if (old != NULL)
			evict(old);
		list_add_tail(&all, &m->all);
		live_count++;
	}
	cmod__unlock();
	return m->cached ? 0 : -1;
}

/* When a file's bytes were about to be read. */
struct moment {
	uint64_t now_ns;
	uint64_t real_ns;
};

static struct moment moment_now(void)
{
	return (struct moment){ now_ns(CLOCK_MONOTONIC),
				now_ns(CLOCK_REALTIME) };
}

/* Takes over the image. */
static struct cmod *load_image(const char *path, const char *file,
			       struct image *img, const struct moment *read)
{
	struct cmod *m = cmod__open(path, file, img);
	int64_t age;

	if (m == NULL)
		return NULL;
	m->since_ns = now_ns(CLOCK_REALTIME);
	m->verified_ns = read->now_ns;
	age = (int64_t)(read->real_ns / 1000000000u) - m->image.id.mtime.tv_sec;
	m->unsettled = age >= 0 && age <= SETTLE_S;
	if (insert(m) != 0) {
		diag_set_oom(sizeof *m, "the cache of modules");
		cmod__close(m);
		return NULL;
	}
	return m;
}

static struct cmod *load_new(const char *path, const char *file)
{
	/* Before the file is read: a load may take longer than it is young. */
	struct moment read = moment_now();
	struct image img;

	if (image_create(&img, file, strrchr(file, '/') + 1) != 0)
		return NULL;
	return load_image(path, file, &img, &read);
}

/* The cached instance of @a file with a reference, current or not. */
static struct cmod *find(const char *file)
{
	struct cmod *m;

	cmod__lock();
	HASH_FIND_STR(files, file, m);
	if (m != NULL)
		m->refs++;
	cmod__unlock();
	return m;
}

struct cmod *cmod_load(const char *path, const char *cpath)
{
	struct resolved r;
	struct cmod *m, *old;

	if (resolve(path, cpath, &r) != 0)
		return NULL;
	pthread_mutex_lock(&load_lock);
	old = m = find(r.file);
	if (old == NULL || !is_current(old))
		m = load_new(path, r.file);
	if (m != NULL && r.first) {
		cmod__lock();
		alias_add(m, path, r.found);
		cmod__unlock();
	}
	pthread_mutex_unlock(&load_lock);
	if (m != old)
		cmod_unref(old);
	return m;
}

struct cmod *cmod_load_sealed(const char *path, const char *file, int fd,
			      bool origin)
{
	struct moment read = moment_now();
	struct image img;

	image_adopt(&img, fd, origin);
	return load_image(path, file, &img, &read);
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
	current = m != NULL && is_current(m);
	pthread_mutex_unlock(&load_lock);
	if (current) {
		mem_free(c);
		return m;
	}
	cmod_unref(m);
	c->read = moment_now();
	if (image_create(&c->image, c->where.file,
			 strrchr(c->where.file, '/') + 1) != 0)
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
	if (old == NULL || !is_current(old)) {
		m = load_image(c->path, c->where.file, &c->image, &c->read);
		c->image.fd = -1;
		c->image.folder = NULL;
	}
	if (m != NULL && c->where.first) {
		cmod__lock();
		alias_add(m, c->path, c->where.found);
		cmod__unlock();
	}
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
				     .fd = c->image.fd,
				     .origin = c->image.facts.origin };
}

struct cmod_sealed cmod_sealed(const struct cmod *m)
{
	return (struct cmod_sealed){ .path = m->path,
				     .file = m->file,
				     .fd = m->image.fd,
				     .origin = m->image.facts.origin };
}

bool cmod__drop(struct cmod *m)
{
	assert(m->refs > 0);
	if (--m->refs > 0)
		return false;
	evict(m);
	list_del(&m->all);
	live_count--;
	return true;
}

void cmod_unref(struct cmod *m)
{
	bool last;

	if (m == NULL)
		return;
	cmod__lock();
	last = cmod__drop(m);
	cmod__unlock();
	if (last)
		cmod__close(m);
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

static void count_function(const struct cmod_func *f,
			   struct cmod_func_info *info)
{
	uint64_t cpu = __atomic_load_n(&f->cpu, __ATOMIC_RELAXED);

	*info = (struct cmod_func_info){
		.symbol = f->symbol,
		.refs = f->refs,
		.calls = f->calls,
		.errors = f->errors,
	};
	list_foreach(link, &f->uses) {
		struct cmod_use *use = list_entry(link, struct cmod_use, link);

		info->calls += __atomic_load_n(&use->calls, __ATOMIC_RELAXED);
		info->errors += __atomic_load_n(&use->errors, __ATOMIC_RELAXED);
		cpu += __atomic_load_n(&use->cpu.ticks, __ATOMIC_RELAXED);
	}
	info->cpu_ns = cpu_ns(cpu);
}

void cmod_list_functions(const struct cmod_info *info, cmod_func_list_f fn,
			 void *arg)
{
	struct cmod_func_info one;

	for (struct cmod_func *f = info->module->funcs; f != NULL;
	     f = f->hh.next) {
		count_function(f, &one);
		fn(&one, arg);
	}
}

static void add_function(const struct cmod_func_info *one, void *arg)
{
	struct cmod_info *info = arg;

	info->functions++;
	info->calls += one->calls;
	info->errors += one->errors;
	info->cpu_ns += one->cpu_ns;
}

void cmod_list(cmod_list_f fn, void *arg)
{
	cmod__lock();
	list_foreach(link, &all) {
		struct cmod *m = list_entry(link, struct cmod, all);
		struct cmod_info info = {
			.path = m->path,
			.file = m->file,
			.cached = m->cached,
			.never_closes = m->image.facts.never_closes,
			.id = m->image.id,
			.since_ns = m->since_ns,
			.refs = m->refs,
			.calls = m->calls,
			.errors = m->errors,
			.cpu_ns = cpu_ns(m->cpu),
			.version = m->info == NULL ? NULL : m->info->version,
			.module = m,
		};

		cmod_list_functions(&info, add_function, &info);
		fn(&info, arg);
	}
	cmod__unlock();
}
