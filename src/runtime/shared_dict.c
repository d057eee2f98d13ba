/* Dictionaries between threads: what is done with entries. See shared_dict.h. */
#include "runtime/shared_dict.h"

#include <string.h>
#include <uv.h>

#include "base/buf.h"
#include "runtime/shared_store.h"

enum { CHUNK_CHAINS = 128 }; /* that a long walk sees under one lock */

/* One key of one dictionary, while its shard is locked. */
struct place {
	struct shared_dict *d;
	struct shared_shard *shard;
	struct shared_key key;
	uint64_t hash;
	uint64_t now;
	struct shared_entry *e;    /* the living entry, or NULL */
	struct shared_entry *dead; /* to be freed when it is unlocked */
};

static struct place place_of(struct shared_dict *d, struct shared_key key,
			     uint64_t now)
{
	uint64_t hash = siphash(&d->secret, key.data, key.size);

	return (struct place){
		.d = d,
		.shard = shared_store_shard(d, hash),
		.key = key,
		.hash = hash,
		.now = now,
	};
}

static void place_lock(struct place *p)
{
	pthread_mutex_lock(&p->shard->lock);
	p->e = shared_store_find(p->d, p->shard, p->key, p->hash, p->now,
				 &p->dead);
}

static void place_unlock(struct place *p)
{
	pthread_mutex_unlock(&p->shard->lock);
	shared_entry_free_all(p->dead);
	p->dead = NULL;
}

static bool has_bytes(enum shared_type type)
{
	return type == SHARED_STRING || type == SHARED_PACKED;
}

static size_t size_of(const struct shared_value *v)
{
	return has_bytes(v->type)          ? v->size
	       : v->type == SHARED_BOOLEAN ? sizeof v->boolean
					   : sizeof v->number;
}

static void store_value(struct shared_entry *e, const struct shared_value *v)
{
	/* The members of the union begin at the same place. */
	const void *from = has_bytes(v->type) ? v->data
					      : (const void *)&v->boolean;

	e->type = v->type;
	e->value_size = size_of(v);
	if (e->value_size > 0)
		memcpy(shared_entry_value(e), from, e->value_size);
}

/* A value that is no bytes. */
static struct shared_value load_value(struct shared_entry *e)
{
	struct shared_value v = { .type = e->type };

	memcpy(&v.boolean, shared_entry_value(e), e->value_size);
	return v;
}

int shared_dict_get(struct shared_dict *d, struct shared_key key, uint64_t now,
		    char *room, size_t *size, struct shared_value *ret)
{
	struct place p = place_of(d, key, now);
	int rc = 0;

	place_lock(&p);
	if (p.e == NULL) {
		p.shard->stat.misses++;
		rc = UV_ENOENT;
	} else if (!has_bytes(p.e->type)) {
		*ret = load_value(p.e);
	} else if (p.e->value_size > *size) {
		*size = p.e->value_size;
		rc = UV_ENOBUFS;
	} else {
		ret->type = p.e->type;
		ret->data = room;
		ret->size = p.e->value_size;
		memcpy(room, shared_entry_value(p.e), ret->size);
	}
	if (rc == 0) {
		p.shard->stat.hits++;
		shared_store_touch(p.shard, p.e, now);
	}
	place_unlock(&p);
	return rc;
}

static bool is_number(enum shared_type type)
{
	return type == SHARED_NUMBER || type == SHARED_SINT ||
	       type == SHARED_UINT;
}

/* The whole number that @a v is; false: it is none, or no 64 bits hold it. */
static bool to_whole(const struct shared_value *v, __int128 *ret)
{
	switch (v->type) {
	case SHARED_SINT:
		*ret = v->sint;
		return true;
	case SHARED_UINT:
		*ret = v->uint;
		return true;
	case SHARED_NUMBER:
		if (!(v->number >= -0x1p64 && v->number <= 0x1p64))
			return false;
		*ret = (__int128)v->number;
		return (double)*ret == v->number;
	default:
		return false;
	}
}

