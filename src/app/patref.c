/*
 * Tables that all threads share under a name. See patref.h.
 *
 * A table has a generation that is there for all, and others that are prepared. Each
 * has its entries by key and in order, and an index for each kind of look-up in use.
 *
 * Two locks: `writers` is held by whoever changes anything, however long it takes;
 * the read lock is taken by him only for the moment in which what readers see changes.
 * Lock order: openers, registry, writers, read lock.
 */
#include "app/patref.h"

#include <pthread.h>
#include <string.h>

#include "app/patref_gen.h"
#include "app/read_lock.h"
#include "base/buf.h"
#include "base/diag.h"
#include "base/inject.h"

struct patref {
	UT_hash_handle hh;
	unsigned id;
	bool is_map;
	pthread_mutex_t writers;
	struct read_lock readers;
	struct patref_gen *now; /* both locks to write */
	struct list pending;    /* struct patref_gen: prepared */
	unsigned pending_count;
	uint64_t next_id;
	unsigned watched; /* by so many; atomic */
	char name[];
};

static pthread_mutex_t openers = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t registry = PTHREAD_MUTEX_INITIALIZER;
static struct patref *patrefs;
static patref_watch_f on_change;

static void unlock(struct patref *r)
{
	pthread_mutex_unlock(&r->writers);
}

static void lock(struct patref *r)
{
	pthread_mutex_lock(&r->writers);
}

/* It takes the place of what is there; returns that. */
static struct patref_gen *swap(struct patref *r, struct patref_gen *gen)
{
	struct patref_gen *old = r->now;

	read_lock_stop(&r->readers);
	r->now = gen;
	read_lock_go_on(&r->readers);
	return old;
}

/* Neither committed nor given up, by whoever has it, too. */
static bool is_prepared(const struct patref_gen *gen)
{
	return !list_empty(&gen->link);
}

/* It is not prepared any more. */
static void forget(struct patref *r, struct patref_gen *gen)
{
	bool open = gen->open;

	list_del(&gen->link);
	r->pending_count--;
	gen->open = false;
	if (open)
		patref_gen_unref(gen);
}

/* --- tables --- */

static void patref_free(struct patref *r)
{
	while (!list_empty(&r->pending))
		forget(r, list_entry(r->pending.next, struct patref_gen, link));
	patref_gen_unref(r->now);
	pthread_mutex_destroy(&r->writers);
	read_lock_destroy(&r->readers);
	mem_free(r);
}

static struct patref *patref_new(const char *name, bool is_map)
{
	size_t size = strlen(name) + 1;
	size_t total = (sizeof(struct patref) + size + 63) / 64 * 64;
	struct patref *r = NULL;

	if (!inject("malloc"))
		r = aligned_alloc(64, total);
	if (r == NULL) {
		diag_set_oom(total, "a map or ACL");
		return NULL;
	}
	memset(r, 0, total);
	memcpy(r->name, name, size);
	r->is_map = is_map;
	r->now = patref_gen_new();
	if (r->now == NULL) {
		mem_free(r);
		return NULL;
	}
	pthread_mutex_init(&r->writers, NULL); /* plain: cannot fail */
	read_lock_create(&r->readers);
	list_init(&r->pending);
	return r;
}

static struct patref *read_new(const char *name, bool is_map,
			       const char *folder)
{
	struct patref *r;

	if (strlen(name) > PATREF_NAME_MAX || *name == '\0') {
		diag_set(IllegalParams,
			 "the name of a map or ACL has 1 to %d bytes",
			 PATREF_NAME_MAX);
		return NULL;
	}
	r = patref_new(name, is_map);
	if (r == NULL || patref__read_file(r, r->now, folder) == 0)
		return r;
	patref_free(r);
	return NULL;
}

