/*
 * The entries of a dictionary between threads: shards, chains, the order of
 * use, the account of bytes, who goes. For shared_dict.c alone.
 */
#pragma once

#include "base/siphash.h"
#include "runtime/shared_dict.h"

enum { SHARED_SHARDS = 16 };

struct shared_entry {
	struct shared_entry *next; /* in its chain, or of those to be freed */
	struct list use;           /* in its shard, used last first */
	uint64_t hash;
	uint64_t used_ns;
	uint64_t due_ns; /* SHARED_DICT_NEVER: none */
	uint32_t epoch;  /* of its shard, when it was made */
	uint32_t key_size;
	size_t value_size;
	uint8_t type; /* enum shared_type */
	char data[];  /* the key, then the value */
};

struct shared_shard {
	pthread_mutex_t lock;
	struct shared_entry **chains;
	struct list use;
	size_t count;
	size_t mortal;  /* those of them with a time to live */
	size_t cursor;  /* the chain that the sweep looks at next */
	uint32_t epoch; /* entries of another one were flushed */
	struct shared_dict_stat stat;
	/* Last use of the entry used least lately; UINT64_MAX: none. Read
	 * without the lock, as a hint. */
	_Atomic uint64_t oldest_ns;
} __attribute__((aligned(64)));

struct shared_dict {
	struct shared_object base;
	struct siphash_key secret;
	size_t size;
	size_t capacity; /* size without this struct and the chains */
	size_t chain_mask;
	atomic_size_t used;
	struct shared_shard shards[SHARED_SHARDS];
};

static inline char *shared_entry_value(struct shared_entry *e)
{
	return e->data + e->key_size;
}

static inline size_t shared_entry_cost(const struct shared_entry *e)
{
	return shared_dict_cost(e->key_size, e->value_size);
}

static inline bool shared_entry_is_dead(const struct shared_shard *s,
					const struct shared_entry *e,
					uint64_t now)
{
	return e->due_ns <= now || e->epoch != s->epoch;
}

static inline struct shared_shard *shared_store_shard(struct shared_dict *d,
						      uint64_t hash)
{
	return &d->shards[hash >> 60];
}

/** A new one with its key and room for all values of that cost; NULL: no
 * memory. */
struct shared_entry *shared_entry_new(struct shared_key key, uint64_t hash,
				      size_t value_size);

/** Free a list of them. */
void shared_entry_free_all(struct shared_entry *e);

/* The rest with the shard's lock held; @a dead collects what is to be freed
 * without it. */

/** The living entry of @a key, or NULL; a dead one is taken out. */
struct shared_entry *shared_store_find(struct shared_dict *d,
				       struct shared_shard *s,
				       struct shared_key key, uint64_t hash,
				       uint64_t now,
				       struct shared_entry **dead);

/** It was used now. */
void shared_store_touch(struct shared_shard *s, struct shared_entry *e,
			uint64_t now);

/** Change when it is due. */
void shared_store_set_due(struct shared_shard *s, struct shared_entry *e,
			  uint64_t due);

/** Count @a cost bytes, if there is room. */
bool shared_store_reserve(struct shared_dict *d, size_t cost);

/** Enter @a e, whose bytes were counted. */
void shared_store_link(struct shared_dict *d, struct shared_shard *s,
		       struct shared_entry *e, uint64_t now);

/** Take @a e out; its bytes are counted on. */
void shared_store_detach(struct shared_dict *d, struct shared_shard *s,
			 struct shared_entry *e, struct shared_entry **dead);

/** Count @a cost bytes no more. */
void shared_store_release(struct shared_dict *d, size_t cost);

/** Take @a e out and count its bytes no more. */
void shared_store_unlink(struct shared_dict *d, struct shared_shard *s,
			 struct shared_entry *e, struct shared_entry **dead);

/** Take the dead out of @a chains chains from @a from on, up to @a limit.
 * Returns how many. */
size_t shared_store_sweep(struct shared_dict *d, struct shared_shard *s,
			  size_t from, size_t chains, uint64_t now,
			  size_t limit, struct shared_entry **dead);

/** The same for a few chains, each time others. */
void shared_store_sweep_some(struct shared_dict *d, struct shared_shard *s,
			     uint64_t now, struct shared_entry **dead);

/* Without any lock: */

/** Free the entry used least lately that has another key. */
void shared_store_evict(struct shared_dict *d, struct shared_key but,
			uint64_t hash, uint64_t now);