static bool equals(struct shared_entry *e, const struct shared_value *v)
{
	__int128 a, b;

	if (is_number(e->type) && is_number(v->type)) {
		struct shared_value mine = load_value(e);

		if (e->type == SHARED_NUMBER && v->type == SHARED_NUMBER)
			return mine.number == v->number;
		return to_whole(&mine, &a) && to_whole(v, &b) && a == b;
	}
	if (e->type != v->type || e->value_size != size_of(v))
		return false;
	return memcmp(shared_entry_value(e),
		      has_bytes(v->type) ? v->data : (const void *)&v->boolean,
		      e->value_size) == 0;
}

/* May it be stored? 0, or why not. */
static int decide(const struct place *p, enum shared_store how,
		  const struct shared_value *old)
{
	switch (how) {
	case SHARED_SET:
		return 0;
	case SHARED_ADD:
		return p->e == NULL ? 0 : UV_EEXIST;
	case SHARED_REPLACE:
		return p->e == NULL ? UV_ENOENT : 0;
	case SHARED_SWAP:
		if (p->e == NULL)
			return UV_ENOENT;
		return equals(p->e, old) ? 0 : UV_EAGAIN;
	}
	return UV_EINVAL;
}

/*
 * One try to put the value in, with the lock held: 0, UV_ENOBUFS (there is no
 * room), or UV_ENOMEM (an entry is wanted: *fresh).
 */
static int put_in(struct place *p, const struct shared_value *v, uint64_t due,
		  struct shared_entry **fresh)
{
	size_t cost = shared_dict_cost(p->key.size, size_of(v));
	size_t old_cost = p->e == NULL ? 0 : shared_entry_cost(p->e);

	if (cost == old_cost) {
		store_value(p->e, v);
		shared_store_set_due(p->shard, p->e, due);
		shared_store_touch(p->shard, p->e, p->now);
		return 0;
	}
	if (*fresh == NULL)
		return UV_ENOMEM;
	if (cost > old_cost && !shared_store_reserve(p->d, cost - old_cost)) {
		if (p->e != NULL) /* others go first */
			shared_store_touch(p->shard, p->e, p->now);
		return UV_ENOBUFS;
	}
	if (cost < old_cost)
		shared_store_release(p->d, old_cost - cost);
	if (p->e != NULL)
		shared_store_detach(p->d, p->shard, p->e, &p->dead);
	store_value(*fresh, v);
	(*fresh)->due_ns = due;
	shared_store_link(p->d, p->shard, *fresh, p->now);
	*fresh = NULL;
	return 0;
}

int shared_dict_store(struct shared_dict *d, struct shared_key key,
		      enum shared_store how, const struct shared_value *old,
		      const struct shared_value *value, uint64_t now,
		      uint64_t due)
{
	struct place p = place_of(d, key, now);
	struct shared_entry *fresh = NULL;
	int rc;

	if (size_of(value) > d->capacity ||
	    shared_dict_cost(key.size, size_of(value)) > d->capacity)
		return UV_E2BIG;
	for (;;) {
		place_lock(&p);
		shared_store_sweep_some(d, p.shard, now, &p.dead);
		rc = decide(&p, how, old);
		if (rc == 0) {
			rc = put_in(&p, value, due, &fresh);
			p.shard->stat.stores += rc == 0;
		}
		place_unlock(&p);
		if (rc == UV_ENOBUFS) {
			shared_store_evict(d, key, p.hash, now);
			continue;
		}
		if (rc != UV_ENOMEM)
			break;
		fresh = shared_entry_new(key, p.hash, size_of(value));
		if (fresh == NULL)
			return UV_ENOMEM;
		fresh->next = NULL;
	}
	shared_entry_free_all(fresh);
	return rc;
}

int shared_dict_remove(struct shared_dict *d, struct shared_key key,
		       const struct shared_value *old, uint64_t now)
{
	struct place p = place_of(d, key, now);
	int rc = 0;

	place_lock(&p);
	if (p.e == NULL)
		rc = UV_ENOENT;
	else if (old != NULL && !equals(p.e, old))
		rc = UV_EAGAIN;
	else
		shared_store_unlink(d, p.shard, p.e, &p.dead);
	place_unlock(&p);
	return rc;
}

