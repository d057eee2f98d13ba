/*
 * Patterns of one kind in the order they came, and which of them a text matches:
 * by a tree, or one after the other where there is no better way. Readers of
 * different slots may look up at the same time; changes are made by one thread
 * while nobody else is there.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "app/address.h"
#include "app/pattern_tree.h"
#include "app/regex.h"
#include "base/list.h"

enum pattern_method {
	PATTERN_STR, /* the whole text */
	PATTERN_BEG, /* its begin; the longest counts, else the first */
	PATTERN_END, /* its end */
	PATTERN_SUB, /* anywhere */
	PATTERN_DIR, /* whole parts between slashes */
	PATTERN_DOM, /* whole parts between dots */
	PATTERN_REG, /* regular expressions */
	PATTERN_IP,  /* networks; the longest counts */
	PATTERN_INT, /* numbers, and ranges such as 10:20, :20 and 10: */
	PATTERN_LEN, /* of the text */
	PATTERN_METHODS,
};

enum {
	PATTERN_READERS = 16, /* slots; each has its own copy of what cannot be
				 shared */
	PATTERN_REGEX_MAX = 4096, /* of an index: each is tried */
};

/** "str", .. */
extern const char *const pattern_method_names[PATTERN_METHODS];

/** The method of a name, or -1. */
int pattern_method_parse(const char *name);

/** One pattern. */
struct pattern_item {
	struct pattern_leaf leaf; /* of trees */
	struct list link;         /* of lists */
	uint64_t order;           /* of two that match the lower counts */
	const char *text;         /* is the owner's */
	size_t size;
	void *owner; /* for the caller */
	union {
		struct regex **regex; /* for each reader, made when needed */
		struct address network;
		struct {
			int64_t low, high;
		};
	};
};

struct pattern_index {
	enum pattern_method method;
	bool fold; /* 'a' and 'A' are the same */
	struct pattern_tree tree;
	struct pattern_tree tree6; /* of IPv6 networks */
	struct list items;         /* where there is no tree */
	unsigned count;
};

void pattern_index_create(struct pattern_index *x, enum pattern_method method,
			  bool fold);

/** Forget all items, which are the caller's. */
void pattern_index_destroy(struct pattern_index *x);

/**
 * Make an item of @a text, which must stay where it is. Returns 0, or -1 with diag
 * set: IllegalParams, it is no such pattern; OutOfMemory.
 */
int pattern_item_create(struct pattern_item *item,
			const struct pattern_index *x, const char *text,
			size_t size);
void pattern_item_destroy(struct pattern_item *item,
			  enum pattern_method method);

/** Put it in. Returns 0, or -1 with diag set: too many, OutOfMemory. */
int pattern_index_add(struct pattern_index *x, struct pattern_item *item);
void pattern_index_remove(struct pattern_index *x, struct pattern_item *item);

/** What matched, of a regular expression. */
struct pattern_spans {
	struct regex_span spans[10];
	unsigned count;
};

/**
 * The item that the text matches, for the reader @a slot; NULL: none. A regular
 * expression that reaches its limit matches nothing; one that there is no memory for
 * sets *ret_failed. @a spans may be NULL.
 */
struct pattern_item *pattern_index_find(struct pattern_index *x, unsigned slot,
					const char *text, size_t size,
					struct pattern_spans *spans,
					bool *ret_failed);
