/* The entries of a dictionary between threads. See shared_store.h. */
#include "runtime/shared_store.h"

#include <assert.h>
#include <string.h>

#include "base/inject.h"

enum {
	SWEEP_CHAINS = 4,    /* looked at by each change */
	BYTES_A_CHAIN = 128, /* of the dictionary's size; more: smaller table */
};

enum { MALLOC_WORD = 8, MALLOC_UNIT = 16 };

/* As malloc() counts: its own word, and whole units. */
size_t shared_dict_cost(size_t key_size, size_t value_size)
{
	return (offsetof(struct shared_entry, data) + key_size + value_size +
		MALLOC_WORD + MALLOC_UNIT - 1) &
	       ~(size_t)(MALLOC_UNIT - 1);
}

struct shared_entry *shared_entry_new(struct shared_key key, uint64_t hash,
				      size_t value_size)
{
	struct shared_entry *e =
		mem_alloc(shared_dict_cost(key.size, value_size) - MALLOC_WORD);

	if (e == NULL)
		return NULL;
	e->hash = hash;
	e->key_size = (uint32_t)key.size;
	e->value_size = value_size;
	memcpy(e->data, key.data, key.size);
	return e;
}

void shared_entry_free_all(struct shared_entry *e)
{
	while (e != NULL) {
		struct shared_entry *next = e->next;

		mem_free(e);
		e = next;
	}
}

static bool is_of_key(const struct shared_entry *e, struct shared_key key,
		      uint64_t hash)
{
	return e->hash == hash && e->key_size == key.size &&
	       memcmp(e->data, key.data, key.size) == 0;
}

static struct shared_entry **chain_of(const struct shared_dict *d,
				      const struct shared_shard *s,
				      uint64_t hash)
{
	return &s->chains[hash & d->chain_mask];
}

static struct shared_entry *last_used(const struct shared_shard *s)
{
	return list_entry(s->use.prev, struct shared_entry, use);
}

/* After the end of the list of use has changed. */
static void note_oldest(struct shared_shard *s)
{
	uint64_t ns = list_empty(&s->use) ? UINT64_MAX : last_used(s)->used_ns;

	atomic_store_explicit(&s->oldest_ns, ns, memory_order_relaxed);
}

struct shared_entry *shared_store_find(struct shared_dict *d,
				       struct shared_shard *s,
				       struct shared_key key, uint64_t hash,
				       uint64_t now, struct shared_entry **dead)
{
	struct shared_entry *e = *chain_of(d, s, hash);

	while (e != NULL && !is_of_key(e, key, hash))
		e = e->next;
	if (e == NULL || !shared_entry_is_dead(s, e, now))
		return e;
	s->stat.expired += e->epoch == s->epoch;
	shared_store_unlink(d, s, e, dead);
	return NULL;
}

void shared_store_touch(struct shared_shard *s, struct shared_entry *e,
			uint64_t now)
{
	bool was_last = s->use.prev == &e->use;

	e->used_ns = now;
	if (s->use.next != &e->use) {
		list_del(&e->use);
		list_add(&s->use, &e->use);
	}
	if (was_last)
		note_oldest(s);
}

void shared_store_set_due(struct shared_shard *s, struct shared_entry *e,
			  uint64_t due)
{
	s->mortal -= e->due_ns != SHARED_DICT_NEVER;
	e->due_ns = due;
	s->mortal += due != SHARED_DICT_NEVER;
}

bool shared_store_reserve(struct shared_dict *d, size_t cost)
{
	size_t used = atomic_load_explicit(&d->used, memory_order_relaxed);

	do {
		if (cost > d->capacity - used)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(
		&d->used, &used, used + cost, memory_order_relaxed,
		memory_order_relaxed));
	return true;
}

void shared_store_link(struct shared_dict *d, struct shared_shard *s,
		       struct shared_entry *e, uint64_t now)
{
	struct shared_entry **chain = chain_of(d, s, e->hash);

	e->next = *chain;
	*chain = e;
	e->epoch = s->epoch;
	e->used_ns = now;
	list_add(&s->use, &e->use);
	s->count++;
	s->mortal += e->due_ns != SHARED_DICT_NEVER;
	if (s->count == 1)
		note_oldest(s);
}

void shared_store_release(struct shared_dict *d, size_t cost)
{
	atomic_fetch_sub_explicit(&d->used, cost, memory_order_relaxed);
}

void shared_store_detach(struct shared_dict *d, struct shared_shard *s,
			 struct shared_entry *e, struct shared_entry **dead)
{
	struct shared_entry **at = chain_of(d, s, e->hash);
	bool was_last = s->use.prev == &e->use;

	while (*at != e)
		at = &(*at)->next;
	*at = e->next;
	list_del(&e->use);
	s->count--;
	s->mortal -= e->due_ns != SHARED_DICT_NEVER;
	if (was_last)
		note_oldest(s);
	e->next = *dead;
	*dead = e;
}

void shared_store_unlink(struct shared_dict *d, struct shared_shard *s,
			 struct shared_entry *e, struct shared_entry **dead)
{
	shared_store_release(d, shared_entry_cost(e));
	shared_store_detach(d, s, e, dead);
}