/* a + b of a's type. 0, UV_EINVAL (a is no number), UV_ERANGE. */
static int add(const struct shared_value *a, const struct shared_value *b,
	       struct shared_value *ret)
{
	__int128 x, y;

	if (!is_number(a->type) || !is_number(b->type))
		return UV_EINVAL;
	ret->type = a->type;
	if (a->type == SHARED_NUMBER && b->type == SHARED_NUMBER) {
		ret->number = a->number + b->number;
		return 0;
	}
	if (!to_whole(b, &y))
		return UV_ERANGE;
	if (a->type == SHARED_NUMBER) {
		if ((__int128)(double)y != y)
			return UV_ERANGE; /* not exact */
		ret->number = a->number + (double)y;
		return 0;
	}
	to_whole(a, &x);
	x += y;
	if (a->type == SHARED_SINT) {
		ret->sint = (int64_t)x;
		return ret->sint == x ? 0 : UV_ERANGE;
	}
	ret->uint = (uint64_t)x;
	return ret->uint == x ? 0 : UV_ERANGE;
}

int shared_dict_incr(struct shared_dict *d, struct shared_key key,
		     const struct shared_value *by,
		     const struct shared_value *init, uint64_t now,
		     uint64_t due, struct shared_value *ret)
{
	struct place p = place_of(d, key, now);
	struct shared_value sum;
	int rc;

	do {
		place_lock(&p);
		if (p.e == NULL) {
			rc = init == NULL ? UV_ENOENT : UV_EAGAIN;
		} else if (!is_number(p.e->type)) {
			rc = UV_EINVAL;
		} else {
			struct shared_value old = load_value(p.e);

			rc = add(&old, by, &sum);
			if (rc == 0) {
				store_value(p.e, &sum);
				shared_store_touch(p.shard, p.e, now);
				p.shard->stat.stores++;
			}
		}
		place_unlock(&p);
		if (rc != UV_EAGAIN)
			break;
		rc = add(init, by, &sum);
		if (rc == 0)
			rc = shared_dict_store(d, key, SHARED_ADD, NULL, &sum,
					       now, due);
	} while (rc == UV_EEXIST); /* somebody else was quicker */
	if (rc == 0)
		*ret = sum;
	return rc;
}

int shared_dict_due(struct shared_dict *d, struct shared_key key, uint64_t now,
		    uint64_t *ret_due)
{
	struct place p = place_of(d, key, now);
	int rc = UV_ENOENT;

	place_lock(&p);
	if (p.e != NULL) {
		*ret_due = p.e->due_ns;
		rc = 0;
	}
	place_unlock(&p);
	return rc;
}

int shared_dict_expire(struct shared_dict *d, struct shared_key key,
		       uint64_t now, uint64_t due)
{
	struct place p = place_of(d, key, now);
	int rc = UV_ENOENT;

	place_lock(&p);
	if (p.e != NULL) {
		shared_store_set_due(p.shard, p.e, due);
		rc = 0;
	}
	place_unlock(&p);
	return rc;
}

/* The keys of one chain: false when @a out has no room for all; *ret_need. */
static bool tell_chain(struct shared_shard *s, const struct shared_entry *first,
		       uint64_t now, size_t *limit, struct buf *out,
		       size_t *ret_need)
{
	size_t need = 0;

	for (const struct shared_entry *e = first; e != NULL; e = e->next)
		need += sizeof e->key_size + e->key_size;
	if (need > out->capacity - out->size) {
		*ret_need = need;
		return false;
	}
	for (const struct shared_entry *e = first; e != NULL && *limit > 0;
	     e = e->next) {
		if (shared_entry_is_dead(s, e, now))
			continue;
		buf_append(out, &e->key_size, sizeof e->key_size);
		buf_append(out, e->data, e->key_size);
		--*limit;
	}
	return true;
}