/* Nobody else does. */
static int enter(struct patref *r)
{
	int rc = -1;

	pthread_mutex_lock(&registry);
	if (HASH_COUNT(patrefs) >= PATREFS_MAX) {
		diag_set(
			ClientError,
			"there are %d maps and ACLs already, which is the most",
			PATREFS_MAX);
	} else {
		r->id = HASH_COUNT(patrefs) + 1; /* none goes before all do */
		HASH_ADD_STR(patrefs, name, r);
		if (r->hh.tbl != NULL)
			rc = 0;
		else
			diag_set_oom(sizeof *r, "a map or ACL");
	}
	pthread_mutex_unlock(&registry);
	return rc;
}

/* Those who open new ones wait for each other, as it is most often the same file: it is
 * read once. Nobody else waits for that. */
static struct patref *open_new(const char *name, bool is_map,
			       const char *folder)
{
	struct patref *r;

	pthread_mutex_lock(&openers);
	if (patref_hash_key.k0 == 0 && patref_hash_key.k1 == 0)
		patref_hash_key = siphash_random_key();
	r = patref_find(name);
	if (r == NULL) {
		r = read_new(name, is_map, folder);
		if (r != NULL && enter(r) != 0) {
			patref_free(r);
			r = NULL;
		}
	}
	pthread_mutex_unlock(&openers);
	return r;
}

int patref_open(const char *name, bool is_map, const char *folder,
		struct patref **ret)
{
	struct patref *r = patref_find(name);

	if (r == NULL)
		r = open_new(name, is_map, folder);
	if (r == NULL)
		return -1;
	if (r->is_map != is_map) {
		diag_set(ClientError, "'%s' is %s already, and cannot be %s",
			 name, r->is_map ? "a map" : "an ACL",
			 is_map ? "a map" : "an ACL");
		return -1;
	}
	*ret = r;
	return 0;
}

struct patref *patref_find(const char *name)
{
	struct patref *r;

	pthread_mutex_lock(&registry);
	HASH_FIND_STR(patrefs, name, r);
	pthread_mutex_unlock(&registry);
	return r;
}

/* The hash table has them in the order in which they came. */
struct patref *patref_after(unsigned after)
{
	struct patref *r, *next;

	pthread_mutex_lock(&registry);
	HASH_ITER(hh, patrefs, r, next)
		if (r->id > after)
			break;
	pthread_mutex_unlock(&registry);
	return r;
}

int patref_names(struct buf *out)
{
	struct patref *r, *next;
	int rc = 0;

	pthread_mutex_lock(&registry);
	HASH_ITER(hh, patrefs, r, next)
		rc |= buf_append(out, r->name, strlen(r->name) + 1);
	pthread_mutex_unlock(&registry);
	if (rc == 0)
		return 0;
	diag_set(OutOfMemory, "not enough memory for the names of maps");
	return -1;
}

const char *patref_name(const struct patref *r)
{
	return r->name;
}

bool patref_is_map(const struct patref *r)
{
	return r->is_map;
}

void patref_look(struct patref *r, struct patref_look *ret)
{
	lock(r);
	*ret = (struct patref_look){
		.id = r->id,
		.size = patref_gen_size(r->now),
		.bytes = r->now->bytes,
		.version = r->now->id,
		.prepared = r->pending_count,
	};
	for (unsigned n = 0; n < PATREF_INDEXES; n++)
		ret->in_use[n / 2][n % 2] = r->now->indexes[n] != NULL;
	unlock(r);
}

void patrefs_end(void)
{
	struct patref *r, *next;

	pthread_mutex_lock(&registry);
	HASH_ITER(hh, patrefs, r, next) {
		HASH_DEL(patrefs, r);
		patref_free(r);
	}
	pthread_mutex_unlock(&registry);
}

void patref_set_watch(patref_watch_f fn)
{
	__atomic_store_n(&on_change, fn, __ATOMIC_RELEASE);
}

void patref_watch(struct patref *r, int change)
{
	__atomic_fetch_add(&r->watched, (unsigned)change, __ATOMIC_RELAXED);
}

/* Tell of a change of what is there for all. */
static void tell(struct patref *r, enum patref_change change)
{
	patref_watch_f fn = __atomic_load_n(&on_change, __ATOMIC_ACQUIRE);

	if (fn != NULL && __atomic_load_n(&r->watched, __ATOMIC_RELAXED) > 0)
		fn(r->name, change);
}