size_t shared_store_sweep(struct shared_dict *d, struct shared_shard *s,
			  size_t from, size_t chains, uint64_t now,
			  size_t limit, struct shared_entry **dead)
{
	size_t swept = 0;

	for (size_t i = 0; i < chains; i++) {
		struct shared_entry *next,
			*e = s->chains[(from + i) & d->chain_mask];

		for (; e != NULL && swept < limit; e = next) {
			next = e->next;
			if (!shared_entry_is_dead(s, e, now))
				continue;
			s->stat.expired += e->epoch == s->epoch;
			shared_store_unlink(d, s, e, dead);
			swept++;
		}
	}
	return swept;
}

void shared_store_sweep_some(struct shared_dict *d, struct shared_shard *s,
			     uint64_t now, struct shared_entry **dead)
{
	if (s->mortal == 0)
		return;
	shared_store_sweep(d, s, s->cursor, SWEEP_CHAINS, now, SIZE_MAX, dead);
	s->cursor = (s->cursor + SWEEP_CHAINS) & d->chain_mask;
}

/* The one of @a s used least lately that has another key; NULL: none has. */
static struct shared_entry *victim(struct shared_shard *s,
				   struct shared_key but, uint64_t hash)
{
	struct list *link = s->use.prev;

	if (link != &s->use &&
	    is_of_key(list_entry(link, struct shared_entry, use), but, hash))
		link = link->prev;
	return link == &s->use ? NULL
			       : list_entry(link, struct shared_entry, use);
}

static bool evict_from(struct shared_dict *d, struct shared_shard *s,
		       struct shared_key but, uint64_t hash, uint64_t now)
{
	struct shared_entry *e, *dead = NULL;

	pthread_mutex_lock(&s->lock);
	shared_store_sweep_some(d, s, now, &dead);
	e = dead == NULL ? victim(s, but, hash) : NULL;
	if (e != NULL) {
		if (shared_entry_is_dead(s, e, now))
			s->stat.expired += e->epoch == s->epoch;
		else
			s->stat.evictions++;
		shared_store_unlink(d, s, e, &dead);
	}
	pthread_mutex_unlock(&s->lock);
	shared_entry_free_all(dead);
	return dead != NULL;
}

void shared_store_evict(struct shared_dict *d, struct shared_key but,
			uint64_t hash, uint64_t now)
{
	bool tried[SHARED_SHARDS] = { false };

	for (int n = 0; n < SHARED_SHARDS; n++) {
		uint64_t best_ns = UINT64_MAX;
		int best = -1;

		for (int i = 0; i < SHARED_SHARDS; i++) {
			uint64_t ns = atomic_load_explicit(
				&d->shards[i].oldest_ns, memory_order_relaxed);

			if (!tried[i] && ns < best_ns) {
				best = i;
				best_ns = ns;
			}
		}
		if (best < 0 || evict_from(d, &d->shards[best], but, hash, now))
			return;
		tried[best] = true;
	}
}

/* Chains of a shard: a power of two, so that all take a sixteenth of the size
 * at most. */
static size_t chains_for(size_t size)
{
	size_t chains = 1;

	while (chains * 2 * BYTES_A_CHAIN * SHARED_SHARDS <= size)
		chains *= 2;
	return chains;
}

static struct shared_object *dict_make(const void *options)
{
	size_t size = *(const size_t *)options;
	size_t chains = chains_for(size);
	struct shared_entry **all;
	struct shared_dict *d;

	assert(size >= SHARED_DICT_MIN && size <= SHARED_DICT_MAX);
	d = inject("malloc")
		    ? NULL
		    : aligned_alloc(_Alignof(struct shared_dict), sizeof *d);
	if (d == NULL)
		return NULL;
	memset(d, 0, sizeof *d);
	/* Pages of it that nobody has used take no memory. */
	all = inject("malloc") ? NULL
			       : calloc(chains * SHARED_SHARDS, sizeof *all);
	if (all == NULL) {
		mem_free(d);
		return NULL;
	}
	d->secret = siphash_random_key();
	d->size = size;
	d->capacity = size - sizeof *d - chains * SHARED_SHARDS * sizeof *all;
	d->chain_mask = chains - 1;
	for (int i = 0; i < SHARED_SHARDS; i++) {
		struct shared_shard *s = &d->shards[i];

		pthread_mutex_init(&s->lock, NULL); /* plain: cannot fail */
		s->chains = all + (size_t)i * chains;
		list_init(&s->use);
		atomic_init(&s->oldest_ns, UINT64_MAX);
	}
	return &d->base;
}

static void dict_destroy(struct shared_object *o)
{
	struct shared_dict *d = (struct shared_dict *)o;

	for (int i = 0; i < SHARED_SHARDS; i++) {
		struct shared_shard *s = &d->shards[i];
		struct list *link;

		while ((link = list_shift(&s->use)) != NULL)
			mem_free(list_entry(link, struct shared_entry, use));
		pthread_mutex_destroy(&s->lock);
	}
	mem_free(d->shards[0].chains);
	mem_free(d);
}

const struct shared_kind shared_dict_kind = {
	"dictionary",
	dict_make,
	dict_destroy,
};