static int shard_keys(struct shared_dict *d, struct shared_shard *s,
		      uint64_t now, size_t *limit, struct buf *out)
{
	size_t at = 0, need, end;

	while (at <= d->chain_mask && *limit > 0) {
		end = at + CHUNK_CHAINS;
		need = 0;
		pthread_mutex_lock(&s->lock);
		while (at < end && at <= d->chain_mask && *limit > 0 &&
		       tell_chain(s, s->chains[at], now, limit, out, &need))
			at++;
		pthread_mutex_unlock(&s->lock);
		if (need > 0 && buf_reserve(out, need) == NULL)
			return UV_ENOMEM;
	}
	return 0;
}

int shared_dict_keys(struct shared_dict *d, uint64_t now, size_t limit,
		     struct buf *out)
{
	int rc = 0;

	for (int i = 0; i < SHARED_SHARDS && rc == 0; i++)
		rc = shard_keys(d, &d->shards[i], now, &limit, out);
	return rc;
}

/* All chains of a shard, some at a time. */
static size_t sweep_shard(struct shared_dict *d, struct shared_shard *s,
			  uint64_t now, size_t limit)
{
	size_t swept = 0;

	for (size_t at = 0; at <= d->chain_mask && swept < limit;
	     at += CHUNK_CHAINS) {
		size_t left = d->chain_mask + 1 - at;
		struct shared_entry *dead = NULL;

		pthread_mutex_lock(&s->lock);
		swept += shared_store_sweep(
			d, s, at, left < CHUNK_CHAINS ? left : CHUNK_CHAINS,
			now, limit - swept, &dead);
		pthread_mutex_unlock(&s->lock);
		shared_entry_free_all(dead);
	}
	return swept;
}

static size_t mortal_of(struct shared_shard *s)
{
	size_t mortal;

	pthread_mutex_lock(&s->lock);
	mortal = s->mortal;
	pthread_mutex_unlock(&s->lock);
	return mortal;
}

size_t shared_dict_sweep(struct shared_dict *d, uint64_t now, size_t limit)
{
	size_t swept = 0;

	for (int i = 0; i < SHARED_SHARDS && swept < limit; i++) {
		if (mortal_of(&d->shards[i]) > 0)
			swept += sweep_shard(d, &d->shards[i], now,
					     limit - swept);
	}
	return swept;
}

size_t shared_dict_count(struct shared_dict *d, uint64_t now)
{
	size_t count = 0;

	shared_dict_sweep(d, now, SIZE_MAX);
	for (int i = 0; i < SHARED_SHARDS; i++) {
		pthread_mutex_lock(&d->shards[i].lock);
		count += d->shards[i].count;
		pthread_mutex_unlock(&d->shards[i].lock);
	}
	return count;
}

void shared_dict_flush(struct shared_dict *d)
{
	for (int i = 0; i < SHARED_SHARDS; i++) {
		struct shared_shard *s = &d->shards[i];

		/* What there is now nobody sees from here on. */
		pthread_mutex_lock(&s->lock);
		s->epoch++;
		pthread_mutex_unlock(&s->lock);
	}
	for (int i = 0; i < SHARED_SHARDS; i++)
		sweep_shard(d, &d->shards[i], 0, SIZE_MAX);
}

void shared_dict_stat(struct shared_dict *d, struct shared_dict_stat *ret)
{
	struct shared_dict_stat sum = { 0 };

	for (int i = 0; i < SHARED_SHARDS; i++) {
		const struct shared_dict_stat *one = &d->shards[i].stat;

		pthread_mutex_lock(&d->shards[i].lock);
		sum.hits += one->hits;
		sum.misses += one->misses;
		sum.stores += one->stores;
		sum.evictions += one->evictions;
		sum.expired += one->expired;
		pthread_mutex_unlock(&d->shards[i].lock);
	}
	*ret = sum;
}

size_t shared_dict_size(const struct shared_dict *d)
{
	return d->size;
}

size_t shared_dict_capacity(const struct shared_dict *d)
{
	return d->capacity;
}

size_t shared_dict_free(const struct shared_dict *d)
{
	return d->capacity -
	       atomic_load_explicit(&((struct shared_dict *)d)->used,
				    memory_order_relaxed);
}