/* --- looking up --- */

int patref_use(struct patref *r, enum pattern_method method, bool fold)
{
	unsigned n = patref_index_number(method, fold);
	struct pattern_index *x;
	int rc = 0;

	lock(r);
	if (r->now->indexes[n] == NULL) {
		x = patref_gen_index(r->name, r->now, n);
		rc = x == NULL ? -1 : 0;
		read_lock_stop(&r->readers);
		r->now->indexes[n] = x;
		read_lock_go_on(&r->readers);
	}
	unlock(r);
	return rc;
}

static enum patref_found fail_match(void)
{
	diag_set(OutOfMemory, "not enough memory for a look-up");
	return PATREF_FAILED;
}

static int put_value(const struct entry *e, const char *text,
		     const struct pattern_spans *spans, struct buf *out)
{
	if (e->value_size == 0)
		return 0;
	if (spans != NULL)
		return regex_expand(e->value, e->value_size, text, spans->spans,
				    spans->count, out);
	return buf_append(out, e->value, e->value_size);
}

static int put_key(const struct entry *e, struct buf *out)
{
	return buf_append(out, e->key, e->key_size);
}

enum patref_found patref_match(struct patref *r, enum pattern_method method,
			       bool fold, const char *text, size_t size,
			       enum patref_wanted wanted, struct buf *out)
{
	bool with_spans = wanted == PATREF_EXPANDED && method == PATTERN_REG;
	struct pattern_spans spans;
	struct pattern_index *x;
	struct pattern_item *item = NULL;
	bool failed = false;
	unsigned slot = read_lock_enter(&r->readers);

	x = r->now->indexes[patref_index_number(method, fold)];
	if (x != NULL)
		item = pattern_index_find(x, slot, text, size,
					  with_spans ? &spans : NULL, &failed);
	if (item != NULL && wanted == PATREF_KEY)
		failed = put_key(item->owner, out) != 0;
	else if (item != NULL)
		failed = put_value(item->owner, text,
				   with_spans ? &spans : NULL, out) != 0;
	read_lock_leave(&r->readers, slot);
	if (failed)
		return fail_match();
	return item != NULL ? PATREF_FOUND : PATREF_NOT_FOUND;
}

enum patref_found patref_get(struct patref *r, struct patref_gen *gen,
			     const char *key, size_t size, struct buf *out)
{
	struct entry *e;
	bool failed;

	lock(r);
	e = patref_gen_find(gen == NULL ? r->now : gen, key, size);
	failed = e != NULL && put_value(e, NULL, NULL, out) != 0;
	unlock(r);
	if (failed)
		return fail_match();
	return e != NULL ? PATREF_FOUND : PATREF_NOT_FOUND;
}

unsigned patref_size(struct patref *r, struct patref_gen *gen)
{
	unsigned n;

	lock(r);
	n = patref_gen_size(gen == NULL ? r->now : gen);
	unlock(r);
	return n;
}

/* --- changing --- */

static int fail_gone(const struct patref *r)
{
	diag_set(ClientError,
		 "'%s': what was prepared is gone: a newer one was committed, "
		 "or it was given up",
		 r->name);
	return -1;
}

/* What is there for all is always there. */
static bool is_gone(const struct patref_gen *gen)
{
	return gen != NULL && !is_prepared(gen);
}

static int check_entry(const struct patref *r, size_t size, size_t value_size)
{
	if (size <= PATREF_KEY_MAX && value_size <= PATREF_VALUE_MAX)
		return 0;
	diag_set(IllegalParams,
		 "'%s': a key has at most %d bytes, and a value %d", r->name,
		 PATREF_KEY_MAX, PATREF_VALUE_MAX);
	return -1;
}

static int check_room(const struct patref *r, const struct patref_gen *gen,
		      size_t more)
{
	if (HASH_COUNT(gen->entries) < PATREF_ENTRIES_MAX &&
	    gen->bytes + more <= PATREF_BYTES_MAX)
		return 0;
	diag_set(ClientError,
		 "'%s' has %d keys, or %zu bytes of them, which is the most",
		 r->name, PATREF_ENTRIES_MAX, PATREF_BYTES_MAX);
	return -1;
}

