/*
 * A generation of a map or ACL: its entries by key and in order, and an index for each
 * kind of look-up in use. For patref.c alone, which has the locks.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "app/pattern_index.h"
#include "base/list.h"

/* A table that cannot grow leaves the element out: its hh.tbl is NULL. */
#define HASH_NONFATAL_OOM      1
#define uthash_malloc(size)    mem_alloc(size)
#define uthash_free(ptr, size) mem_free(ptr)
#define HASH_FUNCTION(data, size, ret) \
	(ret) = (unsigned)siphash(&patref_hash_key, data, size)
#include <uthash.h>

#include "base/inject.h"
#include "base/siphash.h"

struct patref_gen;

/** Set before the first table is made. */
extern struct siphash_key patref_hash_key;

enum { PATREF_INDEXES = PATTERN_METHODS * 2 };

struct entry_item {
	struct entry_item *next; /* of the same entry */
	unsigned index;          /* which one it is in */
	struct pattern_item item;
};

struct entry {
	UT_hash_handle hh;
	struct list link; /* in order */
	uint64_t order;
	struct entry_item *items;
	char *value; /* NULL: it has none */
	size_t value_size;
	size_t key_size;
	unsigned line; /* of the file; 0: added later */
	char key[];
};

struct patref_gen {
	unsigned refs; /* atomic */
	uint64_t id;   /* rising */
	struct entry *entries;
	struct list order;
	uint64_t next_order;
	size_t bytes;
	struct pattern_index *indexes[PATREF_INDEXES]; /* NULL: not in use */
	struct list cursors;
	struct list link; /* in those that are prepared; empty: it is not */
	struct patref_gen *rest; /* goes with it; NULL: nothing does */
	bool open; /* prepared for all: the list has a reference */
};

static inline unsigned patref_index_number(enum pattern_method method,
					   bool fold)
{
	return method * 2 + fold;
}

/** With one reference; NULL with diag set. */
struct patref_gen *patref_gen_new(void);

/** All entries and indexes go. */
void patref_gen_clear(struct patref_gen *gen);

/** What is in the one is in the other, but for walks: they are at their end. Nobody sees
 * either. */
void patref_gen_exchange(struct patref_gen *a, struct patref_gen *b);

/** An empty one with the indexes that @a like has. NULL with diag set. */
struct patref_gen *patref_gen_like(const char *name,
				   const struct patref_gen *like);

/** The indexes that @a like has, for @a gen, which nobody sees. Returns 0, or -1 with
 * diag set: a key does not fit; its place begins with @a name. */
int patref_gen_build(const char *name, struct patref_gen *gen,
		     const struct patref_gen *like);

/** An index over all entries of @a gen; it is not in it yet. NULL with diag set. */
struct pattern_index *patref_gen_index(const char *name, struct patref_gen *gen,
				       unsigned number);

struct entry *patref_gen_find(const struct patref_gen *gen, const char *key,
			      size_t size);

/** What an entry counts for. */
size_t patref_entry_cost(const struct entry *e);

/** An entry for @a gen with its items, not in it yet. NULL with diag set. */
struct entry *patref_entry_new(struct patref_gen *gen, const char *key,
			       size_t size, const char *value,
			       size_t value_size, bool has_value);
void patref_entry_free(struct entry *e);

/** Put it in: all or nothing. Returns 0, or -1 with diag set. */
int patref_entry_link(struct patref_gen *gen, struct entry *e);
void patref_entry_unlink(struct patref_gen *gen, struct entry *e);

/** A copy with a zero byte behind. NULL with diag set. */
char *patref_copy_value(const char *value, size_t size);