static int fail_key(const struct patref *r, const char *key, size_t size,
		    const char *what)
{
	int shown = size > 100 ? 100 : (int)size;

	diag_set(ClientError, "'%s': the key '%.*s%s' %s", r->name, shown, key,
		 (size_t)shown < size ? ".." : "", what);
	return -1;
}

/* Readers see @a gen: they wait for what comes. */
static void stop_readers(struct patref *r, const struct patref_gen *gen)
{
	if (gen == r->now)
		read_lock_stop(&r->readers);
}

static void let_readers(struct patref *r, const struct patref_gen *gen)
{
	if (gen == r->now)
		read_lock_go_on(&r->readers);
}

/* With the lock; the key is not there. */
static int add(struct patref *r, struct patref_gen *gen, const char *key,
	       size_t size, const char *value, size_t value_size)
{
	struct entry *e;
	int rc;

	if (check_room(r, gen, size + value_size + sizeof *e) != 0)
		return -1;
	e = patref_entry_new(gen, key, size, value, value_size, r->is_map);
	if (e == NULL)
		return -1;
	stop_readers(r, gen);
	rc = patref_entry_link(gen, e);
	let_readers(r, gen);
	if (rc != 0)
		patref_entry_free(e);
	return rc;
}

/* With the lock. */
static int set(struct patref *r, struct patref_gen *gen, struct entry *e,
	       const char *value, size_t value_size)
{
	char *copy, *old = e->value;

	if (!r->is_map)
		return fail_key(r, e->key, e->key_size,
				"has no value: this is an ACL");
	copy = patref_copy_value(value, value_size);
	if (copy == NULL)
		return -1;
	stop_readers(r, gen);
	gen->bytes += value_size - e->value_size;
	e->value = copy;
	e->value_size = value_size;
	let_readers(r, gen);
	mem_free(old);
	return 0;
}

int patref__load(struct patref *r, struct patref_gen *gen, const char *key,
		 size_t size, const char *value, size_t value_size,
		 unsigned line)
{
	struct entry *e;

	if (check_entry(r, size, value_size) != 0)
		return -1;
	if (patref_gen_find(gen, key, size) != NULL)
		return 0;
	if (check_room(r, gen, size + value_size + sizeof *e) != 0)
		return -1;
	e = patref_entry_new(gen, key, size, value, value_size, r->is_map);
	if (e == NULL)
		return -1;
	e->line = line;
	if (patref_entry_link(gen, e) == 0)
		return 0;
	patref_entry_free(e);
	return -1;
}

/* An end of each of those below: tell, if it is there for all. */
static int end_change(struct patref *r, const struct patref_gen *gen, int rc,
		      enum patref_change change)
{
	unlock(r);
	if (rc == 0 && gen == NULL)
		tell(r, change);
	return rc;
}

int patref_add(struct patref *r, struct patref_gen *gen, const char *key,
	       size_t size, const char *value, size_t value_size)
{
	struct patref_gen *to;
	struct entry *e;
	int rc;

	if (check_entry(r, size, value_size) != 0)
		return -1;
	lock(r);
	to = gen == NULL ? r->now : gen;
	e = patref_gen_find(to, key, size);
	if (is_gone(gen))
		rc = fail_gone(r);
	else if (e != NULL)
		rc = fail_key(r, key, size, "is there already");
	else
		rc = add(r, to, key, size, value, value_size);
	return end_change(r, gen, rc, PATREF_ADD);
}

int patref_set(struct patref *r, struct patref_gen *gen, const char *key,
	       size_t size, const char *value, size_t value_size, bool or_add)
{
	enum patref_change change = PATREF_SET;
	struct patref_gen *to;
	struct entry *e;
	int rc;

	if (check_entry(r, size, value_size) != 0)
		return -1;
	lock(r);
	to = gen == NULL ? r->now : gen;
	e = patref_gen_find(to, key, size);
	if (is_gone(gen)) {
		rc = fail_gone(r);
	} else if (e != NULL) {
		rc = set(r, to, e, value, value_size);
	} else if (or_add) {
		change = PATREF_ADD;
		rc = add(r, to, key, size, value, value_size);
	} else {
		rc = fail_key(r, key, size, "is not there");
	}
	return end_change(r, gen, rc, change);
}

int patref_del(struct patref *r, struct patref_gen *gen, const char *key,
	       size_t size)
{
	struct patref_gen *from;
	struct entry *e;
	int rc = 0;

	lock(r);
	from = gen == NULL ? r->now : gen;
	e = patref_gen_find(from, key, size);
	if (is_gone(gen)) {
		rc = fail_gone(r);
	} else if (e == NULL) {
		rc = fail_key(r, key, size, "is not there");
	} else {
		stop_readers(r, from);
		patref_entry_unlink(from, e);
		let_readers(r, from);
		patref_entry_free(e);
	}
	return end_change(r, gen, rc, PATREF_DEL);
}

int patref_purge(struct patref *r, struct patref_gen *gen,
		 struct patref_gen **ret_old)
{
	struct patref_gen *empty;
	int rc = -1;

	*ret_old = NULL;
	lock(r);
	if (is_gone(gen)) {
		fail_gone(r);
	} else if ((empty = patref_gen_like(r->name, r->now)) != NULL) {
		rc = 0;
		if (gen == NULL) {
			*ret_old = swap(r, empty);
		} else {
			patref_gen_exchange(gen, empty);
			*ret_old = empty;
		}
	}
	return end_change(r, gen, rc, PATREF_CLEAR);
}

static struct patref_gen *prepare(struct patref *r, bool open,
				  uint64_t *ret_version)
{
	struct patref_gen *gen = NULL;

	lock(r);
	if (r->pending_count >= PATREF_PENDING_MAX) {
		diag_set(ClientError,
			 "'%s': %d replacements are prepared already, which is "
			 "the most",
			 r->name, PATREF_PENDING_MAX);
	} else {
		gen = patref_gen_like(r->name, r->now);
	}
	if (gen != NULL) {
		*ret_version = gen->id = ++r->next_id;
		gen->open = open;
		list_add_tail(&r->pending, &gen->link);
		r->pending_count++;
	}
	unlock(r);
	return gen;
}

struct patref_gen *patref_prepare(struct patref *r)
{
	uint64_t version;

	return prepare(r, false, &version);
}

int patref_prepare_version(struct patref *r, uint64_t *ret_version)
{
	return prepare(r, true, ret_version) != NULL ? 0 : -1;
}

struct patref_gen *patref_version(struct patref *r, uint64_t version)
{
	struct patref_gen *found = NULL;

	lock(r);
	list_foreach(link, &r->pending) {
		struct patref_gen *gen =
			list_entry(link, struct patref_gen, link);

		if (gen->open && gen->id == version)
			found = gen;
	}
	if (found != NULL)
		__atomic_fetch_add(&found->refs, 1, __ATOMIC_RELAXED);
	unlock(r);
	if (found == NULL)
		diag_set(ClientError,
			 "'%s': no version %llu is prepared: it never was, was "
			 "given up, or a newer one is committed",
			 r->name, (unsigned long long)version);
	return found;
}

/* What is in it goes with @a old. */
static void empty_into(struct patref_gen *gen, struct patref_gen *old)
{
	struct patref_gen *rest = patref_gen_new();

	if (rest == NULL) {
		diag_clear();
		patref_gen_clear(gen);
		return;
	}
	patref_gen_exchange(gen, rest);
	rest->rest = old->rest;
	old->rest = rest;
}

/* The references of those who wait to commit them stay. */
static void prune(struct patref *r, uint64_t before, struct patref_gen *old)
{
	list_foreach_safe(link, next, &r->pending) {
		struct patref_gen *gen =
			list_entry(link, struct patref_gen, link);

		if (gen->id >= before)
			continue;
		empty_into(gen, old);
		forget(r, gen);
	}
}

int patref_commit(struct patref *r, struct patref_gen *gen,
		  struct patref_gen **ret_old)
{
	int rc;

	lock(r);
	if (is_gone(gen)) {
		rc = fail_gone(r);
	} else {
		rc = patref_gen_build(r->name, gen, r->now);
		if (rc == 0) {
			__atomic_fetch_add(&gen->refs, 1, __ATOMIC_RELAXED);
			forget(r, gen);
			*ret_old = swap(r, gen);
			prune(r, gen->id, *ret_old);
		}
	}
	return end_change(r, NULL, rc, PATREF_COMMIT);
}

bool patref_is_gone(struct patref *r, const struct patref_gen *gen)
{
	bool gone;

	lock(r);
	gone = is_gone(gen);
	unlock(r);
	return gone;
}

void patref_give_up(struct patref *r, struct patref_gen *gen)
{
	lock(r);
	if (is_prepared(gen))
		forget(r, gen);
	unlock(r);
}

struct patref_gen *patref_read(struct patref *r, const char *folder)
{
	struct patref_gen *gen = patref_gen_new();
	int rc;

	if (gen == NULL)
		return NULL;
	rc = patref__read_file(r, gen, folder);
	if (rc == 0) {
		lock(r);
		rc = patref_gen_build(r->name, gen, r->now);
		unlock(r);
	}
	if (rc == 0)
		return gen;
	patref_gen_unref(gen);
	return NULL;
}

int patref_install(struct patref *r, struct patref_gen *gen,
		   struct patref_gen **ret_old)
{
	int rc;

	lock(r);
	/* There may be more of them by now. */
	rc = patref_gen_build(r->name, gen, r->now);
	if (rc == 0) {
		gen->id = ++r->next_id;
		*ret_old = swap(r, gen);
		prune(r, gen->id, *ret_old);
	} else {
		*ret_old = gen;
	}
	return end_change(r, NULL, rc, PATREF_COMMIT);
}

/* --- walking --- */

void patref_cursor_open(struct patref_cursor *c, struct patref *r,
			struct patref_gen *gen)
{
	lock(r);
	if (gen == NULL)
		gen = r->now;
	c->ref = r;
	c->gen = gen;
	c->at = gen->order.next;
	c->end = gen->next_order;
	__atomic_fetch_add(&gen->refs, 1, __ATOMIC_RELAXED);
	list_add_tail(&gen->cursors, &c->link);
	unlock(r);
}

static int put_pair(const struct entry *e, struct buf *out)
{
	uint32_t sizes[2] = { (uint32_t)e->key_size, (uint32_t)e->value_size };
	char *to = buf_reserve(out, sizeof sizes + e->key_size + e->value_size);

	if (to == NULL) {
		diag_set_oom(e->key_size + e->value_size, "a key");
		return -1;
	}
	memcpy(to, sizes, sizeof sizes);
	memcpy(to + sizeof sizes, e->key, e->key_size);
	if (e->value_size > 0)
		memcpy(to + sizeof sizes + e->key_size, e->value,
		       e->value_size);
	out->size += sizeof sizes + e->key_size + e->value_size;
	return 0;
}

int patref_cursor_next(struct patref_cursor *c, unsigned max, struct buf *out)
{
	int n = 0;

	if (c->gen == NULL)
		return 0;
	lock(c->ref);
	for (; n < (int)max && c->at != &c->gen->order; n++) {
		const struct entry *e = list_entry(c->at, struct entry, link);

		if (e->order >= c->end)
			break;
		if (put_pair(e, out) != 0) {
			n = -1;
			break;
		}
		c->at = c->at->next;
	}
	unlock(c->ref);
	return n;
}

struct patref_gen *patref_cursor_close(struct patref_cursor *c)
{
	struct patref_gen *gen = c->gen;

	if (gen == NULL)
		return NULL;
	lock(c->ref);
	list_del(&c->link);
	c->gen = NULL;
	unlock(c->ref);
	return gen;
}
